//! Request ids: random, so that nobody can name another's request; drawn by the dozen, since asking the kernel for each costs
//! more than the rest of an id.

use std::cell::RefCell;

use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

/// Ids of one draw.
const DRAWN: usize = 64;
const ID_BYTES: usize = 16;

/// What a thread has drawn and not yet given away.
struct Drawn {
    bytes: [u8; DRAWN * ID_BYTES],
    left: usize,
}

thread_local! {
    static DRAWN_HERE: RefCell<Drawn> = const { RefCell::new(Drawn { bytes: [0; DRAWN * ID_BYTES], left: 0 }) };
}

/// A new id, the bits of a version 4 UUID.
pub(super) fn fresh() -> u128 {
    DRAWN_HERE.with_borrow_mut(|drawn| {
        if drawn.left == 0 {
            if SystemRandom::new().fill(&mut drawn.bytes).is_err() {
                return Uuid::new_v4().as_u128();
            }
            drawn.left = DRAWN;
        }
        drawn.left -= 1;
        let at = drawn.left * ID_BYTES;
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&drawn.bytes[at..at + ID_BYTES]);
        uuid::Builder::from_random_bytes(id).into_uuid().as_u128()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_id_comes_twice_on_any_thread_and_each_is_a_random_uuid() {
        let draw = || (0..3 * DRAWN).map(|_| fresh()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(draw)).collect();
        let ids: Vec<u128> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert!(ids.iter().all(|id| Uuid::from_u128(*id).get_version_num() == 4));
    }
}
