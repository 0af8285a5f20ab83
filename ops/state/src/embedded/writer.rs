//! The writer thread: takes decisions in order, makes a batch durable with one sync, then publishes and acknowledges.

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError, RwLock};

use defense::Reason;
use tokio::sync::{broadcast, oneshot};
use tokio::time::Instant;

use super::file::{File, WriteFault, Written};
use crate::audit::{Entry, Hash, changes_digest};
use crate::bounds::{BATCH_MAX, CHANGES_PER_TXN_MAX, RECORDS_MAX, REOPEN_PAUSE};
use crate::records::Records;
use crate::records::{Change, Key};
use crate::store::{CommitError, Decide, Delta, Event};
use crate::txn::{Refusal, Txn};

/// What the writer is asked for.
pub(super) enum Job {
    Commit(Ask),
    /// To close the file, say so, and wait what comes of it.
    Lend(oneshot::Sender<()>, Receiver<Fate>),
}

pub(super) struct Ask {
    pub(super) decide: Decide,
    pub(super) answer: oneshot::Sender<Result<u64, CommitError>>,
}

/// What comes of a file that was lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Back,
    /// Another process has it for good.
    Gone,
}

pub(super) struct Writer {
    /// Ahead of what is published by the batch under way, so that decisions of a batch see each other.
    ahead: Records,
    head: Hash,
    file: Arc<File>,
    published: Arc<RwLock<Records>>,
    events: broadcast::Sender<Event>,
    /// After an error of the disk: what it said, and when opening the file again was last tried.
    broken: Option<(String, Instant)>,
    /// Another process writes now; nothing is decided here any more.
    is_gone: bool,
}

/// A decision that awaits the disk.
struct Decided {
    written: Written,
    answer: oneshot::Sender<Result<u64, CommitError>>,
}

impl Writer {
    pub(super) fn new(
        ahead: Records,
        head: Hash,
        file: Arc<File>,
        published: Arc<RwLock<Records>>,
        events: broadcast::Sender<Event>,
    ) -> Self {
        Self { ahead, head, file, published, events, broken: None, is_gone: false }
    }

