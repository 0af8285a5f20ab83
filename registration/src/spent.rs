//! Which challenges were answered: each is good once. All of its memory is taken at the start.

use defense::Reason;
use rotator::UnixTime;

use crate::bounds::{SPENT_BUCKETS, SPENT_PER_BUCKET};
use crate::challenge::{Nonce, Sound};

/// A table of buckets. Nonces are random and sealed, so buckets fill evenly and nobody can aim at one.
#[derive(Debug)]
pub struct Spent {
    buckets: Box<[[Slot; SPENT_PER_BUCKET]]>,
}

/// Free once `expires` has come.
#[derive(Clone, Copy, Debug)]
struct Slot {
    nonce: Nonce,
    expires: UnixTime,
}

const FREE: Slot = Slot { nonce: Nonce([0; 16]), expires: UnixTime::ZERO };

impl Spent {
    pub fn new() -> Self {
        Self::with_buckets(SPENT_BUCKETS)
    }

    fn with_buckets(buckets: usize) -> Self {
        Self { buckets: vec![[FREE; SPENT_PER_BUCKET]; buckets.max(1)].into_boxed_slice() }
    }

    /// Takes a challenge. Never forgets one that has not expired.
    ///
    /// # Errors
    /// `challenge_replayed` for one that was taken before; `registration_busy` when there is no room to remember it.
    pub fn take(&mut self, sound: &Sound, now: UnixTime) -> Result<(), Reason> {
        let place = sound.nonce.0.iter().take(8).fold(0u64, |acc, b| acc << 8 | u64::from(*b));
        let at = (place % self.buckets.len() as u64) as usize;
        let bucket = &mut self.buckets[at];
        if bucket.iter().any(|slot| now < slot.expires && slot.nonce == sound.nonce) {
            return Err(Reason::ChallengeReplayed);
        }
        let free = bucket.iter_mut().find(|slot| slot.expires <= now).ok_or(Reason::RegistrationBusy)?;
        *free = Slot { nonce: sound.nonce, expires: sound.expires };
        Ok(())
    }

    /// Challenges remembered at `now`.
    pub fn held(&self, now: UnixTime) -> usize {
        self.buckets.iter().flatten().filter(|slot| now < slot.expires).count()
    }
}

impl Default for Spent {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sound(n: u64, expires: u64) -> Sound {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&n.to_be_bytes());
        Sound { nonce: Nonce(nonce), expires: UnixTime::from_secs(expires), bits: 0 }
    }

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    #[test]
    fn a_challenge_is_taken_once_until_its_last_second() {
        let mut spent = Spent::new();
        assert_eq!(spent.take(&sound(1, 100), at(10)), Ok(()));
        assert_eq!(spent.take(&sound(1, 100), at(10)), Err(Reason::ChallengeReplayed));
        assert_eq!(spent.take(&sound(1, 100), at(99)), Err(Reason::ChallengeReplayed));
        assert_eq!((spent.held(at(99)), spent.held(at(100))), (1, 0));
    }

    #[test]
    fn a_full_bucket_refuses_and_forgets_nothing_until_one_expires() {
        let mut spent = Spent::with_buckets(1);
        for n in 0..SPENT_PER_BUCKET as u64 {
            assert_eq!(spent.take(&sound(n, 100 + n), at(10)), Ok(()));
        }
        assert_eq!(spent.take(&sound(99, 200), at(99)), Err(Reason::RegistrationBusy));
        assert_eq!(spent.take(&sound(0, 100), at(99)), Err(Reason::ChallengeReplayed));
        assert_eq!(spent.take(&sound(99, 200), at(100)), Ok(()));
        assert_eq!(spent.take(&sound(98, 200), at(100)), Err(Reason::RegistrationBusy));
    }

    proptest! {
        #[test]
        fn whatever_comes_nothing_is_taken_twice(
            order in proptest::collection::vec((0u64..40, 1u64..50), 1..400)
        ) {
            let mut spent = Spent::with_buckets(4);
            let mut taken = std::collections::HashMap::new();
            for (now, (n, life)) in order.into_iter().enumerate() {
                let (now, expires) = (now as u64, now as u64 + life);
                match spent.take(&sound(n, expires), at(now)) {
                    Ok(()) => {
                        prop_assert!(taken.insert(n, expires).is_none_or(|until| until <= now));
                    }
                    Err(Reason::ChallengeReplayed) => prop_assert!(taken[&n] > now),
                    Err(other) => prop_assert_eq!(other, Reason::RegistrationBusy),
                }
            }
        }
    }
}
