//! What a schedule will do, and what a change of it would: windows of real grants, and figures before and after.

use rotator::preview::{Previewed, preview, preview_schedule};
use rotator::{Class, Cut, GrantNo, Schedule, Tenure, Term, UnixTime};
use state::grants::GrantView;
use state::records::ScheduleVersion;
use state::{Name, Records, Refusal};

use crate::acts::schedule::{self, Deltas};
use crate::bounds::PREVIEW_GRANTS_MAX;
use crate::exposure::{PoolExposure, grants_by_service, report, report_with};

/// A schedule as it is and as it would be.
#[derive(Clone, Debug, PartialEq)]
pub struct Foresight {
    pub from: UnixTime,
    pub until: UnixTime,
    pub before: ScheduleVersion,
    /// The proposed version, with the second at which it would begin; `None` when nothing would change.
    pub after: Option<ScheduleVersion>,
    pub rows: Vec<Row>,
    pub name: Impact,
    pub agent: Impact,
    /// By pool: figures before, and after where something would change.
    pub exposure: Vec<(PoolExposure, Option<PoolExposure>)>,
}

/// The windows of one grant, or of nobody's where a class has no grant yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub class: Class,
    /// User, device and service.
    pub owner: Option<(Name, Name, Name)>,
    pub before: Vec<Previewed>,
    pub after: Vec<Previewed>,
}

/// What it means for one class of client.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impact {
    pub grants: u64,
    /// Most DNS queries a second that well-kept resolvers send for them: one per grant and TTL.
    pub dns_per_s_before: f64,
    pub dns_per_s_after: f64,
    pub moves_per_hour_before: f64,
    pub moves_per_hour_after: f64,
}

/// # Errors
/// `unknown_schedule`; `schedule_invalid` when the change would be refused.
pub fn foresee(
    records: &Records,
    now: UnixTime,
    name: &Name,
    deltas: &Deltas,
    for_s: u64,
    rate: f64,
) -> Result<Foresight, Refusal> {
    let known = schedule::named(records, name)?;
    let before = schedule::last(known)?;
    let pair = (deltas.name.on(before.name), deltas.agent.on(before.agent));
    let next = schedule::last(&schedule::next(known, now, pair)?)?;
    let after = ((next.name, next.agent) != (before.name, before.agent)).then_some(next);
    let mut rows = Vec::new();
    for class in [Class::Name, Class::Agent] {
        rows.extend(rows_of(records, name, class, (before, after), now, for_s));
    }
    let exposure_before = report(records, now, rate);
    let exposure_after = after.map(|after| {
        report_with(records, now, rate, |s, class, old| if s == name { after.of(class) } else { old })
    });
    let mut later = exposure_after.unwrap_or_default().into_iter();
    Ok(Foresight {
        from: now,
        until: now.plus(for_s),
        before,
        after,
        rows,
        name: impact(records, name, Class::Name, before, next),
        agent: impact(records, name, Class::Agent, before, next),
        exposure: exposure_before.into_iter().map(|pool| (pool, later.next())).collect(),
    })
}

fn rows_of(
    records: &Records,
    name: &Name,
    class: Class,
    (before, after): (ScheduleVersion, Option<ScheduleVersion>),
    now: UnixTime,
    for_s: u64,
) -> Vec<Row> {
    let mut rows: Vec<Row> = some_grants(records, name, class)
        .map(|view| {
            let windows = |tenure: &Tenure| preview(&[(view.card.grant, tenure)], now, for_s).windows;
            Row {
                class,
                owner: Some((view.card.user.clone(), view.card.device.clone(), view.card.service.clone())),
                before: windows(&view.plan.tenure),
                after: after.map_or_else(Vec::new, |version| windows(&changed(&view, class, version))),
            }
        })
        .collect();
    if rows.is_empty() {
        let windows = |schedule: Schedule| preview_schedule(schedule, 1, now, for_s).windows;
        let after = after.map_or_else(Vec::new, |version| windows(version.of(class)));
        rows.push(Row { class, owner: None, before: windows(before.of(class)), after });
    }
    rows
}

fn some_grants<'a>(
    records: &'a Records,
    name: &'a Name,
    class: Class,
) -> impl Iterator<Item = GrantView> + 'a {
    let numbers: Vec<GrantNo> = records
        .services()
        .filter(|s| s.schedule == *name)
        .flat_map(|s| records.grants_for(&s.name))
        .collect();
    let views = numbers.into_iter().filter_map(move |no| records.grant_view(no));
    views.filter(move |view| view.card.class == class).take(PREVIEW_GRANTS_MAX)
}

/// The tenure with one more term, as the change would make it.
fn changed(view: &GrantView, class: Class, version: ScheduleVersion) -> Tenure {
    let mut terms = view.plan.tenure.terms().to_vec();
    let generation = terms.last().map_or(0, |term| term.generation);
    terms.push(Term { from: version.from, generation, schedule: version.of(class), cut: Cut::Grace });
    Tenure::new(view.plan.id.phase(), terms)
}

fn impact(
    records: &Records,
    name: &Name,
    class: Class,
    before: ScheduleVersion,
    after: ScheduleVersion,
) -> Impact {
    let counts = grants_by_service(records);
    let services = records.services().filter(|s| s.schedule == *name);
    let grants = services.filter_map(|s| counts.get(&(&s.name, class))).sum::<u64>();
    let per_s = |s: Schedule| match class {
        Class::Name => grants as f64 / f64::from(s.ttl_s.max(1)),
        // Agents compute their address; they ask nobody.
        Class::Agent => 0.0,
    };
    let per_hour = |s: Schedule| 3600.0 / f64::from(s.period_s.max(1));
    Impact {
        grants,
        dns_per_s_before: per_s(before.of(class)),
        dns_per_s_after: per_s(after.of(class)),
        moves_per_hour_before: per_hour(before.of(class)),
        moves_per_hour_after: per_hour(after.of(class)),
    }
}
