//! The file: what lies where in redb, each value behind a checksum. Nothing here decides.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use data_encoding::HEXLOWER;
use redb::{Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};
use ring::digest::{SHA256, digest};
use rotator::enc::enc;

use super::witness::Witness;
use crate::audit::{self, Entry, Hash};
use crate::bounds::CACHE_BYTES;
use crate::records::Records;
use crate::records::{Change, Record};
use crate::store::StoreError;

/// Key text → SHA-256 of the body, then the body (JSON).
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// Sequence number → the same for an audit entry.
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");
/// `version`, `head`, `sum`: the layout's version, the hash of the newest audit entry, and the [`Sum`] of all records.
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const VERSION: &str = "1";
const SUM_BYTES: usize = 32;

pub(super) struct File {
    path: PathBuf,
    /// `None` after an error of the disk, until [`File::reopen`] succeeds: redb takes no more then.
    database: RwLock<Option<Database>>,
    witness: Witness,
    /// What the witness said when the file was opened.
    attested: Option<u64>,
}

/// A batch that could not be written.
#[derive(Debug)]
pub(super) struct WriteFault {
    /// The disk has no room for it.
    pub(super) is_full: bool,
    pub(super) why: String,
}

impl<E: Into<redb::Error>> From<E> for WriteFault {
    fn from(error: E) -> Self {
        let error = error.into();
        let is_full = matches!(&error, redb::Error::Io(e)
            if matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge));
        Self { is_full, why: error.to_string() }
    }
}

/// A transaction as it goes to disk.
pub(super) struct Written {
    pub(super) changes: Vec<Change>,
    pub(super) entry: Entry,
}

impl File {
    /// Opens the file, or makes it if there is none; verifies every page on the way.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |why: String| StoreError::Open { path: path.display().to_string(), why };
        match std::fs::metadata(path) {
            // A new file appears whole (see `found`), so an empty one has lost what it held.
            Ok(found) if found.len() == 0 => return Err(corrupt("its first byte", "the file is empty")),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => found(path).map_err(failed)?,
            Err(e) => return Err(failed(e.to_string())),
        }
        let database = builder().open(path).map_err(|e| failed(e.to_string()))?;
        let (witness, attested) = Witness::open(path).map_err(|e| failed(e.to_string()))?;
        Ok(Self { path: path.to_owned(), database: RwLock::new(Some(database)), witness, attested })
    }

    /// Closes the file, so that another process can have it.
    pub(super) fn close(&self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Closes the file and opens it again, as redb wants it after an error of the disk; gives what is there now, which
    /// may hold a batch whose write seemed to fail.
    ///
    /// # Errors
    /// It can't be opened yet, something does not verify, or what was acknowledged (`revision`) is not in it.
    pub(super) fn reopen(&self, revision: u64) -> Result<(Records, Hash), StoreError> {
        let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Closed first: one process holds the file's lock once.
        *slot = None;
        let opened = builder().open(&self.path);
        let failed = |e: redb::DatabaseError| StoreError::Open {
            path: self.path.display().to_string(),
            why: e.to_string(),
        };
        *slot = Some(opened.map_err(failed)?);
        drop(slot);
        let (records, head) = self.load()?;
        if records.revision() < revision {
            return Err(corrupt("its end", "what was acknowledged is no longer there"));
        }
        Ok((records, head))
    }

    /// Reads and verifies everything; gives the records and the audit's head.
    pub(super) fn load(&self) -> Result<(Records, Hash), StoreError> {
        let read = self.begin_read()?;
        let meta = read.open_table(META).map_err(unreadable)?;
        let text = |key| -> Result<String, StoreError> {
            let value = meta.get(key).map_err(unreadable)?;
            Ok(value.map(|v| v.value().to_owned()).unwrap_or_default())
        };
        if text("version")? != VERSION {
            return Err(corrupt("meta/version", "written by another version of wandergate"));
        }
        let mut records = Records::default();
        let mut sum = Sum::default();
        for row in read.open_table(RECORDS).map_err(unreadable)?.iter().map_err(unreadable)? {
            let (key, value) = row.map_err(unreadable)?;
            let body =
                summed(value.value()).ok_or_else(|| corrupt(key.value(), "its checksum does not match"))?;
            sum.turn(key.value(), value.value());
            let record = Record::decode(key.value(), body);
            let record = record.filter(|r| r.key().to_string() == key.value());
            let record = record.ok_or_else(|| corrupt(key.value(), "it is no record of this version"))?;
            records.apply_one(&Change::Put(record));
        }
        if sum.text() != text("sum")? {
            return Err(corrupt("records", "some are missing, or are none that were written"));
        }
        let entries = self.audit(1, usize::MAX)?;
        let head = audit::verify(&entries).map_err(|e| corrupt("audit", &e.to_string()))?;
        if head != text("head")? {
            return Err(corrupt("audit", "entries are missing at its end"));
        }
        let revision = entries.len() as u64;
        if let Some(attested) = self.attested.filter(|attested| revision < *attested) {
            let why = format!(
                "it is of revision {revision}, and {attested} was acknowledged: an old copy, or rolled back \
                 (to accept that, remove the .head file beside it)"
            );
            return Err(corrupt("its end", &why));
        }
        self.witness.note(revision);
        records.set_revision(revision);
        Ok((records, head))
    }

    /// Writes a batch with one sync. All of it or nothing, unless the disk fails while it says so.
    pub(super) fn write(&self, batch: &[Written]) -> Result<(), WriteFault> {
        let slot = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = slot.as_ref().ok_or_else(|| other(CLOSED))?;
        let mut write = database.begin_write()?;
        // Two phases: after a kill there is nothing to roll back, so damage can't be mistaken for a torn commit.
        write.set_two_phase_commit(true);
        {
            let mut records = write.open_table(RECORDS)?;
            let mut audit = write.open_table(AUDIT)?;
            let mut meta = write.open_table(META)?;
            let known = meta.get("sum")?.map(|v| v.value().to_owned());
            let sum = Sum::parse(&known.unwrap_or_default());
            let mut sum = sum.ok_or_else(|| other("the sum of all records is unreadable"))?;
            for written in batch {
                for change in &written.changes {
                    write_change(&mut records, &mut sum, change)?;
                }
                let body = serde_json::to_vec(&written.entry).map_err(|e| other(&e.to_string()))?;
                audit.insert(written.entry.seq, with_sum(&body).as_slice())?;
                meta.insert("head", written.entry.hash.as_str())?;
            }
            meta.insert("sum", sum.text().as_str())?;
        }
        // redb's default durability is Immediate: commit returns after fsync.
        write.commit()?;
        if let Some(last) = batch.last() {
            self.witness.note(last.entry.seq);
        }
        Ok(())
    }

    pub(super) fn audit(&self, seq: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let read = self.begin_read()?;
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

    fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        let slot = self.database.read().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().ok_or_else(|| unreadable(CLOSED))?.begin_read().map_err(unreadable)
    }
}

