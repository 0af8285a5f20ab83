//! Decoys: what an unknown label answers, by the same law as a real one, so that asking tells nothing. Pure.
//!
//! A decoy is a grant of nobody: its key comes from the front's own secret and the label, its schedule and pools from
//! one of the services, and from there on it is computed as any lease is.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rotator::tenure::Rhythm;
use rotator::{EpochKey, GrantId, Pool, Tenure, Term, UnixTime, announce};

use crate::bounds::DECOY_TRIES_MAX;
use crate::view::Addresses;

/// What decoys are derived from: 32 random bytes that no other purpose shares. Fronts of one zone share them.
#[derive(Clone)]
pub struct DecoySecret(pub [u8; 32]);

// It tells decoys from real labels.
impl fmt::Debug for DecoySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecoySecret(masked)")
    }
}

/// What a class of real labels looks like: its schedule through time, and its pools.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Oldest first; the first is in force since ever.
    pub terms: Vec<Term>,
    pub pools: Arc<[Pool]>,
}

/// Derives decoys.
#[derive(Clone)]
pub struct Decoys {
    key: EpochKey,
    shapes: Vec<Shape>,
}

impl Decoys {
    pub fn new(secret: &DecoySecret) -> Self {
        Self { key: EpochKey::new(0, secret.0), shapes: Vec::new() }
    }

    /// Shapes without a pool are left out: they answer nothing to copy.
    pub fn set_shapes(&mut self, shapes: Vec<Shape>) {
        self.shapes = shapes.into_iter().filter(|shape| !shape.pools.is_empty()).collect();
    }

    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// The label's decoy; letters' case does not matter. `None` while there is no service to look like.
    ///
    /// `leased` tells of addresses that somebody holds now: such a one is never given. In a pool where none is found
    /// free within [`DECOY_TRIES_MAX`] tries, the decoy has no address.
    pub fn of(&self, label: &[u8], leased: impl Fn(IpAddr) -> bool, now: UnixTime) -> Option<Addresses> {
        // Bytes that are no UTF-8 become one and the same character; no real label has them.
        let id = GrantId {
            device: [0; 16],
            service: String::from_utf8_lossy(&label.to_ascii_lowercase()).into_owned().into(),
        };
        let law = self.key.grant_key(&id, 0).derive("decoy", &[]);
        let (phase, choice) = (number(&law[..8]), number(&law[8..16]));
        let shape = self.shapes.get(usize::try_from(choice % self.shapes.len().max(1) as u64).ok()?)?;
        let window = Tenure::new(phase, shape.terms.clone()).window_at(now, Rhythm::Address)?;
        let free = |pool: &Pool| {
            let mut tries = 0..DECOY_TRIES_MAX;
            tries.find_map(|counter| {
                let address = pool.address(&self.key.grant_key(&id, counter), window.number);
                (!leased(address)).then_some(address)
            })
        };
        let addresses = shape.pools.iter().filter_map(free).collect();
        Some(Addresses { addresses, ttl_s: announce::ttl(&window, now) })
    }
}

impl fmt::Debug for Decoys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoys({} shapes, masked)", self.shapes.len())
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |acc, byte| acc << 8 | u64::from(*byte))
}
