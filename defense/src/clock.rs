//! The clock that governor is given: it tells the latest moment that a caller handed in, so nothing here reads time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use governor::clock::Clock;
use governor::nanos::Nanos;

use crate::bounds::MOMENT_MAX_NANOS;
use crate::hook::Moment;

/// The latest moment of all callers. It never goes back, whatever order the callers come in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latest(Arc<AtomicU64>);

impl Latest {
    pub(crate) fn advance(&self, now: Moment) {
        let now = now.nanos().min(MOMENT_MAX_NANOS);
        // Read first: callers that are late leave the shared line alone.
        if self.0.load(Ordering::Relaxed) < now {
            self.0.fetch_max(now, Ordering::Relaxed);
        }
    }

    pub(crate) fn nanos(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

/// One limiter's view of [`Latest`].
///
/// governor measures from the moment at which a limiter is made. Budgets outlive limiters here (new limits keep what
/// was spent), so every limiter is made at zero and started afterwards.
#[derive(Debug)]
pub(crate) struct LimiterClock {
    latest: Latest,
    started: AtomicBool,
}

impl LimiterClock {
    pub(crate) fn at_zero(latest: &Latest) -> Self {
        Self { latest: latest.clone(), started: AtomicBool::new(false) }
    }

    pub(crate) fn start(&self) {
        self.started.store(true, Ordering::Release);
    }
}

impl Clone for LimiterClock {
    fn clone(&self) -> Self {
        Self { latest: self.latest.clone(), started: AtomicBool::new(self.started.load(Ordering::Acquire)) }
    }
}

impl Clock for LimiterClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        if self.started.load(Ordering::Acquire) { self.latest.nanos() } else { Nanos::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_and_never_overflows() {
        let latest = Latest::default();
        let clock = LimiterClock::at_zero(&latest);
        latest.advance(Moment::from_nanos(50));
        assert_eq!(clock.now().as_u64(), 0);
        clock.start();
        latest.advance(Moment::from_nanos(40));
        assert_eq!(clock.now().as_u64(), 50);
        latest.advance(Moment::from_nanos(u64::MAX));
        assert_eq!(clock.now().as_u64(), MOMENT_MAX_NANOS);
    }
}
