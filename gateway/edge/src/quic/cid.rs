//! Connection IDs that only we can make: what looks like a packet of a connection of ours, and is none, is not answered.
//!
//! Each says by which core it was given, masked, so that a client whose address changes is still found by its
//! connection: the kernel spreads datagrams by their addresses.

use std::hash::Hasher;
use std::sync::Arc;

use quinn::{ConnectionId, ConnectionIdGenerator};
use siphasher::sip::SipHasher24;

/// Bytes of each connection ID.
pub const CID_BYTES: usize = 8;
const NONCE_BYTES: usize = 3;

/// The secret under which an edge makes connection IDs; it lasts as long as the process.
pub struct CidKey([u8; 16]);

impl CidKey {
    pub fn new(key: [u8; 16]) -> Arc<Self> {
        Arc::new(Self(key))
    }

    /// A core, masked; a nonce; a check on both.
    pub fn make(&self, core: u8, nonce: [u8; NONCE_BYTES]) -> [u8; CID_BYTES] {
        let [mask, ..] = self.hash(&nonce);
        let [a, b, c] = nonce;
        let head = [core ^ mask, a, b, c];
        let [w, x, y, z, ..] = self.hash(&head);
        let [core, a, b, c] = head;
        [core, a, b, c, w, x, y, z]
    }

    /// The core that gave it; `None` if none of ours did.
    pub fn core(&self, cid: &[u8]) -> Option<u8> {
        let [core, a, b, c, w, x, y, z] = *cid else { return None };
        let [v, k, l, m, ..] = self.hash(&[core, a, b, c]);
        if [v, k, l, m] != [w, x, y, z] {
            return None;
        }
        let [mask, ..] = self.hash(&[a, b, c]);
        Some(core ^ mask)
    }

    fn hash(&self, bytes: &[u8]) -> [u8; 8] {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(bytes);
        hasher.finish().to_be_bytes()
    }
}

/// Makes the connection IDs of one core's endpoint.
pub struct Cids {
    key: Arc<CidKey>,
    core: u8,
}

impl Cids {
    pub fn new(key: Arc<CidKey>, core: u8) -> Self {
        Self { key, core }
    }
}

impl ConnectionIdGenerator for Cids {
    fn generate_cid(&mut self) -> ConnectionId {
        let random = uuid::Uuid::new_v4().into_bytes();
        ConnectionId::new(&self.key.make(self.core, [random[0], random[1], random[2]]))
    }

    fn cid_len(&self) -> usize {
        CID_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_id_names_its_core_to_whoever_has_the_key_and_is_noise_to_others() {
        let (ours, theirs) = (CidKey::new([1; 16]), CidKey::new([2; 16]));
        for core in [0, 1, 7, 255] {
            let made = ours.make(core, [9, 8, core]);
            assert_eq!(ours.core(&made), Some(core));
            assert_eq!(theirs.core(&made), None);
            for bit in 0..64 {
                let mut bent = made;
                bent[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(ours.core(&bent), None, "bit {bit} of {core}");
            }
        }
        assert_eq!(ours.core(&[]), None);
        assert_eq!(ours.core(&[0; 20]), None);
    }
}
