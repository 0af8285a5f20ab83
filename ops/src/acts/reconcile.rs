//! What the configuration file declares, made so in one audited transaction.

use std::collections::BTreeSet;

use defense::Reason;
use rotator::Schedule;
use rotator::pool::Range;
use state::records::{Auth, Handling, Origin, PoolRecord, ScheduleRecord, Service};
use state::txn::{Change, Key, Record};
use state::{Listen, Name, Records, Refusal, Txn};

use super::{Decided, Order, schedule};

/// A schedule as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredSchedule {
    pub name: Name,
    pub for_names: Schedule,
    pub for_agents: Schedule,
}

/// A service as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredService {
    pub name: Name,
    pub to: std::net::SocketAddr,
    pub listen: Listen,
    pub auth: Auth,
    pub schedule: Name,
    pub pools: Vec<Name>,
    pub max_session_s: Option<u32>,
    pub handling: Handling,
}

/// Everything that the file declares, checked before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    pub pools: Vec<(Name, Range)>,
    pub schedules: Vec<DesiredSchedule>,
    /// Schedules that exist although the file does not say so (`standard`): made where absent, as the API's own, and
    /// left alone where present, so that `schedule set` may change them.
    pub default_schedules: Vec<DesiredSchedule>,
    pub services: Vec<DesiredService>,
}

/// What became different. Names as on disk: `service/web`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    pub written: Vec<String>,
    pub deleted: Vec<String>,
}

/// Writes what is declared, deletes what the file declared once and does not any more, and leaves the API's own alone.
/// A name that both have becomes the file's.
///
/// # Errors
/// `schedule_invalid`; `config_conflict` when a service of the API's own would be left without its pool or schedule.
pub fn reconcile(records: &Records, order: &Order, desired: &Desired) -> Decided<Reconciled> {
    let mut changes = Vec::new();
    changes.extend(desired.pools.iter().filter_map(|wanted| pool(records, wanted)));
    for wanted in &desired.schedules {
        changes.extend(declared_schedule(records, order, wanted)?);
    }
    for wanted in &desired.default_schedules {
        changes.extend(default_schedule(records, order, wanted)?);
    }
    changes.extend(desired.services.iter().filter_map(|wanted| service(records, wanted)));
    let gone = vanished(records, desired);
    orphans(records, desired, &gone)?;
    changes.extend(gone.into_iter().map(Change::Delete));

    let mut done = Reconciled::default();
    for change in &changes {
        match change {
            Change::Put(record) => done.written.push(record.key().to_string()),
            Change::Delete(key) => done.deleted.push(key.to_string()),
        }
    }
    let mut txn = Txn::new(order.act("config.apply", "config"));
    txn.changes = changes;
    Ok((txn, done))
}

fn pool(records: &Records, (name, range): &(Name, Range)) -> Option<Change> {
    let wanted = PoolRecord { name: name.clone(), origin: Origin::Config, range: range.to_string() };
    (records.pool(name) != Some(&wanted)).then_some(Change::Put(Record::Pool(wanted)))
}

/// Left alone, unless the file declared it once: then it becomes the default again, and the API's own.
fn default_schedule(
    records: &Records,
    order: &Order,
    wanted: &DesiredSchedule,
) -> Result<Option<Change>, Refusal> {
    let pair = (wanted.for_names, wanted.for_agents);
    let record = match records.schedule(&wanted.name) {
        Some(known) if known.origin == Origin::Api => return Ok(None),
        Some(known) => ScheduleRecord { origin: Origin::Api, ..schedule::next(known, order.now, pair)? },
        None => schedule::first(&wanted.name, Origin::Api, order.now, pair)?,
    };
    Ok(Some(Change::Put(Record::Schedule(record))))
}

fn declared_schedule(
    records: &Records,
    order: &Order,
    wanted: &DesiredSchedule,
) -> Result<Option<Change>, Refusal> {
    let pair = (wanted.for_names, wanted.for_agents);
    let known = records.schedule(&wanted.name);
    let record = match known {
        Some(known) => ScheduleRecord { origin: Origin::Config, ..schedule::next(known, order.now, pair)? },
        None => schedule::first(&wanted.name, Origin::Config, order.now, pair)?,
    };
    Ok((known != Some(&record)).then_some(Change::Put(Record::Schedule(record))))
}

fn service(records: &Records, wanted: &DesiredService) -> Option<Change> {
    let record = Service {
        name: wanted.name.clone(),
        origin: Origin::Config,
        to: wanted.to,
        listen: wanted.listen.clone(),
        auth: wanted.auth,
        schedule: wanted.schedule.clone(),
        pools: wanted.pools.clone(),
        max_session_s: wanted.max_session_s,
        handling: wanted.handling.clone(),
    };
    (records.service(&wanted.name) != Some(&record)).then_some(Change::Put(Record::Service(record)))
}

/// What the file declared once and does not any more.
fn vanished(records: &Records, desired: &Desired) -> Vec<Key> {
    let services: BTreeSet<_> = desired.services.iter().map(|s| &s.name).collect();
    let schedules: BTreeSet<_> =
        desired.schedules.iter().chain(&desired.default_schedules).map(|s| &s.name).collect();
    let pools: BTreeSet<_> = desired.pools.iter().map(|(name, _)| name).collect();
    let mut gone = Vec::new();
    let of_config = |origin: Origin| origin == Origin::Config;
    let old = records.services().filter(|s| of_config(s.origin) && !services.contains(&s.name));
    gone.extend(old.map(|s| Key::Service(s.name.clone())));
    let old = records.schedules().filter(|s| of_config(s.origin) && !schedules.contains(&s.name));
    gone.extend(old.map(|s| Key::Schedule(s.name.clone())));
    let old = records.pools().filter(|p| of_config(p.origin) && !pools.contains(&p.name));
    gone.extend(old.map(|p| Key::Pool(p.name.clone())));
    gone
}

/// Services of the API's own must not lose what they stand on.
fn orphans(records: &Records, desired: &Desired, gone: &[Key]) -> Result<(), Refusal> {
    let declared = |s: &Service| desired.services.iter().any(|d| d.name == s.name);
    for service in records.services().filter(|s| s.origin == Origin::Api && !declared(s)) {
        let schedule = Key::Schedule(service.schedule.clone());
        let stands_on = service.pools.iter().cloned().map(Key::Pool).chain([schedule]);
        if let Some(lost) = stands_on.into_iter().find(|key| gone.contains(key)) {
            let name = &service.name;
            let detail = format!(
                "{lost} left the file, and the service \"{name}\" still stands on it: `wandergate service rm {name}` first."
            );
            return Err(Refusal::new(Reason::ConfigConflict, detail));
        }
    }
    Ok(())
}
