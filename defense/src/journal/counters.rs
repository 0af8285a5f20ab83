//! Exact counters: one cell for each hook point, verdict and reason.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Event;
use crate::facts::HookPoint;
use crate::reason::Reason;
use crate::verdict::VerdictKind;

/// One count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    pub point: HookPoint,
    pub verdict: VerdictKind,
    pub reason: Reason,
    pub count: u64,
}

#[derive(Debug)]
pub(super) struct Counters(Box<[AtomicU64]>);

const KINDS: usize = VerdictKind::ALL.len();
const PER_REASON: usize = HookPoint::ALL.len() * KINDS;

impl Counters {
    pub(super) fn new() -> Self {
        Self((0..Reason::ALL.len() * PER_REASON).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn add(&self, event: &Event) {
        let at = event.reason.index() * PER_REASON + event.point.index() * KINDS + event.verdict as usize;
        self.0[at].fetch_add(u64::from(event.count), Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Vec<Counter> {
        let mut found = Vec::new();
        for (cells, &reason) in self.0.chunks_exact(PER_REASON).zip(Reason::ALL) {
            for (cells, point) in cells.chunks_exact(KINDS).zip(HookPoint::ALL) {
                for (cell, verdict) in cells.iter().zip(VerdictKind::ALL) {
                    let count = cell.load(Ordering::Relaxed);
                    if count > 0 {
                        found.push(Counter { point, verdict, reason, count });
                    }
                }
            }
        }
        found
    }

    pub(super) fn total(&self, reason: Reason) -> u64 {
        let from = reason.index() * PER_REASON;
        self.0[from..from + PER_REASON].iter().map(|cell| cell.load(Ordering::Relaxed)).sum()
    }
}
