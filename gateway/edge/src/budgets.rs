//! Budgets of leases: connections, requests, streams, delays and bytes. One leaked address takes nobody else's share.
//!
//! | spent | refused with | how it is felt |
//! | --- | --- | --- |
//! | places for who has not named itself | `lease_concurrency`, `overload_share`, `overload` | as a dark address |
//! | connections at a time, or per second | `lease_concurrency`, `lease_budget`, `overload_share`, `overload` | a reset |
//! | requests per second | `rate_lease` | 429 with `Retry-After` |
//! | requests under way | `request_concurrency`, `overload_share`, `overload` | 429, 503 |
//! | bytes, either way | nothing | reads and writes wait; datagrams are lost |
//! | delays | `overload_delay` | refused instead of held back |
//!
//! Pure: time comes in as an argument, and nothing here waits. A purse belongs to a grant, is made when the grant is first
//! used, and goes with it: strangers make none. What all share (see [`share`]) is divided by what is free, so that no
//! crowd of leaked addresses takes the last place.

mod pace;
mod purse;
pub mod share;
mod tide;

use std::sync::Arc;

use dashmap::DashMap;
use rotator::GrantNo;
use state::records::Budget;

use crate::bounds::{
    BYTES_PER_S, CONNECTIONS_MAX, CONNECTIONS_PER_GRANT_MAX, CONNECTIONS_PER_S, DELAYED_MAX, KNOCKS_MAX,
    REQUESTS_PER_GRANT_MAX, REQUESTS_PER_S, STREAMS_MAX,
};
pub use pace::Pace;
use purse::KINDS;
pub use purse::{Kind, Over, Purse, Taken};
use share::Pot;

/// What one lease may take. Zeros count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// At a time.
    pub connections: u32,
    /// New ones per second, after some seconds' worth at once.
    pub connections_per_s: u32,
    /// Under way at a time.
    pub requests: u32,
    /// Per second, after some seconds' worth at once.
    pub requests_per_s: u32,
    /// From the client, per second, after a second's worth at once.
    pub bytes_in_per_s: u64,
    /// To the client.
    pub bytes_out_per_s: u64,
}

impl Allowance {
    /// What a service's record says, else this.
    #[must_use]
    pub fn or(self, budget: &Budget) -> Self {
        Self {
            connections: budget.connections.unwrap_or(self.connections),
            connections_per_s: budget.connections_per_s.unwrap_or(self.connections_per_s),
            requests: budget.requests.unwrap_or(self.requests),
            requests_per_s: budget.requests_per_s.unwrap_or(self.requests_per_s),
            bytes_in_per_s: budget.bytes_in_per_s.unwrap_or(self.bytes_in_per_s),
            bytes_out_per_s: budget.bytes_out_per_s.unwrap_or(self.bytes_out_per_s),
        }
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_PER_GRANT_MAX as u32,
            connections_per_s: CONNECTIONS_PER_S,
            requests: REQUESTS_PER_GRANT_MAX,
            requests_per_s: REQUESTS_PER_S,
            bytes_in_per_s: BYTES_PER_S,
            bytes_out_per_s: BYTES_PER_S,
        }
    }
}

/// Which way bytes go, as seen from the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    In,
    /// To the client.
    Out,
}

/// Places that all leases share, by [`Kind`].
#[derive(Debug)]
pub struct Pots([Pot; KINDS]);

/// The budgets of all leases.
#[derive(Debug)]
pub struct Budgets {
    purses: DashMap<GrantNo, Arc<Purse>>,
    pots: Arc<Pots>,
}

impl Budgets {
    pub fn new() -> Arc<Self> {
        Self::of(CONNECTIONS_MAX)
    }

    /// For an edge with fewer places.
    pub fn of(places: usize) -> Arc<Self> {
        // In the order of `Kind`.
        let max = [KNOCKS_MAX.min(places / 2), places, STREAMS_MAX, DELAYED_MAX];
        let pots = Arc::new(Pots(max.map(|max| Pot::new(max as u32))));
        Arc::new(Self { purses: DashMap::new(), pots })
    }

    /// The purse of a grant that exists; made when it is first asked for.
    pub fn purse(&self, grant: GrantNo, allowance: Allowance) -> Arc<Purse> {
        if let Some(purse) = self.purses.get(&grant) {
            return Arc::clone(&purse);
        }
        let made = || Arc::new(Purse::new(allowance, Arc::clone(&self.pots)));
        Arc::clone(&self.purses.entry(grant).or_insert_with(made))
    }

    /// New limits for a grant, if it has a purse.
    pub fn tune(&self, grant: GrantNo, allowance: Allowance) {
        if let Some(purse) = self.purses.get(&grant) {
            purse.tune(allowance);
        }
    }

    /// The grant is gone. What its connections still hold is given back when they end.
    pub fn forget(&self, grant: GrantNo) {
        self.purses.remove(&grant);
    }

    /// Purses in memory: at most one for each grant.
    pub fn len(&self) -> usize {
        self.purses.len()
    }

    pub fn is_empty(&self) -> bool {
        self.purses.is_empty()
    }

    /// Places of one kind, for all leases.
    pub fn pot(&self, kind: Kind) -> &Pot {
        self.pots.of(kind)
    }
}

#[cfg(test)]
mod tests;
