//! A damaged file is refused loudly, or serves everything: never less.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use ring::digest::{SHA256, digest};
use state::store::StoreError;
use state::{Embedded, Store};

use super::fixture::{layout, put, put_user, whole};
use super::keep::reopened;

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");

/// A store of 60 users, its file's bytes, and everything in it.
struct Sample {
    _folder: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    whole: String,
}

/// Both ways in which a file may be found: closed in order, and as a killed process leaves it.
async fn samples() -> [Sample; 2] {
    [sample(true).await, sample(false).await]
}

async fn sample(closed: bool) -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let store = Embedded::open(&path).unwrap();
    put(&store, layout()).await.unwrap();
    for n in 0..60 {
        put(&store, put_user(n)).await.unwrap();
    }
    let whole = whole(&store.read());
    let killed = std::fs::read(&path).unwrap();
    drop(store);
    drop(reopened(&path).await);
    let bytes = settled_bytes(&path).await;
    let bytes = if closed { bytes } else { killed };
    std::fs::write(&path, &bytes).unwrap();
    Sample { _folder: folder, path, bytes, whole }
}

/// The file once its writer has closed it: the same bytes twice, and openable.
async fn settled_bytes(path: &Path) -> Vec<u8> {
    let mut before = std::fs::read(path).unwrap();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let now = std::fs::read(path).unwrap();
        if now == before {
            return now;
        }
        before = now;
    }
}

fn witness(store: &Path) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push(".head");
    path.into()
}

impl Sample {
    /// True when the damaged copy was refused; panics when it serves anything but everything.
    fn refused(&self, damaged: &[u8], what: &str) -> bool {
        let copy = self.path.with_extension("damaged");
        std::fs::write(&copy, damaged).unwrap();
        std::fs::copy(witness(&self.path), witness(&copy)).unwrap();
        let opened = std::panic::catch_unwind(|| Embedded::open(&copy));
        let verdict = match opened.unwrap_or_else(|_| panic!("{what}: opening panicked")) {
            Ok(store) => {
                assert!(whole(&store.read()) == self.whole, "{what}: it serves less than everything");
                false
            }
            Err(StoreError::Open { .. } | StoreError::Corrupt { .. } | StoreError::Read(_)) => true,
        };
        // A new file each time: the writer of the copy before may still close the old one.
        std::fs::remove_file(&copy).unwrap();
        verdict
    }
}

#[tokio::test]
async fn a_flipped_byte_is_refused_or_changes_nothing() {
    for sample in samples().await {
        let mut refused = 0;
        // All of the header, where one bit chooses the root, and a stride through the rest.
        let places = (0..320).chain((320..sample.bytes.len()).step_by(4099).take(80));
        for at in places {
            let mut damaged = sample.bytes.clone();
            damaged[at] ^= if at < 320 { 1 << (at % 8) } else { 0x40 };
            refused += u32::from(sample.refused(&damaged, &format!("byte {at} flipped")));
        }
        assert!(refused > 40, "only {refused} refused: the places did not hit what matters");
    }
}

#[tokio::test]
async fn every_bit_of_the_byte_that_chooses_the_root_is_guarded() {
    for sample in samples().await {
        for at in 0..16 {
            for bit in 0..8 {
                let mut damaged = sample.bytes.clone();
                damaged[at] ^= 1 << bit;
                sample.refused(&damaged, &format!("bit {bit} of byte {at} flipped"));
            }
        }
    }
}

#[tokio::test]
async fn a_truncated_file_is_refused_or_serves_everything() {
    for sample in samples().await {
        let size = sample.bytes.len();
        for keep in [0, 1, 8, 64, 320, 4095, 4096, 8192, size / 4, size / 2, size - 4096, size - 1] {
            let served = !sample.refused(&sample.bytes[..keep], &format!("cut to {keep} bytes"));
            assert!(!served || keep >= size / 2, "cut to {keep} bytes was served");
        }
        assert!(sample.refused(&[], "cut to nothing"), "an empty file is no new store");
    }
}

#[tokio::test]
async fn a_zeroed_page_is_refused_or_was_empty() {
    for sample in samples().await {
        let mut refused = 0;
        for page in 0..sample.bytes.len() / 4096 {
            let held = &sample.bytes[page * 4096..(page + 1) * 4096];
            if held.iter().all(|b| *b == 0) {
                continue;
            }
            let mut damaged = sample.bytes.clone();
            damaged[page * 4096..(page + 1) * 4096].fill(0);
            refused += u32::from(sample.refused(&damaged, &format!("page {page} zeroed")));
        }
        assert!(refused > 3, "only {refused} refused");
    }
}

/// Writes to the tables behind the store's back, as somebody with an editor for redb would.
fn tamper(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(path).unwrap();
    let write = database.begin_write().unwrap();
    change(&write);
    write.commit().unwrap();
}

