//! Latencies in fixed memory: a histogram whose buckets are at most 1.6 % wide, and its percentiles. Pure.

use std::time::Duration;

/// Buckets per octave: 2^6.
const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;
/// Microseconds below 2^36 (19 hours) have buckets of their own; what is longer shares the last.
const OCTAVES: usize = 36 - SUB_BITS as usize;
const BUCKETS: usize = SUB * (OCTAVES + 1);

/// How long things took.
#[derive(Clone, Debug)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Latencies {
    pub fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)] += 1;
        self.total += 1;
    }

    pub fn count(&self) -> u64 {
        self.total
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The least recorded value that `percent` of all do not exceed (nearest rank), rounded up to its bucket's end.
    /// `None` without any.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let rank = (percent / 100.0 * self.total as f64).ceil().clamp(1.0, self.total.max(1) as f64) as u64;
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_micros(upper(place)))
    }

    /// As [`Latencies::percentile`], in milliseconds with two digits behind the point.
    pub fn percentile_ms(&self, percent: f64) -> Option<f64> {
        self.percentile(percent).map(millis)
    }
}

/// Milliseconds with two digits behind the point.
pub fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 100_000.0).round() / 100.0
}

fn bucket(micros: u64) -> usize {
    if micros < SUB as u64 {
        return micros as usize;
    }
    let octave = micros.ilog2() - SUB_BITS;
    let sub = (micros >> octave) as usize - SUB;
    (SUB * (octave as usize + 1) + sub).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper(place: usize) -> u64 {
    if place < SUB {
        return place as u64;
    }
    let (octave, sub) = (place / SUB - 1, place % SUB);
    (((SUB + sub + 1) as u64) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Latencies {
        let mut all = Latencies::default();
        micros.into_iter().for_each(|m| all.record(Duration::from_micros(m)));
        all
    }

    #[test]
    fn without_a_measurement_there_is_no_percentile() {
        assert_eq!(Latencies::default().percentile(99.0), None);
        assert_eq!(Latencies::default().percentile_ms(50.0), None);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let all = of(1..=50);
        assert_eq!(all.percentile(50.0), Some(Duration::from_micros(25)));
        assert_eq!(all.percentile(98.0), Some(Duration::from_micros(49)));
        assert_eq!(all.percentile(98.1), Some(Duration::from_micros(50)));
        assert_eq!(all.percentile(100.0), Some(Duration::from_micros(50)));
        assert_eq!(all.percentile(0.0), Some(Duration::from_micros(1)));
    }

    #[test]
    fn one_slow_request_in_a_hundred_is_not_the_99th_percentile_and_two_are() {
        let slow = 1_000_000;
        let one = of(std::iter::repeat_n(10, 99).chain([slow]));
        assert_eq!(one.percentile(99.0), Some(Duration::from_micros(10)));
        let two = of(std::iter::repeat_n(10, 98).chain([slow, slow]));
        assert!(two.percentile(99.0).unwrap() >= Duration::from_micros(slow));
    }

    #[test]
    fn no_value_is_shown_smaller_than_it_was_or_more_than_two_percent_larger() {
        for micros in (0..64).chain((0..2000).map(|i| 50 + i * i * 37)) {
            let shown = upper(bucket(micros));
            assert!(shown >= micros && shown as f64 <= micros as f64 * 1.02, "{micros} {shown}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn merged_histograms_count_everything() {
        let mut all = of([1, 2, 3]);
        all.merge(&of([40, 50]));
        assert_eq!((all.count(), all.percentile(80.0)), (5, Some(Duration::from_micros(40))));
    }

    #[test]
    fn milliseconds_keep_two_digits() {
        assert_eq!(millis(Duration::from_micros(4_256)), 4.26);
        assert_eq!(millis(Duration::ZERO), 0.0);
    }
}