    /// Until every sender is gone.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let more = std::iter::from_fn(|| jobs.try_recv().ok());
            let (mut batch, mut lend) = (Vec::new(), None);
            for job in std::iter::once(first).chain(more).take(BATCH_MAX) {
                match job {
                    Job::Commit(ask) => batch.push(ask),
                    Job::Lend(closed, fate) => {
                        lend = Some((closed, fate));
                        break;
                    }
                }
            }
            if !batch.is_empty() {
                self.handle_batch(batch);
            }
            if let Some((closed, fate)) = lend {
                self.lend(closed, &fate);
            }
        }
    }

    /// Lets another process have the file; decisions wait in the queue meanwhile.
    fn lend(&mut self, closed: oneshot::Sender<()>, fate: &Receiver<Fate>) {
        self.file.close();
        let _ = closed.send(());
        // A borrower that vanishes without a word has not got it.
        match fate.recv().unwrap_or(Fate::Back) {
            Fate::Gone => self.is_gone = true,
            // A failure is told, and tried again with the next decision.
            Fate::Back => drop(self.reopen()),
        }
    }

    fn handle_batch(&mut self, batch: Vec<Ask>) {
        if self.is_gone {
            for Ask { answer, .. } in batch {
                drop(answer.send(Err(Refusal::from(Reason::StoreBusy).into())));
            }
            return;
        }
        if let Err(why) = self.mend() {
            for Ask { answer, .. } in batch {
                drop(answer.send(Err(CommitError::Store(why.clone()))));
            }
            return;
        }
        let head = self.head.clone();
        let mut decided = Vec::with_capacity(batch.len());
        let mut nothing_to_do = Vec::new();
        for Ask { mut decide, answer } in batch {
            match self.decide(&mut decide) {
                Ok(Some(written)) => decided.push(Decided { written, answer }),
                // What it found done already may have been done by this very batch: told after the sync.
                Ok(None) => nothing_to_do.push((answer, self.ahead.revision())),
                // An asker that has gone away needs no answer; the same holds for every send below.
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        let (batch, answers): (Vec<_>, Vec<_>) = decided.into_iter().map(|d| (d.written, d.answer)).unzip();
        let written = if batch.is_empty() { Ok(()) } else { self.file.write(&batch) };
        match written {
            Ok(()) => {
                self.publish(&batch, answers);
                for (answer, revision) in nothing_to_do {
                    drop(answer.send(Ok(revision)));
                }
            }
            Err(WriteFault { is_full, why }) => {
                tracing::error!(event = "state.write_failed", why);
                let error = match is_full {
                    true => Refusal::from(Reason::StoreFull).into(),
                    false => CommitError::Store(why),
                };
                let hoped = std::mem::replace(&mut self.head, head);
                // Takes up what is on disk before anybody hears of it: perhaps all of the batch.
                if self.reopen().is_ok() && self.head == hoped && !batch.is_empty() {
                    for (answer, written) in answers.into_iter().zip(&batch) {
                        drop(answer.send(Ok(written.entry.seq)));
                    }
                    nothing_to_do.into_iter().for_each(|(answer, revision)| drop(answer.send(Ok(revision))));
                    return;
                }
                let undone = nothing_to_do.into_iter().map(|(answer, _)| answer);
                for answer in answers.into_iter().chain(undone) {
                    drop(answer.send(Err(error.clone())));
                }
            }
        }
    }

    /// Nothing to do while the file is whole; else opens it again, now and then.
    fn mend(&mut self) -> Result<(), String> {
        match &mut self.broken {
            None => Ok(()),
            Some((why, tried)) if tried.elapsed() < REOPEN_PAUSE => Err(why.clone()),
            Some((_, tried)) => {
                *tried = Instant::now();
                self.reopen()
            }
        }
    }

    /// Takes from the disk what is there: a batch whose write failed may have reached it all the same.
    fn reopen(&mut self) -> Result<(), String> {
        let known = self.published.read().unwrap_or_else(PoisonError::into_inner).revision();
        let (found, head) = match self.file.reopen(known) {
            Ok(found) => found,
            Err(error) => {
                let why = error.to_string();
                tracing::error!(event = "state.reopen_failed", why);
                self.ahead = self.published.read().unwrap_or_else(PoisonError::into_inner).clone();
                self.broken = Some((why.clone(), Instant::now()));
                return Err(why);
            }
        };
        tracing::warn!(event = "state.reopened", revision = found.revision());
        (self.ahead, self.head, self.broken) = (found.clone(), head, None);
        if found.revision() != known {
            *self.published.write().unwrap_or_else(PoisonError::into_inner) = found;
            drop(self.events.send(Event::Reset));
        }
        Ok(())
    }

    /// Runs one decision. `None`: there was nothing to change.
    fn decide(&mut self, decide: &mut Decide) -> Result<Option<Written>, CommitError> {
        let Txn { act, changes } = decide(&self.ahead)?;
        if changes.is_empty() {
            return Ok(None);
        }
        if changes.len() > CHANGES_PER_TXN_MAX || self.ahead.len() + changes.len() > RECORDS_MAX {
            return Err(Refusal::from(Reason::StoreFull).into());
        }
        let digest = changes_digest(&changes).map_err(|e| CommitError::Store(e.to_string()))?;
        let entry = Entry::following(&self.head, self.ahead.revision() + 1, act, digest);
        self.head.clone_from(&entry.hash);
        self.ahead.apply(&changes);
        Ok(Some(Written { changes, entry }))
    }

    fn publish(&self, batch: &[Written], answers: Vec<oneshot::Sender<Result<u64, CommitError>>>) {
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        let mut deltas = Vec::with_capacity(batch.len());
        for written in batch {
            // Looked up before and after: a deletion touches what was, a new record what will be.
            let mut grants: BTreeSet<_> = touched(&published, &written.changes);
            published.apply(&written.changes);
            grants.extend(touched(&published, &written.changes));
            let layout = written.changes.iter().any(is_layout);
            deltas.push(Delta { revision: written.entry.seq, grants: grants.into_iter().collect(), layout });
        }
        drop(published);
        for (delta, answer) in deltas.into_iter().zip(answers) {
            let revision = delta.revision;
            drop(self.events.send(Event::Changed(Arc::new(delta))));
            drop(answer.send(Ok(revision)));
        }
    }
}

fn touched(records: &Records, changes: &[Change]) -> BTreeSet<rotator::GrantNo> {
    changes.iter().flat_map(|change| records.grants_touched(change)).collect()
}

fn is_layout(change: &Change) -> bool {
    match change.key() {
        Key::Schedule(_) | Key::Pool(_) | Key::Service(_) => true,
        Key::User(_) | Key::Device(_) | Key::Grant(_) | Key::Invite(_) => false,
    }
}
