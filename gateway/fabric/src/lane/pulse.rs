//! What a lane's driver tells about the far side, for everybody to read without a lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::liveness::Liveness;

/// The last that is known; each part may be a moment old.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Microseconds since the lane began.
    heard: AtomicU64,
    /// Microseconds and one; 0 is unknown.
    srtt: AtomicU64,
    /// As `srtt`.
    least: AtomicU64,
    suspect: AtomicBool,
}

impl Pulse {
    pub(super) fn tell(&self, liveness: &Liveness) {
        self.heard.store(micros(liveness.heard()), Ordering::Relaxed);
        self.srtt.store(and_one(liveness.srtt()), Ordering::Relaxed);
        self.least.store(and_one(liveness.least()), Ordering::Relaxed);
        self.suspect.store(liveness.is_in_doubt(), Ordering::Relaxed);
    }

    pub(super) fn heard(&self) -> Duration {
        Duration::from_micros(self.heard.load(Ordering::Relaxed))
    }

    pub(super) fn srtt(&self) -> Option<Duration> {
        self.srtt.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    pub(super) fn least(&self) -> Option<Duration> {
        self.least.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }
}

fn and_one(time: Option<Duration>) -> u64 {
    time.map_or(0, |time| micros(time).saturating_add(1))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
