//! What one ordinary user has seen. Pure: the user's loop writes it, the screen and the figures read it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::bounds::{CAUSES_MAX, CLOSED_KEPT};
use super::latency::Latencies;

/// Whether strangers were at work when something began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Quiet,
    Attack,
}

#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub requests: u64,
    pub errors: u64,
    /// Errors by cause, at most [`CAUSES_MAX`] of them.
    pub causes: BTreeMap<String, u64>,
    /// Requests refused after the user's access had ended: as it should be.
    pub refused: u64,
    pub quiet: Latencies,
    pub attack: Latencies,
    /// Changes of address that this user's own resolver saw.
    pub rotations: u64,
    pub address: Option<SocketAddr>,
    pub had_a_page: bool,
    pub downloads: Downloads,
    pub old: OldAddresses,
    /// The last few addresses that were found dead, at most [`CLOSED_KEPT`].
    pub closed: VecDeque<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Downloads {
    pub begun: u64,
    /// Under way now.
    pub running: u64,
    /// Under way now, and already older than the address they began on.
    pub running_outlived: u64,
    /// Came whole.
    pub whole: u64,
    /// Came whole, although the address changed meanwhile.
    pub whole_outlived: u64,
    /// Broke off.
    pub cut: u64,
    pub bytes: u64,
}

impl Downloads {
    /// Those that went on across at least one change of address.
    pub const fn survived(&self) -> u64 {
        self.whole_outlived + self.running_outlived
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OldAddresses {
    pub probed: u64,
    pub dead: u64,
    pub answered: u64,
}

impl Tally {
    pub fn success(&mut self, phase: Phase, took: Duration) {
        self.requests += 1;
        match phase {
            Phase::Quiet => self.quiet.record(took),
            Phase::Attack => self.attack.record(took),
        }
    }

    /// An error is a request too, and it has a cause.
    pub fn failure(&mut self, cause: &str) {
        self.requests += 1;
        self.fault(cause);
    }

    /// An error that was no request: a download cut, an old address that answered.
    pub fn fault(&mut self, cause: &str) {
        self.errors += 1;
        let known = self.causes.contains_key(cause) || self.causes.len() < CAUSES_MAX;
        let cause = if known { cause } else { "others" };
        *self.causes.entry(cause.to_owned()).or_default() += 1;
    }

    /// An old address showed no sign of life.
    pub fn found_dead(&mut self, address: SocketAddr) {
        self.old.probed += 1;
        self.old.dead += 1;
        if self.closed.len() == CLOSED_KEPT {
            self.closed.pop_front();
        }
        self.closed.push_back(address);
    }

    /// An old address answered: an error.
    pub fn found_alive(&mut self) {
        self.old.probed += 1;
        self.old.answered += 1;
        self.fault("an old address answered");
    }

    /// Takes note of where the name points. The address before, if it is another one.
    pub fn resolved(&mut self, address: SocketAddr) -> Option<SocketAddr> {
        let before = self.address.replace(address)?;
        if before == address {
            return None;
        }
        self.rotations += 1;
        Some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_a_different_address_is_a_rotation() {
        let mut tally = Tally::default();
        assert_eq!(tally.resolved(at("127.83.0.1:1")), None);
        assert_eq!(tally.resolved(at("127.83.0.1:1")), None);
        assert_eq!(tally.resolved(at("127.83.0.2:1")), Some(at("127.83.0.1:1")));
        assert_eq!(tally.rotations, 1);
    }

    #[test]
    fn an_old_address_that_answers_is_an_error_and_only_the_last_dead_ones_are_kept() {
        let mut tally = Tally::default();
        for port in 1..=CLOSED_KEPT as u16 + 3 {
            tally.found_dead(SocketAddr::new("127.83.0.1".parse().unwrap(), port));
        }
        assert_eq!((tally.closed.len(), tally.closed[0].port(), tally.errors), (CLOSED_KEPT, 4, 0));
        tally.found_alive();
        assert_eq!((tally.old.answered, tally.errors, tally.requests), (1, 1, 0));
    }

    #[test]
    fn latencies_are_kept_apart_by_phase_and_failures_have_none() {
        let mut tally = Tally::default();
        tally.success(Phase::Quiet, Duration::from_millis(1));
        tally.success(Phase::Attack, Duration::from_millis(2));
        tally.failure("reset");
        assert_eq!((tally.requests, tally.errors), (3, 1));
        assert_eq!((tally.quiet.count(), tally.attack.count()), (1, 1));
    }

    #[test]
    fn causes_are_bounded_and_none_is_lost() {
        let mut tally = Tally::default();
        for n in 0..3 * CAUSES_MAX {
            tally.failure(&format!("cause {n}"));
        }
        assert!(tally.causes.len() <= CAUSES_MAX + 1);
        assert_eq!(tally.causes.values().sum::<u64>(), tally.errors);
    }
}
