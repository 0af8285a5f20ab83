//! `/v1/schedules`

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json as Answer};
use data_encoding::HEXLOWER;
use defense::Reason;
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use ring::digest::{SHA256, digest};
use rotator::{Schedule, UnixTime};
use state::records::ScheduleRecord;
use state::txn::Record;
use state::{Name, Records, Refusal};

use super::App;
use super::change::{change, undo};
use super::extract::{Ask, DryRun, Json, Nothing, name};
use super::guard::Credential;
use super::problem::Problem;
use super::schedule_bodies::{PatchBody, PreviewBody, PutBody};
use crate::acts::schedule::{self, Rescheduled};
use crate::acts::{Decided, Order};
use crate::bounds::{EXPOSURE_RATE_DEFAULT, PREVIEW_SPAN_MAX_S, PREVIEW_WINDOWS_MAX};
use crate::describe;
use crate::foresight::{Foresight, Impact, foresee};
use crate::views::{
    ExposureChange, ImpactView, PreviewAnswer, PreviewRow, PreviewWindow, ScheduleAnswer, ScheduleChange,
    ScheduleList, rfc3339,
};

type Tagged<T> = (StatusCode, [(http::HeaderName, HeaderValue); 1], Answer<T>);

/// All schedules, by name.
#[utoipa::path(get, path = "/v1/schedules", tag = "schedules", responses(
    (status = 200, body = ScheduleList), (status = 422, description = "body_invalid")))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Ask(Nothing {}): Ask<Nothing>,
) -> Result<Answer<ScheduleList>, Problem> {
    let (records, now) = (app.store.read(), app.now());
    let schedules =
        records.schedules().map(|s| describe::schedule(&records, now, s)).collect::<Result<_, _>>()?;
    Ok(Answer(ScheduleList { schema: "wandergate.schedule.list/1", schedules }))
}

/// One schedule. Its `ETag` is what `If-Match` takes.
#[utoipa::path(get, path = "/v1/schedules/{name}", tag = "schedules",
    params(("name" = String, Path, description = "The schedule's name")), responses(
    (status = 200, body = ScheduleAnswer), (status = 404, description = "unknown_schedule"), (status = 422, description = "body_invalid")))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    Ask(Nothing {}): Ask<Nothing>,
) -> Result<Tagged<ScheduleAnswer>, Problem> {
    let wanted = name(&text, Reason::UnknownSchedule)?;
    let records = app.store.read();
    let known = schedule::named(&records, &wanted)?;
    let schedule = describe::schedule(&records, app.now(), known)?;
    Ok((StatusCode::OK, etag(known)?, Answer(ScheduleAnswer { schema: "wandergate.schedule/1", schedule })))
}

/// Replaces a whole schedule, or makes it.
#[utoipa::path(put, path = "/v1/schedules/{name}", tag = "schedules", request_body = PutBody,
    params(("name" = String, Path, description = "The schedule's name"), DryRun,
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on")), responses(
    (status = 200, body = ScheduleChange), (status = 409, description = "owned_by_config"),
    (status = 412, description = "precondition_failed"), (status = 413, description = "body_too_large"),
    (status = 422, description = "schedule_invalid, body_invalid, name_invalid")))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Path(text): Path<String>,
    headers: HeaderMap,
    Ask(dry): Ask<DryRun>,
    Json(body): Json<PutBody>,
) -> Result<Tagged<ScheduleChange>, Problem> {
    let wanted = name(&text, Reason::NameInvalid)?;
    let act =
        move |records: &Records, order: &Order, name: &Name| schedule::put(records, order, name, body.pair());
    decided(&app, who, wanted, &headers, dry, act).await
}

/// Changes parts of a schedule.
#[utoipa::path(patch, path = "/v1/schedules/{name}", tag = "schedules", request_body = PatchBody,
    params(("name" = String, Path, description = "The schedule's name"), DryRun,
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on")), responses(
    (status = 200, body = ScheduleChange), (status = 404, description = "unknown_schedule"),
    (status = 409, description = "owned_by_config"), (status = 412, description = "precondition_failed"),
    (status = 413, description = "body_too_large"), (status = 422, description = "schedule_invalid, body_invalid")))]
