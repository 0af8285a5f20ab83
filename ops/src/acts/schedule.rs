//! Schedules: a change is a new version that begins soon enough to matter and late enough to break nothing.

use defense::Reason;
use rotator::{Class, Schedule, UnixTime};
use state::bounds::SCHEDULE_VERSIONS_MAX;
use state::records::{Origin, ScheduleRecord, ScheduleVersion};
use state::txn::Record;
use state::{Name, Records, Refusal, Txn};

use super::{Decided, Order};

/// Seconds that the news of a change may take to every role.
const SPREAD_S: u64 = 2;

/// What changes of one class; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    pub window_s: Option<u32>,
    pub lead_s: Option<u32>,
    pub grace_s: Option<u32>,
    pub tombstone_s: Option<u32>,
    pub ttl_s: Option<u32>,
    pub label_s: Option<u32>,
    pub max_session_s: Option<u32>,
    pub stale: Option<rotator::Stale>,
}

/// What changes of a schedule, by class of client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deltas {
    pub name: Delta,
    pub agent: Delta,
}

/// A schedule and what it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescheduled {
    pub schedule: ScheduleRecord,
    /// The version that was last before; `None` for a new schedule.
    pub before: Option<ScheduleVersion>,
    /// The version that is last now.
    pub after: ScheduleVersion,
    pub changed: bool,
}

/// Changes parts of a schedule.
///
/// # Errors
/// `unknown_schedule`, `owned_by_config`, `schedule_invalid`.
pub fn set(records: &Records, order: &Order, name: &Name, deltas: &Deltas) -> Decided<Rescheduled> {
    let schedule = named(records, name)?;
    writable(schedule)?;
    let last = last(schedule)?;
    let pair = (deltas.name.on(last.name), deltas.agent.on(last.agent));
    decide(order, "schedule.set", Some(schedule), name, pair)
}

/// Replaces a whole schedule, or makes it.
///
/// # Errors
/// `owned_by_config`, `schedule_invalid`.
pub fn put(
    records: &Records,
    order: &Order,
    name: &Name,
    pair: (Schedule, Schedule),
) -> Decided<Rescheduled> {
    let known = records.schedule(name);
    known.map_or(Ok(()), writable)?;
    decide(order, "schedule.put", known, name, pair)
}

/// # Errors
/// `unknown_schedule`.
pub fn named<'a>(records: &'a Records, name: &Name) -> Result<&'a ScheduleRecord, Refusal> {
    records
        .schedule(name)
        .ok_or_else(|| Refusal::new(Reason::UnknownSchedule, format!("There is no schedule \"{name}\".")))
}

/// The record with a next version that begins as soon as nothing breaks by it; the same record if nothing changes.
///
/// # Errors
/// `schedule_invalid`, also when it was changed too often for all its versions to be kept.
pub fn next(
    known: &ScheduleRecord,
    now: UnixTime,
    pair: (Schedule, Schedule),
) -> Result<ScheduleRecord, Refusal> {
    let (name, agent) = (checked(Class::Name, pair.0)?, checked(Class::Agent, pair.1)?);
    let last = last(known)?;
    if (last.name, last.agent) == (name, agent) {
        return Ok(known.clone());
    }
    let from = soonest(known, now, [name, agent]);
    let mut versions = known.versions.clone();
    versions.retain(|v| v.from < from);
    versions.push(ScheduleVersion { from, name, agent });
    let dead = versions.windows(2).take_while(|pair| silent(&pair[0], pair[1].from) <= now).count();
    versions.drain(..dead);
    if versions.len() > SCHEDULE_VERSIONS_MAX {
        let detail = format!(
            "It was changed {SCHEDULE_VERSIONS_MAX} times while addresses of the first version stand: wait for their end."
        );
        return Err(Refusal::new(Reason::ScheduleInvalid, detail));
    }
    Ok(ScheduleRecord { versions, ..known.clone() })
}

