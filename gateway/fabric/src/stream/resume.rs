//! Seeks another carrier for a session that lost its own, and stays until that has all that the last one lacked.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::end::{End, Subject};
use crate::bounds::{RESUME_ATTEMPT, RESUME_DEADLINE, RESUME_PAUSE_FIRST, RESUME_PAUSE_MAX};
use crate::lane::stream::LaneStream;
use crate::refusal::{Recovery, Refusal};
use crate::session::SessionId;
use crate::session::growth::Growth;
use crate::status::SessionsStatus;
use crate::wire::{Open, Opened, Shape};

/// Makes what to ask one plane for: each asking is an attempt of its own, for an earlier one may have got through unheard.
pub(crate) type Asking = dyn Fn() -> Open + Send + Sync;

/// Where a session gets its carriers.
pub(crate) trait Home: Send + Sync {
    /// Opens a carrier over whichever plane is the better one now. A carrier that is given up on the way is reset with
    /// [`Refusal::LaneLost`], not cancelled: another attempt may have the session by then.
    fn carrier<'a>(
        &'a self,
        subject: &'a Subject,
        asking: &'a Asking,
    ) -> BoxFuture<'a, Result<Carried, Refusal>>;

    fn resumer(&self) -> &Resumer;
}

/// A carrier, and what its far end said of it.
pub(crate) type Carried = (LaneStream, Opened);

/// What all sessions of a gateway share.
pub(crate) struct Resumer {
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
    pub(super) growth: Growth,
    prefix: [u8; 8],
    next: AtomicU64,
    resumed: AtomicU64,
    given_up: AtomicU64,
}

impl Resumer {
    /// Resumes on the current runtime, until `stop`. `None`: the system gave no randomness.
    pub(crate) fn new(tasks: TaskTracker, stop: CancellationToken) -> Option<Self> {
        let mut prefix = [0; 8];
        SystemRandom::new().fill(&mut prefix).ok()?;
        Some(Self {
            runtime: Handle::current(),
            tasks,
            stop,
            growth: Growth::default(),
            prefix,
            next: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        })
    }

    /// A name for a new session; each attempt to open one has its own.
    pub(crate) fn next_id(&self) -> SessionId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.prefix);
        id[8..].copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        id.into()
    }

    pub(crate) fn status(&self) -> SessionsStatus {
        SessionsStatus {
            resumed: self.resumed.load(Ordering::Relaxed),
            given_up: self.given_up.load(Ordering::Relaxed),
            ..SessionsStatus::default()
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }
}

/// Ends the session when the task that resumes it is taken away with its runtime.
struct Unless(Arc<End>, Refusal);

impl Drop for Unless {
    fn drop(&mut self) {
        if self.0.is_between() {
            self.0.end(self.1);
        }
    }
}

/// From the loss of a carrier, for `reason`, to the next one or the end.
pub(super) async fn resume(end: Arc<End>, reason: Refusal) {
    let unless = Unless(end.clone(), reason);
    let resumer = end.home.resumer();
    let sought = timeout(RESUME_DEADLINE, seek(&end));
    let found = match resumer.stop.run_until_cancelled(sought).await {
        None => Err(Refusal::ShuttingDown),
        Some(found) => found.unwrap_or(Err(reason)),
    };
    match found.and_then(|found| {
        found.map_or(Ok(false), |(stream, far)| end.attach(stream, far.received).map(|()| true))
    }) {
        Ok(true) => {
            resumer.resumed.fetch_add(1, Ordering::Relaxed);
            drop(unless);
            let _ = resumer.stop.run_until_cancelled(poll_fn(|cx| end.poll_level(cx))).await;
        }
        Ok(false) => {}
        Err(reason) => {
            tracing::debug!(service = %end.subject.service, reason = reason.code(), "session given up");
            resumer.given_up.fetch_add(1, Ordering::Relaxed);
            end.end(reason);
        }
    }
}

/// A carrier; `None` when nobody wants one any more.
async fn seek(end: &Arc<End>) -> Result<Option<Carried>, Refusal> {
    let asked = end.clone();
    let asking = move || Open {
        service: asked.subject.service.to_string(),
        session: asked.subject.id.into(),
        resume: Some(asked.next_attempt()),
        shape: Shape::Bytes,
        ..Open::default()
    };
    let mut pause = RESUME_PAUSE_FIRST;
    while end.is_between() {
        match timeout(RESUME_ATTEMPT, end.home.carrier(&end.subject, &asking)).await {
            Ok(Ok(carried)) => return Ok(Some(carried)),
            Ok(Err(reason)) if reason.recovery() == Recovery::Final => return Err(reason),
            Ok(Err(_)) | Err(_) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(RESUME_PAUSE_MAX);
    }
    Ok(None)
}
