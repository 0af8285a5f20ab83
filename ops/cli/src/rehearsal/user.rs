//! An ordinary user: resolves a private name, connects, fetches, and again; and keeps a slow download going.
//!
//! Honestly ordinary: an answer of the DNS is kept for its TTL, connections are sometimes kept and sometimes fresh, and
//! no failure is tried again in secret. When the address has changed and its grace is over, the user looks at the old
//! one: it must be dead.

mod download;
mod former;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::bounds::{
    KEPT_USES_MAX, OLD_ADDRESSES_MAX, PAGE_BYTES_MAX, REQUEST_WAIT, REVOKED_SLACK, RUEFUL_PAUSE,
    THINK_MS_MAX, THINK_MS_MIN,
};
use super::dial::{Conversation, Failure, Trust, whole};
use super::dice::Dice;
use super::enroll::Member;
use super::resolve::Resolver;
use super::tally::{Phase, Tally};

/// What is worth showing.
#[derive(Clone, Debug)]
pub enum Happening {
    FirstPage { user: String, path: &'static str, at: SocketAddr, status: u16, took: Duration },
    Moved { user: String, from: SocketAddr, to: SocketAddr },
    OldAddressDead { user: String, address: SocketAddr, how: &'static str, after: Duration },
    OldAddressAnswered { user: String, address: SocketAddr },
    DownloadWhole { user: String, bytes: u64, outlived: bool },
    DownloadCut { user: String, cause: String },
    Revoked { user: String },
    Error { user: String, cause: String },
}

/// Whether a user may still come, and by which name.
#[derive(Clone, PartialEq, Eq)]
pub enum Standing {
    Granted { name: String },
    Revoked,
}

/// What each request asks for, and what a good answer is.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// The sample's greeting, which must name the user.
    Greeting,
    /// Any page with this status.
    Page { status: u16 },
}

impl Wanted {
    pub const fn path(&self) -> &'static str {
        match self {
            Self::Greeting => "/hello",
            Self::Page { .. } => "/",
        }
    }
}

/// What all users share.
pub struct World {
    pub dns: SocketAddr,
    pub trust: Trust,
    pub wanted: Wanted,
    /// Whether a download of so many seconds is kept going.
    pub download_s: Option<u32>,
    pub grace: Duration,
    /// Strangers are at work.
    pub attack: AtomicBool,
    /// By user name: what the operator knows. A user who was told of a revocation expects to be refused.
    pub standing: Box<dyn Fn(&str) -> Standing + Send + Sync>,
    pub happenings: mpsc::Sender<Happening>,
    pub stop: CancellationToken,
}

impl World {
    fn phase(&self) -> Phase {
        if self.attack.load(Ordering::Relaxed) { Phase::Attack } else { Phase::Quiet }
    }

    /// Shown if there is room; never waited for.
    fn tell(&self, happening: Happening) {
        let _ = self.happenings.try_send(happening);
    }
}

/// One user; clones are the same one.
#[derive(Clone)]
pub struct User {
    pub member: Arc<Member>,
    world: Arc<World>,
    tally: Arc<Mutex<Tally>>,
}

