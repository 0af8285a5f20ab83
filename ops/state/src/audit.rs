//! The audit: one entry per transaction, each bound to the one before by its hash.

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use rotator::enc::enc;
use serde::{Deserialize, Serialize};

use crate::records::Change;
use crate::txn::Act;

/// SHA-256 of an entry, in hex; of the chain's start, 64 zeros.
pub type Hash = String;

/// One line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1; equals the revision that the transaction made.
    pub seq: u64,
    #[serde(flatten)]
    pub act: Act,
    /// SHA-256 over what was written: keys and bodies in order.
    pub changes: Hash,
    pub before: Hash,
    pub hash: Hash,
}

/// The chain is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("audit entry {seq} does not follow from the one before it")]
pub struct Broken {
    pub seq: u64,
}

pub fn start() -> Hash {
    "0".repeat(64)
}

impl Entry {
    pub fn following(before: &Hash, seq: u64, act: Act, changes: Hash) -> Self {
        let hash = hash(before, seq, &act, &changes);
        Self { seq, act, changes, before: before.clone(), hash }
    }

    /// Whether this entry is whole and follows `before` as number `seq`.
    pub fn follows(&self, before: &Hash, seq: u64) -> bool {
        self.seq == seq && self.before == *before && self.hash == hash(before, seq, &self.act, &self.changes)
    }
}

/// Checks a whole chain from its start; gives its head.
///
/// # Errors
/// The first entry that is missing, out of order or altered.
pub fn verify<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Hash, Broken> {
    let mut head = start();
    for (entry, seq) in entries.into_iter().zip(1..) {
        if !entry.follows(&head, seq) {
            return Err(Broken { seq });
        }
        head.clone_from(&entry.hash);
    }
    Ok(head)
}

/// Digest of what a transaction writes: `enc("changes", key, body, key, body, …)`, an empty body for a deletion.
pub fn changes_digest(changes: &[Change]) -> serde_json::Result<Hash> {
    let mut fields = Vec::with_capacity(changes.len() * 2);
    for change in changes {
        fields.push(change.key().to_string().into_bytes());
        fields.push(match change {
            Change::Put(record) => record.encode()?,
            Change::Delete(_) => Vec::new(),
        });
    }
    let slices: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    Ok(hex(&enc("changes", &slices)))
}

fn hash(before: &Hash, seq: u64, act: &Act, changes: &Hash) -> Hash {
    let fields: [&[u8]; 8] = [
        before.as_bytes(),
        &seq.to_be_bytes(),
        &act.at.secs().to_be_bytes(),
        act.actor.as_bytes(),
        act.verb.as_bytes(),
        act.target.as_bytes(),
        act.why.as_bytes(),
        changes.as_bytes(),
    ];
    hex(&enc("audit", &fields))
}

fn hex(bytes: &[u8]) -> Hash {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use rotator::UnixTime;

    use super::*;

    fn chain(n: u64) -> Vec<Entry> {
        let mut head = start();
        (1..=n)
            .map(|seq| {
                let act = Act {
                    at: UnixTime::from_secs(seq),
                    actor: "test".into(),
                    verb: "user.revoke".into(),
                    target: format!("user-{seq}"),
                    why: String::new(),
                };
                let entry = Entry::following(&head, seq, act, start());
                head.clone_from(&entry.hash);
                entry
            })
            .collect()
    }

    #[test]
    fn a_whole_chain_verifies_to_its_head() {
        let entries = chain(5);
        assert_eq!(verify(&entries), Ok(entries[4].hash.clone()));
        assert_eq!(verify(&[]), Ok(start()));
    }

    #[test]
    fn an_altered_a_missing_and_a_swapped_entry_are_found() {
        let mut altered = chain(5);
        altered[2].act.why = "another".into();
        assert_eq!(verify(&altered), Err(Broken { seq: 3 }));
        let mut missing = chain(5);
        missing.remove(1);
        assert_eq!(verify(&missing), Err(Broken { seq: 2 }));
        let mut swapped = chain(5);
        swapped.swap(3, 4);
        assert_eq!(verify(&swapped), Err(Broken { seq: 4 }));
    }
}
