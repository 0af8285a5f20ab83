//! `/v1/status`, `/v1/health`, `/v1/why`, `/v1/exposure`, `/v1/audit`, `/v1/openapi.json`

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use defense::Reason;
use http::StatusCode;
use serde::Deserialize;
use state::Records;
use state::audit::Entry;
use utoipa::IntoParams;

use super::App;
use super::extract::{Ask, Nothing};
use super::problem::Problem;
use crate::bounds::{EXPOSURE_RATE_DEFAULT, PAGE_DEFAULT, PAGE_MAX};
use crate::describe;
use crate::exposure::report;
use crate::eyes::{Eyes, Sections};
use crate::metrics;
use crate::views::{
    AuditList, AuditView, Counts, ExposureReport, Health, HealthAnswer, Status, VerdictCount, Why, rfc3339,
};
use crate::why;

/// Rows of `verdicts` in a status.
const VERDICTS_MAX: usize = 20;

/// What is going on.
#[utoipa::path(get, path = "/v1/status", tag = "sight", responses(
    (status = 200, body = Status), (status = 422, description = "body_invalid")))]
pub(super) async fn status(State(app): State<Arc<App>>, Ask(Nothing {}): Ask<Nothing>) -> Answer<Status> {
    let now = app.now();
    let sections = app.eyes.sections();
    let verdicts = verdicts(&*app.eyes);
    let health = health(&sections);
    let records = app.store.read();
    let pending = |i: &state::records::Invite| i.used.is_none() && i.expires > now;
    Answer(Status {
        schema: "wandergate.status/1",
        name: app.config.name.clone(),
        version: app.config.version.clone(),
        now: rfc3339(now),
        started_at: rfc3339(app.started),
        up_s: now.since(app.started),
        revision: records.revision(),
        counts: counts(&records, records.invites().filter(|(_, i)| pending(i)).count()),
        sections,
        verdicts,
        health,
    })
}

/// Whether the process is alive; it depends on nothing.
#[utoipa::path(get, path = "/v1/health/live", tag = "sight", responses(
    (status = 200, body = HealthAnswer), (status = 422, description = "body_invalid")))]
pub(super) async fn live(Ask(Nothing {}): Ask<Nothing>) -> Answer<HealthAnswer> {
    Answer(HealthAnswer { schema: "wandergate.health/1", health: Health::of(Vec::new(), Vec::new()) })
}

/// Whether every part serves.
#[utoipa::path(get, path = "/v1/health/ready", tag = "sight", responses(
    (status = 200, body = HealthAnswer), (status = 422, description = "body_invalid"),
    (status = 503, description = "Some part does not serve", body = HealthAnswer)))]
pub(super) async fn ready(
    State(app): State<Arc<App>>,
    Ask(Nothing {}): Ask<Nothing>,
) -> (StatusCode, Answer<HealthAnswer>) {
    let health = health(&app.eyes.sections());
    let status = if health.wrong.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Answer(HealthAnswer { schema: "wandergate.health/1", health }))
}

/// Counters and gauges, as Prometheus reads them.
#[utoipa::path(get, path = "/metrics", tag = "sight", responses(
    (status = 200, description = "Prometheus text format 0.0.4", content_type = "text/plain"),
    (status = 422, description = "body_invalid")))]
pub(super) async fn metrics(State(app): State<Arc<App>>, Ask(Nothing {}): Ask<Nothing>) -> Response {
    metrics::answer(metrics::gateway(&app.eyes.sections(), &verdicts(&*app.eyes)))
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "sight", responses(
    (status = 200, description = "OpenAPI 3.1"), (status = 422, description = "body_invalid")))]
pub(super) async fn openapi(Ask(Nothing {}): Ask<Nothing>) -> Response {
    Answer(super::document()).into_response()
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct About {
    /// An address, CIDR block, host name or URL, user, `user/device`, device's or request's number, reason's name or code.
    pub(super) target: String,
}

/// Why that is refused, or not.
#[utoipa::path(get, path = "/v1/why", tag = "sight", params(About), responses(
    (status = 200, body = Why), (status = 404, description = "unknown_target"), (status = 422, description = "body_invalid")))]
pub(super) async fn why(State(app): State<Arc<App>>, Ask(about): Ask<About>) -> Result<Answer<Why>, Problem> {
    let target = why::Target::parse(&about.target)?;
    let grants = why::grants(&app.store.read(), &target);
    let seen = why::look(&*app.eyes, &target, &grants);
    Ok(Answer(why::answer(&app.store.read(), app.now(), &about.target, &target, &seen)?))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AtRate {
    /// Guesses a second; ten million if not said.
    rate: Option<f64>,
}

/// How likely strangers' guesses hit.
#[utoipa::path(get, path = "/v1/exposure", tag = "sight", params(AtRate), responses(
    (status = 200, body = ExposureReport), (status = 422, description = "body_invalid")))]
