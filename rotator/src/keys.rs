//! Keys: the root, the key of each epoch, the key of each grant (design §4).
//!
//! The root stays with the rotator role. Every other role holds a [`Keyring`]: the keys of the epoch now, the next,
//! and the one before for as long as a lease of it can still be alive. A device holds its own [`GrantKey`]s only.

use ring::{digest, hmac};
use zeroize::Zeroizing;

use crate::bounds::EPOCHS_HELD_MAX;
use crate::enc::enc;
use crate::schedule::Schedule;
use crate::time::UnixTime;

/// Key length everywhere: the output of HMAC-SHA256.
pub const KEY_BYTES: usize = 32;

/// The one secret from which every address follows. 32 random bytes.
pub struct Root(Zeroizing<[u8; KEY_BYTES]>);

impl Root {
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// `K[e] = HMAC(root, enc("epoch", e))`.
    pub fn epoch_key(&self, epoch: u64) -> EpochKey {
        EpochKey::new(epoch, *self.epoch_secret(epoch))
    }

    /// The bytes of `K[e]`, for handing them to a role in another process ([`EpochKey::new`] reads them there).
    pub fn epoch_secret(&self, epoch: u64) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(derive(&*self.0, "epoch", &[&epoch.to_be_bytes()]))
    }

    /// A key for one purpose beside addresses (decoys, challenges), so that no key serves two.
    pub fn purpose_key(&self, purpose: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(derive(&*self.0, "purpose", &[purpose.as_bytes()]))
    }
}

/// How time is cut into key epochs: `e = floor(unix / period)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEpochs {
    period_s: u64,
}

impl KeyEpochs {
    /// Seven days, the default key period.
    pub const WEEKLY: Self = Self { period_s: 7 * 24 * 3600 };

    /// A zero period is read as one second: time then still advances.
    pub const fn every(period_s: u64) -> Self {
        Self { period_s: if period_s == 0 { 1 } else { period_s } }
    }

    pub const fn period_s(self) -> u64 {
        self.period_s
    }

    pub const fn at(self, t: UnixTime) -> u64 {
        t.secs() / self.period_s
    }

    /// The shortest key period, in seconds, under which a schedule keeps its promises with the keys that a
    /// [`Keyring::around`] holds: an edge whose clock is `lead` ahead opens leases another `lead` ahead, which must
    /// not reach beyond the next epoch; and the keys still needed must fit in a ring.
    pub fn least_s(schedule: &Schedule) -> u64 {
        let ring = schedule.key_life_s().div_ceil(EPOCHS_HELD_MAX as u64 - 3);
        (2 * u64::from(schedule.lead_s)).max(ring).max(1)
    }

    /// The first second of epoch `e`.
    pub const fn start(self, epoch: u64) -> UnixTime {
        UnixTime::from_secs(epoch.saturating_mul(self.period_s))
    }
}

/// `K[e]`: derives every grant key of one epoch.
#[derive(Clone)]
pub struct EpochKey {
    epoch: u64,
    key: hmac::Key,
}

impl EpochKey {
    pub fn new(epoch: u64, bytes: [u8; KEY_BYTES]) -> Self {
        Self { epoch, key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) }
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// `G[e] = HMAC(K[e], enc("grant", device uuid, service, generation))`.
    pub fn grant_key(&self, grant: &GrantId, generation: u32) -> GrantKey {
        let fields: [&[u8]; 3] = [&grant.device, grant.service.as_bytes(), &generation.to_be_bytes()];
        GrantKey(Zeroizing::new(sign(&self.key, "grant", &fields)))
    }
}

/// A grant's identity in derivations: the device's UUID and the service's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantId {
    pub device: [u8; 16],
    pub service: Box<str>,
}

impl GrantId {
    /// First 64 bits of `SHA-256(enc("phase", device uuid, service))`; taken modulo a period it spreads turns evenly.
    pub fn phase(&self) -> u64 {
        let bytes = enc("phase", &[&self.device, self.service.as_bytes()]);
        leading_u64(digest::digest(&digest::SHA256, &bytes).as_ref())
    }
}