const CLOSED: &str = "it was closed after an error of the disk, or while another process takes over";

fn other(why: &str) -> WriteFault {
    WriteFault { is_full: false, why: why.to_owned() }
}

fn write_change(
    records: &mut redb::Table<'_, &'static str, &'static [u8]>,
    sum: &mut Sum,
    change: &Change,
) -> Result<(), WriteFault> {
    let key = change.key().to_string();
    let before = match change {
        Change::Put(record) => {
            let value = with_sum(&record.encode().map_err(|e| other(&e.to_string()))?);
            sum.turn(&key, &value);
            records.insert(key.as_str(), value.as_slice())
        }
        Change::Delete(_) => records.remove(key.as_str()),
    };
    if let Some(before) = before? {
        sum.turn(&key, before.value());
    }
    Ok(())
}

/// The exclusive or of every record's SHA-256, key included: a record that is lost without a trace changes it.
#[derive(Default)]
struct Sum([u8; SUM_BYTES]);

impl Sum {
    fn parse(text: &str) -> Option<Self> {
        Some(Self(HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()?))
    }

    fn text(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// Adds a record, or takes it away again.
    fn turn(&mut self, key: &str, value: &[u8]) {
        let hash = digest(&SHA256, &enc("record", &[key.as_bytes(), value]));
        self.0.iter_mut().zip(hash.as_ref()).for_each(|(sum, byte)| *sum ^= byte);
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_check_integrity_on_open(true).set_cache_size(CACHE_BYTES);
    builder
}

/// Makes a new store beside `path` and links it there when it is whole and on disk.
fn found(path: &Path) -> Result<(), String> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    drop(std::fs::remove_file(&beside));
    let made = tables(&beside).map_err(|e| e.to_string()).and_then(|()| {
        // A link, not a rename: another process may have made the store meanwhile, and that one is kept.
        match std::fs::hard_link(&beside, path) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e.to_string()),
            Ok(()) | Err(_) => Ok(()),
        }
    });
    drop(std::fs::remove_file(&beside));
    made?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| e.to_string())
}

fn tables(path: &Path) -> Result<(), redb::Error> {
    let database = builder().create(path)?;
    // It holds private names: whoever reads them can ask where their users are.
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    let write = database.begin_write()?;
    write.open_table(RECORDS)?;
    write.open_table(AUDIT)?;
    let mut meta = write.open_table(META)?;
    meta.insert("version", VERSION)?;
    meta.insert("head", audit::start().as_str())?;
    meta.insert("sum", Sum::default().text().as_str())?;
    drop(meta);
    Ok(write.commit()?)
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