pub(super) async fn patch(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Path(text): Path<String>,
    headers: HeaderMap,
    Ask(dry): Ask<DryRun>,
    Json(body): Json<PatchBody>,
) -> Result<Tagged<ScheduleChange>, Problem> {
    let wanted = name(&text, Reason::UnknownSchedule)?;
    let deltas = body.deltas();
    let act =
        move |records: &Records, order: &Order, name: &Name| schedule::set(records, order, name, &deltas);
    decided(&app, who, wanted, &headers, dry, act).await
}

/// What a schedule will do, and what a change of it would.
#[utoipa::path(post, path = "/v1/schedules/{name}/preview", tag = "schedules", request_body = PreviewBody,
    params(("name" = String, Path, description = "The schedule's name")), responses(
    (status = 200, body = PreviewAnswer), (status = 404, description = "unknown_schedule"),
    (status = 413, description = "body_too_large"), (status = 422, description = "schedule_invalid, body_invalid")))]
pub(super) async fn preview(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    Ask(Nothing {}): Ask<Nothing>,
    Json(body): Json<PreviewBody>,
) -> Result<Answer<PreviewAnswer>, Problem> {
    let wanted = name(&text, Reason::UnknownSchedule)?;
    let span_s = body.for_s.unwrap_or(3600);
    if !(1..=PREVIEW_SPAN_MAX_S).contains(&span_s) {
        return Err(Problem::new(Reason::BodyInvalid, format!("for_s: 1 to {PREVIEW_SPAN_MAX_S}.")));
    }
    let deltas = body.change.deltas();
    let seen = foresee(&app.store.read(), app.now(), &wanted, &deltas, span_s, EXPOSURE_RATE_DEFAULT)?;
    Ok(Answer(preview_view(&wanted, &seen, span_s)))
}

async fn decided(
    app: &App,
    who: Credential,
    wanted: Name,
    headers: &HeaderMap,
    dry: DryRun,
    act: impl Fn(&Records, &Order, &Name) -> Decided<Rescheduled> + Send + 'static,
) -> Result<Tagged<ScheduleChange>, Problem> {
    let order = app.order(who, "")?;
    let matching = headers.get(IF_MATCH).map(|v| v.as_bytes().to_vec());
    let decide = move |records: &Records| {
        unchanged(records.schedule(&wanted), matching.as_deref())?;
        act(records, &order, &wanted)
    };
    let (done, mut told) = change(app, dry.dry_run, decide, |_| ()).await?;
    if let Some(before) = &done.before {
        let back =
            differences(("", before.name, done.after.name), ("agent.", before.agent, done.after.agent));
        let words: Vec<&str> = ["schedule", "set", done.schedule.name.as_str()]
            .into_iter()
            .chain(back.iter().map(String::as_str))
            .collect();
        told.undo = if back.is_empty() { Vec::new() } else { undo(&words) };
    }
    let schedule = describe::schedule(&app.store.read(), app.now(), &done.schedule)?;
    let begins_at = rfc3339(done.after.from);
    let answer = ScheduleChange { schema: "wandergate.schedule.change/1", schedule, begins_at, told };
    Ok((StatusCode::OK, etag(&done.schedule)?, Answer(answer)))
}

/// RFC 9110 §13.1.1, against the newest record.
fn unchanged(known: Option<&ScheduleRecord>, matching: Option<&[u8]>) -> Result<(), Refusal> {
    let Some(matching) = matching else { return Ok(()) };
    let present = known.map(tag).transpose()?;
    let listed = |tag: &str| matching.split(|b| *b == b',').any(|one| one.trim_ascii() == tag.as_bytes());
    match present {
        Some(tag) if listed("*") || listed(&tag) => Ok(()),
        Some(_) | None => Err(Reason::PreconditionFailed.into()),
    }
}