pub(super) async fn exposure(
    State(app): State<Arc<App>>,
    Ask(at): Ask<AtRate>,
) -> Result<Answer<ExposureReport>, Problem> {
    let rate_per_s = at.rate.unwrap_or(EXPOSURE_RATE_DEFAULT);
    if !(rate_per_s.is_finite() && rate_per_s > 0.0) {
        return Err(Problem::new(Reason::BodyInvalid, "rate: guesses a second, more than 0."));
    }
    let pools = report(&app.store.read(), app.now(), rate_per_s).iter().map(describe::pool).collect();
    Ok(Answer(ExposureReport { schema: "wandergate.exposure/1", rate_per_s, pools }))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// The first entry to show; the last page if not said.
    from: Option<u64>,
    /// Entries, 1 to 1000.
    limit: Option<usize>,
}

/// Who did what, when and why: a chain of hashes.
#[utoipa::path(get, path = "/v1/audit", tag = "sight", params(Since), responses(
    (status = 200, body = AuditList), (status = 422, description = "body_invalid"), (status = 500, description = "store_corrupt")))]
pub(super) async fn audit(
    State(app): State<Arc<App>>,
    Ask(since): Ask<Since>,
) -> Result<Answer<AuditList>, Problem> {
    let limit = since.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let length = app.store.read().revision();
    let from = since.from.unwrap_or_else(|| (length + 1).saturating_sub(limit as u64));
    let store = Arc::clone(&app.store);
    // Read from the disk, so not on a thread that serves others.
    let read = tokio::task::spawn_blocking(move || store.audit(from, limit)).await;
    let entries = match read {
        Ok(Ok(entries)) => entries,
        Ok(Err(e)) => return Err(Problem::new(Reason::StoreCorrupt, e.to_string())),
        Err(_) => return Err(Reason::InternalError.into()),
    };
    let next = entries.last().map(|e| e.seq + 1).filter(|next| *next <= length);
    let entries = entries.into_iter().map(entry).collect();
    Ok(Answer(AuditList { schema: "wandergate.audit.list/1", length, entries, next }))
}

fn entry(entry: Entry) -> AuditView {
    AuditView {
        seq: entry.seq,
        at: rfc3339(entry.act.at),
        at_unix: entry.act.at.secs(),
        actor: entry.act.actor,
        verb: entry.act.verb,
        target: entry.act.target,
        why: entry.act.why,
        changes: entry.changes,
        before: entry.before,
        hash: entry.hash,
    }
}

fn counts(records: &Records, invites_pending: usize) -> Counts {
    Counts {
        users: records.users().count(),
        users_revoked: records.users().filter(|u| u.revoked.is_some()).count(),
        devices: records.devices().count(),
        grants: records.grants().count(),
        services: records.services().count(),
        schedules: records.schedules().count(),
        invites_pending,
    }
}

fn verdicts(eyes: &dyn Eyes) -> Vec<VerdictCount> {
    let mut counters = eyes.journal().counters();
    counters.sort_by_key(|c| std::cmp::Reverse(c.count));
    let shown = counters.into_iter().take(VERDICTS_MAX);
    shown
        .map(|c| VerdictCount {
            point: c.point.name(),
            verdict: c.verdict.name(),
            reason: c.reason.name(),
            code: c.reason.code(),
            count: c.count,
        })
        .collect()
}

fn health(sections: &Sections) -> Health {
    let mut wrong = Vec::new();
    if sections.edge.draining {
        let left = sections.edge.connections;
        wrong.push(format!("It was told to stop, and drains: {left} connections are left."));
    }
    let serves = [
        (sections.edge.serving || sections.edge.draining, "The edge does not serve."),
        (sections.dns.serving, "The name server does not serve."),
        (sections.registration.serving, "Registration does not serve."),
    ];
    wrong.extend(serves.iter().filter(|(serving, _)| !serving).map(|(_, what)| (*what).to_owned()));
    if !sections.fabric.planes.iter().any(|plane| plane.lanes > 0 && plane.lanes_up == plane.lanes) {
        wrong.push("No plane of the fabric has all its lanes.".to_owned());
    }
    let mut notices = describe::fabric_notices(&sections.fabric);
    notices.extend(describe::descriptor_notice(&sections.process));
    Health::of(wrong, notices)
}
