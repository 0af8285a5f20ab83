//! A member's credentials: a file that is replaced from outside, and taken while everything runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fabric::{Credentials, Keyring, Role};
use ring::digest::{Digest, SHA256, digest};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::secrets;

/// How often the file is looked at without being asked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The file, and the keyring that holds what was last read of it.
pub(super) struct CredentialsFile {
    path: PathBuf,
    keyring: Arc<Keyring>,
    /// Of what was read last, good or not: the same mistake is told once.
    seen: Digest,
}

impl CredentialsFile {
    /// Reads the file. `name`, if given, has to be the one in the certificate.
    ///
    /// # Errors
    /// It is readable by others, damaged, or somebody else's.
    pub(super) fn open(path: &Path, role: Role, name: Option<&str>) -> Result<Self> {
        let bytes = secrets::load(path)?;
        let credentials = credentials(&bytes, path)?;
        let identity = credentials.identity().clone();
        if identity.role() != role || name.is_some_and(|name| name != identity.name()) {
            let wanted =
                name.map_or_else(|| format!("a {}", role.as_str()), |n| format!("{}/{n}", role.as_str()));
            bail!(
                "{} is for {identity}, but this process is {wanted}. Name the file of that member, or issue it one.",
                path.display()
            );
        }
        let keyring =
            Keyring::new(credentials).with_context(|| format!("{} can't be used", path.display()))?;
        Ok(Self { path: path.to_owned(), keyring, seen: digest(&SHA256, &bytes) })
    }

    pub(super) fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Takes the file's content if it has changed; links that stand are not touched.
    ///
    /// # Errors
    /// The new content can't be used; the old one stays.
    pub(super) fn refresh(&mut self) -> Result<bool> {
        let bytes = secrets::load(&self.path)?;
        let now = digest(&SHA256, &bytes);
        if now.as_ref() == self.seen.as_ref() {
            return Ok(false);
        }
        self.seen = now;
        let credentials = credentials(&bytes, &self.path)?;
        let replaced = self.keyring.replace(credentials);
        replaced.with_context(|| format!("{} can't be used", self.path.display()))?;
        Ok(true)
    }

    /// Looks at the file again and again, and whenever `look` says so, until `stop`.
    pub(super) async fn follow(mut self, look: Arc<Notify>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = look.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            match self.refresh() {
                Ok(true) => tracing::info!(event = "tls.renew", member = %self.keyring.identity()),
                Ok(false) => {}
                Err(error) => tracing::error!(event = "tls.fail", error = format!("{error:#}")),
            }
        }
    }
}

fn credentials(bytes: &[u8], path: &Path) -> Result<Credentials> {
    let text = std::str::from_utf8(bytes).ok();
    let read = text.and_then(|text| Credentials::from_secret_pem(text).ok());
    read.with_context(|| {
        format!("{} does not hold certificate, key and authority of a member", path.display())
    })
}

#[cfg(test)]
mod tests {
    use fabric::{Authority, Identity, Validity};

    use super::*;

    const LONG: Validity = Validity { not_before: 1_700_000_000, not_after: 4_000_000_000 };

    fn issue(authority: &Authority, role: Role, name: &str) -> String {
        authority.issue(&Identity::new(role, name).unwrap(), LONG).unwrap().to_secret_pem()
    }

    #[test]
    fn a_replaced_file_is_taken_once_and_a_broken_one_leaves_the_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub-a1.pem");
        let authority = Authority::generate(LONG).unwrap();
        secrets::write(&path, issue(&authority, Role::Hub, "hub-a1").as_bytes()).unwrap();
        let mut file = CredentialsFile::open(&path, Role::Hub, Some("hub-a1")).unwrap();
        assert!(!file.refresh().unwrap(), "nothing has changed");
        secrets::write(&path, issue(&authority, Role::Hub, "hub-a1").as_bytes()).unwrap();
        assert!(file.refresh().unwrap());
        secrets::write(&path, b"half a file").unwrap();
        assert!(file.refresh().is_err());
        assert!(!file.refresh().unwrap(), "the same mistake is told once");
        secrets::write(&path, issue(&authority, Role::Hub, "hub-a2").as_bytes()).unwrap();
        assert!(file.refresh().is_err(), "another member's file is no renewal");
        assert_eq!(file.keyring().identity().name(), "hub-a1");
    }

    #[test]
    fn anothers_file_and_one_that_others_can_read_are_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge1.pem");
        let authority = Authority::generate(LONG).unwrap();
        secrets::write(&path, issue(&authority, Role::Edge, "edge1").as_bytes()).unwrap();
        assert!(CredentialsFile::open(&path, Role::Edge, None).is_ok());
        let told = CredentialsFile::open(&path, Role::Hub, None).err().unwrap().to_string();
        assert!(told.contains("edge/edge1") && told.contains("a hub"), "{told}");
        assert!(CredentialsFile::open(&path, Role::Edge, Some("edge2")).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let told = CredentialsFile::open(&path, Role::Edge, None).err().unwrap().to_string();
        assert!(told.contains("W-1401"), "{told}");
    }
}
