//! What one lease has spent, and what it may: a fixed number of words, whoever uses the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use defense::{Moment, Reason};

use super::share::{Full, Pot, fair_share};
use super::tide::{Flow, Tide};
use super::{Allowance, Direction, Pots};
use crate::bounds::{
    BURST_S, DELAYED_PER_GRANT_MAX, KNOCKS_PER_GRANT_MAX, QUANTUM_MAX, QUANTUM_MIN, QUANTUM_PART, RECENT,
    SHARE_FLOOR,
};

/// One lease's budget. Grants live on through their windows, so it is the grant's.
#[derive(Debug)]
pub struct Purse {
    allowance: ArcSwap<Allowance>,
    pots: Arc<Pots>,
    held: [AtomicU32; KINDS],
    connects: Tide,
    asks: Tide,
    bytes: [Tide; 2],
    /// When it was last used, in nanoseconds; 0 if it never was.
    seen: AtomicU64,
}

/// What places are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody at the address who has not named itself yet.
    Knock,
    /// An admitted connection, a QUIC connection, a datagram flow.
    Connection,
    /// A stream to a service: a request under way, the bytes of a raw connection.
    Stream,
    /// A call that a verdict holds back.
    Delay,
}

pub(super) const KINDS: usize = 4;

/// The budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    pub reason: Reason,
    /// When the same may succeed, where that is known.
    pub retry_after_ms: Option<u64>,
}

impl Over {
    const fn of(reason: Reason) -> Self {
        Self { reason, retry_after_ms: None }
    }

    fn rate(reason: Reason, wait_ns: u64) -> Self {
        Self { reason, retry_after_ms: Some(wait_ns.div_ceil(1_000_000)) }
    }
}

impl From<Reason> for Over {
    fn from(reason: Reason) -> Self {
        Self::of(reason)
    }
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub struct Taken {
    purse: Arc<Purse>,
    kind: Kind,
}

impl Purse {
    pub(super) fn new(allowance: Allowance, pots: Arc<Pots>) -> Self {
        Self {
            allowance: ArcSwap::from_pointee(allowance),
            pots,
            held: Default::default(),
            connects: Tide::default(),
            asks: Tide::default(),
            bytes: Default::default(),
            seen: AtomicU64::new(0),
        }
    }

    /// New limits. What was spent stays spent, and who is in stays in.
    pub(super) fn tune(&self, allowance: Allowance) {
        if **self.allowance.load() != allowance {
            self.allowance.store(Arc::new(allowance));
        }
    }

    /// A place for somebody who has not named itself yet.
    ///
    /// # Errors
    /// `lease_concurrency`, `overload_share`, `overload`.
    pub fn knock(self: &Arc<Self>) -> Result<Taken, Over> {
        self.take(Kind::Knock, KNOCKS_PER_GRANT_MAX, Reason::LeaseConcurrency)
    }

    /// A new connection (or QUIC connection, or flow) of somebody who has proved to be the lease's own.
    ///
    /// # Errors
    /// `lease_budget` (too many in a short time), `lease_concurrency`, `overload_share`, `overload`.
    pub fn connect(self: &Arc<Self>, now: Moment) -> Result<Taken, Over> {
        let allowed = self.allowance.load();
        let taken = self.take(Kind::Connection, allowed.connections, Reason::LeaseConcurrency)?;
        let flow = flow(allowed.connections_per_s.into());
        self.connects.take(flow, 1, now).map_err(|ns| Over::rate(Reason::LeaseBudget, ns))?;
        self.see(now);
        Ok(taken)
    }

    /// A new request, and the stream to the service that it needs.
    ///
    /// # Errors
    /// `rate_lease` with the time to wait, `request_concurrency`, `overload_share`, `overload`.
    pub fn request(self: &Arc<Self>, now: Moment) -> Result<Taken, Over> {
        let allowed = self.allowance.load();
        let taken = self.take(Kind::Stream, allowed.requests, Reason::RequestConcurrency)?;
        let flow = flow(allowed.requests_per_s.into());
        self.asks.take(flow, 1, now).map_err(|ns| Over::rate(Reason::RateLease, ns))?;
        self.see(now);
        Ok(taken)
    }