fn with_sum(body: &[u8]) -> Vec<u8> {
    [digest(&SHA256, body).as_ref(), body].concat()
}

#[tokio::test]
async fn an_altered_audit_entry_is_refused_even_with_a_fresh_checksum() {
    let sample = sample(true).await;
    tamper(&sample.path, |write| {
        let mut audit = write.open_table(AUDIT).unwrap();
        let body = audit.get(7).unwrap().unwrap().value()[32..].to_vec();
        let altered = String::from_utf8(body).unwrap().replace("\"test\"", "\"mallory\"");
        audit.insert(7, with_sum(altered.as_bytes()).as_slice()).unwrap();
    });
    let refusal = Embedded::open(&sample.path).err().unwrap();
    assert!(
        matches!(&refusal, StoreError::Corrupt { at, why } if at == "audit" && why.contains('7')),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_missing_audit_entry_is_refused_in_the_middle_and_at_the_end() {
    for gone in [7, 61] {
        let sample = sample(true).await;
        tamper(&sample.path, |write| {
            write.open_table(AUDIT).unwrap().remove(gone).unwrap().unwrap();
        });
        assert!(matches!(Embedded::open(&sample.path), Err(StoreError::Corrupt { .. })), "{gone}");
    }
}

#[tokio::test]
async fn a_record_that_does_not_fit_its_checksum_or_its_key_is_refused() {
    let sample = sample(true).await;
    let first = {
        let database = Database::open(&sample.path).unwrap();
        let read = database.begin_read().unwrap();
        let table = read.open_table(RECORDS).unwrap();
        let row = table.range("user/"..).unwrap().next().unwrap().unwrap();
        (row.0.value().to_owned(), row.1.value().to_vec())
    };
    for (key, value) in [
        (first.0.clone(), first.1[1..].to_vec()),
        (first.0.clone(), vec![0; 5]),
        (first.0.clone(), with_sum(b"{}")),
        ("user/of-another-key".to_owned(), first.1.clone()),
        ("ghost/1".to_owned(), first.1.clone()),
    ] {
        std::fs::write(&sample.path, &sample.bytes).unwrap();
        tamper(&sample.path, |write| {
            write.open_table(RECORDS).unwrap().insert(key.as_str(), value.as_slice()).unwrap();
        });
        let refusal = Embedded::open(&sample.path).err().unwrap();
        assert!(matches!(&refusal, StoreError::Corrupt { at, .. } if *at == key), "{refusal}");
    }
}

#[tokio::test]
async fn a_record_removed_or_reset_behind_the_audit_is_refused() {
    let sample = sample(true).await;
    tamper(&sample.path, |write| {
        let mut records = write.open_table(RECORDS).unwrap();
        let key = records.range("user/"..).unwrap().next().unwrap().unwrap().0.value().to_owned();
        records.remove(key.as_str()).unwrap().unwrap();
    });
    let refusal = Embedded::open(&sample.path).err().expect("a record is missing");
    assert!(matches!(&refusal, StoreError::Corrupt { at, .. } if at == "records"), "{refusal}");
}

#[tokio::test]
async fn an_old_copy_of_the_file_and_a_lost_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let store = Embedded::open(&path).unwrap();
    put(&store, put_user(1)).await.unwrap();
    let old = std::fs::read(&path).unwrap();
    put(&store, put_user(2)).await.unwrap();
    drop(store);
    let whole = whole(&reopened(&path).await.read());
    let newest = settled_bytes(&path).await;
    let refused = |what: &str| match Embedded::open(&path) {
        Err(StoreError::Corrupt { why, .. }) => assert!(why.contains("2 was acknowledged"), "{what}: {why}"),
        other => panic!("{what}: {:?}", other.err()),
    };
    std::fs::write(&path, old).unwrap();
    refused("an old copy");
    std::fs::remove_file(&path).unwrap();
    refused("no file");
    std::fs::write(&path, newest).unwrap();
    assert_eq!(super::fixture::whole(&reopened(&path).await.read()), whole);
}

#[tokio::test]
async fn a_missing_or_damaged_witness_keeps_nobody_out() {
    for damage in [None, Some(Vec::new()), Some(vec![0xff; 90]), Some(b"00000000000000000009 x\n".to_vec())] {
        let sample = sample(true).await;
        match damage {
            None => std::fs::remove_file(witness(&sample.path)).unwrap(),
            Some(bytes) => std::fs::write(witness(&sample.path), bytes).unwrap(),
        }
        assert!(whole(&Embedded::open(&sample.path).unwrap().read()) == sample.whole);
        let said = std::fs::read_to_string(witness(&sample.path)).unwrap();
        assert!(said.starts_with("00000000000000000061 "), "it is made anew: {said}");
    }
}
