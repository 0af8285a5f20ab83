//! Standing for election: first the question who would vote, then the vote.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::active::Leading;
use super::voter::Consent;
use super::{Election, Instance, Message, Output, Role, Term, Votes};

/// How often the patience with votes may double.
const DOUBLINGS: u32 = 3;

/// One attempt.
#[derive(Debug)]
pub(super) struct Contest {
    term: Term,
    stage: Stage,
    repeat_at: Duration,
    give_up_at: Duration,
}

#[derive(Debug)]
enum Stage {
    /// Who would vote for us, in this round?
    Asking { round: u64, willing: BTreeSet<Instance> },
    /// Who does?
    Voting { votes: Votes },
}

impl Contest {
    pub(super) fn next_time(&self) -> Duration {
        self.repeat_at.min(self.give_up_at)
    }
}

impl Election {
    /// Begins: would a majority vote for us?
    pub(super) fn ask_all(&mut self, now: Duration) {
        if !self.voter.is_free_for(self.me, now) {
            // Promised to another until then; asking would be in vain.
            let last = self.voter.last();
            self.campaign_at = now + self.timing.repeat + self.stagger(last);
            return;
        }
        self.rounds += 1;
        let term = self.voter.term().max(self.floor) + 1;
        let stage = Stage::Asking { round: self.rounds, willing: BTreeSet::new() };
        let give_up_at = now + self.timing.attempt;
        self.role = Role::Contesting(Contest { term, stage, repeat_at: now, give_up_at });
        self.handle_pre_granted(now, self.me, term, self.rounds);
        self.pursue(now);
    }

    /// Asks again, or gives up.
    pub(super) fn pursue(&mut self, now: Duration) {
        let Role::Contesting(contest) = &mut self.role else { return };
        if now >= contest.give_up_at {
            self.failures += u32::from(matches!(contest.stage, Stage::Voting { .. }));
            let pause = self.timing.stagger;
            return self.rest(now, pause);
        }
        if now < contest.repeat_at {
            return;
        }
        contest.repeat_at = now + self.timing.repeat;
        let term = contest.term;
        let message = match contest.stage {
            Stage::Asking { round, .. } => Message::PreVote { term, round },
            Stage::Voting { .. } => Message::VoteRequest { term },
        };
        self.send_all(&message);
    }

    pub(super) fn handle_pre_granted(&mut self, now: Duration, from: Instance, term: Term, asked: u64) {
        let majority = self.majority();
        let Role::Contesting(contest) = &mut self.role else { return };
        let Stage::Asking { round, willing } = &mut contest.stage else { return };
        if (term, asked) != (contest.term, *round) {
            return;
        }
        willing.insert(from);
        if willing.len() < majority {
            return;
        }
        contest.stage = Stage::Voting { votes: Votes::new() };
        // A disk that is slow for one attempt gets longer ones.
        let patience = self.timing.attempt * (1 << self.failures.min(DOUBLINGS));
        (contest.repeat_at, contest.give_up_at) = (now, now + patience);
        self.vote_for_oneself(term);
        self.pursue(now);
    }

    /// The own vote goes through the disk as every other.
    pub(super) fn vote_for_oneself(&mut self, term: Term) {
        match self.voter.consider(self.me, term) {
            Consent::Given => self.outputs.push_back(Output::SignVote { to: self.me, term }),
            Consent::Write(ballot) => self.outputs.push_back(Output::Persist(ballot)),
            Consent::Later | Consent::Refused => {}
        }
    }

    pub(super) fn handle_granted(&mut self, now: Duration, from: Instance, term: Term, vote: Bytes) {
        let majority = self.majority();
        match &mut self.role {
            Role::Contesting(contest) if contest.term == term => {
                let Stage::Voting { votes } = &mut contest.stage else { return };
                votes.insert(from, vote);
                if votes.len() >= majority {
                    let votes = std::mem::take(votes);
                    self.role = Role::Leading(Leading::new(term, votes, self.count, now, &self.timing));
                    self.lead_on(now);
                }
            }
            Role::Leading(_) => self.take_renewed(now, from, term, vote),
            Role::Contesting(_) | Role::Standby | Role::Leaving { .. } => {}
        }
    }

    /// Somebody's term is not below the one that was asked for, or led in.
    pub(super) fn handle_refused(&mut self, now: Duration, term: Term) {
        self.floor = self.floor.max(term);
        let timing = self.timing;
        match &mut self.role {
            Role::Contesting(contest) if contest.term <= term => match contest.stage {
                Stage::Asking { .. } => self.ask_all(now),
                Stage::Voting { .. } => self.rest(now, timing.stagger),
            },
            // An active looks at it with its next beat.
            Role::Leading(_) | Role::Contesting(_) | Role::Standby | Role::Leaving { .. } => {}
        }
    }
}
