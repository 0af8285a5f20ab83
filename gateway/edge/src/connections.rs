//! Every live connection: counted against its grant, closed when its grant or session ends, explained to its owner.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use defense::Reason;
use rotator::{GrantNo, Lease, UnixTime};
use state::Card;
use tokio_util::sync::CancellationToken;

use crate::budgets::Taken;
use crate::pulse::Pulse;

/// All admitted connections of an edge. Their budgets bound them: each comes with a place that it was given there.
#[derive(Default)]
pub struct Connections {
    live: DashMap<u64, Live>,
    last: AtomicU64,
}

struct Live {
    card: Arc<Card>,
    lease: Lease,
    source: SocketAddr,
    since: UnixTime,
    pulse: Arc<Pulse>,
    end: CancellationToken,
    why: Arc<OnceLock<Reason>>,
}

/// One connection's place; dropping it frees the place.
pub struct Seat {
    connections: Arc<Connections>,
    id: u64,
    _taken: Taken,
    end: CancellationToken,
    why: Arc<OnceLock<Reason>>,
}

/// A live connection, for answers to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub card: Arc<Card>,
    pub lease: Lease,
    pub source: SocketAddr,
    pub since: UnixTime,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Connections {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Writes a connection down. `taken` is its place in the budget of its lease.
    pub fn enter(
        self: &Arc<Self>,
        card: &Arc<Card>,
        lease: Lease,
        source: SocketAddr,
        since: UnixTime,
        pulse: &Arc<Pulse>,
        taken: Taken,
    ) -> Seat {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let (end, why) = (CancellationToken::new(), Arc::new(OnceLock::new()));
        let live = Live {
            card: Arc::clone(card),
            lease,
            source,
            since,
            pulse: Arc::clone(pulse),
            end: end.clone(),
            why: Arc::clone(&why),
        };
        self.live.insert(id, live);
        Seat { connections: Arc::clone(self), id, _taken: taken, end, why }
    }

    pub fn len(&self) -> usize {
        self.live.len()
    }

    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Ends every connection of these grants at once; tells how many.
    pub fn close_grants(&self, grants: &[GrantNo], reason: Reason) -> usize {
        let grants: HashSet<GrantNo> = grants.iter().copied().collect();
        self.close_where(reason, |live| grants.contains(&live.card.grant))
    }

    /// Ends every connection at once; tells how many.
    pub fn close_all(&self, reason: Reason) -> usize {
        self.close_where(reason, |_| true)
    }

    /// Ends the connections whose session is over at `now`.
    pub fn sweep(&self, now: UnixTime) -> usize {
        self.close_where(Reason::SessionOver, |live| live.lease.drained() <= now)
    }

    pub fn of_grant(&self, grant: GrantNo) -> Vec<Seen> {
        self.seen_where(|live| live.card.grant == grant)
    }

    pub fn all(&self) -> Vec<Seen> {
        self.seen_where(|_| true)
    }

    /// Connections whose lease no longer takes newcomers at `now`.
    pub fn draining(&self, now: UnixTime) -> usize {
        self.live.iter().filter(|live| live.lease.closes() <= now).count()
    }

    fn close_where(&self, reason: Reason, wanted: impl Fn(&Live) -> bool) -> usize {
        // Whoever says why first ends it, and counts it: several may close at once.
        let closed = self.live.iter().filter(|live| wanted(live) && live.why.set(reason).is_ok());
        closed.map(|live| live.end.cancel()).count()
    }

    fn seen_where(&self, wanted: impl Fn(&Live) -> bool) -> Vec<Seen> {
        let found = self.live.iter().filter(|live| wanted(live));
        found
            .map(|live| {
                let (bytes_in, bytes_out) = live.pulse.bytes();
                let (card, lease) = (Arc::clone(&live.card), live.lease);
                Seen { card, lease, source: live.source, since: live.since, bytes_in, bytes_out }
            })
            .collect()
    }
}

impl Seat {
    /// Resolves when the connection has to end; gives the reason.
    pub async fn ended(&self) -> Reason {
        self.end.cancelled().await;
        self.why.get().copied().unwrap_or(Reason::RevokedLive)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.live.remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
