//! The store as everyone else sees it: read, commit, watch, and wait until everyone serves what was committed.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLockReadGuard};
use std::time::Duration;

use rotator::GrantNo;
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::audit::Entry;
use crate::records::Records;
use crate::txn::{Refusal, Txn};

/// A decision against the newest records. May be run more than once; must have no effect but its answer.
pub type Decide = Box<dyn FnMut(&Records) -> Result<Txn, Refusal> + Send>;

/// A commit on its way.
pub type Commit<'a> = Pin<Box<dyn Future<Output = Result<u64, CommitError>> + Send + 'a>>;

/// Where records live. Embedded by default; a distributed one stands behind the same words.
pub trait Store: Send + Sync + 'static {
    /// The newest committed records. Hold the guard briefly, and never across an await.
    fn read(&self) -> RwLockReadGuard<'_, Records>;

    /// Runs a decision and makes it durable; the answer is the revision. Prefer [`commit`], which carries a value too.
    fn commit(&self, decide: Decide) -> Commit<'_>;

    /// Follows changes from now on. `name` is what acknowledgements call the follower.
    fn watch(&self, name: &str) -> Watch;

    /// The followers, for waiting until they serve a revision.
    fn followers(&self) -> &Followers;

    /// Audit entries from `seq` on, at most `limit`, oldest first.
    ///
    /// # Errors
    /// The store can't be read, or holds what is not an entry.
    fn audit(&self, seq: u64, limit: usize) -> Result<Vec<Entry>, StoreError>;
}

/// Why nothing was committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk or the queue failed; the old state stays in force.
    #[error("the store could not write: {0}")]
    Store(String),
}

/// The store itself is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("{path} can't be opened: {why}")]
    Open { path: String, why: String },
    #[error("the store is corrupt at {at}: {why}")]
    Corrupt { at: String, why: String },
    #[error("the store could not be read: {0}")]
    Read(String),
}

/// Commits a decision that also answers something.
///
/// # Errors
/// The decision's refusal, or the store's failure. Nothing has changed then.
pub async fn commit<T: Send + 'static>(
    store: &dyn Store,
    mut decide: impl FnMut(&Records) -> Result<(Txn, T), Refusal> + Send + 'static,
) -> Result<(u64, T), CommitError> {
    let answer = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&answer);
    let revision = store
        .commit(Box::new(move |records| {
            let (txn, value) = decide(records)?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(txn)
        }))
        .await?;
    let value = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    value.map(|v| (revision, v)).ok_or_else(|| CommitError::Store("the decision left no answer".into()))
}

/// What a commit changed, for those who serve grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    pub revision: u64,
    /// Grants to look at again.
    pub grants: Vec<GrantNo>,
    /// Whether the set of services, schedules or pools changed.
    pub layout: bool,
}

/// What a follower is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Changed(Arc<Delta>),
    /// It lagged behind, or the store had to be read anew: look at everything again.
    Reset,
}

/// One follower's view of changes. Dropping it ends the following.
pub struct Watch {
    events: broadcast::Receiver<Event>,
    applied: watch::Sender<u64>,
    followers: Followers,
    id: u64,
}

impl Watch {
    /// The next change; `None` when the store is gone. Safe to drop half-way.
    pub async fn next(&mut self) -> Option<Event> {
        match self.events.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(_)) => Some(Event::Reset),
            Err(RecvError::Closed) => None,
        }
    }

    /// Tells that everything up to `revision` is served now.
    pub fn applied(&self, revision: u64) {
        self.applied.send_if_modified(|known| {
            let newer = revision > *known;
            *known = revision.max(*known);
            newer
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.followers.lock().remove(&self.id);
    }
}

/// Those who serve from memory, and how far each has come.
#[derive(Clone, Default)]
pub struct Followers(Arc<Mutex<Following>>);

/// By the watch's number: its name, and the revision it serves.
type Following = HashMap<u64, (String, watch::Receiver<u64>)>;

/// One follower's acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ack {
    pub name: String,
    /// Milliseconds until it served the revision; `None` when it did not in time.
    pub ack_ms: Option<u64>,
}

impl Followers {
    /// Waits until every follower serves `revision`, or `limit` has passed; tells of each.
    pub async fn settled(&self, revision: u64, limit: Duration) -> Vec<Ack> {
        let begun = Instant::now();
        let all: Vec<_> = self.lock().values().cloned().collect();
        let mut acks = Vec::with_capacity(all.len());
        for (name, mut applied) in all {
            let served = applied.wait_for(|known| *known >= revision);
            let in_time = tokio::time::timeout_at(begun + limit, served).await.is_ok_and(|r| r.is_ok());
            let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            acks.push(Ack { name, ack_ms: in_time.then_some(ms) });
        }
        acks.sort_by(|a, b| a.name.cmp(&b.name));
        acks
    }

    pub(crate) fn follow(&self, name: &str, events: broadcast::Receiver<Event>) -> Watch {
        let (applied, seen) = watch::channel(0);
        let mut all = self.lock();
        let id = all.keys().max().map_or(0, |id| id + 1);
        all.insert(id, (name.to_owned(), seen));
        drop(all);
        Watch { events, applied, followers: self.clone(), id }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Following> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
