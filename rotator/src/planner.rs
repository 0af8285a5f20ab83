//! The planner: which leases open and close as time passes. One owner, one loop, no look-ups by strangers.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::bounds::LEASES_PER_TURN_MAX;
use crate::keys::{GrantId, Keyring};
use crate::lease::{GrantNo, Lease};
use crate::pool::Pool;
use crate::tenure::{Rhythm, Tenure, Window};
use crate::time::UnixTime;

/// What the planner knows of one grant.
#[derive(Clone, Debug)]
pub struct Plan {
    pub id: GrantId,
    pub tenure: Tenure,
    pub pools: Arc<[Pool]>,
}

/// What changes at one step of time. Apply `opened` before `closed`: make before break.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Leases to add, or to replace where the same grant and window stand at that address already.
    pub opened: Vec<(IpAddr, Lease)>,
    /// Leases to forget: fallen silent, or their grant is gone.
    pub closed: Vec<(IpAddr, Lease)>,
    /// Epochs whose keys were needed and not held: those leases could not be opened.
    pub epochs_missing: Vec<u64>,
}

/// Computes turns. Memory: one entry per grant and two per lease that is early, alive or a tombstone.
#[derive(Default)]
pub struct Planner {
    grants: HashMap<GrantNo, Entry>,
    /// When each grant's next lease opens or its oldest falls silent.
    agenda: BTreeMap<UnixTime, Vec<GrantNo>>,
}

struct Entry {
    plan: Plan,
    /// Open leases, by address.
    open: Vec<(IpAddr, Lease)>,
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
        let open = self.grants.remove(&grant).map(|entry| entry.open).unwrap_or_default();
        self.grants.insert(grant, Entry { plan, open });
        let mut turn = Turn::default();
        self.bring_up(grant, keys, now, &mut turn);
        turn
    }

    /// Forgets a grant: all its leases close, and fall silent at once.
    pub fn remove(&mut self, grant: GrantNo) -> Turn {
        let closed = self.grants.remove(&grant).map(|entry| entry.open).unwrap_or_default();
        Turn { closed, ..Turn::default() }
    }

    /// Everything that opens or falls silent up to and including `now`. A clock that went back changes nothing.
    pub fn advance(&mut self, keys: &Keyring, now: UnixTime) -> Turn {
        let mut turn = Turn::default();
        while let Some(due) = self.agenda.first_entry().filter(|first| *first.key() <= now) {
            for grant in due.remove() {
                self.bring_up(grant, keys, now, &mut turn);
            }
        }
        turn
    }

    /// The second of the next change, for the loop that drives this.
    pub fn next_due(&self) -> Option<UnixTime> {
        self.agenda.keys().next().copied()
    }

    /// Every open lease of one grant, oldest first.
    pub fn leases_of(&self, grant: GrantNo) -> &[(IpAddr, Lease)] {
        self.grants.get(&grant).map_or(&[], |entry| &entry.open)
    }

    /// Replaces the grant's open leases by those that should be open at `now`, and notes when to look again.
    fn bring_up(&mut self, grant: GrantNo, keys: &Keyring, now: UnixTime, turn: &mut Turn) {
        let Some(entry) = self.grants.get_mut(&grant) else { return };
        let before = std::mem::take(&mut entry.open);
        let (due, windows) = open_windows(&entry.plan.tenure, now);
        for window in windows {
            let lease = window.lease(grant);
            let kept = before.iter().filter(|(_, known)| *known == lease);
            let known = entry.open.len();
            entry.open.extend(kept.copied());
            if entry.open.len() > known {
                continue;
            }
            match keys.grant_key(window.origin, &entry.plan.id, window.term.generation) {
                Err(missing) => turn.epochs_missing.push(missing.0),
                Ok(key) => {
                    let pools = entry.plan.pools.iter();
                    entry.open.extend(pools.map(|pool| (pool.address(&key, window.number), lease)));
                    turn.opened.extend_from_slice(&entry.open[known..]);
                }
            }
        }
        let gone = before.into_iter().filter(|(address, lease)| {
            !entry.open.iter().any(|(a, l)| a == address && l.window == lease.window)
        });
        turn.closed.extend(gone);
        if let Some(due) = due {
            let grants = self.agenda.entry(due).or_default();
            if grants.last() != Some(&grant) {
                grants.push(grant);
            }
        }
    }
}

/// The windows whose leases are accepted or tombstones at `now`, and the next second at which that set changes.
fn open_windows(tenure: &Tenure, now: UnixTime) -> (Option<UnixTime>, Vec<Window>) {
    let mut due: Option<UnixTime> = None;
    let mut open = Vec::new();
    let mut ahead = 0;
    for window in tenure
        .windows_from(now.minus(tenure.life_s(Rhythm::Address)), Rhythm::Address)
        .take(LEASES_PER_TURN_MAX)
    {
        let lease = window.lease(0);
        let change = if now < lease.opens() { lease.opens() } else { lease.silent() };
        if now < lease.silent() {
            due = Some(due.map_or(change, |d| d.min(change)));
        }
        if lease.opens() <= now && now < lease.silent() {
            open.push(window);
        }
        // A later term may have a longer lead, so one window beyond the next is looked at, and each term's first.
        if window.start > now {
            ahead += 1;
        }
        if ahead > 1 && tenure.terms().last().is_none_or(|last| last.from <= window.start) {
            break;
        }
    }
    (due, open)
}
