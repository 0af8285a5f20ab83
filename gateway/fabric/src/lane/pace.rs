//! How often a far side may have us do something dear: so many in a row, and one per period on the average. Pure.

use std::time::Duration;

/// One allowance, by the virtual-scheduling form of the leaky bucket.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    in_a_row: u32,
    paid_until: Duration,
}

impl Pace {
    pub(crate) fn new(every: Duration, in_a_row: u32) -> Self {
        Self { every, in_a_row, paid_until: Duration::ZERO }
    }

    /// Is one more within bounds now?
    pub(crate) fn admit(&mut self, now: Duration) -> bool {
        let until = self.paid_until.max(now) + self.every;
        let fits = until <= now + self.every * self.in_a_row;
        if fits {
            self.paid_until = until;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_row_and_then_one_per_period() {
        let every = Duration::from_millis(100);
        let mut pace = Pace::new(every, 8);
        let admitted = |pace: &mut Pace, now| (0..100).filter(|_| pace.admit(now)).count();
        assert_eq!(admitted(&mut pace, Duration::ZERO), 8);
        assert_eq!(admitted(&mut pace, every - Duration::from_nanos(1)), 0);
        assert_eq!(admitted(&mut pace, every), 1);
        assert_eq!(admitted(&mut pace, every * 1000), 8);
    }
}
