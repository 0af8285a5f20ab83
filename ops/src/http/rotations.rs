//! `/v1/rotations`

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json as Answer};
use defense::Reason;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::change::change;
use super::devices::number;
use super::extract::{Ask, DryRun, Json, name};
use super::guard::Credential;
use super::problem::Problem;
use crate::acts::rotate::{Rotated, Rotation, Scope, rotate as decide_rotation};
use crate::describe;
use crate::views::{NewName, RotationAnswer, rfc3339};

/// Whose addresses move at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotationBody {
    /// `user:alice`, `service:web`, `device:<uuid>` or `all`.
    #[schema(example = "user:alice")]
    scope: String,
    #[serde(default)]
    reason: String,
    /// The old addresses have leaked: they end at once, without grace.
    #[serde(default)]
    leaked: bool,
    /// Private names of ordinary clients are replaced too; their users need the new ones.
    #[serde(default)]
    new_name: bool,
    /// Needed for `all`.
    #[serde(default)]
    confirm: bool,
}

/// Moves addresses at once. There is no way back to the old ones.
#[utoipa::path(post, path = "/v1/rotations", tag = "rotations", request_body = RotationBody, params(DryRun), responses(
    (status = 200, body = RotationAnswer), (status = 404, description = "unknown_user, unknown_service, unknown_target"),
    (status = 413, description = "body_too_large"), (status = 422, description = "body_invalid"),
    (status = 428, description = "needs_confirmation"), (status = 507, description = "store_full")))]
pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Ask(dry): Ask<DryRun>,
    Json(body): Json<RotationBody>,
) -> Result<Answer<RotationAnswer>, Problem> {
    let order = app.order(who, &body.reason)?;
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| Problem::from(Reason::InternalError))?;
    let asked = Rotation {
        scope: scope(&body.scope)?,
        leaked: body.leaked,
        confirmed: body.confirm,
        new_names: body.new_name.then_some(seed),
    };
    let decide = move |records: &_| decide_rotation(records, &order, &asked);
    let (done, told) = change(&app, dry.dry_run, decide, |_| ()).await?;
    Ok(Answer(RotationAnswer {
        schema: "wandergate.rotation/1",
        grants: done.grants.len(),
        agents: done.agents,
        name_clients: done.name_clients,
        leaked: body.leaked,
        begins_at: rfc3339(done.from),
        names: if dry.dry_run { Vec::new() } else { names(&app, &done) },
        told,
    }))
}

fn names(app: &App, done: &Rotated) -> Vec<NewName> {
    let zone = app.eyes.sections().edge.zone;
    let records = app.store.read();
    let named = done.names.iter().filter_map(|(no, label)| {
        let view = records.grant_view(*no)?;
        Some(describe::new_name(&view, *label, &zone))
    });
    named.collect()
}

fn scope(text: &str) -> Result<Scope, Problem> {
    let wrong = || Problem::new(Reason::BodyInvalid, "scope: user:NAME, service:NAME, device:UUID or all.");
    match text.split_once(':') {
        None if text == "all" => Ok(Scope::All),
        Some(("user", who)) => Ok(Scope::User(name(who, Reason::UnknownUser)?)),
        Some(("service", what)) => Ok(Scope::Service(name(what, Reason::UnknownService)?)),
        Some(("device", id)) => Ok(Scope::Device(number(id)?)),
        Some(_) | None => Err(wrong()),
    }
}
