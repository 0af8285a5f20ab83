//! The shell around the election: its clock, its disk, its connections, and what it means for the hub's links.
//!
//! In a plane of several hubs it has a thread of its own, so that no load of the lanes delays a beat. What wakes it: a
//! message, a write that is done, its timer, an operator's wish, the stop token.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Shared;
use super::between::{Between, Voice};
use super::office::{Office, Post};
use super::terms::Terms;
use crate::bounds::{BETWEEN_EVENTS, FAREWELL_BETWEEN, VOTES_FADE_MIN};
use crate::clock::{boot_time, today};
use crate::election::{Ballot, Election, Instance, Message, Output, Standing, Term, Votes};
use crate::fence::Fence;
use crate::mandate::{Mandate, PlaneRoster, Vote, vote_text};

/// No timer is set for longer; waking for nothing costs nothing.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Everything that wakes it.
pub(super) enum Event {
    /// A connection to that hub is up; it replaces any other.
    Up(Instance, Voice),
    /// It said this.
    Heard(Instance, Message),
    /// The disk's answer.
    Written(Ballot, io::Result<()>),
    /// An operator's wish.
    StepDown,
}

pub(super) struct Council {
    shared: Arc<Shared>,
    election: Election,
    roster: PlaneRoster,
    names: Vec<String>,
    me: Instance,
    terms: Arc<Terms>,
    voices: Vec<Option<Voice>>,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    /// Where the fence goes before there is an office.
    fence_end: Duration,
    /// When the votes are to be collected anew, because certificates in them end.
    votes_fade_at: Duration,
}

/// What a council begins with.
pub(super) struct Seats {
    pub(super) roster: PlaneRoster,
    pub(super) names: Vec<String>,
    pub(super) me: Instance,
    pub(super) terms: Terms,
    pub(super) election: Election,
}

/// The way to a council.
pub(super) fn desk() -> (mpsc::Sender<Event>, mpsc::Receiver<Event>) {
    mpsc::channel(BETWEEN_EVENTS)
}

impl Council {
    pub(super) fn new(shared: Arc<Shared>, seats: Seats, events: mpsc::Receiver<Event>) -> Self {
        let Seats { roster, names, me, terms, election } = seats;
        let sender = shared.council.clone();
        let voices = names.iter().map(|_| None).collect();
        let terms = Arc::new(terms);
        let mut council = Self {
            shared,
            election,
            roster,
            names,
            me,
            terms,
            voices,
            events,
            sender,
            fence_end: Duration::ZERO,
            votes_fade_at: Duration::MAX,
        };
        // A hub that is alone is active before it is asked.
        council.election.handle_time(boot_time());
        council.settle();
        council
    }

    /// Is the hub active? At once, if it is alone and its disk is sound.
    pub(super) fn is_active(&self) -> bool {
        self.election.standing() == Standing::Active
    }

