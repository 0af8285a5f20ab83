//! The token of the loopback listener: 256 random bits in a file of mode 0600, made anew at each start.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use crate::bounds::TOKEN_BYTES;

/// What the server keeps of a token: its hash. The text is in the file alone.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// Makes a token and writes it to `path`, replacing an older one in one step.
    ///
    /// # Errors
    /// The system has no randomness, or the file can't be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
        let text = BASE64URL_NOPAD.encode(&bytes);
        let fresh = path.with_extension("new");
        match std::fs::remove_file(&fresh) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        Ok(Self::of(text.as_bytes()))
    }

    pub fn of(text: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, text).as_ref());
        Self(hash)
    }

    /// Compares hashes in constant time.
    pub(super) fn matches(&self, sent: &[u8]) -> bool {
        self.0.ct_eq(&Self::of(sent).0).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(masked)")
    }
}