impl User {
    pub fn new(member: Member, world: Arc<World>) -> Self {
        Self { member: Arc::new(member), world, tally: Arc::default() }
    }

    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        // Counters stay true whoever panicked beside them.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lives until the world stops.
    pub async fn live(self) {
        let (old, olds) = mpsc::channel(OLD_ADDRESSES_MAX);
        let stop = self.world.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { tokio::join!(self.browse(old), self.download(), self.mourn(olds)); } => {}
        }
    }

    fn standing(&self) -> Standing {
        (self.world.standing)(&self.member.user)
    }

    async fn browse(&self, old: mpsc::Sender<SocketAddr>) {
        let Ok(dice) = Dice::new() else { return };
        let mut habit = Habit { resolver: Resolver::new(self.world.dns), kept: None, uses: 0, dice, old };
        let mut revoked_since = None;
        for round in 0_u64.. {
            let standing = self.standing();
            let name = match &standing {
                Standing::Granted { name } => name.clone(),
                Standing::Revoked => self.member.name.clone(),
            };
            let since = match standing {
                Standing::Granted { .. } => None,
                Standing::Revoked => Some(*revoked_since.get_or_insert_with(Instant::now)),
            };
            revoked_since = since;
            let (phase, started) = (self.world.phase(), Instant::now());
            let asked = timeout(REQUEST_WAIT, habit.fetch(self, &name, round.is_multiple_of(2))).await;
            let outcome = asked.unwrap_or(Err(Failure::Timeout));
            let fine = self.judge(outcome, phase, started, since);
            match fine {
                true => sleep(habit.think()).await,
                false => sleep(RUEFUL_PAUSE).await,
            }
        }
    }

    /// Books one request. Whether the user goes on at the usual pace.
    fn judge(
        &self,
        outcome: Result<Page, Failure>,
        phase: Phase,
        started: Instant,
        revoked_since: Option<Instant>,
    ) -> bool {
        let took = started.elapsed();
        match (outcome, revoked_since) {
            (Ok(page), None) => {
                self.booked(page, phase, took);
                true
            }
            // The edge may have let it in a moment before the operator's word.
            (Ok(_), Some(since)) if since.elapsed() <= REVOKED_SLACK => true,
            (Ok(_), Some(_)) => self.failed(&Failure::Unrevoked),
            (Err(failure), None) => match self.standing() {
                Standing::Granted { .. } => self.failed(&failure),
                Standing::Revoked => self.turned_away(),
            },
            (Err(_), Some(_)) => self.turned_away(),
        }
    }

    fn booked(&self, page: Page, phase: Phase, took: Duration) {
        let first = {
            let mut tally = self.tally();
            tally.success(phase, took);
            !std::mem::replace(&mut tally.had_a_page, true)
        };
        if first {
            let (user, path) = (self.member.user.clone(), self.world.wanted.path());
            self.world.tell(Happening::FirstPage { user, path, at: page.at, status: page.status, took });
        }
    }

    fn failed(&self, failure: &Failure) -> bool {
        let cause = failure.to_string();
        self.tally().failure(&cause);
        self.world.tell(Happening::Error { user: self.member.user.clone(), cause });
        false
    }

    fn turned_away(&self) -> bool {
        let first = {
            let mut tally = self.tally();
            tally.refused += 1;
            tally.refused == 1
        };
        if first {
            self.world.tell(Happening::Revoked { user: self.member.user.clone() });
        }
        false
    }
}

/// A good answer.
struct Page {
    at: SocketAddr,
    status: u16,
}

/// How this user goes about it.
struct Habit {
    resolver: Resolver,
    kept: Option<(SocketAddr, Conversation)>,
    uses: u32,
    dice: Dice,
    old: mpsc::Sender<SocketAddr>,
}

impl Habit {
    fn think(&mut self) -> Duration {
        Duration::from_millis(THINK_MS_MIN + self.dice.below(THINK_MS_MAX - THINK_MS_MIN + 1))
    }

    async fn fetch(&mut self, user: &User, name: &str, fresh: bool) -> Result<Page, Failure> {
        if fresh {
            let (at, mut line) = self.open(user, name).await?;
            return self.ask(user, at, &mut line).await;
        }
        let (at, mut line) = match self.reusable().await {
            Some(kept) => kept,
            None => {
                self.uses = 0;
                self.open(user, name).await?
            }
        };
        let page = self.ask(user, at, &mut line).await?;
        self.uses += 1;
        self.kept = Some((at, line));
        Ok(page)
    }

    /// The kept connection, unless it has served long enough or the server has closed it.
    async fn reusable(&mut self) -> Option<(SocketAddr, Conversation)> {
        let (at, mut line) = self.kept.take()?;
        (self.uses < KEPT_USES_MAX && line.is_open().await).then_some((at, line))
    }

    async fn open(&mut self, user: &User, name: &str) -> Result<(SocketAddr, Conversation), Failure> {
        let at = SocketAddr::new(self.resolver.address(name).await?, user.member.port);
        // A revoked user's name leads to a decoy, which is no move.
        if user.standing() != Standing::Revoked {
            let before = user.tally().resolved(at);
            if let Some(from) = before {
                user.world.tell(Happening::Moved { user: user.member.user.clone(), from, to: at });
                // Beyond the bound, an old address is not looked at; it is not counted as looked at either.
                let _ = self.old.try_send(from);
            }
        }
        Ok((at, Conversation::open(&user.world.trust, at, name).await?))
    }

    async fn ask(&self, user: &User, at: SocketAddr, line: &mut Conversation) -> Result<Page, Failure> {
        let wanted = &user.world.wanted;
        let response = line.get(wanted.path()).await?;
        let status = response.status().as_u16();
        match wanted {
            Wanted::Greeting if status == 200 => {
                let page = whole(response, PAGE_BYTES_MAX).await?;
                let own = page == format!("hello {}\n", user.member.user).as_bytes();
                own.then_some(Page { at, status }).ok_or(Failure::WrongPage)
            }
            Wanted::Page { status: good } if status == *good => {
                whole(response, PAGE_BYTES_MAX).await?;
                Ok(Page { at, status })
            }
            Wanted::Greeting | Wanted::Page { .. } => Err(Failure::Status(status)),
        }
    }
}
