//! Which hub of a plane is the active one: votes, beats, and a lease that ends before another can begin. Pure.
//!
//! openraft replicates a log, of which nothing would be used here, and its leader lease is not exposed as a deadline on a
//! clock that counts suspension, which is the one thing that the lanes need. So this is an election only: terms, one vote
//! per term, pre-votes, and promises, small enough to be tried in ten thousand simulated plights.
//!
//! # How it goes
//!
//! Time is the machine's boot clock, which goes on while the machine sleeps. All hubs of a plane are *instances*, numbered
//! by their sorted names; more than half of them are a majority.
//!
//! * The active sends a numbered *beat* to every instance each [`Timing::beat`]; an instance that hears one answers with its
//!   number, and by that *promises itself* to the active for [`Timing::promise`]. While it is promised it answers no beat
//!   of another and votes for no other. A promise is a lock with a time limit: one holder at a time.
//! * The active may move bytes until its *lease* ends: the time of sending of the newest beat that a majority has answered
//!   (itself included), plus [`Timing::lease`]. The lanes compare that with the clock themselves
//!   ([`crate::fence`]); this machine need not run for the fence to close.
//! * An instance whose promise has run out asks all for a *pre-vote*: would you vote for me? Only when a majority would does
//!   it raise the term and ask for votes; so an instance that was cut off, or sees only some, disturbs nobody.
//! * A vote is written to disk, (term, for whom), before it is sent, and is signed: a majority of them is the
//!   [mandate](crate::mandate) that members want to see. Who has it sends beats at once, and is *active* from its first lease.
//! * An active that loses its lease stops, forgets its votes, and lets others go first.
//! * An active that meets an instance of a higher term (it voted for itself while it was cut off) asks all for their votes
//!   for itself in a still higher term, and keeps its lease meanwhile. In the same way, within its term, it collects fresh
//!   votes every hour. Nothing of this interrupts a lane.
//! * An active that is told to step down closes its fence, waits [`Timing::grace`], and releases everybody's promise,
//!   naming an heir that begins at once.
//! * After a start an instance cannot know what it promised before: for one [`Timing::promise`] it is promised to nobody
//!   and deaf to all. What it voted is on its disk.
//!
//! # Why two fences are never open at once
//!
//! Let every clock run between `1 - d` and `1 + d` times as fast as true time (`d` = [`Timing::drift_ppm`], one percent;
//! quartz has 0.01 %, slewing by NTP at most 0.05 %), let `L` be the lease, `P` the promise, `g` the grace: the longest time
//! from a lane's look at the fence until the kernel has its batch.
//!
//! 1. The active sends a beat at true time `s`. Its lease from it ends by its own clock at `s + L`, in true time no later
//!    than `s + L / (1 - d)`; its last byte is gone no later than `s + L / (1 - d) + g`.
//! 2. An instance that answers it hears it at `r ≥ s` and is promised by its own clock for `P`, in true time until at least
//!    `r + P / (1 + d)`.
//! 3. `P` is chosen as `(L / (1 - d) + g) · (1 + d)`, rounded up: then `r + P / (1 + d) ≥ s + L / (1 - d) + g`. The promise of
//!    everyone who answered outlasts the last byte that the answer allowed.
//! 4. Each lease rests on promises of a majority. Two majorities share an instance, and an instance is promised to one at a
//!    time, so two leases cannot overlap, whatever terms, votes, and delays of the network are. (Delays make `r` later and
//!    promises longer. An answer that comes late counts from `s`.)
//! 5. A restarted instance is deaf for `P` by its own clock, thus longer than any promise that it has forgotten.
//! 6. Who releases a promise has closed its fence `g` before.
//!
//! Terms add order: one vote per term and instance, kept on disk, makes at most one hub active in a term; members refuse a
//! term below the highest that was proved to them.
//!
//! With the [standard timing](Timing::STANDARD): `L` = 500 ms, `g` = 25 ms, `P` = 535.4 ms. When an active vanishes, its last
//! beat was heard at most 100 ms before; the promises run out 435 to 536 ms after it vanished, the first asks within 30 ms (the
//! next 60 ms later), then three round trips (pre-vote, vote, beat) and one write to disk: under 600 ms on one site, under
//! 1 s with 100 ms between hubs.
//!
//! # What it does not survive
//!
//! A clock outside the bound: above all a virtual machine whose boot clock stands still while it is frozen from outside. A disk
//! that forgets a vote: give such an instance a new name. A plane of two stops with the loss of either. Changing the
//! instances of a running plane: one at a time, so that old and new majorities share one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::bounds::TERM_LEAP_MAX;

