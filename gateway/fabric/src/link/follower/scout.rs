//! The task of one plane: what can wake it, and what it does then.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Begun, Followed, Follower, Following, Link};
use crate::bounds::{GLANCE, INSTANCES_MAX, SEARCH_DEADLINE};
use crate::lane::driver::LinkEvent;
use crate::link::dialer::{Connection, Dialer, Unwelcome, new_id};
use crate::refusal::{LaneEnd, Refusal};

/// The state of one plane's task.
struct Scout {
    follower: Arc<Follower>,
    following: Following,
    dials: FuturesUnordered<BoxFuture<'static, Box<Dialed>>>,
    current: Option<Current>,
    began: Instant,
    begun: mpsc::Sender<Begun>,
    dice: SystemRandom,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The link that is followed.
struct Current {
    link: Arc<Link>,
    lanes: watch::Receiver<usize>,
}

/// What became of a dial to the hub of that index.
struct Dialed {
    hub: usize,
    answer: Result<Candidate, Unwelcome>,
}

/// A hub that welcomed us and has not yet proved anything.
struct Candidate {
    dialer: Dialer,
    events: mpsc::Receiver<LinkEvent>,
    connection: Connection,
}

/// All that can wake the task.
enum Wake {
    Stop,
    Dialed(Box<Dialed>),
    /// A dial is due.
    Due,
    /// The link is over.
    Lost,
    /// A lane came or went.
    Lanes,
    /// Time to look whether the link fell silent.
    Glance,
}

/// Begins to search the plane's active.
pub(super) fn start(follower: Arc<Follower>, stop: &CancellationToken, tasks: &TaskTracker) -> Followed {
    // A link that begins ends the one before: few wait here.
    let (begun, links) = mpsc::channel(INSTANCES_MAX);
    let names: Vec<_> = follower.hubs.iter().map(|(hub, _)| hub.name().to_owned()).collect();
    let scout = Scout {
        follower: follower.clone(),
        following: Following::new(names, Duration::ZERO),
        dials: FuturesUnordered::new(),
        current: None,
        began: Instant::now(),
        begun,
        dice: SystemRandom::new(),
        stop: stop.clone(),
        tasks: tasks.clone(),
    };
    tasks.spawn(scout.run());
    (follower, links)
}

impl Scout {
    async fn run(mut self) {
        loop {
            let now = self.began.elapsed();
            while let Some(hub) = self.following.poll_dial(now) {
                self.dial(hub);
            }
            match self.wake().await {
                Wake::Stop => return self.leave(),
                Wake::Dialed(dialed) => self.handle_dialed(*dialed).await,
                Wake::Due => {}
                Wake::Lost => self.handle_lost(),
                Wake::Lanes => self.follower.tell_changed(),
                Wake::Glance => self.handle_glance(),
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        let due = self.following.poll_timeout().map(|due| self.began + due);
        let over = self.current.as_ref().map(|current| current.link.over().clone());
        let glance = self.current.as_ref().map(|_| Instant::now() + GLANCE);
        let lanes = self.current.as_mut().map(|current| current.lanes.changed());
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Wake::Stop,
            () = or_never(over.as_ref().map(|over| over.cancelled())) => Wake::Lost,
            Some(dialed) = self.dials.next() => Wake::Dialed(dialed),
            // The link holds the sender.
            _ = or_never(lanes) => Wake::Lanes,
            () = or_never(due.map(sleep_until)) => Wake::Due,
            () = or_never(glance.map(sleep_until)) => Wake::Glance,
        }
    }

    /// Dials a hub, as the first lane of a link that may come of it.
    fn dial(&mut self, hub: usize) {
        let (follower, stop) = (self.follower.clone(), self.stop.child_token());
        self.dials.push(Box::pin(async move {
            let attempt = timeout(SEARCH_DEADLINE, candidate(&follower, hub, stop)).await;
            let answer = attempt.unwrap_or(Err(Unwelcome::Ended(LaneEnd::HandshakeDeadline)));
            Box::new(Dialed { hub, answer })
        }));
    }

    async fn handle_dialed(&mut self, dialed: Dialed) {
        let (hub, dice) = (dialed.hub, self.roll());
        let now = self.began.elapsed();
        match dialed.answer {
            Ok(candidate) => self.handle_welcome(hub, candidate, dice).await,
            Err(Unwelcome::Standby { term, active }) => {
                self.follower.note_end(LaneEnd::RefusedByFar(Refusal::Standby));
                self.following.handle_standby(hub, term, &active, now, dice);
            }
            Err(Unwelcome::Ended(end)) => {
                self.follower.note_end(end);
                self.following.handle_failure(hub, now, dice);
            }
        }
    }

    /// Follows a hub that proves a term which is not stale; moves to it, if another was followed before.
    async fn handle_welcome(&mut self, hub: usize, candidate: Candidate, dice: u32) {
        let Candidate { dialer, events, connection } = candidate;
        let now = self.began.elapsed();
        let proven = self.follower.proof.term_of(&connection.mandate, dialer.link.far(), &dialer.keyring);
        let followed = match proven {
            Ok(term) => self.following.handle_welcome(hub, term, now, dice).map(|()| term),
            Err(refusal) => {
                self.following.handle_failure(hub, now, dice);
                Err(refusal)
            }
        };
        let term = match followed {
            Ok(term) => term,
            Err(refusal) => {
                self.follower.note_end(LaneEnd::Refused(refusal));
                self.tasks.spawn(connection.refuse::<()>(refusal));
                return;
            }
        };
        let link = dialer.link.clone();
        link.set_term(term);
        tracing::info!(plane = self.follower.name, hub = %link.far(), term, "following the active hub");
        self.follower.term.send_replace(self.following.term());
        self.leave();
        self.current = Some(Current { link: link.clone(), lanes: link.changes() });
        self.follower.link.store(Some(link.clone()));
        dialer.keep_lanes(connection, &self.stop, &self.tasks);
        self.follower.tell_changed();
        // The owner may be gone, which then stops us, too.
        let _ = self.begun.send((link, events)).await;
    }

    fn handle_lost(&mut self) {
        let dice = self.roll();
        self.leave();
        self.following.handle_lost(self.began.elapsed(), dice);
        self.follower.tell_changed();
    }

    fn handle_glance(&mut self) {
        if let Some(current) = &self.current {
            self.following.handle_suspicion(current.link.is_suspect(), self.began.elapsed());
        }
    }

    /// Ends the link that was followed.
    fn leave(&mut self) {
        if let Some(Current { link, .. }) = self.current.take() {
            link.over().cancel();
            if let Some(end) = link.last_end() {
                tracing::info!(plane = self.follower.name, hub = %link.far(), reason = end.code(), "left the hub");
                self.follower.note_end(end);
            }
            self.follower.link.store(None);
        }
    }

    fn roll(&self) -> u32 {
        let mut dice = [0; 4];
        // Without randomness the pauses are merely regular.
        let _ = self.dice.fill(&mut dice);
        u32::from_be_bytes(dice)
    }
}

async fn candidate(follower: &Follower, hub: usize, stop: CancellationToken) -> Result<Candidate, Unwelcome> {
    let gone = || Unwelcome::Ended(LaneEnd::Stopped);
    let (far, address) = follower.hubs.get(hub).cloned().ok_or_else(gone)?;
    let id = new_id().map_err(|_| gone())?;
    let (link, events) = Link::new(far, id, stop);
    let (keyring, proof) = (follower.keyring.clone(), follower.proof.clone());
    let dialer = Dialer { link, keyring, at: address.into(), proof };
    let connection = dialer.dial(0).await?;
    Ok(Candidate { dialer, events, connection })
}

async fn or_never<T>(future: Option<impl Future<Output = T>>) -> T {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}
