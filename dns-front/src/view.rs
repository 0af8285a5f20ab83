//! What the front knows: the zone, who bears which label, grants, keys, decoys. Pure; brought up to date in small steps.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use rotator::label_book::Naming;
use rotator::{Found, GrantNo, Keyring, Label, LabelBook, LeaseTable, Plan, Pool, UnixTime, announce};

use crate::decoy::{Decoys, Shape};
use crate::zone::{Fixed, Zone};

/// What a label that nobody bears is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// An address derived from the label, leased to nobody: a stranger can't tell it from a real one.
    Decoy,
    /// The name does not exist.
    NxDomain,
}

/// A name's addresses now, and for how long they may be cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub addresses: Vec<IpAddr>,
    pub ttl_s: u32,
}

/// Who answers at one label of the zone.
#[derive(Debug)]
pub enum Bearer<'a> {
    Fixed(&'a Fixed),
    /// A grant; the answer is its live window's.
    Grant(Addresses),
    /// A grant that can't be answered for: the key of its window's epoch is not held here.
    KeyMissing,
    /// A label that nobody bears, answered as if somebody did.
    Decoy(Addresses),
    Nobody,
}

/// Everything that an answer depends on, but for the question and the time.
pub struct View {
    zone: Zone,
    unknown: Unknown,
    decoys: Decoys,
    keys: Keyring,
    labels: LabelBook,
    grants: HashMap<GrantNo, Plan>,
    leases: Arc<LeaseTable>,
    serial: u32,
}

impl View {
    /// `leases` tells which addresses a decoy must not have.
    pub fn new(zone: Zone, unknown: Unknown, decoys: Decoys, keys: Keyring, leases: Arc<LeaseTable>) -> Self {
        let (labels, grants) = (LabelBook::new(), HashMap::new());
        Self { zone, unknown, decoys, keys, labels, grants, leases, serial: 0 }
    }

    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    pub fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// The SOA's serial: the newest second that [`View::advance`] was told of. It never goes back while a front runs.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Grants that have a name here.
    pub fn len(&self) -> usize {
        self.grants.len()
    }

    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// Shapes that decoys copy.
    pub fn decoy_shapes(&self) -> usize {
        self.decoys.shapes().len()
    }

    pub fn grant_numbers(&self) -> impl Iterator<Item = GrantNo> + '_ {
        self.grants.keys().copied()
    }

    /// The grant that bears a label now.
    pub fn find(&self, label: &[u8], now: UnixTime) -> Option<GrantNo> {
        self.labels.find(Label::parse(label)?, now)
    }

    /// Who answers at `label` (one label below the zone, in any case).
    pub fn bearer(&self, label: &[u8], now: UnixTime) -> Bearer<'_> {
        if let Some(fixed) = self.zone.fixed(label) {
            return Bearer::Fixed(fixed);
        }
        if let Some(plan) = self.find(label, now).and_then(|no| self.grants.get(&no)) {
            return self.announced(plan, now);
        }
        match self.unknown {
            Unknown::NxDomain => Bearer::Nobody,
            Unknown::Decoy => {
                let leased = |address| self.leases.find(address) != Found::Never;
                self.decoys.of(label, leased, now).map_or(Bearer::Nobody, Bearer::Decoy)
            }
        }
    }

    /// Adds a grant, or replaces what was known of it.
    pub fn put(&mut self, grant: GrantNo, mut plan: Plan, naming: Naming, now: UnixTime) {
        if let Some(shape) = self.decoys.shapes().iter().find(|shape| shape.pools == plan.pools) {
            // A million grants share the pools of a few services.
            plan.pools = Arc::clone(&shape.pools);
        }
        self.labels.put(grant, naming, &self.keys, now);
        self.grants.insert(grant, plan);
    }

    /// Forgets a grant: its label is as any that nobody ever had.
    pub fn remove(&mut self, grant: GrantNo) {
        self.labels.remove(grant);
        self.grants.remove(&grant);
    }

    /// Rotating labels of the new keys appear as their grants are put again.
    pub fn set_keys(&mut self, keys: Keyring) {
        self.keys = keys;
    }

    pub fn set_shapes(&mut self, shapes: Vec<Shape>) {
        self.decoys.set_shapes(shapes);
    }

    /// Turns rotating labels up to `now`.
    pub fn advance(&mut self, now: UnixTime) {
        self.labels.advance(&self.keys, now);
        self.serial = self.serial.max(u32::try_from(now.secs()).unwrap_or(u32::MAX));
    }

    fn announced(&self, plan: &Plan, now: UnixTime) -> Bearer<'_> {
        let pools: &[Pool] = &plan.pools;
        match announce(&plan.id, &plan.tenure, pools, &self.keys, now) {
            Ok(Some(said)) => Bearer::Grant(Addresses { addresses: said.addresses, ttl_s: said.ttl_s }),
            // Enrolled by a clock that is ahead of ours: its first second comes soon, until then it has no address.
            Ok(None) => Bearer::Grant(Addresses { addresses: Vec::new(), ttl_s: 0 }),
            Err(_) => Bearer::KeyMissing,
        }
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "View({}, {} grants, {:?})", self.zone.name(), self.grants.len(), self.unknown)
    }
}
