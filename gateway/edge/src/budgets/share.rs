//! What one spender may hold of what all share: less the less there is left, so that no crowd of spenders takes the last.
//!
//! The threshold of a shared switch buffer (Choudhury and Hahne, 1998): each may hold as much as a fraction of what is
//! free, with no list of who holds what. A few are anybody's, and of the last part one: so whoever comes late still gets
//! in, until more spenders than that part has places are greedy at once.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::bounds::{SHARE_FLOOR, SHARE_LAST_SHIFT, SHARE_SHIFT};

/// How many one spender may hold, with so many free of so many, and so many its own limit.
pub fn fair_share(free: u32, max: u32, own_max: u32) -> u32 {
    let share = if free > max >> SHARE_LAST_SHIFT { (free >> SHARE_SHIFT).max(SHARE_FLOOR) } else { 1 };
    own_max.min(share)
}

/// Places of one kind, for all.
#[derive(Debug)]
pub struct Pot {
    max: u32,
    used: AtomicU32,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Nobody can have one.
    Pot,
    /// Others hold so many that this spender's share is full.
    Share,
    /// The spender's own limit.
    Own,
}

impl Pot {
    pub const fn new(max: u32) -> Self {
        Self { max, used: AtomicU32::new(0) }
    }

    pub fn used(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }

    pub const fn max(&self) -> u32 {
        self.max
    }

    /// Takes one for a spender that counts its own in `held`.
    pub(super) fn take(&self, held: &AtomicU32, own_max: u32) -> Result<(), Full> {
        let used = self.used.fetch_add(1, Ordering::AcqRel);
        let mine = held.fetch_add(1, Ordering::AcqRel);
        let full = match self.max.saturating_sub(used) {
            0 => Some(Full::Pot),
            _ if mine >= own_max => Some(Full::Own),
            free if mine >= fair_share(free, self.max, own_max) => Some(Full::Share),
            _ => None,
        };
        full.map_or(Ok(()), |full| {
            self.give_back(held);
            Err(full)
        })
    }

    pub(super) fn give_back(&self, held: &AtomicU32) {
        self.used.fetch_sub(1, Ordering::AcqRel);
        held.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_lone_spender_has_its_own_limit_and_the_last_part_is_given_one_by_one() {
        assert_eq!(fair_share(10_000, 10_000, 512), 512);
        assert_eq!(fair_share(10_000, 10_000, 3), 3);
        assert_eq!(fair_share(512 << SHARE_SHIFT, 10_000, 512), 512);
        assert_eq!(fair_share((512 << SHARE_SHIFT) - 1, 10_000, 512), 511);
        let last = 100 >> SHARE_LAST_SHIFT;
        assert_eq!((fair_share(last + 1, 100, 512), fair_share(last, 100, 512)), (SHARE_FLOOR, 1));
        assert_eq!(fair_share(1, 100, 0), 0);
    }

    #[test]
    fn the_last_place_is_given_and_not_one_more() {
        let pot = Pot::new(64);
        let held: Vec<AtomicU32> = (0..65).map(|_| AtomicU32::new(0)).collect();
        assert!(held[..64].iter().all(|held| pot.take(held, 9).is_ok()));
        assert_eq!(pot.take(&held[64], 9), Err(Full::Pot));
        pot.give_back(&held[0]);
        assert_eq!(pot.take(&held[1], 1), Err(Full::Own));
        assert_eq!(pot.take(&held[1], 9), Err(Full::Share));
        assert_eq!(pot.take(&held[64], 9), Ok(()));
        assert_eq!((pot.used(), held[1].load(Ordering::Relaxed)), (64, 1), "a refusal holds nothing");
    }

    proptest! {
        /// However many take all they can get, whoever comes next still gets something.
        #[test]
        fn a_newcomer_finds_a_place_however_many_are_greedy(greedy in 1_usize..200) {
            let pot = Pot::new(10_000);
            for _ in 0..greedy {
                let held = AtomicU32::new(0);
                while pot.take(&held, 512).is_ok() {}
                prop_assert!(held.into_inner() <= 512);
            }
            let newcomer = AtomicU32::new(0);
            prop_assert_eq!(pot.take(&newcomer, 512), Ok(()));
        }
    }
}
