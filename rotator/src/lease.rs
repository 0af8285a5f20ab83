//! A lease: grant × window, and what its address does at each second of its life.

use crate::schedule::Stale;
use crate::time::UnixTime;

/// A grant's number: given once by the state, never again, so that tables stay small.
pub type GrantNo = u32;

/// When one address is valid for one grant. Compact: a million of them are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub grant: GrantNo,
    /// The window's number, for people and logs.
    pub window: u64,
    pub start: UnixTime,
    pub lead_s: u32,
    pub live_s: u32,
    pub grace_s: u32,
    pub tombstone_s: u32,
    pub max_session_s: u32,
    pub stale: Stale,
}

/// The stages of a lease, for newcomers and established sessions alike, in order of time.
///
/// A newcomer on a closed lease must be reset at once, not after the hours for which sessions may drain; so the
/// tombstone comes first and draining goes on through and after it (see [`Lease::keeps_established`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Life {
    /// Not accepted yet.
    Future,
    /// Accepted, not announced.
    Early,
    /// Accepted and announced.
    Live,
    /// Accepted, no longer announced.
    Grace,
    /// Newcomers are reset (or dropped, by policy); established sessions go on.
    Tombstone,
    /// Newcomers meet silence; established sessions go on.
    Draining,
    /// Nothing.
    Silence,
}

/// What a newcomer meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newcomer {
    Accept,
    Reset,
    Silence,
}

impl Lease {
    /// First second at which edges accept it.
    pub fn opens(&self) -> UnixTime {
        self.start.minus(u64::from(self.lead_s))
    }

    /// First second at which DNS no longer announces it.
    pub fn ends(&self) -> UnixTime {
        self.start.plus(u64::from(self.live_s))
    }

    /// First second at which edges no longer accept it.
    pub fn closes(&self) -> UnixTime {
        self.ends().plus(u64::from(self.grace_s))
    }

    /// First second at which a newcomer meets silence: the table may forget it.
    pub fn silent(&self) -> UnixTime {
        self.closes().plus(u64::from(self.tombstone_s))
    }

    /// First second at which established sessions are closed.
    pub fn drained(&self) -> UnixTime {
        self.closes().plus(u64::from(self.max_session_s))
    }

    pub fn life(&self, now: UnixTime) -> Life {
        if now < self.opens() {
            Life::Future
        } else if now < self.start {
            Life::Early
        } else if now < self.ends() {
            Life::Live
        } else if now < self.closes() {
            Life::Grace
        } else if now < self.silent() {
            Life::Tombstone
        } else if now < self.drained() {
            Life::Draining
        } else {
            Life::Silence
        }
    }

    pub fn newcomer(&self, now: UnixTime) -> Newcomer {
        match (self.life(now), self.stale) {
            (Life::Early | Life::Live | Life::Grace, _) => Newcomer::Accept,
            (Life::Tombstone, Stale::Reset) => Newcomer::Reset,
            (Life::Tombstone, Stale::Drop) => Newcomer::Silence,
            (Life::Future | Life::Draining | Life::Silence, _) => Newcomer::Silence,
        }
    }

    pub fn keeps_established(&self, now: UnixTime) -> bool {
        self.opens() <= now && now < self.drained()
    }
}

impl Life {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Future => "future",
            Self::Early => "early",
            Self::Live => "live",
            Self::Grace => "grace",
            Self::Tombstone => "tombstone",
            Self::Draining => "draining",
            Self::Silence => "silence",
        }
    }
}
