//! `[schedule.NAME]`: durations, and the rules between them.

use std::collections::BTreeMap;

use defense::Reason;
use rotator::bounds::{PERIODS_PER_TTL_MIN, SPAN_MAX_S};
use rotator::{Class, Schedule, ScheduleError, Stale};

use super::super::SchedulePair;
use super::super::bounds::{GRACE_MAX_S, WINDOW_MAX_S};
use super::super::names;
use super::super::reader::{Field, Section};
use super::super::words::{Bad, duration_text};
use super::{STANDARD, named, or};

pub(super) fn read(root: &Section<'_>) -> Option<BTreeMap<String, SchedulePair>> {
    let mut schedules = named(root, "schedule", names::SCHEDULE, |_, section| pair(&section))?;
    schedules
        .entry(STANDARD.to_owned())
        .or_insert(SchedulePair { name: Schedule::NAME, agent: Schedule::AGENT });
    Some(schedules)
}

/// A span of time that the rotator can carry, at least a second.
pub(super) fn span(field: &Field<'_>) -> Option<u32> {
    bounded(field, SPAN_MAX_S)
}

fn bounded(field: &Field<'_>, most_s: u32) -> Option<u32> {
    let seconds = field.duration()?;
    let most = duration_text(most_s);
    if (1..=most_s).contains(&seconds) {
        return Some(seconds);
    }
    field.bad(&Bad::new(
        &format!("is not 1s to {most}"),
        &format!("Write a duration from \"1s\" to \"{most}\"."),
    ));
    None
}

fn pair(section: &Section<'_>) -> Option<SchedulePair> {
    let stale = or(section.field("stale"), Stale::Reset, |f| {
        f.choice(&[("reset", Stale::Reset), ("drop", Stale::Drop)])
    });
    let max_session_s = or(section.field("max_session"), Schedule::NAME.max_session_s, |f| span(&f));
    let read = |class: Class, key, keys| {
        let base = match class {
            Class::Name => Schedule::NAME,
            Class::Agent => Schedule::AGENT,
        };
        // A wrong value here must not hide those in the classes, so the base stands in for it.
        let stale = stale.unwrap_or(base.stale);
        let max_session_s = max_session_s.unwrap_or(base.max_session_s);
        one_class(&section.section(key, keys)?, Schedule { stale, max_session_s, ..base })
    };
    let name = read(Class::Name, "name", names::CLASS_NAME);
    let agent = read(Class::Agent, "agent", names::CLASS_AGENT);
    stale.and(max_session_s)?;
    Some(SchedulePair { name: name?, agent: agent? })
}

fn one_class(section: &Section<'_>, base: Schedule) -> Option<Schedule> {
    let within = |key: &str, default, most_s| or(section.field(key), default, |f| bounded(&f, most_s));
    let window = within("window", base.period_s, WINDOW_MAX_S);
    let grace = within("grace", base.grace_s, GRACE_MAX_S);
    let lead = within("lead", base.lead_s, WINDOW_MAX_S);
    let ttl = within("ttl", base.ttl_s, WINDOW_MAX_S);
    let tombstone = within("tombstone", base.tombstone_s, SPAN_MAX_S);
    // A label that lives shorter than its address would be useless; the default follows a long window.
    let label = within("label", base.label_period_s.max(window.unwrap_or(0)), SPAN_MAX_S);
    let schedule = Schedule {
        period_s: window?,
        grace_s: grace?,
        lead_s: lead?,
        ttl_s: ttl?,
        tombstone_s: tombstone?,
        label_period_s: label?,
        ..base
    };
    schedule.checked().map_err(|error| broken(section, &schedule, &error)).ok()
}

/// Reports a broken rule at the value that was written; where that one is a default, at the other one of the rule.
fn broken(section: &Section<'_>, schedule: &Schedule, error: &ScheduleError) {
    let report = section.report();
    let path = |key: &str| format!("{}.{key}", section.path());
    let Remedy { other, why, fix } = remedy(schedule, error);
    let key = match report.wrote(&path(error.field())) {
        true => error.field(),
        false => other,
    };
    let shown = |key: &str| {
        let mark = if report.wrote(&path(key)) { "" } else { " (the default)" };
        format!("{key}={}{mark}", value_of(schedule, key))
    };
    let values = match error.field() == other {
        true => shown(other),
        false => format!("{} with {}", shown(error.field()), shown(other)),
    };
    let message = format!("{}: {values}: {why}", section.path());
    report.error(Reason::ScheduleInvalid, report.place(&path(key)), &path(key), &message, &fix);
}

struct Remedy {
    /// The other field of the rule.
    other: &'static str,
    why: String,
    fix: String,
}

fn remedy(schedule: &Schedule, error: &ScheduleError) -> Remedy {
    let text = duration_text;
    let (other, why, fix) = match *error {
        ScheduleError::WindowTooShort { least_s } => (
            "window",
            format!("no client can follow so fast; the least window is {}", text(least_s)),
            format!("Write window = \"{}\" or more.", text(least_s)),
        ),
        ScheduleError::WindowTooShortForTtl { ttl_s: _, least_s } => {
            let ttl_s = (schedule.period_s / PERIODS_PER_TTL_MIN).max(1);
            let least = text(least_s);
            (
                "ttl",
                format!(
                    "a fresh answer can outlive its address; the least window is {PERIODS_PER_TTL_MIN} x ttl = {least}"
                ),
                format!("Write window = \"{least}\" or more, or ttl = \"{}\" or less.", text(ttl_s)),
            )
        }
        ScheduleError::WindowTooShortForGrace { least_s } => {
            let longest = if schedule.tombstone_s > schedule.grace_s { "tombstone" } else { "grace" };
            (
                longest,
                format!("thousands of addresses would stand at once; the least window is {}", text(least_s)),
                format!("Write window = \"{}\" or more, or a shorter {longest}.", text(least_s)),
            )
        }
        ScheduleError::LabelShorterThanWindow { least_s } => (
            "window",
            "a label must live at least as long as the address behind it".to_owned(),
            format!("Write label = \"{}\" or more, or a shorter window.", text(least_s)),
        ),
        ScheduleError::TtlZero => {
            ("ttl", "no resolver keeps that".to_owned(), "Write ttl = \"1s\" or more.".to_owned())
        }
        ScheduleError::LeadOutOfWindow { most_s } => (
            "window",
            "an address cannot open before the window ahead of it does".to_owned(),
            format!("Write lead = \"{}\" or less, or a longer window.", text(most_s)),
        ),
        ScheduleError::GraceNotBeyondLead { lead_s } => (
            "lead",
            "grace must be longer than lead, or clocks that differ would cut users off".to_owned(),
            format!("Write grace = \"{}\" or more, or a shorter lead.", text(lead_s.saturating_add(1))),
        ),
        ScheduleError::TooLong { field, most_s } => (
            field,
            format!("at most {}", text(most_s)),
            format!("Write {field} = \"{}\" or less.", text(most_s)),
        ),
    };
    Remedy { other, why, fix }
}

fn value_of(schedule: &Schedule, key: &str) -> String {
    duration_text(match key {
        "window" => schedule.period_s,
        "grace" => schedule.grace_s,
        "lead" => schedule.lead_s,
        "ttl" => schedule.ttl_s,
        "tombstone" => schedule.tombstone_s,
        "label" => schedule.label_period_s,
        _ => schedule.max_session_s,
    })
}
