//! What must never happen, looked at after every step. It sees true time.

use std::collections::BTreeMap;
use std::time::Duration;

use fabric::election::{Ballot, Instance, Term, Timing, Votes};

/// The judge. A broken rule comes out as a sentence.
pub(crate) struct Watch {
    instances: usize,
    grace: Duration,
    /// Until when bytes of each instance may still reach the kernel, true time.
    busy_until: Vec<Duration>,
    /// Who was active in each term.
    actives: BTreeMap<Term, Instance>,
    /// All votes ever signed, over all lives.
    votes: BTreeMap<(Instance, Term), Instance>,
    /// The highest term in which a byte moved.
    moved_in: Term,
    /// The highest term that the member has seen proved, and where it was.
    member: (Term, Instance),
}

pub(crate) type Judged = Result<(), String>;

/// A vote as the simulation signs it.
pub(crate) fn sign(voter: Instance, term: Term, candidate: Instance) -> bytes::Bytes {
    [voter as u64, term, candidate as u64].map(u64::to_be_bytes).concat().into()
}

impl Watch {
    pub(crate) fn new(instances: usize, timing: &Timing) -> Self {
        Self {
            instances,
            grace: timing.grace,
            busy_until: vec![Duration::ZERO; instances],
            actives: BTreeMap::new(),
            votes: BTreeMap::new(),
            moved_in: 0,
            member: (0, 0),
        }
    }

    /// A fence is opened, or stays open, until `end` in true time.
    pub(crate) fn opened(&mut self, now: Duration, who: Instance, end: Duration) -> Judged {
        for other in (0..self.instances).filter(|other| *other != who) {
            if self.busy_until[other] > now {
                let until = self.busy_until[other];
                return Err(format!(
                    "two fences: {who} opens at {now:?}, and bytes of {other} may leave until {until:?}"
                ));
            }
        }
        self.busy_until[who] = self.busy_until[who].max(end.saturating_add(self.grace));
        Ok(())
    }

    pub(crate) fn closed(&mut self, now: Duration, who: Instance) {
        self.busy_until[who] = self.busy_until[who].min(now + self.grace);
    }

    /// The kernel of a dead machine sends nothing.
    pub(crate) fn died(&mut self, now: Duration, who: Instance) {
        self.busy_until[who] = self.busy_until[who].min(now);
    }

    /// `who` says that it is active by these votes.
    pub(crate) fn proved(&mut self, who: Instance, term: Term, votes: &Votes) -> Judged {
        if *self.actives.entry(term).or_insert(who) != who {
            return Err(format!("two actives in term {term}: {} and {who}", self.actives[&term]));
        }
        if votes.len() <= self.instances / 2 {
            return Err(format!("{who} is active in term {term} by {} votes", votes.len()));
        }
        match votes.iter().find(|(voter, vote)| **vote != sign(**voter, term, who)) {
            Some((voter, _)) => {
                Err(format!("the mandate of {who} in term {term} has a wrong vote of {voter}"))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn voted(&mut self, who: Instance, term: Term, to: Instance, disk: Ballot) -> Judged {
        if disk != (Ballot { term, vote: Some(to) }) {
            return Err(format!("{who} votes for {to} in term {term} before it is on disk: {disk:?}"));
        }
        match self.votes.insert((who, term), to) {
            Some(before) if before != to => {
                Err(format!("{who} votes twice in term {term}: for {before} and {to}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A byte moves through `who` in `term`. The member leaves whoever proves less than what it saw before.
    pub(crate) fn moved(&mut self, who: Instance, term: Term) -> Judged {
        if term < self.moved_in {
            return Err(format!("{who} moves a byte in term {term}, after one in term {}", self.moved_in));
        }
        if self.actives.get(&term) != Some(&who) {
            return Err(format!("{who} moves a byte in term {term}, in which it is not active"));
        }
        if self.member.0 == term && self.member.1 != who {
            return Err(format!("the member sees {} and {who} in term {term}", self.member.1));
        }
        self.moved_in = term;
        self.member = (term, who);
        Ok(())
    }
}
