//! `/v1/services`

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json as Answer};
use defense::Reason;
use http::StatusCode;
use serde::Deserialize;
use state::records::{BEHIND_FABRIC, Service};
use utoipa::ToSchema;

use super::App;
use super::change::{change, close, open, undo};
use super::extract::{Ask, DryRun, Json, Nothing, name};
use super::guard::Credential;
use super::problem::Problem;
use crate::acts::service::{self, NewService, Served};
use crate::describe;
use crate::views::{ServiceAnswer, ServiceList, ServiceView};

/// A service to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceBody {
    name: String,
    /// Where its own server listens, as the local hub reaches it.
    #[schema(example = "127.0.0.1:3000")]
    to: String,
    /// At which users reach it; if not said, the port that all other services share, else 443.
    port: Option<u16>,
    /// `name` (the default), `key` (the device's client certificate besides), or `address` on IPv6 pools.
    auth: Option<AuthWord>,
    /// `standard` if not said.
    schedule: Option<String>,
    /// All pools if not said.
    #[serde(default)]
    pools: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AuthWord {
    Address,
    Name,
    Key,
}

/// All services, by name.
#[utoipa::path(get, path = "/v1/services", tag = "services", responses(
    (status = 200, body = ServiceList), (status = 422, description = "body_invalid")))]
pub(super) async fn list(State(app): State<Arc<App>>, Ask(Nothing {}): Ask<Nothing>) -> Answer<ServiceList> {
    let records = app.store.read();
    let services = records.services().map(|s| describe::service(&records, s)).collect();
    Answer(ServiceList { schema: "wandergate.service.list/1", services })
}

/// One service.
#[utoipa::path(get, path = "/v1/services/{name}", tag = "services",
    params(("name" = String, Path, description = "The service's name")), responses(
    (status = 200, body = ServiceView), (status = 404, description = "unknown_service"), (status = 422, description = "body_invalid")))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    Ask(Nothing {}): Ask<Nothing>,
) -> Result<Answer<ServiceView>, Problem> {
    let wanted = name(&text, Reason::UnknownService)?;
    let records = app.store.read();
    Ok(Answer(describe::service(&records, service::named(&records, &wanted)?)))
}

/// Adds a service while everything runs.
#[utoipa::path(post, path = "/v1/services", tag = "services", request_body = ServiceBody, params(DryRun), responses(
    (status = 201, body = ServiceAnswer), (status = 200, description = "The dry run's answer", body = ServiceAnswer),
    (status = 400, description = "config_conflict: an IPv4 pool without auth = name"),
    (status = 404, description = "unknown_schedule, unknown_target (a pool)"),
    (status = 409, description = "already_exists"), (status = 413, description = "body_too_large"),
    (status = 422, description = "body_invalid, name_invalid")))]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Ask(dry): Ask<DryRun>,
    Json(body): Json<ServiceBody>,
) -> Result<(StatusCode, Answer<ServiceAnswer>), Problem> {
    let new = body.checked()?;
    let order = app.order(who, "")?;
    let decide = move |records: &_| service::add(records, &order, &new);
    let (served, mut told) = change(&app, dry.dry_run, decide, |_| ()).await?;
    told.undo = undo(&["service", "rm", served.service.name.as_str()]);
    let status = if dry.dry_run { StatusCode::OK } else { StatusCode::CREATED };
    let service = describe::service(&app.store.read(), &served.service);
    Ok((
        status,
        Answer(ServiceAnswer { schema: "wandergate.service/1", service, closed_connections: 0, told }),
    ))
}

/// Removes a service; its users' addresses fall silent.
#[utoipa::path(delete, path = "/v1/services/{name}", tag = "services",
    params(("name" = String, Path, description = "The service's name"), DryRun), responses(
    (status = 200, body = ServiceAnswer), (status = 404, description = "unknown_service"),
    (status = 409, description = "owned_by_config"), (status = 422, description = "body_invalid")))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Path(text): Path<String>,
    Ask(dry): Ask<DryRun>,
) -> Result<Answer<ServiceAnswer>, Problem> {
    let wanted = name(&text, Reason::UnknownService)?;
    let order = app.order(who, "")?;
    let grants: Vec<_> = app.store.read().grants_for(&wanted).collect();
    let before = open(&app, &grants);
    let mut closed = 0;
    let decide = move |records: &_| service::remove(records, &order, &wanted);
    let then = |served: &Served| closed = close(&app, &served.grants, before, Reason::ServiceUnknown);
    let (served, mut told) = change(&app, dry.dry_run, decide, then).await?;
    let back = adding(&served.service);
    told.undo = undo(&back.iter().map(String::as_str).collect::<Vec<_>>());
    let service = describe::service(&app.store.read(), &served.service);
    Ok(Answer(ServiceAnswer { schema: "wandergate.service/1", service, closed_connections: closed, told }))
}

impl ServiceBody {
    fn checked(self) -> Result<NewService, Problem> {
        let wrong = || {
            let detail = "to: an address with a port, as in 127.0.0.1:3000 or [::1]:3000, or \"fabric\".";
            Problem::new(Reason::BodyInvalid, detail)
        };
        let to = match self.to.as_str() {
            "fabric" => BEHIND_FABRIC,
            text => text.parse().map_err(|_| wrong())?,
        };
        let schedule = self.schedule.as_deref().unwrap_or("standard");
        Ok(NewService {
            name: name(&self.name, Reason::NameInvalid)?,
            to,
            port: self.port,
            auth: match self.auth.unwrap_or(AuthWord::Name) {
                AuthWord::Address => state::records::Auth::Address,
                AuthWord::Name => state::records::Auth::Name,
                AuthWord::Key => state::records::Auth::Key,
            },
            schedule: name(schedule, Reason::UnknownSchedule)?,
            pools: self.pools.iter().map(|p| name(p, Reason::UnknownTarget)).collect::<Result<_, _>>()?,
        })
    }
}

/// The words that add a service as it was.
fn adding(service: &Service) -> Vec<String> {
    let pools: Vec<String> = service.pools.iter().map(ToString::to_string).collect();
    [
        "service",
        "add",
        service.name.as_str(),
        "--to",
        &describe::place(service.to),
        "--port",
        &service.port.to_string(),
        "--auth",
        describe::auth_word(service.auth),
        "--schedule",
        service.schedule.as_str(),
        "--pool",
        &pools.join(","),
    ]
    .map(str::to_owned)
    .to_vec()
}
