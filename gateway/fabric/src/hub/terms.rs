//! The term file: what a hub voted, kept through crashes. Written whole beside the old one, synced, and put in its place.
//!
//! ```text
//! wandergate terms 1
//! plane A
//! hub hub-a1
//! term 17
//! vote hub-a2
//! sum <SHA-256 of the lines above, hex>
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};

use crate::election::Ballot;

/// Longer is no term file, bytes.
const FILE_MAX: u64 = 4096;
const FIRST_LINE: &str = "wandergate terms 1";
const NOBODY: &str = "-";

/// A term file that cannot be used. A hub does not start on one: voting on a guess could make two actives.
#[derive(Debug, thiserror::Error)]
pub enum TermsError {
    /// The disk.
    #[error("the term file {0}: {1}")]
    Disk(PathBuf, io::Error),
    /// Another process uses it.
    #[error("the term file {0} is in use by another process")]
    InUse(PathBuf),
    /// Cut, changed, or no term file at all.
    #[error(
        "the term file {0} is damaged; if it cannot be restored, give this hub a new name in the plane: it may have \
         voted, and must not vote again"
    )]
    Damaged(PathBuf),
    /// It belongs to another plane or hub.
    #[error("the term file {0} is that of hub {1} of plane {2}")]
    OtherHub(PathBuf, String, String),
}

/// An open term file; nobody else has it.
#[derive(Debug)]
pub(super) struct Terms {
    path: PathBuf,
    plane: String,
    me: String,
    /// All hubs of the plane, sorted: votes are kept by name.
    names: Vec<String>,
    _lock: File,
}

impl Terms {
    /// Opens it, or begins at term 0 where there is none.
    ///
    /// # Errors
    /// [`TermsError`].
    pub(super) fn open(
        path: &Path,
        plane: &str,
        me: &str,
        names: &[String],
    ) -> Result<(Self, Ballot), TermsError> {
        let disk = |error| TermsError::Disk(path.to_owned(), error);
        let lock = beside(path, "lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock).map_err(disk)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => TermsError::InUse(path.to_owned()),
            TryLockError::Error(error) => disk(error),
        })?;
        let terms = Self {
            path: path.to_owned(),
            plane: plane.to_owned(),
            me: me.to_owned(),
            names: names.to_vec(),
            _lock: lock,
        };
        let ballot = match File::open(path) {
            Ok(file) => {
                let mut text = String::new();
                match file.take(FILE_MAX + 1).read_to_string(&mut text) {
                    Ok(_) => terms.parse(&text)?,
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(terms.damaged()),
                    Err(error) => return Err(disk(error)),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ballot::default(),
            Err(error) => return Err(disk(error)),
        };
        Ok((terms, ballot))
    }

    /// Returns when the ballot is on disk.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn store(&self, ballot: Ballot) -> io::Result<()> {
        let new = beside(&self.path, "new");
        let mut file = File::create(&new)?;
        file.write_all(self.text(ballot).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn text(&self, ballot: Ballot) -> String {
        let vote = ballot.vote.and_then(|vote| self.names.get(vote)).map_or(NOBODY, String::as_str);
        let Self { plane, me, .. } = self;
        let text = format!("{FIRST_LINE}\nplane {plane}\nhub {me}\nterm {}\nvote {vote}\n", ballot.term);
        let sum = HEXLOWER.encode(digest(&SHA256, text.as_bytes()).as_ref());
        format!("{text}sum {sum}\n")
    }

    fn parse(&self, text: &str) -> Result<Ballot, TermsError> {
        let mut lines = text.lines();
        let mut next = |key: &str| {
            let line = lines.next().and_then(|line| line.strip_prefix(key)?.strip_prefix(' '));
            line.map(str::to_owned).ok_or_else(|| self.damaged())
        };
        if next("wandergate")? != "terms 1" {
            return Err(self.damaged());
        }
        let (plane, hub, term, vote) = (next("plane")?, next("hub")?, next("term")?, next("vote")?);
        let sum = next("sum")?;
        let summed = text.len() - format!("sum {sum}\n").len().min(text.len());
        let is_whole = text.ends_with(&format!("\nsum {sum}\n"))
            && HEXLOWER.encode(digest(&SHA256, &text.as_bytes()[..summed]).as_ref()) == sum;
        let term = term.parse().ok().filter(|_| is_whole).ok_or_else(|| self.damaged())?;
        if (&plane, &hub) != (&self.plane, &self.me) {
            return Err(TermsError::OtherHub(self.path.clone(), hub, plane));
        }
        let known = self.names.iter().position(|name| *name == vote);
        // A hub that left the plane got this vote: nobody else gets it in this term.
        let vote = if vote == NOBODY { None } else { Some(known.unwrap_or(self.names.len())) };
        Ok(Ballot { term, vote })
    }

    fn damaged(&self) -> TermsError {
        TermsError::Damaged(self.path.clone())
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["hub-a1", "hub-a2", "hub-a3"].map(str::to_owned).into()
    }

    fn open(path: &Path) -> Result<(Terms, Ballot), TermsError> {
        Terms::open(path, "A", "hub-a1", &names())
    }

    #[test]
    fn a_ballot_survives_and_the_first_start_begins_at_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub-a1.terms");
        let (terms, ballot) = open(&path).unwrap();
        assert_eq!(ballot, Ballot::default());
        for (term, vote) in [(1, 0), (u64::MAX, 2)] {
            let ballot = Ballot { term, vote: Some(vote) };
            terms.store(ballot).unwrap();
            assert_eq!(terms.parse(&fs::read_to_string(&path).unwrap()).unwrap(), ballot);
        }
        drop(terms);
        assert_eq!(open(&path).unwrap().1, Ballot { term: u64::MAX, vote: Some(2) });
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_named_as_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terms");
        let (terms, _) = open(&path).unwrap();
        terms.store(Ballot { term: 17, vote: Some(1) }).unwrap();
        drop(terms);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            fs::write(&path, &good[..at]).unwrap();
            assert!(matches!(open(&path), Err(TermsError::Damaged(_))), "cut at {at}");
            for flip in [1, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                fs::write(&path, &bad).unwrap();
                assert!(matches!(open(&path), Err(TermsError::Damaged(_))), "byte {at}");
            }
        }
        fs::write(&path, "x".repeat(5000)).unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("give this hub a new name"));
    }

    #[test]
    fn the_file_of_another_hub_or_of_a_running_process_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terms");
        let (terms, _) = open(&path).unwrap();
        assert!(matches!(open(&path), Err(TermsError::InUse(_))));
        terms.store(Ballot { term: 3, vote: Some(0) }).unwrap();
        drop(terms);
        let other = Terms::open(&path, "A", "hub-a2", &names());
        assert!(matches!(other, Err(TermsError::OtherHub(_, hub, plane)) if hub == "hub-a1" && plane == "A"));
        assert!(matches!(Terms::open(&path, "B", "hub-a1", &names()), Err(TermsError::OtherHub(..))));
    }

    #[test]
    fn a_vote_for_a_hub_that_left_the_plane_is_still_given_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terms");
        let (terms, _) = open(&path).unwrap();
        terms.store(Ballot { term: 5, vote: Some(2) }).unwrap();
        drop(terms);
        let left = Terms::open(&path, "A", "hub-a1", &names()[..2]).unwrap().1;
        assert_eq!(left, Ballot { term: 5, vote: Some(2) });
        assert!(left.vote.unwrap() >= 2, "an instance that no candidate is");
    }
}
