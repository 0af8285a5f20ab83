//! The durations of an election, and the arithmetic between them.

use std::time::Duration;

use crate::bounds;

/// All of them. Every instance of a plane must have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two beats of the active.
    pub beat: Duration,
    /// How long the active may serve from the sending of a beat that a majority answered.
    pub lease: Duration,
    /// How much faster or slower than true time a clock may run, millionths.
    pub drift_ppm: u32,
    /// True time from a lane's look at the fence until the kernel has the batch.
    pub grace: Duration,
    /// Between two askings for the same pre-vote or vote.
    pub repeat: Duration,
    /// An attempt to be elected, or to get the first lease, takes no longer.
    pub attempt: Duration,
    /// Between the attempts of two instances.
    pub stagger: Duration,
    /// Age at which the active's votes are collected anew.
    pub renewal: Duration,
    /// How long the active tries that within its term before it raises it.
    pub patience: Duration,
    /// An instance that stepped down leaves the office to others for so long.
    pub rest: Duration,
    /// Taken off the promise. Zero; a test shows what happens otherwise.
    pub promise_cut: Duration,
}

impl Timing {
    /// What is used.
    pub const STANDARD: Self = Self {
        beat: bounds::BEAT,
        lease: bounds::LEASE,
        drift_ppm: bounds::DRIFT_PPM,
        grace: bounds::BATCH_GRACE,
        repeat: bounds::ASK_AGAIN,
        attempt: bounds::ATTEMPT,
        stagger: bounds::STAGGER,
        renewal: bounds::RENEWAL,
        patience: bounds::RENEWAL_PATIENCE,
        rest: bounds::STEP_DOWN_REST,
        promise_cut: Duration::ZERO,
    };

    /// How long an instance that answered a beat answers and votes for nobody else:
    /// `(lease / (1 - d) + grace) · (1 + d)`, rounded up to the microsecond.
    pub fn promise(&self) -> Duration {
        const MILLION: u128 = 1_000_000;
        let drift = u128::from(self.drift_ppm);
        let lease = (self.lease.as_micros() * MILLION).div_ceil(MILLION - drift);
        let promise = ((lease + self.grace.as_micros()) * (MILLION + drift)).div_ceil(MILLION);
        Duration::from_micros(promise as u64).saturating_sub(self.promise_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_outlasts_the_lease_by_the_grace_on_the_worst_clocks() {
        let timing = Timing::STANDARD;
        let d = f64::from(timing.drift_ppm) / 1e6;
        let true_promise = timing.promise().as_secs_f64() / (1.0 + d);
        let true_last_byte = timing.lease.as_secs_f64() / (1.0 - d) + timing.grace.as_secs_f64();
        assert!(true_promise >= true_last_byte, "{true_promise} {true_last_byte}");
        assert!(true_promise - true_last_byte < 0.000_01, "and not by more than rounding");
        assert_eq!(timing.promise().as_millis(), 535);
    }

    #[test]
    fn some_beats_may_be_lost_within_a_lease_and_a_new_active_needs_less_than_a_second() {
        let timing = Timing::STANDARD;
        assert!(timing.beat * 4 < timing.lease);
        // Third in turn, three round trips of 40 ms, 10 ms for the disk.
        let asks = timing.promise() + timing.stagger + timing.stagger / 2;
        assert!(asks + Duration::from_millis(130) < Duration::from_secs(1));
    }
}