mod active;
mod contest;
mod timing;
mod voter;

pub use timing::Timing;

use active::Leading;
use contest::Contest;
use voter::Voter;

/// Counts elections. 0: none yet.
pub type Term = u64;
/// An instance by the rank of its name in the plane, from 0.
pub type Instance = usize;

/// What must survive a crash: the newest term that was voted in, and for whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ballot {
    /// The term.
    pub term: Term,
    /// The instance that got the vote; `None` only in term 0.
    pub vote: Option<Instance>,
}

/// What instances say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Would you vote for me in this term?
    PreVote {
        /// The term after the sender's.
        term: Term,
        /// Distinguishes this attempt from earlier ones.
        round: u64,
    },
    /// I would.
    PreGranted {
        /// As asked.
        term: Term,
        /// As asked.
        round: u64,
    },
    /// Vote for me in this term.
    VoteRequest {
        /// The term.
        term: Term,
    },
    /// My vote.
    Granted {
        /// The term.
        term: Term,
        /// The signed vote, opaque here; the shell has checked it.
        vote: Bytes,
    },
    /// I am active.
    Beat {
        /// In this term.
        term: Term,
        /// Counts the sender's beats.
        number: u64,
    },
    /// I heard you, and am promised to you.
    Ack {
        /// As in the beat.
        term: Term,
        /// As in the beat.
        number: u64,
    },
    /// Your term is not above mine.
    Refused {
        /// The sender's term.
        term: Term,
    },
    /// I am no longer active, and you are free.
    Release {
        /// Of promises given in this term and before.
        term: Term,
        /// Who should go first.
        heir: Option<Instance>,
    },
}

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Hand the message to the connection of that instance, or drop it if there is none.
    Send {
        /// To whom; never oneself.
        to: Instance,
        /// What.
        message: Message,
    },
    /// Write this durably, then call [`Election::handle_persisted`], or [`Election::handle_persist_failed`].
    Persist(Ballot),
    /// Sign a vote and send it as [`Message::Granted`]; when `to` is oneself, give it back by [`Election::handle_message`].
    SignVote {
        /// The candidate.
        to: Instance,
        /// The term.
        term: Term,
    },
    /// The fence is open until then, by the clock of `now`.
    Fence(Duration),
    /// Active from now on, by these votes. The fence was opened before.
    Activate {
        /// The term.
        term: Term,
        /// The votes of a majority.
        votes: Votes,
    },
    /// Still active, by newer votes, perhaps in a higher term.
    Mandate {
        /// The term.
        term: Term,
        /// The votes of a majority.
        votes: Votes,
    },
    /// No longer active: close the fence at once, then the lanes.
    Cease(Reason),
}

/// Signed votes by voter.
pub type Votes = BTreeMap<Instance, Bytes>;

/// Why an active stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No majority answered in time.
    LeaseLost,
    /// Another is active in a higher term, while the own lease lived: a clock has broken the bound.
    Superseded,
    /// It was told to.
    SteppedDown,
}

impl Reason {
    /// The stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::LeaseLost => "lease_lost",
            Self::Superseded => "superseded",
            Self::SteppedDown => "stepped_down",
        }
    }
}

/// What an instance is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Serves members.
    Active,
    /// Follows another, or waits.
    Standby,
    /// Asks for votes, or has them and no lease yet.
    Candidate,
}

