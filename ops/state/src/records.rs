//! Everything that is remembered, in memory, with the indices that look-ups need. Pure: `apply` is the only change.

mod kinds;
mod record;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rotator::{GrantNo, Label};
use uuid::Uuid;

pub use kinds::{
    Auth, BEHIND_FABRIC, Budget, Device, GenerationRecord, Grant, Handling, Invite, InviteHash, Origin,
    PoolRecord, PublicKey, Revoked, ScheduleRecord, ScheduleVersion, Service, Speaks, Use, User,
};
pub use record::{Change, Key, Record};

use crate::names::Name;

/// All records at one revision.
#[derive(Clone, Debug, Default)]
pub struct Records {
    revision: u64,
    users: BTreeMap<Uuid, User>,
    devices: BTreeMap<Uuid, Device>,
    grants: BTreeMap<GrantNo, Grant>,
    invites: BTreeMap<InviteHash, Invite>,
    schedules: BTreeMap<Name, ScheduleRecord>,
    pools: BTreeMap<Name, PoolRecord>,
    services: BTreeMap<Name, Service>,
    user_by_name: HashMap<Name, Uuid>,
    device_by_key: HashMap<PublicKey, Uuid>,
    devices_by_user: HashMap<Uuid, BTreeSet<Uuid>>,
    grants_by_device: HashMap<Uuid, BTreeSet<GrantNo>>,
    grants_by_service: HashMap<Name, BTreeSet<GrantNo>>,
    grant_by_label: HashMap<Label, GrantNo>,
}

impl Records {
    /// Transactions so far; also the length of the audit chain.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn len(&self) -> usize {
        self.users.len()
            + self.devices.len()
            + self.grants.len()
            + self.invites.len()
            + self.schedules.len()
            + self.pools.len()
            + self.services.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    pub fn user(&self, id: Uuid) -> Option<&User> {
        self.users.get(&id)
    }

    pub fn user_named(&self, name: &Name) -> Option<&User> {
        self.users.get(self.user_by_name.get(name)?)
    }

    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    pub fn device(&self, id: Uuid) -> Option<&Device> {
        self.devices.get(&id)
    }

    pub fn device_with_key(&self, key: &PublicKey) -> Option<&Device> {
        self.devices.get(self.device_by_key.get(key)?)
    }

    pub fn devices_of(&self, user: Uuid) -> impl Iterator<Item = &Device> {
        let ids = self.devices_by_user.get(&user).into_iter().flatten();
        ids.filter_map(|id| self.devices.get(id))
    }

    pub fn grants(&self) -> impl Iterator<Item = (GrantNo, &Grant)> {
        self.grants.iter().map(|(no, grant)| (*no, grant))
    }

    pub fn grant(&self, no: GrantNo) -> Option<&Grant> {
        self.grants.get(&no)
    }

    pub fn grant_labeled(&self, label: Label) -> Option<GrantNo> {
        self.grant_by_label.get(&label).copied()
    }

    pub fn grants_of(&self, device: Uuid) -> impl Iterator<Item = (GrantNo, &Grant)> {
        let numbers = self.grants_by_device.get(&device).into_iter().flatten();
        numbers.filter_map(|no| Some((*no, self.grants.get(no)?)))
    }

    pub fn grants_for(&self, service: &Name) -> impl Iterator<Item = GrantNo> + '_ {
        self.grants_by_service.get(service).into_iter().flatten().copied()
    }

    /// The number of the next new grant. Numbers are never given twice: grants are kept for good.
    pub fn next_grant(&self) -> GrantNo {
        self.grants.last_key_value().map_or(1, |(no, _)| no.saturating_add(1))
    }

    pub fn invites(&self) -> impl Iterator<Item = (&InviteHash, &Invite)> {
        self.invites.iter()
    }

    pub fn invite(&self, hash: &InviteHash) -> Option<&Invite> {
        self.invites.get(hash)
    }

    pub fn schedules(&self) -> impl Iterator<Item = &ScheduleRecord> {
        self.schedules.values()
    }

    pub fn schedule(&self, name: &Name) -> Option<&ScheduleRecord> {
        self.schedules.get(name)
    }

    pub fn pools(&self) -> impl Iterator<Item = &PoolRecord> {
        self.pools.values()
    }

    pub fn pool(&self, name: &Name) -> Option<&PoolRecord> {
        self.pools.get(name)
    }

    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    pub fn service(&self, name: &Name) -> Option<&Service> {
        self.services.get(name)
    }

    /// Brings the records to the next revision.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            self.apply_one(change);
        }
        self.revision += 1;
    }

    /// Puts back a revision that was read from disk together with its records.
    pub(crate) fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    pub(crate) fn apply_one(&mut self, change: &Change) {
        match change {
            Change::Put(record) => {
                self.forget(&record.key());
                self.put(record.clone());
            }
            Change::Delete(key) => self.forget(key),
        }
    }

    fn put(&mut self, record: Record) {
        match record {
            Record::User(user) => {
                self.user_by_name.insert(user.name.clone(), user.id);
                self.users.insert(user.id, user);
            }
            Record::Device(device) => {
                if let Some(key) = device.public_key {
                    self.device_by_key.insert(key, device.id);
                }
                self.devices_by_user.entry(device.user).or_default().insert(device.id);
                self.devices.insert(device.id, device);
            }
            Record::Grant(no, grant) => {
                if let Some(label) = grant.label {
                    self.grant_by_label.insert(label, no);
                }
                self.grants_by_device.entry(grant.device).or_default().insert(no);
                self.grants_by_service.entry(grant.service.clone()).or_default().insert(no);
                self.grants.insert(no, grant);
            }
            Record::Invite(hash, invite) => {
                self.invites.insert(hash, invite);
            }
            Record::Schedule(schedule) => {
                self.schedules.insert(schedule.name.clone(), schedule);
            }
            Record::Pool(pool) => {
                self.pools.insert(pool.name.clone(), pool);
            }
            Record::Service(service) => {
                self.services.insert(service.name.clone(), service);
            }
        }
    }

    fn forget(&mut self, key: &Key) {
        match key {
            Key::User(id) => {
                if let Some(user) = self.users.remove(id) {
                    self.user_by_name.remove(&user.name);
                }
            }
            Key::Device(id) => {
                if let Some(device) = self.devices.remove(id) {
                    device.public_key.map(|key| self.device_by_key.remove(&key));
                    discard(&mut self.devices_by_user, &device.user, id);
                }
            }
            Key::Grant(no) => {
                if let Some(grant) = self.grants.remove(no) {
                    grant.label.map(|label| self.grant_by_label.remove(&label));
                    discard(&mut self.grants_by_device, &grant.device, no);
                    discard(&mut self.grants_by_service, &grant.service, no);
                }
            }
            Key::Invite(hash) => {
                self.invites.remove(hash);
            }
            Key::Schedule(name) => {
                self.schedules.remove(name);
            }
            Key::Pool(name) => {
                self.pools.remove(name);
            }
            Key::Service(name) => {
                self.services.remove(name);
            }
        }
    }
}

fn discard<K: std::hash::Hash + Eq, V: Ord>(index: &mut HashMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = index.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            index.remove(key);
        }
    }
}
