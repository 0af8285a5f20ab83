//! How a client keeps up with what it asked for: bytes in the time that was waited for it. Pure.

use std::time::Duration;

use crate::bounds::PACE_MIN;

/// The waiting for one direction of one request. Moments are durations since any beginning, bytes a running sum.
///
/// It is judged by stretches of waiting: what was brought in one earns nothing for the next, or whoever took a megabyte
/// at once could hold a connection for an hour.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// The sum before the first waiting of this stretch.
    base: Option<u64>,
    waited: Duration,
    since: Option<Duration>,
}

impl Pace {
    pub(super) fn turn(&mut self, waits: bool, now: Duration, bytes: u64) {
        match (waits, self.since) {
            (true, None) => {
                self.base.get_or_insert(bytes);
                self.since = Some(now);
            }
            (false, Some(since)) => {
                self.waited += now.saturating_sub(since);
                self.since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// It was waited for longer than `grace`, for less than [`PACE_MIN`] bytes a second. If it kept up for so long, a new
    /// stretch begins.
    pub(super) fn is_dragging(&mut self, now: Duration, bytes: u64, grace: Duration) -> bool {
        let waited = self.waited + self.since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        if waited <= grace {
            return false;
        }
        let brought = bytes.saturating_sub(self.base.unwrap_or(bytes));
        if u128::from(brought) * 1000 < waited.as_millis() * u128::from(PACE_MIN) {
            return true;
        }
        *self = Self { base: Some(bytes), waited: Duration::ZERO, since: self.since.map(|_| now) };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn only_time_that_was_waited_counts() {
        let mut pace = Pace::default();
        assert!(!pace.is_dragging(at(1000), 0, GRACE));
        pace.turn(true, at(0), 0);
        assert!(!pace.is_dragging(at(10), 0, GRACE));
        assert!(pace.is_dragging(at(11), 0, GRACE));
        pace.turn(false, at(9), 1);
        assert!(!pace.is_dragging(at(500), 1, GRACE), "the service takes its time");
        pace.turn(true, at(500), 1);
        assert!(pace.is_dragging(at(502), 1, GRACE), "eleven seconds for one byte");
    }

    #[test]
    fn who_brings_enough_is_waited_for() {
        let mut pace = Pace::default();
        pace.turn(true, at(100), 7_000);
        for second in 1..100 {
            let (now, bytes) = (at(100 + second), 7_000 + second * PACE_MIN);
            let mut of_less = pace;
            // Each stretch ends with its eleventh second.
            assert_eq!(of_less.is_dragging(now, bytes - 1, GRACE), second % 11 == 0, "{second}");
            assert!(!pace.is_dragging(now, bytes, GRACE));
        }
        pace.turn(true, at(200), 7_000);
        assert!(!pace.is_dragging(at(209), 7_000 + 99 * PACE_MIN, GRACE), "to wait on is one waiting");
    }

    #[test]
    fn much_at_once_earns_one_stretch_and_no_more() {
        let mut pace = Pace::default();
        pace.turn(true, at(0), 0);
        assert!(!pace.is_dragging(at(11), 1_000_000, GRACE));
        assert!(!pace.is_dragging(at(21), 1_000_000, GRACE));
        assert!(pace.is_dragging(at(22), 1_000_000, GRACE));
    }
}
