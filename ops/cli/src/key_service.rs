//! The rotator's role: the only holder of the root. Hands out the epoch keys that others need now, and no more.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rotator::{KeyEpochs, Keyring, Root};
use state::{Clock, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::secrets;

/// Holds the root and publishes keyrings.
pub struct KeyService {
    root: Root,
    epochs: KeyEpochs,
    store: Arc<dyn Store>,
    clock: Clock,
}

impl KeyService {
    /// Reads the root from `dir`, or makes it.
    ///
    /// # Errors
    /// The file is readable by others, damaged, or can't be made.
    pub fn open(dir: &Path, store: Arc<dyn Store>, clock: Clock) -> Result<Self> {
        let root = Root::new(*secrets::key_file(&dir.join("root.key"))?);
        Ok(Self { root, epochs: KeyEpochs::WEEKLY, store, clock })
    }

    pub fn epochs(&self) -> KeyEpochs {
        self.epochs
    }

    /// A key for one purpose beside addresses.
    pub fn purpose(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        self.root.purpose_key(purpose)
    }

    /// Publishes the keyring of each moment until stopped.
    pub fn publish(self, stop: CancellationToken) -> watch::Receiver<Keyring> {
        let (sender, keys) = watch::channel(self.keyring());
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                let fresh = self.keyring();
                sender.send_if_modified(|known| {
                    let changed = known.held() != fresh.held();
                    *known = fresh;
                    changed
                });
                // The next epoch's keys are out one whole epoch ahead: a second more or less does not matter.
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        });
        keys
    }

    fn keyring(&self) -> Keyring {
        let overlap_s = self.store.read().key_life_s();
        Keyring::around(&self.root, self.epochs, overlap_s, self.clock.now())
    }
}
