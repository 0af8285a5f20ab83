//! Files that hold secrets: made once, mode 0600, refused when others can read them.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use defense::Reason;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// Bytes of a file that holds secrets.
const BYTES_MAX: u64 = 64 * 1024;

/// Random bytes from the system.
///
/// # Errors
/// The system has none; nothing can be done without.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(bytes)
}

/// Makes a folder that only we may enter, with its parents.
///
/// # Errors
/// It can't be made.
pub fn folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("can't make {}", path.display()))
}

/// Reads a secret file.
///
/// # Errors
/// It is not there, readable by others (`W-1401`), larger than [`BYTES_MAX`], or unreadable.
pub fn load(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    present(path)?.with_context(|| format!("there is no {}", path.display()))
}

/// Reads a secret file, or makes it from `fresh` when it does not exist.
///
/// # Errors
/// As [`load`], or it can't be written.
pub fn load_or_make(path: &Path, fresh: impl FnOnce() -> Result<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>> {
    if let Some(bytes) = present(path)? {
        return Ok(bytes);
    }
    let bytes = Zeroizing::new(fresh()?);
    write(path, &bytes)?;
    Ok(bytes)
}

/// The content, if the file exists.
fn present(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let unreadable = || format!("can't read {}", path.display());
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(unreadable),
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let reason = Reason::KeyFileReadable;
        let (code, why, fix) = (reason.code(), reason.why(), reason.fix());
        bail!("{code} {} has mode {mode:04o}: {why} {fix}", path.display());
    }
    if metadata.len() > BYTES_MAX {
        bail!("{} is larger than {BYTES_MAX} bytes, which no secret of ours is", path.display());
    }
    Ok(Some(Zeroizing::new(fs::read(path).with_context(unreadable)?)))
}

/// 32 random bytes that live in a file as hex.
///
/// # Errors
/// As [`load_or_make`], or the file holds something else.
pub fn key_file(path: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let text = load_or_make(path, || {
        let mut text = HEXLOWER.encode(&random::<32>()?).into_bytes();
        text.push(b'\n');
        Ok(text)
    })?;
    let bytes = HEXLOWER.decode(text.trim_ascii()).ok().and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.with_context(|| format!("{} does not hold 64 hex digits", path.display()))?;
    Ok(Zeroizing::new(bytes))
}

/// Writes a file of mode 0600 as a whole: under another name, synced, then renamed over the old one.
///
/// # Errors
/// It can't be written; the old one is untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    written().with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_private_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        let first = key_file(&path).unwrap();
        assert_eq!(*key_file(&path).unwrap(), *first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_its_code_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        key_file(&path).unwrap();
        let before = fs::read(&path).unwrap();
        for mode in [0o644, 0o640, 0o604] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = key_file(&path).unwrap_err().to_string();
            assert!(error.contains("W-1401") && error.contains("chmod 600"), "{error}");
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_damaged_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        write(&path, b"not a key").unwrap();
        assert!(key_file(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"not a key");
    }
}
