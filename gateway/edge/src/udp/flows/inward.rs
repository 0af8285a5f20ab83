//! A flow's way in: a few datagrams wait until the service has a socket for it, then all go through.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use fabric::Flow;
use rotator::GrantNo;
use tokio_util::sync::CancellationToken;

use crate::bounds::{FLOW_WAITING, FLOW_WAITING_COUNT};
use crate::budgets::Purse;
use crate::pulse::Pulse;

/// Shared by who receives and who carries.
#[derive(Debug)]
pub(super) struct Inward {
    pub(super) grant: GrantNo,
    purse: Arc<Purse>,
    flow: OnceLock<Flow>,
    waiting: Mutex<Waiting>,
    over: CancellationToken,
    why: OnceLock<Over>,
    pulse: Arc<Pulse>,
    /// Lost before there was a flow.
    lost: AtomicU64,
    /// How many of all that were lost have been counted.
    counted: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    datagrams: VecDeque<Bytes>,
    bytes: usize,
}

/// Why the table has no place for a flow any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Nothing passed for long.
    Quiet,
    /// Its place was another's before it went on.
    GaveWay,
}

impl Inward {
    pub(super) fn new(grant: GrantNo, purse: Arc<Purse>) -> Arc<Self> {
        Arc::new(Self {
            grant,
            purse,
            flow: OnceLock::new(),
            waiting: Mutex::default(),
            over: CancellationToken::new(),
            why: OnceLock::new(),
            pulse: Pulse::new(),
            lost: AtomicU64::new(0),
            counted: AtomicU64::new(0),
        })
    }

    /// False: there was no room, and it is lost.
    pub(super) fn give(&self, datagram: &[u8]) -> bool {
        if let Some(flow) = self.flow.get() {
            return flow.send(datagram);
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have come while this waited for the lock; whoever waits from now on is forgotten.
        if let Some(flow) = self.flow.get() {
            return flow.send(datagram);
        }
        let has_room = waiting.datagrams.is_empty() || waiting.bytes + datagram.len() <= FLOW_WAITING;
        if !has_room || waiting.datagrams.len() >= FLOW_WAITING_COUNT {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        waiting.bytes += datagram.len();
        waiting.datagrams.push_back(Bytes::copy_from_slice(datagram));
        true
    }

    /// The service has a socket: what waited goes first.
    pub(super) fn open(&self, flow: Flow) -> &Flow {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for datagram in std::mem::take(&mut *waiting).datagrams {
            // A flow that is new has room for so few.
            flow.send(&datagram);
        }
        self.flow.get_or_init(|| flow)
    }

    /// Datagrams of both directions that found no room, since this was last asked.
    pub(super) fn take_lost(&self) -> u64 {
        let all = self.lost.load(Ordering::Relaxed) + self.flow.get().map_or(0, Flow::dropped);
        all.saturating_sub(self.counted.swap(all, Ordering::Relaxed))
    }

    pub(super) fn end(&self, why: Over) {
        self.why.get_or_init(|| why);
        self.over.cancel();
    }

    pub(super) async fn ended(&self) -> Over {
        self.over.cancelled().await;
        self.why.get().copied().unwrap_or(Over::Quiet)
    }

    /// The budget of its lease.
    pub(super) fn purse(&self) -> &Arc<Purse> {
        &self.purse
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::{Allowance, Budgets};

    fn made() -> Arc<Inward> {
        Inward::new(1, Budgets::new().purse(1, Allowance::default()))
    }

    #[test]
    fn few_datagrams_wait_for_the_service_and_the_rest_is_lost() {
        let inward = made();
        assert!((0..FLOW_WAITING_COUNT).all(|_| inward.give(b"")));
        assert!(!inward.give(b""), "one too many");
        assert_eq!((inward.take_lost(), inward.take_lost()), (1, 0), "each is counted once");
        let inward = made();
        assert!(inward.give(&[0; FLOW_WAITING + 1]), "the first has room, however long");
        assert!(!inward.give(b"x"));
    }

    #[tokio::test]
    async fn the_first_reason_stays() {
        let inward = made();
        inward.end(Over::GaveWay);
        inward.end(Over::Quiet);
        assert_eq!(inward.ended().await, Over::GaveWay);
    }
}
