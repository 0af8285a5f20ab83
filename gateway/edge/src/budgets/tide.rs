//! A rate on one word: how far ahead of time its spender is (GCRA). Pure; any number of threads may spend.

use std::sync::atomic::{AtomicU64, Ordering};

use defense::Moment;

/// So much per second, and so much at once before that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    per_s: u64,
    burst: u64,
}

impl Flow {
    /// At least one per second, and one at once.
    pub(super) fn new(per_s: u64, burst: u64) -> Self {
        Self { per_s: per_s.max(1), burst: burst.max(1) }
    }

    pub(super) fn per_s(self) -> u64 {
        self.per_s
    }

    /// What `amount` costs in nanoseconds, rounded up so that nothing is free. Saturates after 584 years.
    fn cost(self, amount: u64) -> u64 {
        let nanos = u128::from(amount) * 1_000_000_000;
        u64::try_from(nanos.div_ceil(u128::from(self.per_s))).unwrap_or(u64::MAX)
    }

    /// How far ahead a spender may be. What single costs were rounded up by must not cost the last of a burst its place.
    fn reach(self) -> u64 {
        self.cost(self.burst).saturating_add(self.burst.min(ROUNDED_MAX))
    }
}

const ROUNDED_MAX: u64 = 100_000;

/// When all that was spent so far will have been earned, in nanoseconds. A new one has spent nothing.
#[derive(Debug, Default)]
pub(super) struct Tide(AtomicU64);

impl Tide {
    /// Spends `amount` if the burst allows it.
    ///
    /// # Errors
    /// Nanoseconds until it would; nothing is spent.
    pub(super) fn take(&self, flow: Flow, amount: u64, now: Moment) -> Result<(), u64> {
        let (cost, reach) = (flow.cost(amount), flow.reach());
        let spend = |earned: u64| {
            let after = earned.max(now.nanos()).saturating_add(cost);
            (after - now.nanos() <= reach.max(cost)).then_some(after)
        };
        let spent = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
        spent.map(|_| ()).map_err(|earned| {
            let after = earned.max(now.nanos()).saturating_add(cost);
            (after - now.nanos()).saturating_sub(reach.max(cost))
        })
    }

    /// Spends what is gone already; nanoseconds until the debt is paid back, 0 within the burst.
    pub(super) fn charge(&self, flow: Flow, amount: u64, now: Moment) -> u64 {
        let (cost, reach) = (flow.cost(amount), flow.reach());
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |earned| {
            Some(earned.max(now.nanos()).saturating_add(cost))
        });
        let after = before.unwrap_or_else(|kept| kept).max(now.nanos()).saturating_add(cost);
        (after - now.nanos()).saturating_sub(reach)
    }

    /// Gives back what was charged and not used.
    pub(super) fn refund(&self, flow: Flow, amount: u64) {
        // The closure always gives a value: this can't fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |earned| {
            Some(earned.saturating_sub(flow.cost(amount)))
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = 1_000_000_000;

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn a_burst_passes_at_once_and_then_exactly_the_rate() {
        let (tide, flow) = (Tide::default(), Flow::new(10, 5));
        let now = 77 * S;
        for _ in 0..5 {
            assert_eq!(tide.take(flow, 1, at(now)), Ok(()));
        }
        assert_eq!(tide.take(flow, 1, at(now)), Err(S / 10 - 5));
        assert_eq!(tide.take(flow, 1, at(now + S / 10 - 6)), Err(1), "a nanosecond early");
        assert_eq!(tide.take(flow, 1, at(now + S / 10)), Ok(()));
        assert_eq!(tide.take(flow, 1, at(now + S / 10)), Err(S / 10 - 5), "a refusal costs nothing");
    }

    #[test]
    fn one_that_is_larger_than_the_burst_passes_when_nothing_is_owed() {
        let (tide, flow) = (Tide::default(), Flow::new(10, 5));
        assert_eq!(tide.take(flow, 50, at(0)), Ok(()));
        assert_eq!(tide.take(flow, 1, at(S)), Err(4 * S - 4 * S / 10 - 5));
    }

    #[test]
    fn what_is_charged_has_to_be_waited_for_beyond_the_burst_and_a_refund_shortens_it() {
        let (tide, flow) = (Tide::default(), Flow::new(1000, 500));
        assert_eq!(tide.charge(flow, 500, at(0)), 0);
        assert_eq!(tide.charge(flow, 250, at(0)), S / 4 - 500);
        tide.refund(flow, 250);
        assert_eq!(tide.charge(flow, 1, at(0)), S / 1000 - 500);
        assert_eq!(tide.charge(flow, 1, at(10 * S)), 0, "time pays");
    }

    #[test]
    fn nothing_overflows() {
        let (tide, flow) = (Tide::default(), Flow::new(0, 0));
        assert_eq!(tide.charge(flow, u64::MAX, at(u64::MAX)), 0);
        assert!(tide.charge(flow, u64::MAX, at(5)) > 0);
        assert!(tide.take(Flow::new(u64::MAX, u64::MAX), u64::MAX, at(5)).is_err());
        tide.refund(flow, u64::MAX);
    }

    proptest! {
        /// Whatever comes when, no more passes within a span than its burst and its rate.
        #[test]
        fn no_schedule_of_askers_gets_more_than_burst_and_rate(
            per_s in 1_u64..2000, burst in 1_u64..50, steps in proptest::collection::vec(0_u64..50_000_000, 1..400),
        ) {
            let (tide, flow) = (Tide::default(), Flow::new(per_s, burst));
            let (mut now, mut passed) = (S, 0_u64);
            for step in steps {
                now += step;
                passed += u64::from(tide.take(flow, 1, at(now)).is_ok());
            }
            let earned = (u128::from(now - S) * u128::from(per_s)).div_ceil(u128::from(S));
            prop_assert!(u128::from(passed) <= u128::from(burst) + earned);
        }

        /// Who waits as long as told gets in.
        #[test]
        fn whoever_waits_as_told_is_let_in(per_s in 1_u64..5000, burst in 1_u64..50, amount in 1_u64..60) {
            let (tide, flow) = (Tide::default(), Flow::new(per_s, burst));
            for _ in 0..60 {
                if let Err(wait) = tide.take(flow, amount, at(S)) {
                    prop_assert!(tide.take(flow, amount, at(S + wait)).is_ok());
                    return Ok(());
                }
            }
        }
    }
}
