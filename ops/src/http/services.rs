//! `/v1/services`

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json as Answer};
use defense::Reason;
use http::StatusCode;
use serde::Deserialize;
use state::records::{Auth, BEHIND_FABRIC, Budget, Handling, Service, Speaks};
use state::{Listen, Name};
use utoipa::ToSchema;

use super::App;
use super::change::{change, close, open, undo};
use super::extract::{Ask, DryRun, Json, Nothing, name};
use super::guard::Credential;
use super::problem::Problem;
use crate::acts::service::{self, Edit, NewService, Served};
use crate::describe;
use crate::views::{ServiceAnswer, ServiceList, ServiceShown};

/// A service to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceBody {
    name: String,
    /// Where its own server listens, as the local hub reaches it.
    #[schema(example = "127.0.0.1:3000")]
    to: String,
    /// What users reach: `PROTOCOL/PORT[-PORT][=PORT OF THE SERVICE]` with https, tls, tcp or udp. If not said, https at the
    /// port that all other services have it, else at 443.
    #[schema(example = json!(["https/443"]))]
    listen: Option<Vec<String>>,
    /// `name`, `key` (the device's client certificate besides), or `address` on IPv6 pools; if not said, `name` where a
    /// protocol of `listen` carries one.
    auth: Option<AuthWord>,
    /// `standard` if not said.
    schedule: Option<String>,
    /// All pools if not said.
    #[serde(default)]
    pools: Vec<String>,
    /// Whether the service is told who is at the other end (PROXY protocol, version 2).
    #[serde(default)]
    proxy: bool,
    /// In which HTTP the service is asked, whatever its users speak; `http/1.1` if not said. `h2` is HTTP/2 without TLS and
    /// without asking first.
    speaks: Option<SpeaksWord>,
    /// What requests are answered with instead of by the service.
    maintenance: Option<String>,
    /// Longest request body, in bytes.
    max_body: Option<u64>,
    /// Longest time for one request, in seconds.
    max_time_s: Option<u32>,
}

/// What changes of a service; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServicePatch {
    to: Option<String>,
    listen: Option<Vec<String>>,
    auth: Option<AuthWord>,
    schedule: Option<String>,
    pools: Option<Vec<String>>,
    proxy: Option<bool>,
    speaks: Option<SpeaksWord>,
    /// `null` takes it back, as of the others below.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    maintenance: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<u64>)]
    max_body: Option<Option<u64>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<u32>)]
    max_time_s: Option<Option<u32>>,
}

/// Absent is not the same as `null`.
fn said<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AuthWord {
    Address,
    Name,
    Key,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
enum SpeaksWord {
    #[serde(rename = "http/1.1")]
    Http1,
    #[serde(rename = "h2")]
    Http2,
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
    (status = 200, body = ServiceShown), (status = 404, description = "unknown_service"), (status = 422, description = "body_invalid")))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    Ask(Nothing {}): Ask<Nothing>,
) -> Result<Answer<ServiceShown>, Problem> {
    let wanted = name(&text, Reason::UnknownService)?;
    let records = app.store.read();
    let service = describe::service(&records, service::named(&records, &wanted)?);
    Ok(Answer(ServiceShown { schema: "wandergate.service/1", service }))
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

/// Changes a service while everything runs; connections that stand go on.
#[utoipa::path(patch, path = "/v1/services/{name}", tag = "services", request_body = ServicePatch,
    params(("name" = String, Path, description = "The service's name"), DryRun), responses(
    (status = 200, body = ServiceAnswer),
    (status = 400, description = "config_conflict: an IPv4 pool without a name to prove more than the address"),
    (status = 404, description = "unknown_service, unknown_schedule, unknown_target (a pool)"),
    (status = 409, description = "owned_by_config"), (status = 413, description = "body_too_large"),
    (status = 422, description = "body_invalid")))]
