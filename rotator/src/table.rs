//! Whose is this address: the look-up that every connection begins with.

use std::net::IpAddr;

use dashmap::DashMap;

use crate::lease::Lease;
use crate::planner::Turn;

/// Leases by address. One writer applies turns; any number of readers look up without waiting for each other.
///
/// Only our own leases are entries: a stranger's look-up never changes its size.
#[derive(Debug, Default)]
pub struct LeaseTable {
    slots: DashMap<IpAddr, Slot>,
}

/// Nearly every address has one lease; only small IPv4 pools share.
#[derive(Clone, Debug)]
enum Slot {
    One(Lease),
    Shared(Vec<Lease>),
}

/// The leases at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Never,
    One(Lease),
    Shared(Vec<Lease>),
}

impl LeaseTable {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn find(&self, address: IpAddr) -> Found {
        match self.slots.get(&address).as_deref() {
            None => Found::Never,
            Some(Slot::One(lease)) => Found::One(*lease),
            Some(Slot::Shared(leases)) => Found::Shared(leases.clone()),
        }
    }

    /// Opens, then closes: an address that stays is never missing in between.
    pub fn apply(&self, turn: &Turn) {
        for (address, lease) in &turn.opened {
            self.slots.entry(*address).and_modify(|slot| slot.put(*lease)).or_insert(Slot::One(*lease));
        }
        for (address, lease) in &turn.closed {
            self.slots.remove_if_mut(address, |_, slot| slot.drop_lease(lease));
        }
    }

    /// Addresses with at least one lease.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

impl Slot {
    fn put(&mut self, lease: Lease) {
        match self {
            Self::One(known) if same(known, &lease) => *known = lease,
            Self::One(known) => *self = Self::Shared(vec![*known, lease]),
            Self::Shared(leases) => match leases.iter_mut().find(|known| same(known, &lease)) {
                Some(known) => *known = lease,
                None => leases.push(lease),
            },
        }
    }

    /// True when nothing is left.
    fn drop_lease(&mut self, lease: &Lease) -> bool {
        match self {
            Self::One(known) => same(known, lease),
            Self::Shared(leases) => {
                leases.retain(|known| !same(known, lease));
                if let [last] = leases[..] {
                    *self = Self::One(last);
                    return false;
                }
                leases.is_empty()
            }
        }
    }
}

/// A grant has one lease per address: see [`Turn::opened`].
fn same(a: &Lease, b: &Lease) -> bool {
    a.grant == b.grant
}