    /// On a thread of its own, with the connections to the other hubs. `dead` ends it without a word.
    pub(super) fn start_thread(
        self,
        between: Between,
        listener: TcpListener,
        dead: CancellationToken,
    ) -> io::Result<oneshot::Receiver<()>> {
        let (ended, end) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let body = move || {
            runtime.block_on(async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let between = Arc::new(between);
                        between.start(listener);
                        dead.run_until_cancelled(self.run_with(&between.tasks, &between.stop)).await;
                        between.stop.cancel();
                    }
                    Err(error) => tracing::error!(event = "hub.between_failed", %error),
                }
            });
            runtime.shutdown_timeout(FAREWELL_BETWEEN);
            let _ = ended.send(());
        };
        std::thread::Builder::new().name("hub-election".into()).spawn(body)?;
        Ok(end)
    }

    /// The others are told, and then the connections end, each behind its last word.
    async fn run_with(self, tasks: &TaskTracker, between: &CancellationToken) {
        self.run().await;
        between.cancel();
        tasks.close();
        // Who does not listen now is not waited for.
        let _ = timeout(FAREWELL_BETWEEN, tasks.wait()).await;
    }

    /// Until the hub stops; an active hands over before.
    pub(super) async fn run(mut self) {
        let stop = self.shared.stop.clone();
        while !stop.is_cancelled() {
            let due = self.election.poll_timeout().min(self.votes_fade_at);
            let pause = due.saturating_sub(boot_time()).min(SLEEP_MAX);
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.handle(event),
                    None => return,
                },
                () = sleep(pause) => self.handle_time(boot_time()),
                () = stop.cancelled() => {}
            }
            self.settle();
        }
        if self.election.handle_step_down(boot_time()) {
            self.settle();
            let pause = self.election.poll_timeout().saturating_sub(boot_time());
            sleep(pause).await;
            self.election.handle_time(boot_time());
            self.settle();
        }
    }

    fn handle_time(&mut self, now: Duration) {
        if now >= self.votes_fade_at {
            self.votes_fade_at = Duration::MAX;
            self.election.handle_votes_fade(now);
        }
        self.election.handle_time(now);
    }

    fn handle(&mut self, event: Event) {
        let now = boot_time();
        match event {
            Event::Up(other, voice) => self.voices[other] = Some(voice),
            Event::Heard(from, message) => {
                if self.is_good(from, &message) {
                    self.election.handle_message(now, from, message);
                }
            }
            Event::Written(ballot, Ok(())) => self.election.handle_persisted(now, ballot),
            Event::Written(_, Err(error)) => {
                tracing::error!(event = "hub.terms_failed", %error, "a vote could not be written, and is not given");
                self.election.handle_persist_failed(now);
            }
            // No longer active: the wish is fulfilled.
            Event::StepDown => drop(self.election.handle_step_down(now)),
        }
    }

    /// A vote has to be signed by who sent it, for us.
    fn is_good(&self, from: Instance, message: &Message) -> bool {
        let Message::Granted { term, vote } = message else { return true };
        let voter = Vote::decode(&mut vote.clone())
            .ok_or(crate::mandate::MandateError::Malformed)
            .and_then(|vote| self.roster.voter(&vote, *term, &self.names[self.me], today()));
        match voter {
            Ok(voter) if voter == self.names[from] => true,
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(event = "hub.vote_invalid", hub = self.names[from], %error);
                false
            }
        }
    }

    /// Does all that the election wants, and says what came of it.
    fn settle(&mut self) {
        while let Some(output) = self.election.poll_output() {
            self.carry_out(output);
        }
        let post = self.shared.office.post();
        let active = self.election.active(boot_time()).and_then(|active| self.names.get(active).cloned());
        let (standing, term) = (self.election.standing(), self.election.term());
        if (post.standing, post.term, &post.active) != (standing, term, &active) {
            let held = post.held.clone().filter(|_| standing == Standing::Active);
            self.shared.office.change(Post { standing, term, active, held });
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { to, message } => self.send(to, message),
            Output::Persist(ballot) => self.persist(ballot),
            Output::SignVote { to, term } => self.vote(to, term),
            Output::Fence(end) => {
                self.fence_end = end;
                self.shared.office.post().held.iter().for_each(|held| held.fence.extend(end));
            }
            Output::Activate { term, votes } => {
                let fence = Fence::open_until(self.fence_end);
                self.take_office(term, fence, votes);
                tracing::info!(event = "hub.active", plane = self.roster.plane(), term);
            }
            Output::Mandate { term, votes } => {
                let held = self.shared.office.post().held.clone();
                if let Some(held) = held {
                    self.take_office(term, held.fence, votes);
                }
            }
            Output::Cease(reason) => {
                tracing::warn!(event = "hub.not_active", plane = self.roster.plane(), reason = reason.code());
                self.shared.leave_office(reason);
            }
        }
    }

    fn take_office(&mut self, term: Term, fence: Fence, votes: Votes) {
        let votes: Vec<_> = votes.into_values().filter_map(|mut vote| Vote::decode(&mut vote)).collect();
        // At half of what is left, so that there is time to try again.
        let left = votes.iter().filter_map(Vote::not_after).min().unwrap_or(u64::MAX);
        let left = Duration::from_secs(left.saturating_sub(today().as_secs())) / 2;
        self.votes_fade_at = boot_time().saturating_add(left.max(VOTES_FADE_MIN));
        let (plane, me) = (self.roster.plane().to_owned(), self.names[self.me].clone());
        let mandate = Mandate { plane, term, active: me.clone(), votes }.encode();
        let held = Some(Office { fence, mandate });
        self.shared.office.change(Post { standing: Standing::Active, term, active: Some(me), held });
    }

    fn send(&mut self, to: Instance, message: Message) {
        if let Some(voice) = &self.voices[to] {
            // A busy connection loses messages, as the network may.
            let _ = voice.try_send(message);
        }
    }

    fn persist(&mut self, ballot: Ballot) {
        if self.names.len() == 1 {
            let written = self.terms.store(ballot);
            return self.handle(Event::Written(ballot, written));
        }
        let (terms, sender) = (self.terms.clone(), self.sender.clone());
        tokio::task::spawn_blocking(move || {
            let written = terms.store(ballot);
            // Fails when the council is gone.
            let _ = sender.blocking_send(Event::Written(ballot, written));
        });
    }

    fn vote(&mut self, to: Instance, term: Term) {
        let Some(vote) = self.signed(to, term) else {
            return tracing::error!(event = "hub.vote_failed", "the key cannot sign");
        };
        let message = Message::Granted { term, vote };
        if to == self.me {
            self.election.handle_message(boot_time(), to, message);
        } else {
            self.send(to, message);
        }
    }

    fn signed(&self, candidate: Instance, term: Term) -> Option<Bytes> {
        let issued_at = today().as_secs();
        let text = vote_text(self.roster.plane(), term, self.names.get(candidate)?, issued_at);
        let (certificate, signature) = self.shared.keyring.sign(&text).ok()?;
        let vote = Vote { issued_at, certificate: certificate.to_vec().into(), signature: signature.into() };
        let mut bytes = BytesMut::new();
        vote.encode(&mut bytes);
        Some(bytes.freeze())
    }
}
