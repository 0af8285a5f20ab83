//! The control socket of a process that has neither store nor edge: a hub or a local hub. The same guard, errors and
//! answers as the ops API, on a Unix socket alone.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::{get, post};
use axum::{Json as Answer, middleware};
use defense::Reason;
use http::StatusCode;
use rotator::UnixTime;
use state::Clock;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::extract::{Ask, Nothing};
use super::problem::Problem;
use super::serve::{self, Serving, StartError};
use super::{Inside, guard, hubs, sight};
use crate::describe;
use crate::eyes::{FabricEyes, FabricSection};
use crate::metrics;
use crate::views::{Health, HealthAnswer, InsideStatus, Why, rfc3339};

/// Serves `/v1/status`, `/v1/hubs`, `/v1/health` and `/metrics` until `cancel`.
///
/// # Errors
/// A socket that others may open.
pub fn start(
    version: &str,
    clock: Clock,
    eyes: Arc<dyn FabricEyes>,
    unix: UnixListener,
    cancel: &CancellationToken,
) -> Result<Serving, StartError> {
    serve::check(Some(&unix), None, None)?;
    let started = clock.now();
    let desk = Arc::new(Desk { version: version.to_owned(), clock, eyes, started });
    serve::start(router(desk), Some(unix), None, cancel)
}

struct Desk {
    version: String,
    clock: Clock,
    eyes: Arc<dyn FabricEyes>,
    started: UnixTime,
}

impl FromRef<Arc<Desk>> for Inside {
    fn from_ref(desk: &Arc<Desk>) -> Self {
        Self(Arc::clone(&desk.eyes))
    }
}

fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/health/live", get(sight::live))
        .route("/v1/health/ready", get(ready))
        .route("/v1/why", get(why))
        .route("/v1/hubs", get(hubs::list))
        .route("/v1/hubs/{name}", get(hubs::show))
        .route("/v1/hubs/{name}/step-down", post(hubs::step_down))
        .route("/metrics", get(metrics))
        .fallback(async || Problem::from(Reason::NotFound))
        .method_not_allowed_fallback(async || Problem::from(Reason::MethodNotAllowed))
        .layer(middleware::from_fn_with_state(None, guard::guard))
        .with_state(desk)
}

async fn status(State(desk): State<Arc<Desk>>, Ask(Nothing {}): Ask<Nothing>) -> Answer<InsideStatus> {
    let (now, fabric) = (desk.clock.now(), desk.eyes.fabric());
    let health = health(&fabric);
    Answer(InsideStatus {
        schema: "wandergate.inside.status/1",
        name: fabric.name.clone(),
        role: fabric.role.clone(),
        version: desk.version.clone(),
        now: rfc3339(now),
        started_at: rfc3339(desk.started),
        up_s: now.since(desk.started),
        fabric,
        health,
    })
}

async fn ready(
    State(desk): State<Arc<Desk>>,
    Ask(Nothing {}): Ask<Nothing>,
) -> (StatusCode, Answer<HealthAnswer>) {
    let health = health(&desk.eyes.fabric());
    let status = if health.wrong.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Answer(HealthAnswer { schema: "wandergate.health/1", health }))
}

/// About a service, a member or a reason; nothing else is known here.
async fn why(State(desk): State<Arc<Desk>>, Ask(about): Ask<sight::About>) -> Result<Answer<Why>, Problem> {
    Ok(Answer(crate::why::inside(&desk.eyes.fabric(), &about.target)?))
}

async fn metrics(
    State(Inside(eyes)): State<Inside>,
    Ask(Nothing {}): Ask<Nothing>,
) -> impl axum::response::IntoResponse {
    metrics::answer(metrics::fabric(&eyes.fabric()))
}

fn health(section: &FabricSection) -> Health {
    let serves = |state: &str| matches!(state, "active" | "standby");
    let wrong = match section.planes.iter().any(|plane| serves(&plane.state)) {
        true => Vec::new(),
        false if section.role == "hub" => vec!["No instance of this plane is known to be active.".to_owned()],
        false => vec!["No plane of the fabric has all its lanes.".to_owned()],
    };
    Health::of(wrong, describe::fabric_notices(section))
}
