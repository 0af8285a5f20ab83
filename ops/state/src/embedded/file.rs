//! The file: what lies where in redb, each value behind a checksum. Nothing here decides.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use ring::digest::{SHA256, digest};

use crate::audit::{self, Entry, Hash};
use crate::records::Records;
use crate::store::StoreError;
use crate::txn::{Change, Record};

/// Key text → SHA-256 of the body, then the body (JSON).
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// Sequence number → the same for an audit entry.
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");
/// `version`, `head`: the layout's version and the hash of the newest audit entry.
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const VERSION: &str = "1";
const SUM_BYTES: usize = 32;

pub(super) struct File {
    database: Database,
}

/// A transaction as it goes to disk.
pub(super) struct Written {
    pub(super) changes: Vec<Change>,
    pub(super) entry: Entry,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |why: String| StoreError::Open { path: path.display().to_string(), why };
        let database = Database::create(path).map_err(|e| failed(e.to_string()))?;
        let file = Self { database };
        file.found().map_err(|e| failed(e.to_string()))?;
        Ok(file)
    }

    /// Reads and verifies everything; gives the records and the audit's head.
    pub(super) fn load(&self) -> Result<(Records, Hash), StoreError> {
        let read = self.database.begin_read().map_err(unreadable)?;
        let meta = read.open_table(META).map_err(unreadable)?;
        let text = |key| -> Result<String, StoreError> {
            let value = meta.get(key).map_err(unreadable)?;
            Ok(value.map(|v| v.value().to_owned()).unwrap_or_default())
        };
        if text("version")? != VERSION {
            return Err(corrupt("meta/version", "written by another version of wandergate"));
        }
        let mut records = Records::default();
        for row in read.open_table(RECORDS).map_err(unreadable)?.iter().map_err(unreadable)? {
            let (key, value) = row.map_err(unreadable)?;
            let body =
                summed(value.value()).ok_or_else(|| corrupt(key.value(), "its checksum does not match"))?;
            let record = Record::decode(key.value(), body);
            let record = record.filter(|r| r.key().to_string() == key.value());
            let record = record.ok_or_else(|| corrupt(key.value(), "it is no record of this version"))?;
            records.apply_one(&Change::Put(record));
        }
        let entries = self.audit(1, usize::MAX)?;
        let head = audit::verify(&entries).map_err(|e| corrupt("audit", &e.to_string()))?;
        if head != text("head")? {
            return Err(corrupt("audit", "entries are missing at its end"));
        }
        records.set_revision(entries.len() as u64);
        Ok((records, head))
    }

    /// Writes a batch with one sync. All of it or nothing.
    pub(super) fn write(&self, batch: &[Written]) -> Result<(), String> {
        let write = self.database.begin_write().map_err(|e| e.to_string())?;
        {
            let mut records = write.open_table(RECORDS).map_err(|e| e.to_string())?;
            let mut audit = write.open_table(AUDIT).map_err(|e| e.to_string())?;
            let mut meta = write.open_table(META).map_err(|e| e.to_string())?;
            for written in batch {
                for change in &written.changes {
                    let key = change.key().to_string();
                    match change {
                        Change::Put(record) => {
                            let body = record.encode().map_err(|e| e.to_string())?;
                            records
                                .insert(key.as_str(), with_sum(&body).as_slice())
                                .map_err(|e| e.to_string())?;
                        }
                        Change::Delete(_) => {
                            records.remove(key.as_str()).map_err(|e| e.to_string())?;
                        }
                    }
                }
                let body = serde_json::to_vec(&written.entry).map_err(|e| e.to_string())?;
                audit.insert(written.entry.seq, with_sum(&body).as_slice()).map_err(|e| e.to_string())?;
                meta.insert("head", written.entry.hash.as_str()).map_err(|e| e.to_string())?;
            }
        }
        // redb's default durability is Immediate: commit returns after fsync.
        write.commit().map_err(|e| e.to_string())
    }

    pub(super) fn audit(&self, seq: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let read = self.database.begin_read().map_err(unreadable)?;
        let table = read.open_table(AUDIT).map_err(unreadable)?;
        let rows = table.range(seq..).map_err(unreadable)?.take(limit);
        rows.map(|row| {
            let (seq, value) = row.map_err(unreadable)?;
            let body = summed(value.value());
            let entry = body.and_then(|b| serde_json::from_slice(b).ok());
            entry.ok_or_else(|| corrupt(&format!("audit/{}", seq.value()), "it does not verify"))
        })
        .collect()
    }

    /// Makes the tables of a new store; leaves an old one alone.
    fn found(&self) -> Result<(), redb::Error> {
        let write = self.database.begin_write()?;
        write.open_table(RECORDS)?;
        write.open_table(AUDIT)?;
        let mut meta = write.open_table(META)?;
        if meta.get("version")?.is_none() {
            meta.insert("version", VERSION)?;
            meta.insert("head", audit::start().as_str())?;
        }
        drop(meta);
        Ok(write.commit()?)
    }
}

fn with_sum(body: &[u8]) -> Vec<u8> {
    let mut value = digest(&SHA256, body).as_ref().to_vec();
    value.extend_from_slice(body);
    value
}

fn summed(value: &[u8]) -> Option<&[u8]> {
    let (sum, body) = value.split_at_checked(SUM_BYTES)?;
    (digest(&SHA256, body).as_ref() == sum).then_some(body)
}

fn unreadable(e: impl std::fmt::Display) -> StoreError {
    StoreError::Read(e.to_string())
}

fn corrupt(at: &str, why: &str) -> StoreError {
    StoreError::Corrupt { at: at.to_owned(), why: why.to_owned() }
}