/// One instance's part. Call `handle_*` with what happened, then [`Election::poll_output`] until it is empty, then sleep until
/// [`Election::poll_timeout`] and call [`Election::handle_time`]. `now` never goes back.
#[derive(Debug)]
pub struct Election {
    me: Instance,
    count: usize,
    timing: Timing,
    dice: Dice,
    voter: Voter,
    role: Role,
    /// The highest term that anybody claimed; nothing is proved by it.
    floor: Term,
    /// When to stand for election, if nothing is heard until then.
    campaign_at: Duration,
    /// Beats of this life, so that their numbers never repeat.
    beats: u64,
    rounds: u64,
    /// Attempts in a row that got as far as votes and no further.
    failures: u32,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Role {
    Standby,
    Contesting(Contest),
    Leading(Leading),
    /// The fence is closed; promises are released at `release_at`.
    Leaving {
        term: Term,
        heir: Option<Instance>,
        release_at: Duration,
    },
}

impl Election {
    /// Begins at `now` as instance `me` of `count`, with what the disk remembers. `seed` should differ between instances.
    pub fn new(me: Instance, count: usize, ballot: Ballot, timing: Timing, seed: u64, now: Duration) -> Self {
        debug_assert!(me < count);
        // Nobody else can have been promised anything.
        let deaf_until = if count == 1 { now } else { now + timing.promise() };
        let mut election = Self {
            me,
            count,
            timing,
            dice: Dice(seed),
            voter: Voter::new(ballot, deaf_until),
            role: Role::Standby,
            floor: ballot.term,
            campaign_at: deaf_until,
            beats: 0,
            rounds: 0,
            failures: 0,
            outputs: VecDeque::new(),
        };
        if count > 1 {
            election.campaign_at = deaf_until + election.stagger(None);
        }
        election
    }

    /// What `from` said. The shell knows from the connection who it is.
    pub fn handle_message(&mut self, now: Duration, from: Instance, message: Message) {
        self.expire(now);
        if from >= self.count || self.leaps(&message) {
            return;
        }
        match message {
            Message::PreVote { term, round } => self.handle_pre_vote(now, from, term, round),
            Message::PreGranted { term, round } => self.handle_pre_granted(now, from, term, round),
            Message::VoteRequest { term } => self.handle_vote_request(now, from, term),
            Message::Granted { term, vote } => self.handle_granted(now, from, term, vote),
            Message::Beat { term, number } => self.handle_beat(now, from, term, number),
            Message::Ack { term, number } => self.handle_ack(now, from, term, number),
            Message::Refused { term } => self.handle_refused(now, term),
            Message::Release { term, heir } => self.handle_release(now, from, term, heir),
        }
    }

    /// Time passed.
    pub fn handle_time(&mut self, now: Duration) {
        self.expire(now);
        match &self.role {
            Role::Standby => {
                if now >= self.campaign_at {
                    self.ask_all(now);
                }
            }
            Role::Contesting(_) => self.pursue(now),
            Role::Leading(_) => self.lead_on(now),
            Role::Leaving { release_at, .. } => {
                if now >= *release_at {
                    self.release_all(now);
                }
            }
        }
    }

    /// The ballot is on disk.
    pub fn handle_persisted(&mut self, now: Duration, ballot: Ballot) {
        self.expire(now);
        self.take_persisted(now, ballot);
    }

    /// The ballot could not be written: the vote is not given.
    pub fn handle_persist_failed(&mut self, now: Duration) {
        self.expire(now);
        self.voter.forget_pending();
        if matches!(self.role, Role::Contesting(_)) {
            self.rest(now, self.timing.promise());
        }
    }

    /// The wish to hand over; whether it is heeded: only by an active, and only where there is another to take over.
    pub fn handle_step_down(&mut self, now: Duration) -> bool {
        self.expire(now);
        let heeds = self.standing() == Standing::Active && self.count > 1;
        if heeds {
            self.leave(now);
        }
        heeds
    }

