//! Datagrams in a stream of bytes: each is its length as u16, big-endian, and so many bytes. Pure.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes in front of each datagram.
pub const LENGTH: usize = 2;
/// Longest datagram, bytes.
pub const DATAGRAM_MAX: usize = u16::MAX as usize;

/// Appends one datagram; false, and nothing appended, if it is longer than [`DATAGRAM_MAX`].
pub fn encode(datagram: &[u8], out: &mut BytesMut) -> bool {
    let Ok(length) = u16::try_from(datagram.len()) else { return false };
    out.reserve(LENGTH + datagram.len());
    out.put_u16(length);
    out.put_slice(datagram);
    true
}

/// Cuts a stream into datagrams. Holds less than one datagram beyond what its owner lets it read.
#[derive(Debug, Default)]
pub struct Datagrams {
    buffer: BytesMut,
}

impl Datagrams {
    /// Where the owner appends what it reads.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole datagram.
    pub fn next_datagram(&mut self) -> Option<Bytes> {
        let length = usize::from(u16::from_be_bytes(*self.buffer.first_chunk::<LENGTH>()?));
        if self.buffer.len() < LENGTH + length {
            return None;
        }
        self.buffer.advance(LENGTH);
        Some(self.buffer.split_to(length).freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_and_the_empty_datagram_pass_and_a_longer_one_does_not() {
        let (mut bytes, mut datagrams) = (BytesMut::new(), Datagrams::default());
        assert!(encode(&[7; DATAGRAM_MAX], &mut bytes) && encode(&[], &mut bytes));
        let length = bytes.len();
        assert!(!encode(&[7; DATAGRAM_MAX + 1], &mut bytes));
        assert_eq!(bytes.len(), length);
        datagrams.buffer().extend_from_slice(&bytes);
        assert_eq!(datagrams.next_datagram().unwrap(), vec![7; DATAGRAM_MAX]);
        assert_eq!(datagrams.next_datagram().unwrap(), "");
        assert_eq!(datagrams.next_datagram(), None);
    }

    proptest! {
        #[test]
        fn datagrams_come_out_as_they_went_in_however_the_stream_is_cut(
            sent in vec(vec(any::<u8>(), 0..80), 0..20), cuts in vec(1usize..50, 1..40)
        ) {
            let mut bytes = BytesMut::new();
            for datagram in &sent {
                prop_assert!(encode(datagram, &mut bytes));
            }
            let (mut datagrams, mut got, mut turn) = (Datagrams::default(), Vec::new(), 0);
            while !bytes.is_empty() {
                let cut = cuts[turn % cuts.len()].min(bytes.len());
                turn += 1;
                datagrams.buffer().extend_from_slice(&bytes.split_to(cut));
                got.extend(std::iter::from_fn(|| datagrams.next_datagram()));
            }
            prop_assert_eq!(got, sent);
            prop_assert!(datagrams.buffer().is_empty());
        }
    }
}