/// A new record, in force from `now`.
///
/// # Errors
/// `schedule_invalid`.
pub fn first(
    name: &Name,
    origin: Origin,
    now: UnixTime,
    pair: (Schedule, Schedule),
) -> Result<ScheduleRecord, Refusal> {
    let (for_names, agent) = (checked(Class::Name, pair.0)?, checked(Class::Agent, pair.1)?);
    let versions = vec![ScheduleVersion { from: now, name: for_names, agent }];
    Ok(ScheduleRecord { name: name.clone(), origin, versions })
}

/// The version that is last, be it in force already or not.
///
/// # Errors
/// `internal_error` for a record without versions, which no writer makes.
pub fn last(schedule: &ScheduleRecord) -> Result<ScheduleVersion, Refusal> {
    schedule.versions.last().copied().ok_or_else(|| Refusal::from(Reason::InternalError))
}

impl Delta {
    pub fn on(&self, base: Schedule) -> Schedule {
        Schedule {
            period_s: self.window_s.unwrap_or(base.period_s),
            lead_s: self.lead_s.unwrap_or(base.lead_s),
            grace_s: self.grace_s.unwrap_or(base.grace_s),
            tombstone_s: self.tombstone_s.unwrap_or(base.tombstone_s),
            ttl_s: self.ttl_s.unwrap_or(base.ttl_s),
            label_period_s: self.label_s.unwrap_or(base.label_period_s),
            max_session_s: self.max_session_s.unwrap_or(base.max_session_s),
            stale: self.stale.unwrap_or(base.stale),
        }
    }
}

fn decide(
    order: &Order,
    verb: &str,
    known: Option<&ScheduleRecord>,
    name: &Name,
    pair: (Schedule, Schedule),
) -> Decided<Rescheduled> {
    let schedule = match known {
        Some(known) => next(known, order.now, pair)?,
        None => first(name, Origin::Api, order.now, pair)?,
    };
    let changed = known != Some(&schedule);
    let mut txn = Txn::new(order.act(verb, &format!("schedule/{name}")));
    if changed {
        txn = txn.put(Record::Schedule(schedule.clone()));
    }
    let (before, after) = (known.map(last).transpose()?, last(&schedule)?);
    Ok((txn, Rescheduled { schedule, before, after, changed }))
}

fn writable(schedule: &ScheduleRecord) -> Result<(), Refusal> {
    match schedule.origin {
        Origin::Api => Ok(()),
        Origin::Config => {
            let name = &schedule.name;
            let detail =
                format!("The schedule \"{name}\" stands in the file: change [schedule.{name}] there.");
            Err(Refusal::new(Reason::OwnedByConfig, detail))
        }
    }
}

fn checked(class: Class, schedule: Schedule) -> Result<Schedule, Refusal> {
    schedule.checked().map_err(|e| {
        let class = class_word(class);
        Refusal::new(Reason::ScheduleInvalid, format!("{class}.{}: {e}.", e.field()))
    })
}

pub(crate) const fn class_word(class: Class) -> &'static str {
    match class {
        Class::Name => "name",
        Class::Agent => "agent",
    }
}

/// As [`rotator::Tenure::soonest`], over every version and both classes: answers given before have left the caches, and
/// no clock has passed that second when the news arrives.
fn soonest(known: &ScheduleRecord, now: UnixTime, next: [Schedule; 2]) -> UnixTime {
    let all = || known.versions.iter().flat_map(|v| [v.name, v.agent]).chain(next);
    let lead_s = all().map(|s| s.lead_s).max().unwrap_or(0);
    let ttl_s = all().map(|s| s.ttl_s).max().unwrap_or(0);
    now.plus(2 * u64::from(lead_s) + u64::from(ttl_s) + 1 + SPREAD_S)
}

/// When the last address of a version that ended at `end` is silent for every clock.
fn silent(version: &ScheduleVersion, end: UnixTime) -> UnixTime {
    let reach = |s: Schedule| u64::from(s.grace_s) + u64::from(s.tombstone_s) + u64::from(s.lead_s);
    end.plus(reach(version.name).max(reach(version.agent)))
}
