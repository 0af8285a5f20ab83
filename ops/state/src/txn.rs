//! A change: what becomes of which record, who did it, and why. Also the refusal that takes its place.

use std::fmt;

use defense::Reason;
use rotator::UnixTime;
use serde::{Deserialize, Serialize};

pub use crate::records::{Change, Key, Record};

/// Who did what to which target, and why: one line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    pub at: UnixTime,
    /// `config`, `registration`, `ops:<credential>`.
    pub actor: String,
    /// `user.revoke`, `device.enroll`, …
    pub verb: String,
    pub target: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A decided change. An empty one is acknowledged without a trace: there was nothing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    pub act: Act,
    pub changes: Vec<Change>,
}

/// Why a decision was not to change anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// What exactly, in one sentence for the one who asked. Never a secret.
    pub detail: String,
}

impl Refusal {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason, reason.what())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.reason.code(), self.detail)
    }
}

impl std::error::Error for Refusal {}

impl Txn {
    pub fn new(act: Act) -> Self {
        Self { act, changes: Vec::new() }
    }

    #[must_use]
    pub fn put(mut self, record: Record) -> Self {
        self.changes.push(Change::Put(record));
        self
    }

    #[must_use]
    pub fn delete(mut self, key: Key) -> Self {
        self.changes.push(Change::Delete(key));
        self
    }
}
