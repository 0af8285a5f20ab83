//! The writer thread: takes decisions in order, makes a batch durable with one sync, then publishes and acknowledges.

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError, RwLock};

use defense::Reason;
use tokio::sync::{broadcast, oneshot};

use super::file::{File, Written};
use crate::audit::{Entry, Hash, changes_digest};
use crate::bounds::{BATCH_MAX, CHANGES_PER_TXN_MAX, RECORDS_MAX};
use crate::records::Records;
use crate::records::{Change, Key};
use crate::store::{CommitError, Decide, Delta};
use crate::txn::{Refusal, Txn};

pub(super) struct Job {
    pub(super) decide: Decide,
    pub(super) answer: oneshot::Sender<Result<u64, CommitError>>,
}

pub(super) struct Writer {
    /// Ahead of what is published by the batch under way, so that decisions of a batch see each other.
    ahead: Records,
    head: Hash,
    file: Arc<File>,
    published: Arc<RwLock<Records>>,
    deltas: broadcast::Sender<Arc<Delta>>,
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
        deltas: broadcast::Sender<Arc<Delta>>,
    ) -> Self {
        Self { ahead, head, file, published, deltas }
    }

    /// Until every sender is gone.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let more = std::iter::from_fn(|| jobs.try_recv().ok());
            let batch: Vec<Job> = std::iter::once(first).chain(more).take(BATCH_MAX).collect();
            self.handle_batch(batch);
        }
    }

    fn handle_batch(&mut self, batch: Vec<Job>) {
        let head = self.head.clone();
        let mut decided = Vec::with_capacity(batch.len());
        let mut nothing_to_do = Vec::new();
        for Job { mut decide, answer } in batch {
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
            Err(why) => {
                // Nothing of the batch is on disk: step back to what is.
                self.ahead = self.published.read().unwrap_or_else(PoisonError::into_inner).clone();
                self.head = head;
                tracing::error!(event = "state.write_failed", why);
                let undone = nothing_to_do.into_iter().map(|(answer, _)| answer);
                for answer in answers.into_iter().chain(undone) {
                    drop(answer.send(Err(CommitError::Store(why.clone()))));
                }
            }
        }
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
            drop(self.deltas.send(Arc::new(delta)));
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
