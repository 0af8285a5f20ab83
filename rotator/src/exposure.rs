//! How likely a stranger's guess hits: the arithmetic behind `wandergate exposure`.

/// A space of addresses and how many of them are accepted at any moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exposure {
    /// Addresses that a guess may choose from.
    pub space: f64,
    /// Addresses that an edge accepts now (early, live and grace).
    pub accepted: f64,
}

impl Exposure {
    /// Chance that one guess hits any accepted address.
    pub fn per_guess(&self) -> f64 {
        if self.space <= 0.0 { 0.0 } else { (self.accepted / self.space).min(1.0) }
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

/// Accepted addresses per grant and pool, on average over time: (lead + window + grace) / window.
pub fn accepted_per_grant(schedule: &crate::Schedule) -> f64 {
    let period = f64::from(schedule.period_s.max(1));
    (f64::from(schedule.lead_s) + period + f64::from(schedule.grace_s)) / period
}