    /// A stream to a service that is no request: of a raw connection, or of a datagram flow.
    ///
    /// # Errors
    /// `request_concurrency`, `overload_share`, `overload`.
    pub fn stream(self: &Arc<Self>) -> Result<Taken, Over> {
        self.take(Kind::Stream, self.allowance.load().requests, Reason::RequestConcurrency)
    }

    /// A call to be held back.
    ///
    /// # Errors
    /// `overload_delay`: the call is to be refused.
    pub fn delay(self: &Arc<Self>) -> Result<Taken, Over> {
        let taken = self.take(Kind::Delay, DELAYED_PER_GRANT_MAX, Reason::OverloadDelay);
        taken.map_err(|_| Over::of(Reason::OverloadDelay))
    }

    /// A datagram, which can't wait: false means that it is lost, as on a full link.
    pub fn datagram(&self, direction: Direction, bytes: usize, now: Moment) -> bool {
        let flow = self.flow_of(direction);
        self.bytes[direction as usize].take(flow, bytes as u64, now).is_ok()
    }

    /// How many places of a kind it holds.
    pub fn holds(&self, kind: Kind) -> u32 {
        self.held[kind as usize].load(Ordering::Acquire)
    }

    /// Whether it holds more than half of the connections that it may have now.
    pub fn is_over_half(&self) -> bool {
        let pot = self.pots.of(Kind::Connection);
        let free = pot.max().saturating_sub(pot.used());
        let share = fair_share(free, pot.max(), self.allowance.load().connections);
        self.holds(Kind::Connection) * 2 > share
    }

    /// Whether somebody uses it, or did a moment ago, and holds but few connections: refusing another would break what is
    /// under way.
    pub fn is_established(&self, now: Moment) -> bool {
        let seen = self.seen.load(Ordering::Relaxed);
        let recent = seen > 0 && u128::from(now.nanos_since(Moment::from_nanos(seen))) <= RECENT.as_nanos();
        match self.holds(Kind::Connection) {
            0 => recent,
            few => few < SHARE_FLOOR,
        }
    }

    /// Charges bytes that have moved; nanoseconds until more may.
    pub(super) fn charge(&self, direction: Direction, bytes: u64, now: Moment) -> u64 {
        self.see(now);
        self.bytes[direction as usize].charge(self.flow_of(direction), bytes, now)
    }

    pub(super) fn refund(&self, direction: Direction, bytes: u64) {
        self.bytes[direction as usize].refund(self.flow_of(direction), bytes);
    }

    /// What one connection takes at a time, so that cores seldom meet here.
    pub(super) fn quantum(&self, direction: Direction) -> u64 {
        (self.flow_of(direction).per_s() / QUANTUM_PART).clamp(QUANTUM_MIN, QUANTUM_MAX)
    }

    fn see(&self, now: Moment) {
        // A moment lost to a race is made good by the next.
        self.seen.store(now.nanos().max(1), Ordering::Relaxed);
    }

    fn flow_of(&self, direction: Direction) -> Flow {
        let allowed = self.allowance.load();
        let per_s = match direction {
            Direction::In => allowed.bytes_in_per_s,
            Direction::Out => allowed.bytes_out_per_s,
        };
        Flow::new(per_s, per_s)
    }

    fn take(self: &Arc<Self>, kind: Kind, own_max: u32, own: Reason) -> Result<Taken, Over> {
        let taken = self.pots.of(kind).take(&self.held[kind as usize], own_max);
        taken.map_err(|full| {
            Over::of(match full {
                Full::Pot => Reason::Overload,
                Full::Share => Reason::OverloadShare,
                Full::Own => own,
            })
        })?;
        Ok(Taken { purse: Arc::clone(self), kind })
    }
}

/// A rate of single things, with some seconds' worth at once.
fn flow(per_s: u64) -> Flow {
    Flow::new(per_s, per_s.saturating_mul(BURST_S))
}

impl Pots {
    pub(super) fn of(&self, kind: Kind) -> &Pot {
        &self.0[kind as usize]
    }
}

impl Taken {
    pub fn purse(&self) -> &Arc<Purse> {
        &self.purse
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.purse.pots.of(self.kind).give_back(&self.purse.held[self.kind as usize]);
    }
}
