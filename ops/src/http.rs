//! The ops API, `/v1`: which path asks for what, and who may.
//!
//! Two listeners: a Unix socket (mode 0600; the kernel says who connects, and only root and our own user may) and
//! loopback TCP (a token, and a loopback host name, so that no web page reaches it). Anything wider is refused.
//! Acts are paths of their own, `POST /v1/users/bob/revoke`, or with a colon, `POST /v1/users/bob:revoke`.

mod change;
mod colon;
pub mod control;
#[expect(unused_qualifications, reason = "written by utoipa::path")]
mod devices;
mod extract;
mod guard;
mod hubs;
mod invites;
mod problem;
mod rotations;
mod schedule_bodies;
mod schedules;
mod serve;
mod services;
#[expect(unused_qualifications, reason = "written by utoipa::path")]
mod sight;
mod token;
mod users;
#[expect(unused_qualifications, reason = "written by utoipa::path")]
mod windows;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use defense::Reason;
use rotator::UnixTime;
use state::{Clock, Refusal, Store};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::Ref;
use utoipa::openapi::{OpenApi, RefOr, Response};
use utoipa::{OpenApi as _, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::acts::Order;
use crate::eyes::{Eyes, FabricEyes};
use guard::Credential;
use problem::{Problem, ProblemView};

pub use serve::{Serving, StartError, bind_unix};
pub use token::Token;

/// What the API tells of the process.
#[derive(Clone, Debug, Default)]
pub struct OpsConfig {
    /// Of this gateway process, as `[edge] name` has it.
    pub name: String,
    pub version: String,
    /// `https://join.<zone>` with its port: invites are shown as addresses below it. Without it, as codes.
    pub join_url: Option<String>,
}

/// The running API.
pub struct Ops;

impl Ops {
    /// Serves the API on the listeners given, until `cancel`. `token` is needed for `tcp`.
    ///
    /// # Errors
    /// A listener that is not loopback, a socket that others may open, TCP without a token.
    #[expect(clippy::too_many_arguments, reason = "each part once, named at the only call")]
    pub fn start(
        config: OpsConfig,
        store: Arc<dyn Store>,
        clock: Clock,
        eyes: Arc<dyn Eyes>,
        unix: Option<UnixListener>,
        tcp: Option<TcpListener>,
        token: Option<Token>,
        cancel: CancellationToken,
    ) -> Result<Serving, StartError> {
        serve::check(unix.as_ref(), tcp.as_ref(), token.as_ref())?;
        let started = clock.now();
        let app = Arc::new(App { config, store, clock, eyes, token, started });
        serve::start(router(app), unix, tcp, &cancel)
    }
}

/// What every handler sees.
struct App {
    config: OpsConfig,
    store: Arc<dyn Store>,
    clock: Clock,
    eyes: Arc<dyn Eyes>,
    token: Option<Token>,
    started: UnixTime,
}

impl App {
    fn now(&self) -> UnixTime {
        self.clock.now()
    }

    fn order(&self, who: Credential, why: &str) -> Result<Order, Refusal> {
        Order::new(self.now(), &who.actor(), why)
    }
}

/// The fabric's part of whatever process answers: the same handlers serve the ops API and a hub's control socket.
#[derive(Clone)]
struct Inside(Arc<dyn FabricEyes>);

impl FromRef<Arc<App>> for Inside {
    fn from_ref(app: &Arc<App>) -> Self {
        Self(Arc::clone(&app.eyes) as Arc<dyn FabricEyes>)
    }
}

/// The OpenAPI document.
pub fn document() -> OpenApi {
    let mut document = paths().into_openapi();
    complete(&mut document);
    document
}

fn router(app: Arc<App>) -> Router {
    let (router, _) = paths().split_for_parts();
    let guard = axum::middleware::from_fn_with_state(app.token.clone(), guard::guard);
    router
        .fallback(async || Problem::from(Reason::NotFound))
        .method_not_allowed_fallback(async || Problem::from(Reason::MethodNotAllowed))
        .layer(guard)
        .with_state(app)
}

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Wandergate ops API",
    version = "1",
    description = "Loopback and Unix socket only. Changes by POST, PUT, PATCH and DELETE; `?dry_run=true` decides and changes nothing.",
    license(name = "Apache-2.0 OR MIT")
))]
struct Head;

fn paths() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(sight::status))
        .routes(routes!(sight::live))
        .routes(routes!(sight::ready))
        .routes(routes!(sight::openapi))
        .routes(routes!(sight::why))
        .routes(routes!(sight::exposure))
        .routes(routes!(sight::audit))
        .routes(routes!(users::list))
        .routes(routes!(users::show))
        .routes(routes!(users::revoke))
        .routes(routes!(users::restore))
        .routes(routes!(invites::list, invites::create))
        .routes(routes!(invites::withdraw))
        .routes(routes!(devices::list))
        .routes(routes!(devices::revoke))
        .routes(routes!(devices::restore))
        .routes(routes!(devices::set_key))
        .routes(routes!(services::list, services::add))
        .routes(routes!(services::show, services::patch, services::remove))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::show, schedules::put, schedules::patch))
        .routes(routes!(schedules::preview))
        .routes(routes!(rotations::rotate))
        .routes(routes!(windows::list))
        .routes(routes!(windows::connections))
        .routes(routes!(hubs::list))
        .routes(routes!(hubs::show))
        .routes(routes!(hubs::step_down))
        .routes(routes!(sight::metrics))
}

/// What holds for every path: who is turned away, and that every refusal is a problem.
fn complete(document: &mut OpenApi) {
    let mut schemas = vec![(ProblemView::name().into_owned(), ProblemView::schema())];
    ProblemView::schemas(&mut schemas);
    document.components.get_or_insert_default().schemas.extend(schemas);
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            for (status, what) in
                [("401", "not_authorized"), ("421", "host_mismatch"), ("503", "overload, store_unreachable")]
            {
                let common = ResponseBuilder::new().description(what).build();
                responses.entry(status.to_owned()).or_insert(RefOr::T(common));
            }
            for (status, response) in responses.iter_mut() {
                if let (RefOr::T(response), true) = (response, status.as_str() >= "400") {
                    as_problem(response);
                }
            }
        }
    }
}

fn as_problem(response: &mut Response) {
    if response.content.is_empty() {
        let schema = Ref::from_schema_name(ProblemView::name());
        let content = ContentBuilder::new().schema(Some(schema)).build();
        response.content.insert("application/problem+json".to_owned(), RefOr::T(content));
    }
}
