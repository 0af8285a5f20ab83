//! What happened so far: counters that `status` reads.

use std::sync::atomic::{AtomicU64, Ordering};

use defense::Reason;
use serde::Serialize;

/// A reading of the counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Challenges given.
    pub challenges: u64,
    pub enrolled: u64,
    pub renewed: u64,
    /// Requests refused on their own merits, those of which there were any.
    pub refused: Vec<(Reason, u64)>,
    /// Requests that the defense refused before any work, and connections for which there was no place.
    pub shed: u64,
    /// Connections accepted so far, and open now.
    pub connections: u64,
    pub open: u64,
}

#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) challenges: AtomicU64,
    pub(crate) enrolled: AtomicU64,
    pub(crate) renewed: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) open: AtomicU64,
    refused: Box<[AtomicU64]>,
}

impl Counts {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            challenges: zero(),
            enrolled: zero(),
            renewed: zero(),
            shed: zero(),
            connections: zero(),
            open: zero(),
            refused: Reason::ALL.iter().map(|_| zero()).collect(),
        }
    }

    pub(crate) fn refuse(&self, reason: Reason) {
        self.refused[reason.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Status {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = Reason::ALL.iter().zip(&self.refused).map(|(reason, n)| (*reason, of(n)));
        Status {
            challenges: of(&self.challenges),
            enrolled: of(&self.enrolled),
            renewed: of(&self.renewed),
            refused: refused.filter(|(_, n)| *n > 0).collect(),
            shed: of(&self.shed),
            connections: of(&self.connections),
            open: of(&self.open),
        }
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
