//! The witness: a line beside the store that says how far it has come. One flipped bit in redb's header brings back a
//! whole, older state, and so does an old copy of the file; only somebody from outside can tell.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use rotator::enc::enc;

/// Appended to the store's file name.
const SUFFIX: &str = ".head";
/// Longest line that is read.
const LINE_MAX: u64 = 256;

pub(super) struct Witness {
    file: File,
}

impl Witness {
    pub(super) fn path(store: &Path) -> PathBuf {
        let mut path = store.as_os_str().to_owned();
        path.push(SUFFIX);
        path.into()
    }

    /// Opens it, or makes one; and what it says. A missing or damaged one says nothing: it is no second store.
    pub(super) fn open(store: &Path) -> io::Result<(Self, Option<u64>)> {
        let path = Self::path(store);
        let file =
            File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut line = String::new();
        let read = (&file).take(LINE_MAX).read_to_string(&mut line);
        let revision = read.ok().and_then(|_| parse(&line));
        if revision.is_none() {
            file.set_len(0)?;
        }
        Ok((Self { file }, revision))
    }

    /// Notes an acknowledged revision. Not synced: after a power cut it may be behind, and then asserts less.
    pub(super) fn note(&self, revision: u64) {
        if let Err(why) = self.file.write_all_at(text(revision).as_bytes(), 0) {
            tracing::warn!(event = "state.witness_failed", %why);
        }
    }
}

fn text(revision: u64) -> String {
    let sum = digest(&SHA256, &enc("witness", &[&revision.to_be_bytes()]));
    format!("{revision:020} {}\n", HEXLOWER.encode(sum.as_ref()))
}

fn parse(line: &str) -> Option<u64> {
    let revision = line.get(..20)?.parse().ok()?;
    (text(revision) == line).then_some(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_a_damaged_one_says_nothing() {
        for revision in [0, 1, 61, u64::MAX] {
            let line = text(revision);
            assert_eq!(parse(&line), Some(revision));
            for at in 0..line.len() {
                let mut bytes = line.clone().into_bytes();
                bytes[at] ^= 1;
                assert_eq!(parse(std::str::from_utf8(&bytes).unwrap()), None, "byte {at}");
            }
        }
        assert_eq!(parse(""), None);
        assert_eq!(parse("ä"), None);
    }
}
