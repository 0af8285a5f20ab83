//! The only reader of the wall clock. Everything else takes `now`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rotator::UnixTime;

/// A wall clock with an offset (for rehearsals and tests) and a monotonic one beside it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    offset_s: Arc<AtomicI64>,
}

impl Clock {
    pub fn system() -> Self {
        Self { started: instant(), offset_s: Arc::new(AtomicI64::new(0)) }
    }

    pub fn now(&self) -> UnixTime {
        let secs = since_epoch().as_secs();
        UnixTime::from_secs(secs.saturating_add_signed(self.offset_s.load(Ordering::Relaxed)))
    }

    /// Milliseconds since 1970, for stamps in answers and logs.
    pub fn now_ms(&self) -> u64 {
        let offset_ms = self.offset_s.load(Ordering::Relaxed).saturating_mul(1000);
        u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX).saturating_add_signed(offset_ms)
    }

    /// Time until the wall clock's next full second: when schedules may turn.
    pub fn until_next_second(&self) -> Duration {
        Duration::from_nanos(u64::from(1_000_000_000 - since_epoch().subsec_nanos()))
    }

    /// Nanoseconds since this clock was made; never goes back.
    pub fn monotonic_ns(&self) -> u64 {
        u64::try_from(instant().duration_since(self.started).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Shifts the wall clock of everyone who shares this one.
    pub fn shift(&self, seconds: i64) {
        self.offset_s.fetch_add(seconds, Ordering::Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that may")]
fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place that may")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
