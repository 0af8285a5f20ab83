//! Reproducible bytes for `/bytes/N`: anybody can recompute them.
//!
//! Marsaglia's xorshift64 (shifts 13, 7, 17) from the state `0x9e3779b97f4a7c15`; each step's new state gives eight
//! bytes, least significant first; the stream is cut after N bytes. In Python:
//!
//! ```text
//! def stream(n, s=0x9e3779b97f4a7c15):
//!     out = bytearray()
//!     while len(out) < n:
//!         s ^= s << 13 & 0xffffffffffffffff; s ^= s >> 7; s ^= s << 17 & 0xffffffffffffffff
//!         out += s.to_bytes(8, "little")
//!     return bytes(out[:n])
//! ```

use bytes::Bytes;
use data_encoding::HEXLOWER;
use ring::digest;

use super::dice::Dice;

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// A multiple of eight.
const CHUNK_BYTES: usize = 64 * 1024;

/// The bytes still to come.
#[derive(Clone, Debug)]
pub struct Stream {
    dice: Dice,
    left: u64,
}

impl Stream {
    pub const fn new(length: u64) -> Self {
        Self { dice: Dice::seeded(SEED), left: length }
    }
}

impl Iterator for Stream {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.left == 0 {
            return None;
        }
        let length = self.left.min(CHUNK_BYTES as u64);
        self.left -= length;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        while (chunk.len() as u64) < length {
            chunk.extend_from_slice(&self.dice.word().to_le_bytes());
        }
        chunk.truncate(length as usize);
        Some(chunk.into())
    }
}

/// SHA-256 of the first `length` bytes, in hex. Takes about a second for 256 MiB.
pub fn sha256(length: u64) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for chunk in Stream::new(length) {
        hash.update(&chunk);
    }
    HEXLOWER.encode(hash.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(length: u64) -> Vec<u8> {
        Stream::new(length).flatten().collect()
    }

    #[test]
    fn a_stream_has_its_length_and_begins_like_every_longer_one() {
        let longest = whole(200_003);
        for length in [0, 1, 7, 8, 9, 65_535, 65_536, 65_537, 200_003] {
            assert_eq!(whole(length), longest[..length as usize], "{length}");
        }
    }

    #[test]
    fn its_first_bytes_are_those_that_the_description_gives() {
        // By the Python text above.
        assert_eq!(HEXLOWER.encode(&whole(12)), "ad4df30bae771bdc76606e02");
        assert_eq!(sha256(100_000), "098bff4f420eb832116850ba391f03ec4376b8f2414b411033ee78ca381f8d69");
        assert_eq!(sha256(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