    /// The votes will soon prove nothing any more: an active collects new ones.
    pub fn handle_votes_fade(&mut self, now: Duration) {
        self.expire(now);
        if let Role::Leading(leading) = &mut self.role {
            leading.renew_from(now);
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Election::handle_time`] wants to be called.
    pub fn poll_timeout(&self) -> Duration {
        match &self.role {
            Role::Standby => self.campaign_at,
            Role::Contesting(contest) => contest.next_time(),
            Role::Leading(leading) => leading.next_time(),
            Role::Leaving { release_at, .. } => *release_at,
        }
    }

    /// What this instance is.
    pub fn standing(&self) -> Standing {
        match &self.role {
            Role::Leading(leading) if leading.is_active() => Standing::Active,
            Role::Leading(_) | Role::Contesting(_) => Standing::Candidate,
            Role::Standby | Role::Leaving { .. } => Standing::Standby,
        }
    }

    /// The newest term known: one's own as active, else that of the last vote or beat.
    pub fn term(&self) -> Term {
        match &self.role {
            Role::Leading(leading) => leading.term(),
            Role::Standby | Role::Contesting(_) | Role::Leaving { .. } => self.voter.term(),
        }
    }

    /// Who is active, as far as this instance knows at `now`.
    pub fn active(&self, now: Duration) -> Option<Instance> {
        match self.standing() {
            Standing::Active => Some(self.me),
            Standing::Standby | Standing::Candidate => self.voter.heard(now),
        }
    }

    /// Until when the own fence is open.
    pub fn lease_end(&self) -> Option<Duration> {
        match &self.role {
            Role::Leading(leading) => leading.lease_end(),
            Role::Standby | Role::Contesting(_) | Role::Leaving { .. } => None,
        }
    }

    fn majority(&self) -> usize {
        self.count / 2 + 1
    }

    fn send(&mut self, to: Instance, message: Message) {
        self.outputs.push_back(Output::Send { to, message });
    }

    fn send_all(&mut self, message: &Message) {
        for to in (0..self.count).filter(|to| *to != self.me) {
            self.outputs.push_back(Output::Send { to, message: message.clone() });
        }
    }

    /// Before anything else: a lease that ended while nobody looked has ended.
    fn expire(&mut self, now: Duration) {
        if let Role::Leading(leading) = &self.role
            && leading.has_lost_lease(now)
        {
            self.cease(now, Reason::LeaseLost);
        }
    }

    /// Stops being active or elected, and lets others go first.
    fn cease(&mut self, now: Duration, reason: Reason) {
        if self.standing() == Standing::Active {
            self.outputs.push_back(Output::Cease(reason));
        }
        self.rest(now, self.timing.promise());
    }

    fn rest(&mut self, now: Duration, pause: Duration) {
        self.role = Role::Standby;
        let spread = self.timing.stagger * self.count as u32;
        self.campaign_at = now + pause + self.dice.up_to(spread);
    }

    /// How long after the promise has run out this instance waits, so that one goes first: those behind the last active in
    /// turn, and never quite alike.
    fn stagger(&mut self, last: Option<Instance>) -> Duration {
        let turn = last.map_or(self.me, |last| (self.me + self.count - last - 1) % self.count);
        self.timing.stagger * turn as u32 + self.dice.up_to(self.timing.stagger / 2)
    }

    /// A term so far ahead that no election led there; believing it would use up the terms.
    fn leaps(&self, message: &Message) -> bool {
        let (Message::PreVote { term, .. }
        | Message::PreGranted { term, .. }
        | Message::VoteRequest { term }
        | Message::Granted { term, .. }
        | Message::Beat { term, .. }
        | Message::Ack { term, .. }
        | Message::Refused { term }
        | Message::Release { term, .. }) = message;
        *term > self.term().max(self.voter.term()).saturating_add(TERM_LEAP_MAX)
    }
}

/// splitmix64, from the given seed.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        Duration::from_nanos(mixed % (most.as_nanos() as u64 + 1))
    }
}
