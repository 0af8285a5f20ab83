//! `/v1/hubs`

use axum::Json as Answer;
use axum::extract::{Path, State};
use defense::Reason;

use super::Inside;
use super::extract::{Ask, DryRun, Nothing};
use super::problem::Problem;
use crate::describe::{hub_links, hubs};
use crate::views::{HubAnswer, HubList, SteppedDown};

/// Every hub instance that this process knows.
#[utoipa::path(get, path = "/v1/hubs", tag = "hubs", responses(
    (status = 200, body = HubList), (status = 422, description = "body_invalid")))]
pub(super) async fn list(
    State(Inside(eyes)): State<Inside>,
    Ask(Nothing {}): Ask<Nothing>,
) -> Answer<HubList> {
    let section = eyes.fabric();
    let hubs = hubs(&section);
    Answer(HubList { schema: "wandergate.hub.list/1", role: section.role, hubs, refusals: section.refusals })
}

/// One hub instance with its links, lane by lane.
#[utoipa::path(get, path = "/v1/hubs/{name}", tag = "hubs", responses(
    (status = 200, body = HubAnswer), (status = 404, description = "unknown_hub"),
    (status = 422, description = "body_invalid")))]
pub(super) async fn show(
    State(Inside(eyes)): State<Inside>,
    Path(name): Path<String>,
    Ask(Nothing {}): Ask<Nothing>,
) -> Result<Answer<HubAnswer>, Problem> {
    let section = eyes.fabric();
    let hub = hubs(&section).into_iter().find(|hub| hub.name == name).ok_or(Reason::UnknownHub)?;
    let plane = section.planes.into_iter().find(|plane| plane.plane == hub.plane).unwrap_or_default();
    let links = hub_links(&plane, &hub);
    let (services, refused) = (plane.services, plane.refused);
    Ok(Answer(HubAnswer { schema: "wandergate.hub/1", hub, services, links, refused }))
}

/// Gives its place as active to another instance of the plane. Only where it runs.
#[utoipa::path(post, path = "/v1/hubs/{name}/step-down", tag = "hubs", params(DryRun), responses(
    (status = 200, body = SteppedDown), (status = 404, description = "unknown_hub"),
    (status = 409, description = "step_down_elsewhere, step_down_refused"),
    (status = 422, description = "body_invalid")))]
pub(super) async fn step_down(
    State(Inside(eyes)): State<Inside>,
    Path(name): Path<String>,
    Ask(DryRun { dry_run }): Ask<DryRun>,
) -> Result<Answer<SteppedDown>, Problem> {
    let section = eyes.fabric();
    let hub = hubs(&section).into_iter().find(|hub| hub.name == name).ok_or(Reason::UnknownHub)?;
    match (hub.here, dry_run) {
        (false, _) => return Err(Reason::StepDownElsewhere.into()),
        (true, true) => {}
        (true, false) => eyes.step_down(&name)?,
    }
    Ok(Answer(SteppedDown { schema: "wandergate.hub.step_down/1", name, changed: !dry_run, dry_run }))
}
