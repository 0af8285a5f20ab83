//! `/v1/users`

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json as Answer};
use defense::Reason;
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::change::{change, close, open, undo};
use super::extract::{Ask, DryRun, Json, Nothing, Page, name};
use super::guard::Credential;
use super::problem::Problem;
use crate::acts::user::{self, Access};
use crate::describe;
use crate::views::{UserAccess, UserAnswer, UserList};

/// Why access ends or comes back; the audit keeps it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonBody {
    #[serde(default)]
    pub(super) reason: String,
}

/// All users, by name.
#[utoipa::path(get, path = "/v1/users", tag = "users", params(Page), responses(
    (status = 200, body = UserList), (status = 422, description = "body_invalid")))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Ask(page): Ask<Page>,
) -> Result<Answer<UserList>, Problem> {
    let (views, next) = {
        let records = app.store.read();
        let mut all: Vec<_> = records.users().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let (users, next) = page.cut(all, |u| u.name.to_string());
        let views: Vec<_> = users.into_iter().map(|u| describe::user(&records, u)).collect();
        (views, next)
    };
    let users = views.into_iter().map(|(mut view, grants)| {
        view.connections = open(&app, &grants);
        view
    });
    Ok(Answer(UserList { schema: "wandergate.user.list/1", users: users.collect(), next }))
}

/// One user, with devices and open invites.
#[utoipa::path(get, path = "/v1/users/{name}", tag = "users",
    params(("name" = String, Path, description = "The user's name")), responses(
    (status = 200, body = UserAnswer), (status = 404, description = "unknown_user"), (status = 422, description = "body_invalid")))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    Ask(Nothing {}): Ask<Nothing>,
) -> Result<Answer<UserAnswer>, Problem> {
    let wanted = name(&text, Reason::UnknownUser)?;
    let ((mut view, grants), devices, invites) = {
        let records = app.store.read();
        let user = user::named(&records, &wanted)?;
        let devices: Vec<_> = records.devices_of(user.id).map(|d| describe::device(&records, d)).collect();
        let pending = records.invites().filter(|(_, i)| i.user == wanted && i.used.is_none());
        let invites = pending.map(|(hash, i)| describe::invite(&records, app.now(), hash, i)).collect();
        (describe::user(&records, user), devices, invites)
    };
    view.connections = open(&app, &grants);
    let devices = devices.into_iter().map(|(mut device, grants)| {
        device.connections = open(&app, &grants);
        device
    });
    Ok(Answer(UserAnswer { schema: "wandergate.user/1", user: view, devices: devices.collect(), invites }))
}

/// Ends a user's access on every edge, and closes what is open.
#[utoipa::path(post, path = "/v1/users/{name}/revoke", tag = "users", request_body = ReasonBody,
    params(("name" = String, Path, description = "The user's name"), DryRun), responses(
    (status = 200, body = UserAccess), (status = 404, description = "unknown_user"),
    (status = 413, description = "body_too_large"), (status = 422, description = "body_invalid")))]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Path(text): Path<String>,
    Ask(dry): Ask<DryRun>,
    Json(body): Json<ReasonBody>,
) -> Result<Answer<UserAccess>, Problem> {
    let wanted = name(&text, Reason::UnknownUser)?;
    let order = app.order(who, &body.reason)?;
    let grants = {
        let records = app.store.read();
        user::grants_of(&records, user::named(&records, &wanted)?)
    };
    let before = open(&app, &grants);
    let mut closed = 0;
    let decide = move |records: &_| user::revoke(records, &order, &wanted);
    let then = |access: &Access| closed = close(&app, &access.grants, before, Reason::RevokedLive);
    let (access, mut told) = change(&app, dry.dry_run, decide, then).await?;
    told.undo = undo(&["user", "restore", access.user.as_str()]);
    Ok(Answer(answer(&access, closed, told)))
}

/// Gives a revoked user access again.
#[utoipa::path(post, path = "/v1/users/{name}/restore", tag = "users", request_body = ReasonBody,
    params(("name" = String, Path, description = "The user's name"), DryRun), responses(
    (status = 200, body = UserAccess), (status = 404, description = "unknown_user"),
    (status = 413, description = "body_too_large"), (status = 422, description = "body_invalid")))]
pub(super) async fn restore(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Path(text): Path<String>,
    Ask(dry): Ask<DryRun>,
    Json(body): Json<ReasonBody>,
) -> Result<Answer<UserAccess>, Problem> {
    let wanted = name(&text, Reason::UnknownUser)?;
    let order = app.order(who, &body.reason)?;
    let decide = move |records: &_| user::restore(records, &order, &wanted);
    let (access, mut told) = change(&app, dry.dry_run, decide, |_| ()).await?;
    told.undo = undo(&["user", "revoke", access.user.as_str()]);
    Ok(Answer(answer(&access, 0, told)))
}

fn answer(access: &Access, closed_connections: usize, told: crate::views::Told) -> UserAccess {
    UserAccess {
        schema: "wandergate.user.access/1",
        user: access.user.to_string(),
        state: describe::state_word(access.revoked.is_some()),
        grants: access.grants.len(),
        closed_connections,
        told,
    }
}