/// A digest of the record: it changes when this schedule does, and not when anything else does.
fn tag(schedule: &ScheduleRecord) -> Result<String, Refusal> {
    let bytes =
        Record::Schedule(schedule.clone()).encode().map_err(|_| Refusal::from(Reason::InternalError))?;
    Ok(format!("\"{}\"", HEXLOWER.encode(&digest(&SHA256, &bytes).as_ref()[..8])))
}

fn etag(schedule: &ScheduleRecord) -> Result<[(http::HeaderName, HeaderValue); 1], Problem> {
    let value = HeaderValue::from_str(&tag(schedule)?).map_err(|_| Problem::from(Reason::InternalError))?;
    Ok([(ETAG, value)])
}

/// `window=1800s agent.grace=15s`: what brings the old one back.
fn differences(name: (&str, Schedule, Schedule), agent: (&str, Schedule, Schedule)) -> Vec<String> {
    let mut words = Vec::new();
    for (prefix, old, new) in [name, agent] {
        let pairs = [
            ("window", old.period_s, new.period_s),
            ("lead", old.lead_s, new.lead_s),
            ("grace", old.grace_s, new.grace_s),
            ("tombstone", old.tombstone_s, new.tombstone_s),
            ("ttl", old.ttl_s, new.ttl_s),
            ("label", old.label_period_s, new.label_period_s),
            ("max_session", old.max_session_s, new.max_session_s),
        ];
        let changed = pairs.into_iter().filter(|(_, old, new)| old != new);
        words.extend(changed.map(|(key, old, _)| format!("{prefix}{key}={old}s")));
        if old.stale != new.stale {
            let word = match old.stale {
                rotator::Stale::Reset => "reset",
                rotator::Stale::Drop => "drop",
            };
            words.push(format!("{prefix}stale={word}"));
        }
    }
    words
}

fn preview_view(name: &Name, seen: &Foresight, span_s: u64) -> PreviewAnswer {
    PreviewAnswer {
        schema: "wandergate.schedule.preview/1",
        schedule: name.to_string(),
        from: rfc3339(seen.from),
        until: rfc3339(seen.until),
        span_s,
        before: describe::version(&seen.before),
        after: seen.after.as_ref().map(describe::version),
        rows: seen.rows.iter().map(|row| row_view(row, seen.from)).collect(),
        impact: vec![impact_view("name", &seen.name), impact_view("agent", &seen.agent)],
        exposure: seen
            .exposure
            .iter()
            .map(|(before, after)| ExposureChange {
                before: describe::pool(before),
                after: after.as_ref().map(describe::pool),
            })
            .collect(),
        sessions_cut: 0,
    }
}

fn row_view(row: &crate::foresight::Row, from: UnixTime) -> PreviewRow {
    let away = |t: UnixTime| {
        let ahead = i64::try_from(t.since(from)).unwrap_or(i64::MAX);
        if t < from { -i64::try_from(from.since(t)).unwrap_or(i64::MAX) } else { ahead }
    };
    let windows = |list: &[rotator::preview::Previewed]| {
        let shown = list.iter().take(PREVIEW_WINDOWS_MAX);
        shown
            .map(|w| PreviewWindow {
                window: w.number,
                opens_s: away(w.opens),
                starts_s: away(w.start),
                ends_s: away(w.end),
                closes_s: away(w.closes),
            })
            .collect()
    };
    let owner = row.owner.as_ref();
    PreviewRow {
        class: schedule::class_word(row.class),
        user: owner.map(|(user, _, _)| user.to_string()),
        device: owner.map(|(_, device, _)| device.to_string()),
        service: owner.map(|(_, _, service)| service.to_string()),
        before: windows(&row.before),
        after: windows(&row.after),
    }
}

const fn impact_view(class: &'static str, impact: &Impact) -> ImpactView {
    ImpactView {
        class,
        grants: impact.grants,
        moves_per_hour_before: impact.moves_per_hour_before,
        moves_per_hour_after: impact.moves_per_hour_after,
        dns_per_s_before: impact.dns_per_s_before,
        dns_per_s_after: impact.dns_per_s_after,
    }
}
