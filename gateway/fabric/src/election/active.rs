//! Having been elected: beats, the lease, fresh votes, and handing over.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{Election, Instance, Message, Output, Reason, Role, Term, Timing, Votes};

/// Beats whose time of sending is remembered; older ones could give no lease any more.
const BEATS_KEPT: usize = 16;

#[derive(Debug)]
pub(super) struct Leading {
    term: Term,
    /// The term in which it was elected; answers to beats since then count.
    first_term: Term,
    votes: Votes,
    /// Numbers and times of sending, oldest first.
    sent: VecDeque<(u64, Duration)>,
    /// The newest beat that each instance answered; 0 none.
    answered: Vec<u64>,
    next_beat: Duration,
    lease_end: Option<Duration>,
    /// Without a first lease until then it is nothing.
    give_up_at: Duration,
    renew_at: Duration,
    renewal: Option<Renewal>,
}

/// Fresh votes on their way, for the same term or a higher one.
#[derive(Debug)]
struct Renewal {
    term: Term,
    votes: Votes,
    repeat_at: Duration,
    raise_at: Duration,
}

impl Leading {
    pub(super) fn new(term: Term, votes: Votes, count: usize, now: Duration, timing: &Timing) -> Self {
        Self {
            term,
            first_term: term,
            votes,
            sent: VecDeque::with_capacity(BEATS_KEPT),
            answered: vec![0; count],
            next_beat: now,
            lease_end: None,
            give_up_at: now + timing.attempt,
            renew_at: now + timing.renewal,
            renewal: None,
        }
    }

    pub(super) fn term(&self) -> Term {
        self.term
    }

    pub(super) fn is_active(&self) -> bool {
        self.lease_end.is_some()
    }

    pub(super) fn lease_end(&self) -> Option<Duration> {
        self.lease_end
    }

    pub(super) fn has_lost_lease(&self, now: Duration) -> bool {
        now >= self.lease_end.unwrap_or(self.give_up_at)
    }

    pub(super) fn next_time(&self) -> Duration {
        let renewal = self.renewal.as_ref().map_or(self.renew_at, |renewal| renewal.repeat_at);
        self.next_beat.min(self.lease_end.unwrap_or(self.give_up_at)).min(renewal)
    }

    pub(super) fn renew_from(&mut self, now: Duration) {
        self.renew_at = self.renew_at.min(now);
    }

    /// When the newest beat was sent that `majority` instances answered.
    fn answered_by(&self, majority: usize) -> Option<Duration> {
        let mut numbers = self.answered.clone();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        let number = *numbers.get(majority - 1)?;
        self.sent.iter().find(|(sent, _)| *sent == number).map(|(_, at)| *at)
    }
}

impl Election {
    /// Beats and renewals that are due. The lease has been looked at.
    pub(super) fn lead_on(&mut self, now: Duration) {
        let Role::Leading(leading) = &mut self.role else { return };
        if now >= leading.next_beat {
            self.beats += 1;
            let (term, number) = (leading.term, self.beats);
            leading.next_beat = now + self.timing.beat;
            if leading.sent.len() == BEATS_KEPT {
                leading.sent.pop_front();
            }
            leading.sent.push_back((number, now));
            leading.answered[self.me] = number;
            self.voter.promise(self.me, term, now + self.timing.promise());
            self.send_all(&Message::Beat { term, number });
            self.extend(now);
            self.catch_up(now);
        }
        self.renew(now);
    }

    pub(super) fn handle_ack(&mut self, now: Duration, from: Instance, term: Term, number: u64) {
        let newest = self.beats;
        let Role::Leading(leading) = &mut self.role else { return };
        if term < leading.first_term || term > leading.term || number > newest {
            return;
        }
        leading.answered[from] = leading.answered[from].max(number);
        self.extend(now);
    }

