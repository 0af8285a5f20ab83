//! The hook interface: `on_call` before a call is processed, then exactly one of `on_result` and `on_fail`.

use std::net::IpAddr;
use std::sync::Arc;

use crate::facts::{Evidence, Facts, HookPoint};
use crate::reason::Reason;
use crate::verdict::{Finding, Verdict};

/// Monotonic nanoseconds since a zero of the shell's choice. Shells read the clock; this crate never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Saturates after 584 years.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Saturating.
    pub const fn plus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds since `earlier`; 0 if that lies ahead.
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The number of one call: what FutoIn calls `refid`. Unique in a process, not to be guessed by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RefId(pub u128);

/// What remains of a call's facts until its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub refid: RefId,
    pub point: HookPoint,
    pub source: IpAddr,
    pub evidence: Evidence,
    pub lease: Option<u32>,
    /// When `on_call` was asked.
    pub since: Moment,
}

/// Answer of `on_call`. No finding: no rule objected, the call passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub ticket: Ticket,
    pub finding: Option<Finding>,
}

impl Call {
    pub fn verdict(&self) -> Verdict {
        self.finding.map_or(Verdict::Pass, |f| f.verdict)
    }
}

/// How a call ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// HTTP status or DNS response code, where there is one.
    pub status: Option<u16>,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// A brain: the built-in [`crate::Engine`], or later a client of a FutoIn service.
///
/// Hooks never act: they judge, and the shell carries the verdict out. Shells use [`ask`], whose guard keeps the
/// order (one `on_result` or `on_fail` after each call that proceeded, none after one that did not).
pub trait Hooks: Send + Sync {
    /// Judges a call before anything is spent on it. Must not block.
    fn on_call(&self, facts: &Facts<'_>, now: Moment) -> Call;

    /// The call succeeded.
    fn on_result(&self, ticket: &Ticket, outcome: &Outcome, now: Moment);

    /// The call failed. Returns the floor in milliseconds since `ticket.since` before which the failure should not
    /// be answered, if there is one.
    fn on_fail(&self, ticket: &Ticket, failure: Reason, now: Moment) -> Option<u32>;
}

/// What came of asking.
#[derive(Debug)]
#[must_use]
pub enum Asked {
    /// Go on, and consume the guard with the outcome.
    Passed(Passed),
    /// Do not process; carry the verdict out (it is `Reauth`, `Reject` or `Drop`).
    Refused(Refused),
}

/// A refused call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub finding: Finding,
    pub ticket: Ticket,
}

/// Asks `hooks` about a call.
pub fn ask(hooks: &Arc<dyn Hooks>, facts: &Facts<'_>, now: Moment) -> Asked {
    let Call { ticket, finding } = hooks.on_call(facts, now);
    match finding {
        Some(finding) if !finding.verdict.proceeds() => Asked::Refused(Refused { finding, ticket }),
        delayed => Asked::Passed(Passed { hooks: Some(Arc::clone(hooks)), ticket, delayed }),
    }
}

/// A call that proceeds. Consume it with [`Passed::result`] or [`Passed::fail`]; dropped otherwise (a cancelled
/// task, a client that left, a forgotten path), it reports `abandoned` by itself, so a brain never waits in vain.
#[must_use = "report the outcome with .result(..) or .fail(..)"]
pub struct Passed {
    /// `None` once the outcome is reported.
    hooks: Option<Arc<dyn Hooks>>,
    ticket: Ticket,
    delayed: Option<Finding>,
}

impl Passed {
    pub const fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Milliseconds since arrival before which the call should not be processed. 0 means now.
    pub fn floor_ms(&self) -> u32 {
        match self.delayed.map(|f| f.verdict) {
            Some(Verdict::Delay { floor_ms }) => floor_ms,
            None | Some(Verdict::Pass | Verdict::Reauth | Verdict::Reject | Verdict::Drop) => 0,
        }
    }

    /// Who asked for the delay and why, if there is one.
    pub const fn delayed(&self) -> Option<Finding> {
        self.delayed
    }

    /// The call succeeded.
    pub fn result(mut self, outcome: &Outcome, now: Moment) {
        if let Some(hooks) = self.hooks.take() {
            hooks.on_result(&self.ticket, outcome, now);
        }
    }

    /// The call failed. Returns the response floor (see [`Hooks::on_fail`]).
    pub fn fail(mut self, failure: Reason, now: Moment) -> Option<u32> {
        self.hooks.take().and_then(|hooks| hooks.on_fail(&self.ticket, failure, now))
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        if let Some(hooks) = self.hooks.take() {
            // There is no clock here; the moment of the call is the latest that this guard knows.
            let _ = hooks.on_fail(&self.ticket, Reason::Abandoned, self.ticket.since);
        }
    }
}

impl std::fmt::Debug for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passed")
            .field("ticket", &self.ticket)
            .field("delayed", &self.delayed)
            .finish_non_exhaustive()
    }
}
