//! The embedded store: redb in one file and a witness beside it (`.head`), one writer thread, many decisions per sync
//! of the disk.

mod file;
mod witness;
mod writer;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use defense::Reason;
use tokio::sync::{broadcast, oneshot};

use crate::audit::Entry;
use crate::bounds::{DELTAS_MAX, QUEUE_MAX};
use crate::records::Records;
use crate::store::{Commit, CommitError, Decide, Event, Followers, Store, StoreError, Watch};
use crate::txn::Refusal;
use file::File;
use writer::{Ask, Fate, Job, Writer};

/// A store in one file and its witness. The writer ends when the last handle is dropped.
pub struct Embedded {
    records: Arc<RwLock<Records>>,
    file: Arc<File>,
    jobs: std::sync::mpsc::SyncSender<Job>,
    events: broadcast::Sender<Event>,
    followers: Followers,
}

impl Embedded {
    /// Opens or makes the store at `path`, and verifies all of it: every record's checksum and the whole audit chain.
    ///
    /// # Errors
    /// The file can't be opened (another process has it, permissions), or something in it does not verify.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = Arc::new(File::open(path)?);
        let (loaded, head) = file.load()?;
        let records = Arc::new(RwLock::new(loaded.clone()));
        let (jobs, queue) = std::sync::mpsc::sync_channel(QUEUE_MAX);
        let (events, _) = broadcast::channel(DELTAS_MAX);
        let writer = Writer::new(loaded, head, Arc::clone(&file), Arc::clone(&records), events.clone());
        std::thread::Builder::new()
            .name("state-writer".into())
            .spawn(move || writer.run(&queue))
            .map_err(|e| StoreError::Open { path: path.display().to_string(), why: e.to_string() })?;
        Ok(Self { records, file, jobs, events, followers: Followers::default() })
    }

    /// Closes the file, so that another process can open it; returns when it is closed. What is known is served on from
    /// memory, and decisions wait in the queue until it is known what comes of it. Blocks: not for asynchronous code.
    pub fn lend(&self) -> Lent {
        let (tell, fate) = std::sync::mpsc::channel();
        let (closed, wait) = oneshot::channel();
        // Both fail only when the writer is gone, and the file with it.
        if self.jobs.send(Job::Lend(closed, fate)).is_ok() {
            drop(wait.blocking_recv());
        }
        Lent { tell }
    }
}

/// A store's file in another process's hands. Dropping it takes it back.
#[must_use = "dropping it takes the file back"]
pub struct Lent {
    tell: std::sync::mpsc::Sender<Fate>,
}

impl Lent {
    /// The other process has ended: the file is ours again, with whatever was written to it meanwhile.
    pub fn take_back(self) {
        let _ = self.tell.send(Fate::Back);
    }

    /// The other process stays: decisions that wait, and all later ones, are refused with `store_busy`.
    pub fn give_away(self) {
        let _ = self.tell.send(Fate::Gone);
    }
}

impl Store for Embedded {
    fn read(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, decide: Decide) -> Commit<'_> {
        let (answer, done) = oneshot::channel();
        let queued = self.jobs.try_send(Job::Commit(Ask { decide, answer }));
        Box::pin(async move {
            queued.map_err(|_| Refusal::from(Reason::StoreBusy))?;
            done.await.unwrap_or_else(|_| Err(CommitError::Store("the writer has stopped".into())))
        })
    }

    fn watch(&self, name: &str) -> Watch {
        self.followers.follow(name, self.events.subscribe())
    }

    fn followers(&self) -> &Followers {
        &self.followers
    }

    fn audit(&self, seq: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.file.audit(seq, limit)
    }
}
