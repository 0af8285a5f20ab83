//! `/v1/invites`

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json as Answer};
use defense::Reason;
use http::StatusCode;
use registration::invite::Wanted;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::change::{change, undo};
use super::extract::{Ask, DryRun, Json, Nothing, name};
use super::guard::Credential;
use super::problem::Problem;
use crate::acts::invite;
use crate::bounds::{INVITE_SERVICES_MAX, INVITE_TTL_DEFAULT_S};
use crate::describe;
use crate::views::{InviteAnswer, InviteList};

/// Whom to invite, and to what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewInvite {
    /// Made when the invite is used, if there is no such user yet.
    user: String,
    services: Vec<String>,
    /// Seconds until it expires; a day if not said.
    ttl_s: Option<u64>,
}

/// Invites that are remembered, the newest first. Their codes are nowhere on a server.
#[utoipa::path(get, path = "/v1/invites", tag = "users", responses(
    (status = 200, body = InviteList), (status = 422, description = "body_invalid")))]
pub(super) async fn list(State(app): State<Arc<App>>, Ask(Nothing {}): Ask<Nothing>) -> Answer<InviteList> {
    let records = app.store.read();
    let mut all: Vec<_> = records.invites().collect();
    all.sort_by_key(|(hash, i)| (std::cmp::Reverse(i.created), **hash));
    let now = app.now();
    let invites = all
        .into_iter()
        .take(crate::bounds::PAGE_MAX)
        .map(|(hash, i)| describe::invite(&records, now, hash, i));
    Answer(InviteList { schema: "wandergate.invite.list/1", invites: invites.collect() })
}

/// Makes a single-use invite. Its code is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/invites", tag = "users", request_body = NewInvite, params(DryRun), responses(
    (status = 201, body = InviteAnswer), (status = 200, description = "The dry run's answer", body = InviteAnswer),
    (status = 403, description = "user_revoked"), (status = 404, description = "unknown_service"),
    (status = 413, description = "body_too_large"), (status = 422, description = "body_invalid, name_invalid")))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Ask(dry): Ask<DryRun>,
    Json(body): Json<NewInvite>,
) -> Result<(StatusCode, Answer<InviteAnswer>), Problem> {
    if body.services.len() > INVITE_SERVICES_MAX {
        return Err(Problem::new(Reason::BodyInvalid, format!("services: at most {INVITE_SERVICES_MAX}.")));
    }
    let user = name(&body.user, Reason::NameInvalid)?;
    let services = body.services.iter().map(|s| name(s, Reason::UnknownService)).collect::<Result<_, _>>()?;
    let wanted = Wanted { user, services, ttl_s: body.ttl_s.unwrap_or(INVITE_TTL_DEFAULT_S) };
    let mut random = [0; invite::CODE_BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| Problem::from(Reason::InternalError))?;
    let order = app.order(who, "")?;
    let now = order.now;
    let shown = wanted.clone();
    let decide = move |records: &_| invite::create(records, &order, &wanted, random);
    let (created, mut told) = change(&app, dry.dry_run, decide, |_| ()).await?;
    let record = state::records::Invite {
        user: shown.user,
        services: shown.services,
        created: now,
        expires: created.expires,
        used: None,
    };
    let view = describe::invite(&app.store.read(), now, &created.hash, &record);
    told.undo = undo(&["user", "uninvite", &view.id]);
    let real = !dry.dry_run;
    let code = real.then(|| created.code.to_string());
    let url = app.config.join_url.as_ref().filter(|_| real);
    let url = url.map(|base| format!("{}{}", base.trim_end_matches('/'), created.path));
    let status = if real { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Answer(InviteAnswer { schema: "wandergate.invite/1", invite: view, code, url, told })))
}

/// Withdraws an invite that nobody has used.
#[utoipa::path(delete, path = "/v1/invites/{id}", tag = "users",
    params(("id" = String, Path, description = "The invite's id, as in the list"), DryRun), responses(
    (status = 200, body = InviteAnswer), (status = 410, description = "invite_used"),
    (status = 404, description = "unknown_target"), (status = 422, description = "body_invalid")))]
pub(super) async fn withdraw(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Path(id): Path<String>,
    Ask(dry): Ask<DryRun>,
) -> Result<Answer<InviteAnswer>, Problem> {
    let order = app.order(who, "")?;
    let now = order.now;
    let view = {
        let records = app.store.read();
        let (hash, known) = invite::with_id(&records, &id)?;
        describe::invite(&records, now, hash, known)
    };
    let decide = move |records: &_| invite::withdraw(records, &order, &id);
    let (_, told) = change(&app, dry.dry_run, decide, |_| ()).await?;
    Ok(Answer(InviteAnswer { schema: "wandergate.invite/1", invite: view, code: None, url: None, told }))
}
