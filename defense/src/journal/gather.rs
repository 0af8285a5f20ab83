//! Which events are telling: a count per slot and second decides, without a lock.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::IpNet;

use super::Event;
use crate::bounds::GATHER_SLOTS;
use crate::prefix::Seed;

/// Slots by keyed hash of what makes events alike. A slot holds the count of one kind: 16 bits of the second, 16 of
/// the kind, 32 of the count. Another kind takes the slot over, so that a spray of one reason hides no other.
#[derive(Debug)]
pub(super) struct Gather {
    seed: Seed,
    slots: Box<[AtomicU64]>,
}

/// The slot of an event, and the mark of its kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) slot: usize,
    tag: u16,
}

impl Gather {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, slots: (0..GATHER_SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(super) fn place(&self, event: &Event, network: IpNet) -> Place {
        let mut hasher = self.seed.hasher();
        (event.reason, event.point, event.verdict, network, event.lease, event.request).hash(&mut hasher);
        let hash = hasher.finish();
        Place { slot: (hash % GATHER_SLOTS as u64) as usize, tag: (hash >> 48) as u16 }
    }

    /// How many of its kind came in this second, if the event brought that figure to or past a power of two.
    pub(super) fn telling(&self, place: Place, event: &Event) -> Option<u32> {
        let mark = u64::from(event.at_unix_s as u16) << 16 | u64::from(place.tag);
        let slot = &self.slots[place.slot];
        let mut seen = slot.load(Ordering::Relaxed);
        loop {
            let before = if seen >> 32 == mark { seen as u32 } else { 0 };
            let after = before.saturating_add(event.count);
            match slot.compare_exchange_weak(
                seen,
                mark << 32 | u64::from(after),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    let grew = after > before && (before == 0 || after.ilog2() > before.ilog2());
                    return grew.then_some(after);
                }
                Err(changed) => seen = changed,
            }
        }
    }
}

/// A count that begins anew with each second: the second in the upper half, the count in the lower. An event that is
/// late by a second counts into the newer one.
#[derive(Debug, Default)]
pub(super) struct Meter(AtomicU64);

impl Meter {
    /// The count before and after. Saturates.
    fn count(&self, unix_s: u64, by: u32) -> (u32, u32) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let (second, before) = split(seen, unix_s);
            let after = before.saturating_add(by);
            let next = u64::from(second) << 32 | u64::from(after);
            match self.0.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return (before, after),
                Err(changed) => seen = changed,
            }
        }
    }

    /// Whether this is one of the first `max` of its second.
    pub(super) fn admits(&self, unix_s: u64, max: u32) -> bool {
        let (_, taken) = split(self.0.load(Ordering::Relaxed), unix_s);
        taken < max && self.count(unix_s, 1).0 < max
    }
}

/// The second that counts, and the count in it so far.
fn split(word: u64, unix_s: u64) -> (u32, u32) {
    let (stored, count) = ((word >> 32) as u32, word as u32);
    let now = unix_s as u32;
    // As sequence numbers compare, so that neither 2106 nor a corrected clock stops the sampling for long.
    let behind = stored.wrapping_sub(now);
    if behind <= LATE_S_MAX { (stored, count) } else { (now, 0) }
}

/// An event this many seconds older than its slot still counts into the slot's second.
const LATE_S_MAX: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_counts_within_a_second_and_starts_anew_after() {
        let meter = Meter::default();
        assert_eq!(meter.count(100, 3), (0, 3));
        assert_eq!(meter.count(100, 1), (3, 4));
        assert_eq!(meter.count(99, 1), (4, 5), "late by a second");
        assert_eq!(meter.count(101, 1), (0, 1));
        assert_eq!(meter.count(50, 1), (0, 1), "a clock that was set back goes on");
        assert_eq!(meter.count(50, u32::MAX), (1, u32::MAX));
    }

    #[test]
    fn a_meter_admits_exactly_its_maximum_per_second() {
        let meter = Meter::default();
        assert_eq!((0..10).filter(|_| meter.admits(7, 4)).count(), 4);
        assert_eq!((0..10).filter(|_| meter.admits(8, 4)).count(), 4);
    }
}
