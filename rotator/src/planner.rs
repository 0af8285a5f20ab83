//! The planner: which leases open and close as time passes. One owner, one loop, no look-ups by strangers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::agenda::Agenda;
use crate::keys::{GrantId, Keyring};
use crate::lease::{GrantNo, Lease};
use crate::pool::Pool;
use crate::shared::one_per_address;
use crate::tenure::{Rhythm, Tenure};
use crate::time::UnixTime;

/// What the planner knows of one grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub id: GrantId,
    pub tenure: Tenure,
    pub pools: Arc<[Pool]>,
}

/// What changes at one step of time. Apply `opened` before `closed`: make before break.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Leases to add, or to replace where the same grant stands at that address already: a grant has one lease per
    /// address, which says all that is accepted there at its time.
    pub opened: Vec<(IpAddr, Lease)>,
    /// Leases to forget: fallen silent, or their grant is gone.
    pub closed: Vec<(IpAddr, Lease)>,
    /// Epochs whose keys are needed and not held: leases stay unopened until an `advance` brings the keys.
    pub epochs_missing: Vec<u64>,
}

/// Computes turns. Memory: one entry per grant and two per lease that is early, alive or a tombstone.
#[derive(Default)]
pub struct Planner {
    grants: HashMap<GrantNo, Box<Entry>>,
    agenda: Agenda,
}

struct Entry {
    plan: Plan,
    /// Open leases, oldest first.
    open: Box<[(IpAddr, Lease)]>,
}

impl Planner {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.grants.len()
    }

    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// Adds a grant, or replaces what was known of it; its leases are brought up to `now` at once.
    pub fn put(&mut self, grant: GrantNo, plan: Plan, keys: &Keyring, now: UnixTime) -> Turn {
        let mut turn = Turn::default();
        let known = self.grants.remove(&grant);
        let same = known.as_ref().is_some_and(|entry| entry.plan == plan);
        let open = known.map(|entry| entry.open).unwrap_or_default();
        self.grants.insert(grant, Box::new(Entry { plan, open }));
        self.bring_up(grant, keys, now, same, &mut turn);
        turn.epochs_missing = self.agenda.epochs_missing();
        turn
    }

    /// Forgets a grant: all its leases close, and fall silent at once.
    pub fn remove(&mut self, grant: GrantNo) -> Turn {
        self.agenda.forget(grant);
        let closed = self.grants.remove(&grant).map(|entry| entry.open.into_vec()).unwrap_or_default();
        Turn { closed, epochs_missing: self.agenda.epochs_missing(), ..Turn::default() }
    }

    /// Everything that opens or falls silent up to and including `now`, and what waited for a key that is now held. A
    /// clock that went back changes nothing.
    pub fn advance(&mut self, keys: &Keyring, now: UnixTime) -> Turn {
        let mut turn = Turn::default();
        let (now, grants) = self.agenda.take(keys, now);
        for grant in grants {
            self.bring_up(grant, keys, now, true, &mut turn);
        }
        turn.epochs_missing = self.agenda.epochs_missing();
        turn
    }

    /// Brings every grant to `now`, even back: for a clock that ran ahead and was set right.
    pub fn restart(&mut self, keys: &Keyring, now: UnixTime) -> Turn {
        let mut turn = Turn::default();
        self.agenda.restart(now);
        let mut grants: Vec<_> = self.grants.keys().copied().collect();
        grants.sort_unstable();
        for grant in grants {
            self.bring_up(grant, keys, now, true, &mut turn);
        }
        turn.epochs_missing = self.agenda.epochs_missing();
        turn
    }

    /// The second of the next change, for the loop that drives this.
    pub fn next_due(&self) -> Option<UnixTime> {
        self.agenda.next()
    }

    /// Every open lease of one grant, oldest first.
    pub fn leases_of(&self, grant: GrantNo) -> &[(IpAddr, Lease)] {
        self.grants.get(&grant).map_or(&[], |entry| &entry.open)
    }

    /// Replaces the grant's open leases by those that should be open at `now`, and notes when to look again.
    /// `reuse`: the plan is the one that the open leases were derived by.
    fn bring_up(&mut self, grant: GrantNo, keys: &Keyring, now: UnixTime, reuse: bool, turn: &mut Turn) {
        let Some(entry) = self.grants.get_mut(&grant) else { return };
        let standing = entry.plan.tenure.standing(now, Rhythm::Address);
        let mut missing = Vec::new();
        let mut found = Vec::with_capacity(standing.open.len() * entry.plan.pools.len());
        for window in &standing.open {
            let lease = window.lease(grant);
            if reuse && entry.reuse(&lease, &mut found) {
                continue;
            }
            match keys.grant_key(window.origin, &entry.plan.id, window.term.generation) {
                Err(epoch) => missing.push(epoch.0),
                Ok(key) => {
                    found.extend(
                        entry.plan.pools.iter().map(|pool| (pool.address(&key, window.number), lease)),
                    );
                }
            }
        }
        let change = one_per_address(&mut found, now);
        let before = std::mem::take(&mut entry.open);
        compare(before.into_vec(), &found, turn);
        found.sort_by_key(|(_, lease)| lease.start);
        entry.open = found.into_boxed_slice();
        self.agenda.note(grant, standing.due.into_iter().chain(change).min(), &missing);
    }
}

impl Entry {
    /// Adds the addresses that this very lease has already, if it has one in each pool: no derivation.
    fn reuse(&self, lease: &Lease, found: &mut Vec<(IpAddr, Lease)>) -> bool {
        let from = self.open.partition_point(|(_, known)| known.start < lease.start);
        let until = from + self.open[from..].partition_point(|(_, known)| known.start == lease.start);
        let had = found.len();
        found.extend(self.open[from..until].iter().filter(|(_, known)| known == lease));
        let whole = found.len() - had == self.plan.pools.len();
        if !whole {
            found.truncate(had);
        }
        whole
    }
}

/// Notes what is in `after` and was not in `before`, and the reverse. `after` is in order of address, one lease each.
fn compare(mut before: Vec<(IpAddr, Lease)>, after: &[(IpAddr, Lease)], turn: &mut Turn) {
    before.sort_by_key(|(address, _)| *address);
    let known = |open: &(IpAddr, Lease)| {
        before.binary_search_by_key(&open.0, |(address, _)| *address).is_ok_and(|i| before[i].1 == open.1)
    };
    turn.opened.extend(after.iter().filter(|open| !known(open)));
    let stays = |address: IpAddr| after.binary_search_by_key(&address, |(address, _)| *address).is_ok();
    turn.closed.extend(before.into_iter().filter(|(address, _)| !stays(*address)));
}
