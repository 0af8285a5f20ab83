//! How likely a stranger's guess hits: the arithmetic behind `wandergate exposure`.
//!
//! IPv6 space is the secret; IPv4 is not: whatever its figures, an IPv4 range is called weak.

use crate::pool::Range;
use crate::schedule::Schedule;

/// A space of addresses and how many of them are accepted at any moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exposure {
    /// Addresses that a guess may choose from.
    pub space: f64,
    /// Addresses that an edge accepts now (early, live and grace).
    pub accepted: f64,
}

/// Grants of one schedule that take addresses from one range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    pub range: Range,
    pub grants: u64,
    pub schedule: Schedule,
}

/// What a person is shown of one range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    pub range: Range,
    pub grants: u64,
    pub exposure: Exposure,
    /// Chance that one guess hits any accepted address.
    pub per_guess: f64,
    /// Guesses until the first hit, in expectation; infinite when nothing is accepted.
    pub expected_guesses: f64,
    /// The longest window of the range's schedules, in seconds.
    pub window_s: u32,
    /// Chance of at least one hit within that window, at the rate asked for.
    pub per_window: f64,
    /// Seconds until the first hit, in expectation, at the rate asked for.
    pub seconds_until_hit: f64,
    /// Fewer than 2^32 addresses, or IPv4: a scan of them all is a matter of seconds, so the address is no secret.
    pub weak: bool,
}

impl Exposure {
    /// Of several shares of one range. Addresses that meet by chance are counted once.
    pub fn of(range: &Range, shares: &[Share]) -> Self {
        let taken: f64 = shares
            .iter()
            .filter(|share| share.range == *range)
            .map(|share| share.grants as f64 * accepted_per_grant(&share.schedule))
            .sum();
        let space = range.size();
        Self { space, accepted: distinct(taken, space) }
    }

    /// Chance that one guess hits any accepted address.
    pub fn per_guess(&self) -> f64 {
        if self.space <= 0.0 { 0.0 } else { (self.accepted / self.space).clamp(0.0, 1.0) }
    }

    /// Chance that at least one of `guesses` hits. Addresses move, so guesses are drawn with replacement.
    pub fn within(&self, guesses: f64) -> f64 {
        let p = self.per_guess();
        if p >= 1.0 {
            return if guesses > 0.0 { 1.0 } else { 0.0 };
        }
        // Exact for tiny p, where 1 - (1 - p)^n would round to zero.
        -(guesses * (-p).ln_1p()).exp_m1()
    }

    /// Guesses until the first hit, in expectation. Infinite when nothing is accepted.
    pub fn guesses_until_hit(&self) -> f64 {
        1.0 / self.per_guess()
    }

    /// Seconds until the first hit, in expectation, at `rate` guesses a second.
    pub fn seconds_until_hit(&self, rate: f64) -> f64 {
        self.guesses_until_hit() / rate
    }
}

/// The figures of each range, in the order in which `shares` first names it, for `rate` guesses a second.
pub fn figures(shares: &[Share], rate: f64) -> Vec<Figures> {
    let mut all: Vec<Figures> = Vec::new();
    for share in shares {
        if !all.iter().any(|known| known.range == share.range) {
            all.push(of_range(&share.range, shares, rate));
        }
    }
    all
}

fn of_range(range: &Range, shares: &[Share], rate: f64) -> Figures {
    let exposure = Exposure::of(range, shares);
    let of_range = || shares.iter().filter(|share| share.range == *range);
    let window_s = of_range().map(|share| share.schedule.period_s).max().unwrap_or(0);
    Figures {
        range: *range,
        grants: of_range().map(|share| share.grants).fold(0, u64::saturating_add),
        exposure,
        per_guess: exposure.per_guess(),
        expected_guesses: exposure.guesses_until_hit(),
        window_s,
        per_window: exposure.within(rate * f64::from(window_s)),
        seconds_until_hit: exposure.seconds_until_hit(rate),
        weak: weak(range),
    }
}

/// Whether a range is too small to be a secret: IPv4 always, whatever else below 2^32 addresses.
pub fn weak(range: &Range) -> bool {
    !range.is_v6() || range.size() < 2f64.powi(32)
}

/// Accepted addresses per grant and pool, on average over time: (lead + window + grace) / window.
pub fn accepted_per_grant(schedule: &Schedule) -> f64 {
    let period = f64::from(schedule.period_s.max(1));
    (f64::from(schedule.lead_s) + period + f64::from(schedule.grace_s)) / period
}

/// How many different addresses `taken` random ones are, in expectation: `space × (1 - (1 - 1/space)^taken)`.
fn distinct(taken: f64, space: f64) -> f64 {
    if space <= 1.0 {
        return taken.min(space);
    }
    -space * (taken * (-1.0 / space).ln_1p()).exp_m1()
}