/// `G[e]`: a grant's key for one epoch; an agent computes its addresses and labels from it.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantKey(Zeroizing<[u8; KEY_BYTES]>);

impl GrantKey {
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes that enrollment hands to the device itself, over TLS.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// `HMAC(G[e], enc(label, fields…))`.
    pub fn derive(&self, label: &str, fields: &[&[u8]]) -> [u8; KEY_BYTES] {
        derive(&*self.0, label, fields)
    }
}

/// No key of that epoch is held here: the rotator has not handed it out, or it is long past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key of epoch {0} is held here")]
pub struct EpochMissing(pub u64);

/// The epoch keys that a role other than the rotator holds: two, or three for the `overlap` after an epoch's end.
#[derive(Clone)]
pub struct Keyring {
    epochs: KeyEpochs,
    keys: Vec<EpochKey>,
}

impl Keyring {
    /// The keys needed at `now`: of every epoch in which a window may begin that is early, alive or a tombstone now.
    ///
    /// `overlap_s` is how far back the first second of a lease may lie ([`Schedule::key_life_s`]); beyond
    /// [`EPOCHS_HELD_MAX`] epochs the oldest are left out. A key period of [`KeyEpochs::least_s`] or more is presumed.
    pub fn around(root: &Root, epochs: KeyEpochs, overlap_s: u64, now: UnixTime) -> Self {
        let newest = epochs.at(now).saturating_add(1);
        let oldest = epochs.at(now.minus(overlap_s)).max(newest.saturating_sub(EPOCHS_HELD_MAX as u64 - 1));
        let keys = (oldest..=newest).map(|e| root.epoch_key(e)).collect();
        Self { epochs, keys }
    }

    /// A ring of keys that were handed over, in any order; of more than [`EPOCHS_HELD_MAX`], the newest stay.
    pub fn of(epochs: KeyEpochs, mut keys: Vec<EpochKey>) -> Self {
        keys.sort_by_key(EpochKey::epoch);
        keys.dedup_by_key(|key| key.epoch);
        keys.drain(..keys.len().saturating_sub(EPOCHS_HELD_MAX));
        Self { epochs, keys }
    }

    pub fn epochs(&self) -> KeyEpochs {
        self.epochs
    }

    /// The first and last epoch held.
    pub fn held(&self) -> Option<(u64, u64)> {
        Some((self.keys.first()?.epoch, self.keys.last()?.epoch))
    }

    pub fn holds(&self, epoch: u64) -> bool {
        self.keys.binary_search_by_key(&epoch, EpochKey::epoch).is_ok()
    }

    /// The grant's key for a window whose first second is `start` ([`crate::Window::origin`]).
    pub fn grant_key(
        &self,
        start: UnixTime,
        grant: &GrantId,
        generation: u32,
    ) -> Result<GrantKey, EpochMissing> {
        let epoch = self.epochs.at(start);
        match self.keys.binary_search_by_key(&epoch, EpochKey::epoch) {
            Ok(index) => Ok(self.keys[index].grant_key(grant, generation)),
            Err(_) => Err(EpochMissing(epoch)),
        }
    }
}

/// The leading 64 bits, big-endian.
pub(crate) fn leading_u64(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |acc, b| acc << 8 | u64::from(*b))
}

/// The leading 128 bits, big-endian.
pub(crate) fn leading_u128(bytes: &[u8]) -> u128 {
    bytes.iter().take(16).fold(0, |acc, b| acc << 8 | u128::from(*b))
}

fn derive(key: &[u8], label: &str, fields: &[&[u8]]) -> [u8; KEY_BYTES] {
    sign(&hmac::Key::new(hmac::HMAC_SHA256, key), label, fields)
}

fn sign(key: &hmac::Key, label: &str, fields: &[&[u8]]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(key, &enc(label, fields));
    let mut out = [0; KEY_BYTES];
    out.copy_from_slice(tag.as_ref());
    out
}

// Secrets print masked: a Debug that reached a log would give away every address.
impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Root(masked)")
    }
}

impl std::fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EpochKey({}, masked)", self.epoch)
    }
}

impl std::fmt::Debug for GrantKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GrantKey(masked)")
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring(epochs {:?}, masked)", self.held())
    }
}
