//! What the edge knows of grants: leases by address, labels, cards. One writer, any number of readers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use dashmap::DashMap;
use rotator::{GrantNo, LabelBook, Lease, LeaseTable, Planner, UnixTime};
use state::{Card, Transport};

use crate::admission::{Door, ServerName, door, label_in_zone};

/// Shared by every core. Look-ups by strangers change nothing in it.
pub struct Roster {
    zone: Box<str>,
    leases: Arc<LeaseTable>,
    /// Touched by the follower and by answers to operators only.
    planner: Mutex<Planner>,
    labels: RwLock<LabelBook>,
    cards: DashMap<GrantNo, Arc<Card>>,
}

impl Roster {
    /// `zone` without a final dot.
    pub fn new(zone: &str) -> Self {
        Self {
            zone: zone.into(),
            leases: Arc::default(),
            planner: Mutex::new(Planner::new()),
            labels: RwLock::new(LabelBook::new()),
            cards: DashMap::new(),
        }
    }

    /// What stands at the destination of a newcomer.
    pub fn door(&self, address: IpAddr, (transport, port): (Transport, u16), now: UnixTime) -> Door {
        door(&self.leases.find(address), (transport, port), now, |no| self.card(no))
    }

    /// The table itself: a name server in the same process keeps its decoys away from it.
    pub fn leases(&self) -> &Arc<LeaseTable> {
        &self.leases
    }

    /// Addresses of a grant, oldest first, tombstones included.
    pub fn leases_of(&self, grant: GrantNo) -> Vec<(IpAddr, Lease)> {
        self.planner().leases_of(grant).to_vec()
    }

    pub fn card(&self, grant: GrantNo) -> Option<Arc<Card>> {
        self.cards.get(&grant).map(|card| Arc::clone(&card))
    }

    /// How many leases are in each stage of their life; for people, it looks at every one.
    pub fn stages(&self, now: UnixTime) -> BTreeMap<&'static str, usize> {
        let planner = self.planner();
        let mut stages = BTreeMap::new();
        for card in &self.cards {
            for (_, lease) in planner.leases_of(*card.key()) {
                *stages.entry(lease.life(now).name()).or_default() += 1;
            }
        }
        stages
    }

    /// Reads a host name or server name.
    pub fn server_name(&self, host: Option<&str>, now: UnixTime) -> ServerName {
        let Some(host) = host else { return ServerName::Missing };
        match label_in_zone(host, &self.zone) {
            None => ServerName::Foreign,
            Some(label) => ServerName::Ours(label.and_then(|l| self.read_labels().find(l, now))),
        }
    }

    pub fn zone(&self) -> &str {
        &self.zone
    }

    pub fn grants(&self) -> usize {
        self.cards.len()
    }

    /// The labels, for readers that show them to their owners.
    pub fn read_labels(&self) -> RwLockReadGuard<'_, LabelBook> {
        self.labels.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write_labels(&self) -> RwLockWriteGuard<'_, LabelBook> {
        self.labels.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn planner(&self) -> MutexGuard<'_, Planner> {
        self.planner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put_card(&self, card: Arc<Card>) {
        self.cards.insert(card.grant, card);
    }

    pub(crate) fn remove_card(&self, grant: GrantNo) {
        self.cards.remove(&grant);
    }
}
