//! One request for a stream over several planes: whom to ask, when to ask the next, who has won. Pure.
//!
//! The best plane is asked first. The next is asked when the answer is late (the *hedge*), or at once when a plane refuses
//! by the fault of the fabric or does not have the service; what is the caller's fault, or the service's, is the same over
//! every plane and ends the race. The first that opens wins, and whoever was asked besides is cancelled.

use std::time::Duration;

use crate::bounds::{HEDGE_LEAST, HEDGE_MOST, LINK_YOUNG, OPEN_PATIENCE};
use crate::refusal::{Fault, Refusal};

#[cfg(test)]
mod tests;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask this plane, besides those that were asked.
    Ask(usize),
    /// Wait for an answer.
    Wait,
    /// No plane opens it. Nobody is being asked any more, or is to be cancelled.
    Refused(Refusal),
}

/// The planes of one request.
#[derive(Debug)]
pub(crate) struct Race {
    /// Not yet asked, best last.
    left: Vec<usize>,
    asked: usize,
    hedge: Option<usize>,
    failure: Option<Refusal>,
    /// A lost lane has carried no byte of a stream that was not opened: the same plane may be asked again, once.
    may_repeat: bool,
    may_hedge: bool,
}

impl Race {
    /// Over these planes, best first. What must not be asked for twice at the same time is not hedged.
    pub(crate) fn new(mut order: Vec<usize>, may_hedge: bool) -> Self {
        order.reverse();
        Self { left: order, asked: 0, hedge: None, failure: None, may_repeat: true, may_hedge }
    }

    /// The first step.
    pub(crate) fn begin(&mut self) -> Step {
        self.ask_next()
    }

    /// Would a late answer change anything?
    pub(crate) fn is_hedgeable(&self) -> bool {
        self.may_hedge && self.hedge.is_none() && !self.left.is_empty()
    }

    /// The answer is late.
    pub(crate) fn handle_late(&mut self) -> Step {
        if !self.is_hedgeable() {
            return Step::Wait;
        }
        self.hedge = self.left.last().copied();
        self.ask_next()
    }

    /// A plane that was asked refused.
    pub(crate) fn handle_refusal(&mut self, plane: usize, refusal: Refusal) -> Step {
        self.asked = self.asked.saturating_sub(1);
        if !falls_over(refusal) {
            return Step::Refused(refusal);
        }
        // What is known of the service says more than what is wrong with a plane.
        let says_more =
            |failure: &Refusal| failure.fault() == Fault::Fabric && refusal.fault() != Fault::Fabric;
        if self.failure.as_ref().is_none_or(says_more) {
            self.failure = Some(refusal);
        }
        if refusal == Refusal::LaneLost && std::mem::take(&mut self.may_repeat) {
            self.left.insert(0, plane);
        }
        self.ask_next()
    }

    /// The plane that was asked because the first was late, if there is one.
    pub(crate) fn hedge(&self) -> Option<usize> {
        self.hedge
    }

    fn ask_next(&mut self) -> Step {
        match self.left.pop() {
            Some(plane) => {
                self.asked += 1;
                Step::Ask(plane)
            }
            None if self.asked > 0 => Step::Wait,
            None => Step::Refused(self.failure.unwrap_or(Refusal::LinkDown)),
        }
    }
}

/// Is another plane asked after this refusal?
pub(crate) fn falls_over(refusal: Refusal) -> bool {
    match refusal.fault() {
        Fault::Fabric => true,
        Fault::Caller => false,
        Fault::Service => refusal == Refusal::ServiceNotOffered,
    }
}

/// How long an answer may take before the next plane is asked, by what is known of the asked one.
pub(crate) fn hedge_after(srtt: Option<Duration>, is_suspect: bool) -> Duration {
    if is_suspect {
        return Duration::ZERO;
    }
    srtt.map_or(HEDGE_LEAST, |srtt| (srtt * 4).clamp(HEDGE_LEAST, HEDGE_MOST))
}

/// Is it worth waiting, after no plane opened the stream, because one may come back any moment? `waited` is the time since
/// the request began, `youngest` the age of the youngest link.
pub(crate) fn is_worth_waiting(refusal: Refusal, waited: Duration, youngest: Option<Duration>) -> bool {
    match refusal {
        Refusal::LinkDown
        | Refusal::LaneLost
        | Refusal::ShuttingDown
        | Refusal::Standby
        | Refusal::NotActive
        | Refusal::TermStale
        | Refusal::MandateInvalid
        | Refusal::CertificateExpired => waited < OPEN_PATIENCE,
        // A hub that just became the active may not have met all local hubs yet.
        Refusal::ServiceNotOffered => waited < LINK_YOUNG && youngest.is_some_and(|age| age < LINK_YOUNG),
        Refusal::ServiceUnknown
        | Refusal::ServiceUnreachable
        | Refusal::ServiceReset
        | Refusal::NotPermitted
        | Refusal::HubBusy
        | Refusal::Violation
        | Refusal::Cancelled
        | Refusal::Deadline
        | Refusal::VersionUnsupported
        | Refusal::WrongRole
        | Refusal::WrongName
        | Refusal::LaneTaken
        | Refusal::IdentityTaken
        | Refusal::ResumeUnknown
        | Refusal::ServiceDraining
        | Refusal::FlowLimit
        | Refusal::SessionsFull => false,
    }
}
