//! The voting side: what an instance promised, to whom, and what it voted.

use std::time::Duration;

use super::{Ballot, Election, Instance, Message, Output, Reason, Role, Term};

#[derive(Debug)]
pub(super) struct Voter {
    /// The newest term voted in, or heard a beat of.
    term: Term,
    /// The vote in that term.
    vote: Option<Instance>,
    /// On its way to the disk; nothing else is voted meanwhile.
    pending: Option<Ballot>,
    promise: Promise,
    /// Who released its promises, up to which term: beats of it that come late count no more.
    released: Option<(Instance, Term)>,
    /// Who was last heard as active.
    last: Option<Instance>,
}

/// One at a time.
#[derive(Clone, Copy, Debug)]
struct Promise {
    /// `None`: to nobody, after a start.
    to: Option<Instance>,
    /// The term of the beat.
    term: Term,
    until: Duration,
}

impl Voter {
    pub(super) fn new(ballot: Ballot, deaf_until: Duration) -> Self {
        Self {
            term: ballot.term,
            vote: ballot.vote,
            pending: None,
            promise: Promise { to: None, term: 0, until: deaf_until },
            released: None,
            last: None,
        }
    }

    pub(super) fn term(&self) -> Term {
        self.term
    }

    pub(super) fn vote(&self) -> Option<Instance> {
        self.vote
    }

    pub(super) fn heard(&self, now: Duration) -> Option<Instance> {
        self.promise.to.filter(|_| now < self.promise.until)
    }

    pub(super) fn last(&self) -> Option<Instance> {
        self.last
    }

    /// May `who` be answered and voted for?
    pub(super) fn is_free_for(&self, who: Instance, now: Duration) -> bool {
        now >= self.promise.until || self.promise.to == Some(who)
    }

    pub(super) fn promise(&mut self, to: Instance, term: Term, until: Duration) {
        self.promise = Promise { to: Some(to), term, until };
    }

    /// Ends the promise to `from` unless it was renewed in a later term.
    pub(super) fn release(&mut self, from: Instance, term: Term, now: Duration) {
        self.released = Some((from, term));
        if self.promise.to == Some(from) && self.promise.term <= term {
            self.promise.until = self.promise.until.min(now);
        }
    }

    fn is_released(&self, from: Instance, term: Term) -> bool {
        self.released.is_some_and(|(who, until)| who == from && term <= until)
    }

    /// The ballot to write for a vote for `who` in `term`, or whether it may be sent at once, or neither.
    pub(super) fn consider(&mut self, who: Instance, term: Term) -> Consent {
        if term < self.term || term == self.term && self.vote.is_some_and(|vote| vote != who) {
            return Consent::Refused;
        }
        if term == self.term && self.vote == Some(who) {
            return Consent::Given;
        }
        if self.pending.is_some() {
            return Consent::Later;
        }
        let ballot = Ballot { term, vote: Some(who) };
        self.pending = Some(ballot);
        Consent::Write(ballot)
    }

    pub(super) fn forget_pending(&mut self) {
        self.pending = None;
    }

    /// Whether the ballot counts: nothing newer was heard meanwhile.
    fn settle(&mut self, ballot: Ballot) -> bool {
        if self.pending != Some(ballot) {
            return false;
        }
        self.pending = None;
        if ballot.term < self.term || ballot.term == self.term && self.vote.is_some() {
            return false;
        }
        (self.term, self.vote) = (ballot.term, ballot.vote);
        true
    }
}

/// An answer to a request for a vote.
pub(super) enum Consent {
    Given,
    Write(Ballot),
    Later,
    Refused,
}

impl Election {
    pub(super) fn handle_pre_vote(&mut self, now: Duration, from: Instance, term: Term, round: u64) {
        if !self.voter.is_free_for(from, now) {
            return;
        }
        if term <= self.voter.term() {
            let term = self.voter.term();
            self.send(from, Message::Refused { term });
        } else {
            self.send(from, Message::PreGranted { term, round });
        }
    }

    pub(super) fn handle_vote_request(&mut self, now: Duration, from: Instance, term: Term) {
        if !self.voter.is_free_for(from, now) {
            return;
        }
        match self.voter.consider(from, term) {
            Consent::Given => self.outputs.push_back(Output::SignVote { to: from, term }),
            Consent::Write(ballot) => self.outputs.push_back(Output::Persist(ballot)),
            Consent::Later => {}
            Consent::Refused => {
                let term = self.voter.term();
                self.send(from, Message::Refused { term });
            }
        }
    }

    pub(super) fn take_persisted(&mut self, now: Duration, ballot: Ballot) {
        let Some(candidate) = ballot.vote.filter(|_| self.voter.settle(ballot)) else { return };
        let term = ballot.term;
        if candidate == self.me {
            return self.outputs.push_back(Output::SignVote { to: candidate, term });
        }
        // A promise that was given while the disk was busy goes before the vote.
        if !self.voter.is_free_for(candidate, now) {
            return;
        }
        if matches!(self.role, Role::Contesting(_)) {
            self.role = Role::Standby;
        }
        self.campaign_at =
            self.campaign_at.max(now + self.timing.attempt) + self.dice.up_to(self.timing.stagger);
        self.outputs.push_back(Output::SignVote { to: candidate, term });
    }

    pub(super) fn handle_beat(&mut self, now: Duration, from: Instance, term: Term, number: u64) {
        if from == self.me || self.voter.is_released(from, term) {
            return;
        }
        // Whoever has our vote of this term may still beat in the one before, while it raises its term.
        if term < self.voter.term && self.voter.vote != Some(from) {
            let term = self.voter.term;
            return self.send(from, Message::Refused { term });
        }
        if let Role::Leading(leading) = &self.role
            && term > leading.term()
        {
            self.cease(now, Reason::Superseded);
        }
        if !self.voter.is_free_for(from, now) {
            return;
        }
        if term > self.voter.term {
            (self.voter.term, self.voter.vote) = (term, None);
        }
        self.voter.last = Some(from);
        self.failures = 0;
        let until = now + self.timing.promise();
        self.voter.promise(from, term, until);
        match self.role {
            Role::Standby | Role::Leaving { .. } => {}
            Role::Contesting(_) | Role::Leading(_) => self.role = Role::Standby,
        }
        self.campaign_at = self.campaign_at_after(until, from);
        self.send(from, Message::Ack { term, number });
    }

    fn campaign_at_after(&mut self, until: Duration, active: Instance) -> Duration {
        until + self.stagger(Some(active))
    }

    pub(super) fn handle_release(
        &mut self,
        now: Duration,
        from: Instance,
        term: Term,
        heir: Option<Instance>,
    ) {
        if self.voter.heard(now) == Some(from) && matches!(self.role, Role::Standby) {
            let turn = if heir == Some(self.me) {
                Duration::ZERO
            } else {
                self.timing.attempt + self.stagger(Some(from))
            };
            self.campaign_at = now + turn;
        }
        self.voter.release(from, term, now);
    }
}
