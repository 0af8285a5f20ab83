//! Until when a hub may move bytes: one number that the election writes and every lane reads before each batch.
//!
//! The lanes do not wait to be told: when the election's thread is late, or the whole process was frozen, the fence has
//! closed by itself. Each time a hub becomes active it gets a new fence, so that nothing of an earlier time comes alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::boot_time;

#[cfg(test)]
mod tests;

/// Shared by an active hub's election and its lanes.
#[derive(Clone, Debug)]
pub(crate) struct Fence(Arc<AtomicU64>);

const CLOSED: u64 = 0;
const OPEN: u64 = u64::MAX;

impl Fence {
    /// No fence: for members that are no hubs.
    pub(crate) fn none() -> Self {
        Self(Arc::new(AtomicU64::new(OPEN)))
    }

    /// Open until then, on the boot clock; `Duration::MAX` for good.
    pub(crate) fn open_until(end: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(nanos(end))))
    }

    /// Keeps it open longer, unless it was closed.
    pub(crate) fn extend(&self, end: Duration) {
        let longer = |old| (old != CLOSED).then(|| nanos(end).max(old));
        // The error says that it is closed, and it stays so.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, longer);
    }

    /// For good.
    pub(crate) fn close(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    /// May a batch move now?
    pub(crate) fn is_open(&self) -> bool {
        match self.0.load(Ordering::Acquire) {
            OPEN => true,
            CLOSED => false,
            end => u128::from(end) > boot_time().as_nanos(),
        }
    }

    /// How long it is open from now, if nobody extends it; `None` without end.
    pub(crate) fn left(&self) -> Option<Duration> {
        match self.0.load(Ordering::Acquire) {
            OPEN => None,
            end => Some(Duration::from_nanos(end).saturating_sub(boot_time())),
        }
    }
}

fn nanos(end: Duration) -> u64 {
    u64::try_from(end.as_nanos()).unwrap_or(OPEN).max(1)
}