    /// From answers to a lease.
    fn extend(&mut self, now: Duration) {
        let majority = self.majority();
        let Role::Leading(leading) = &mut self.role else { return };
        let Some(answered) = leading.answered_by(majority) else { return };
        let end = if self.count == 1 { Duration::MAX } else { answered + self.timing.lease };
        if end <= now || leading.lease_end.is_some_and(|old| old >= end) {
            return;
        }
        let is_first = leading.lease_end.replace(end).is_none();
        self.outputs.push_back(Output::Fence(end));
        if is_first {
            self.failures = 0;
            let (term, votes) = (leading.term, leading.votes.clone());
            self.outputs.push_back(Output::Activate { term, votes });
        }
    }

    /// Asks for fresh votes: in the same term when they are old, in a higher one when that fails.
    fn renew(&mut self, now: Duration) {
        let Role::Leading(leading) = &mut self.role else { return };
        if !leading.is_active() {
            return;
        }
        match &mut leading.renewal {
            None if now >= leading.renew_at => {
                let term = leading.term;
                self.begin_renewal(now, term);
            }
            Some(renewal) if now >= renewal.raise_at => self.begin_raise(now),
            Some(renewal) if now >= renewal.repeat_at => {
                renewal.repeat_at = now + self.timing.beat;
                let term = renewal.term;
                self.ask_to_renew(term);
            }
            None | Some(_) => {}
        }
    }

    /// Somebody is ahead: an active that moves up keeps its lease, and all can follow it again.
    fn catch_up(&mut self, now: Duration) {
        let own = self.voter.vote() == Some(self.me);
        let ahead = self.floor.max(if own { 0 } else { self.voter.term() });
        let Role::Leading(leading) = &self.role else { return };
        let aim = leading.renewal.as_ref().map_or(leading.term, |renewal| renewal.term);
        if leading.is_active() && ahead > leading.term && ahead >= aim {
            self.begin_raise(now);
        }
    }

    fn begin_raise(&mut self, now: Duration) {
        let term = self.floor.max(self.voter.term()).max(self.term()) + 1;
        self.begin_renewal(now, term);
    }

    fn begin_renewal(&mut self, now: Duration, term: Term) {
        let timing = self.timing;
        let Role::Leading(leading) = &mut self.role else { return };
        leading.renewal = Some(Renewal {
            term,
            votes: Votes::new(),
            repeat_at: now + timing.beat,
            raise_at: now + timing.patience,
        });
        self.ask_to_renew(term);
    }

    fn ask_to_renew(&mut self, term: Term) {
        self.vote_for_oneself(term);
        self.send_all(&Message::VoteRequest { term });
    }

    pub(super) fn take_renewed(&mut self, now: Duration, from: Instance, term: Term, vote: Bytes) {
        let (majority, renew_at) = (self.majority(), now + self.timing.renewal);
        let Role::Leading(leading) = &mut self.role else { return };
        let Some(renewal) = leading.renewal.as_mut().filter(|renewal| renewal.term == term) else { return };
        renewal.votes.insert(from, vote);
        if renewal.votes.len() < majority {
            return;
        }
        let votes = std::mem::take(&mut renewal.votes);
        (leading.term, leading.renewal, leading.renew_at) = (term, None, renew_at);
        leading.votes.clone_from(&votes);
        if leading.is_active() {
            self.outputs.push_back(Output::Mandate { term, votes });
        }
    }

    /// Closes the fence; promises are released when the last batch is surely gone.
    pub(super) fn leave(&mut self, now: Duration) {
        let Role::Leading(leading) = &self.role else { return };
        let (me, term) = (self.me, leading.term);
        let answered = leading.answered.iter().enumerate();
        let heir = answered.filter(|(who, beat)| *who != me && **beat > 0).max_by_key(|(_, beat)| **beat);
        let heir = heir.map(|(who, _)| who);
        self.outputs.push_back(Output::Cease(Reason::SteppedDown));
        // The grace is true time, and our clock may be fast.
        let release_at = now + self.timing.grace + self.timing.grace / 10;
        self.role = Role::Leaving { term, heir, release_at };
    }

    pub(super) fn release_all(&mut self, now: Duration) {
        let Role::Leaving { term, heir, .. } = self.role else { return };
        self.send_all(&Message::Release { term, heir });
        self.voter.release(self.me, term, now);
        let rest = self.timing.rest;
        self.rest(now, rest);
    }
}