pub(super) async fn patch(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Path(text): Path<String>,
    Ask(dry): Ask<DryRun>,
    Json(body): Json<ServicePatch>,
) -> Result<Answer<ServiceAnswer>, Problem> {
    let wanted = name(&text, Reason::UnknownService)?;
    let edit = body.checked()?;
    let order = app.order(who, "")?;
    let decide = move |records: &_| service::set(records, &order, &wanted, &edit);
    let (changed, mut told) = change(&app, dry.dry_run, decide, |_| ()).await?;
    let back = changing(&changed.service, &changed.before);
    if told.changed {
        told.undo = undo(&back.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let service = describe::service(&app.store.read(), &changed.service);
    Ok(Answer(ServiceAnswer { schema: "wandergate.service/1", service, closed_connections: 0, told }))
}

impl ServiceBody {
    fn checked(self) -> Result<NewService, Problem> {
        let schedule = self.schedule.as_deref().unwrap_or("standard");
        Ok(NewService {
            name: name(&self.name, Reason::NameInvalid)?,
            to: place(&self.to)?,
            listen: self.listen.as_deref().map(listen).transpose()?,
            auth: self.auth.map(Auth::from),
            schedule: name(schedule, Reason::UnknownSchedule)?,
            pools: pools(&self.pools)?,
            handling: Handling {
                proxy: self.proxy,
                speaks: self.speaks.map(Speaks::from).unwrap_or_default(),
                maintenance: self.maintenance,
                max_body: self.max_body,
                max_time_s: self.max_time_s,
                budget: Budget::default(),
            },
        })
    }
}

impl ServicePatch {
    fn checked(self) -> Result<Edit, Problem> {
        Ok(Edit {
            to: self.to.as_deref().map(place).transpose()?,
            listen: self.listen.as_deref().map(listen).transpose()?,
            auth: self.auth.map(Auth::from),
            schedule: self.schedule.as_deref().map(|s| name(s, Reason::UnknownSchedule)).transpose()?,
            pools: self.pools.as_deref().map(pools).transpose()?,
            proxy: self.proxy,
            speaks: self.speaks.map(Speaks::from),
            maintenance: self.maintenance,
            max_body: self.max_body,
            max_time_s: self.max_time_s,
        })
    }
}

impl From<AuthWord> for Auth {
    fn from(word: AuthWord) -> Self {
        match word {
            AuthWord::Address => Self::Address,
            AuthWord::Name => Self::Name,
            AuthWord::Key => Self::Key,
        }
    }
}

impl From<SpeaksWord> for Speaks {
    fn from(word: SpeaksWord) -> Self {
        match word {
            SpeaksWord::Http1 => Self::Http1,
            SpeaksWord::Http2 => Self::Http2,
        }
    }
}

fn place(text: &str) -> Result<SocketAddr, Problem> {
    let detail = "to: an address with a port, as in 127.0.0.1:3000 or [::1]:3000, or \"fabric\".";
    match text {
        "fabric" => Ok(BEHIND_FABRIC),
        text => text.parse().map_err(|_| Problem::new(Reason::BodyInvalid, detail)),
    }
}

fn listen(texts: &[String]) -> Result<Listen, Problem> {
    Listen::parse(texts).map_err(|(at, error)| {
        let at = at.map_or_else(String::new, |at| format!("[{at}]"));
        Problem::new(Reason::BodyInvalid, format!("listen{at} {error}. {}", error.fix()))
    })
}

fn pools(names: &[String]) -> Result<Vec<Name>, Problem> {
    names.iter().map(|p| name(p, Reason::UnknownTarget)).collect()
}

/// The words that add a service as it was.
fn adding(service: &Service) -> Vec<String> {
    let mut words = vec!["service".to_owned(), "add".to_owned(), service.name.to_string()];
    let usual = Service { handling: Handling::default(), ..service.clone() };
    for (key, value) in settings(service) {
        let is_usual = settings(&usual).contains(&(key, value.clone()));
        if is_usual && !["to", "listen", "auth", "schedule", "pool"].contains(&key) {
            continue;
        }
        words.push(format!("--{}", key.replace('_', "-")));
        if key != "proxy" {
            words.push(value);
        }
    }
    words
}

/// The words that set it back.
fn changing(service: &Service, before: &Service) -> Vec<String> {
    let mut words = vec!["service".to_owned(), "set".to_owned(), service.name.to_string()];
    let now = settings(service);
    let other = settings(before).into_iter().filter(|setting| !now.contains(setting));
    words.extend(other.map(|(key, value)| format!("{key}={value}")));
    words
}

/// All that may be set, as `service set` takes it; empty is the usual.
fn settings(service: &Service) -> Vec<(&'static str, String)> {
    let pools: Vec<String> = service.pools.iter().map(ToString::to_string).collect();
    let Handling { proxy, speaks, maintenance, max_body, max_time_s, budget: _ } = &service.handling;
    vec![
        ("to", describe::place(service.to)),
        ("listen", service.listen.texts().join(",")),
        ("auth", describe::auth_word(service.auth).to_owned()),
        ("schedule", service.schedule.to_string()),
        ("pool", pools.join(",")),
        ("proxy", proxy.to_string()),
        ("speaks", speaks.as_str().to_owned()),
        ("maintenance", maintenance.clone().unwrap_or_default()),
        ("max_body", max_body.map_or_else(String::new, |bytes| bytes.to_string())),
        ("max_time", max_time_s.map_or_else(String::new, |s| format!("{s}s"))),
    ]
}
