//! What a grant means now: derived from its records, the same way for edges, DNS and answers to people.

use std::sync::Arc;

use rotator::label_book::Naming;
use rotator::pool::Range;
use rotator::tenure::{Cut, Tenure, Term};
use rotator::{Class, GrantId, GrantNo, Plan, Pool, Schedule, UnixTime};
use uuid::Uuid;

use crate::listen::Listen;
use crate::names::Name;
use crate::records::{
    Auth, Device, GenerationRecord, Grant, Handling, PublicKey, Records, ScheduleRecord, ScheduleVersion,
    Service, User,
};
use crate::records::{Change, Key};

/// Whose a grant is and what for: what travels with an admitted connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    pub grant: GrantNo,
    pub user: Name,
    pub user_id: Uuid,
    pub device: Name,
    pub device_id: Uuid,
    pub class: Class,
    pub service: Name,
    pub listen: Listen,
    pub auth: Auth,
    /// The device's, if it is enrolled with one.
    pub key: Option<PublicKey>,
    pub handling: Arc<Handling>,
}

/// Everything that a role needs to serve a grant.
#[derive(Clone, Debug)]
pub struct GrantView {
    pub card: Arc<Card>,
    pub plan: Plan,
    pub naming: Naming,
}

impl Records {
    /// The grant as it is to be served; `None` when it, its device or its user is revoked, or its service is gone.
    pub fn grant_view(&self, no: GrantNo) -> Option<GrantView> {
        let grant = self.grant(no)?;
        let device = self.device(grant.device).filter(|d| d.revoked.is_none())?;
        let user = self.user(device.user).filter(|u| u.revoked.is_none())?;
        let service = self.service(&grant.service)?;
        let schedule = self.schedule(&service.schedule)?;
        let id = GrantId { device: *device.id.as_bytes(), service: grant.service.as_str().into() };
        let terms_of = |version: &ScheduleVersion| service.schedule_of(version.of(device.class));
        let tenure = tenure(&id, grant, schedule, terms_of);
        let pools: Arc<[Pool]> = service.pools.iter().filter_map(|name| self.pool_of(name)).collect();
        let naming = match (device.class, grant.label) {
            (Class::Name, Some(label)) => Naming::Stable(label),
            (Class::Agent, _) | (Class::Name, None) => {
                Naming::Rotating { id: id.clone(), tenure: tenure.clone() }
            }
        };
        let card = Arc::new(card(no, user, device, service));
        Some(GrantView { card, plan: Plan { id, tenure, pools }, naming })
    }

    /// Grants that a change touches: those a role must look at again.
    pub fn grants_touched(&self, change: &Change) -> Vec<GrantNo> {
        match change.key() {
            Key::Grant(no) => vec![no],
            Key::Device(id) => self.grants_of(id).map(|(no, _)| no).collect(),
            Key::User(id) => {
                self.devices_of(id).flat_map(|d| self.grants_of(d.id)).map(|(no, _)| no).collect()
            }
            Key::Service(name) => self.grants_for(&name).collect(),
            Key::Schedule(name) => self.grants_where(|s| s.schedule == name),
            Key::Pool(name) => self.grants_where(|s| s.pools.contains(&name)),
            Key::Invite(_) => Vec::new(),
        }
    }

    /// The longest look-back that any schedule asks of a keyring, in seconds.
    pub fn key_life_s(&self) -> u64 {
        let versions = self.schedules().flat_map(|s| &s.versions);
        versions.map(|v| v.name.key_life_s().max(v.agent.key_life_s())).max().unwrap_or(0)
    }

    fn pool_of(&self, name: &Name) -> Option<Pool> {
        let range: Range = self.pool(name)?.range.parse().ok()?;
        Some(Pool { id: name.as_str().into(), range })
    }

    fn grants_where(&self, wanted: impl Fn(&Service) -> bool) -> Vec<GrantNo> {
        self.services().filter(|s| wanted(s)).flat_map(|s| self.grants_for(&s.name)).collect()
    }
}

fn card(no: GrantNo, user: &User, device: &Device, service: &Service) -> Card {
    Card {
        grant: no,
        user: user.name.clone(),
        user_id: user.id,
        device: device.name.clone(),
        device_id: device.id,
        class: device.class,
        service: service.name.clone(),
        listen: service.listen.clone(),
        auth: service.auth,
        key: device.public_key,
        handling: Arc::new(service.handling.clone()),
    }
}

/// A term begins whenever the grant's generation or its schedule changes.
fn tenure(
    id: &GrantId,
    grant: &Grant,
    schedule: &ScheduleRecord,
    terms_of: impl Fn(&ScheduleVersion) -> Schedule,
) -> Tenure {
    let Some(first) = grant.generations.first() else { return Tenure::new(id.phase(), Vec::new()) };
    let generations = grant.generations.iter().map(|g| g.from);
    let versions = schedule.versions.iter().map(|v| v.from).filter(|from| *from > first.from);
    let mut starts: Vec<UnixTime> = generations.chain(versions).collect();
    starts.sort_unstable();
    starts.dedup();
    let terms = starts.into_iter().filter_map(|from| {
        let generation = generation_at(grant, from)?;
        let cut = if generation.from == from { generation.cut() } else { Cut::Grace };
        Some(Term { from, generation: generation.number, schedule: terms_of(schedule.at(from)?), cut })
    });
    Tenure::new(id.phase(), terms.collect())
}

fn generation_at(grant: &Grant, t: UnixTime) -> Option<&GenerationRecord> {
    grant.generations.iter().rev().find(|g| g.from <= t)
}
