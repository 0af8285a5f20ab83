//! `/v1/devices`

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json as Answer};
use defense::Reason;
use serde::Deserialize;
use state::records::PublicKey;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::change::{change, close, open, undo};
use super::extract::{Ask, DryRun, Json, Page, name};
use super::guard::Credential;
use super::problem::Problem;
use super::users::ReasonBody;
use crate::acts::device::{self, DeviceAccess};
use crate::acts::user;
use crate::describe;
use crate::views::{DeviceAccessView, DeviceList, Told};

/// Which devices.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of this user only.
    user: Option<String>,
    /// Of the page before, as it says in `next`.
    after: Option<String>,
    /// Items, 1 to 1000.
    limit: Option<usize>,
}

/// Devices, by user and name.
#[utoipa::path(get, path = "/v1/devices", tag = "devices", params(Which), responses(
    (status = 200, body = DeviceList), (status = 404, description = "unknown_user"), (status = 422, description = "body_invalid")))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Ask(which): Ask<Which>,
) -> Result<Answer<DeviceList>, Problem> {
    let page = Page { after: which.after, limit: which.limit };
    let (views, next) = {
        let records = app.store.read();
        let all: Vec<_> = match &which.user {
            Some(text) => {
                let user = user::named(&records, &name(text, Reason::UnknownUser)?)?;
                records.devices_of(user.id).collect()
            }
            None => records.devices().collect(),
        };
        let key = |d: &&state::records::Device| {
            let user = records.user(d.user).map_or("", |u| u.name.as_str());
            format!("{user}/{}/{}", d.name, d.id)
        };
        let mut all = all;
        all.sort_by_cached_key(key);
        let (devices, next) = page.cut(all, key);
        let views: Vec<_> = devices.into_iter().map(|d| describe::device(&records, d)).collect();
        (views, next)
    };
    let devices = views.into_iter().map(|(mut view, grants)| {
        view.connections = open(&app, &grants);
        view
    });
    Ok(Answer(DeviceList { schema: "wandergate.device.list/1", devices: devices.collect(), next }))
}

/// Ends one device's access, and closes what is open.
#[utoipa::path(post, path = "/v1/devices/{id}/revoke", tag = "devices", request_body = ReasonBody,
    params(("id" = String, Path, description = "The device's number (UUID)"), DryRun), responses(
    (status = 200, body = DeviceAccessView), (status = 404, description = "unknown_target"),
    (status = 413, description = "body_too_large"), (status = 422, description = "body_invalid")))]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Path(text): Path<String>,
    Ask(dry): Ask<DryRun>,
    Json(body): Json<ReasonBody>,
) -> Result<Answer<DeviceAccessView>, Problem> {
    let id = number(&text)?;
    let order = app.order(who, &body.reason)?;
    let grants: Vec<_> = app.store.read().grants_of(id).map(|(no, _)| no).collect();
    let before = open(&app, &grants);
    let mut closed = 0;
    let decide = move |records: &_| device::revoke(records, &order, id);
    let then = |access: &DeviceAccess| closed = close(&app, &access.grants, before, Reason::RevokedLive);
    let (access, mut told) = change(&app, dry.dry_run, decide, then).await?;
    told.undo = undo(&["device", "restore", &path(&access)]);
    Ok(Answer(answer(&access, closed, told)))
}

/// Gives a revoked device access again, as far as its user has it.
#[utoipa::path(post, path = "/v1/devices/{id}/restore", tag = "devices", request_body = ReasonBody,
    params(("id" = String, Path, description = "The device's number (UUID)"), DryRun), responses(
    (status = 200, body = DeviceAccessView), (status = 404, description = "unknown_target"),
    (status = 413, description = "body_too_large"), (status = 422, description = "body_invalid")))]
pub(super) async fn restore(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Path(text): Path<String>,
    Ask(dry): Ask<DryRun>,
    Json(body): Json<ReasonBody>,
) -> Result<Answer<DeviceAccessView>, Problem> {
    let id = number(&text)?;
    let order = app.order(who, &body.reason)?;
    let decide = move |records: &_| device::restore(records, &order, id);
    let (access, mut told) = change(&app, dry.dry_run, decide, |_| ()).await?;
    told.undo = undo(&["device", "revoke", &path(&access)]);
    Ok(Answer(answer(&access, 0, told)))
}

/// The key with which a device is enrolled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyBody {
    /// 64 hexadecimal digits of an Ed25519 public key; `null` takes the key away.
    public_key: Option<String>,
    /// Kept in the audit.
    #[serde(default)]
    reason: String,
}

/// Enrolls a device with another key: what services with `auth = "key"` ask for.
#[utoipa::path(put, path = "/v1/devices/{id}/key", tag = "devices", request_body = KeyBody,
    params(("id" = String, Path, description = "The device's number (UUID)"), DryRun), responses(
    (status = 200, body = DeviceAccessView), (status = 400, description = "key_invalid"),
    (status = 404, description = "unknown_target"), (status = 409, description = "key_already_enrolled"),
    (status = 413, description = "body_too_large"), (status = 422, description = "body_invalid")))]
pub(super) async fn set_key(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Path(text): Path<String>,
    Ask(dry): Ask<DryRun>,
    Json(body): Json<KeyBody>,
) -> Result<Answer<DeviceAccessView>, Problem> {
    let id = number(&text)?;
    let key = body.public_key.map(|hex| PublicKey::try_from(hex.to_ascii_lowercase())).transpose();
    let key = key.map_err(|why| Problem::new(Reason::KeyInvalid, format!("public_key: {why}.")))?;
    let order = app.order(who, &body.reason)?;
    let decide = move |records: &_| device::set_key(records, &order, id, key);
    let (access, told) = change(&app, dry.dry_run, decide, |_| ()).await?;
    Ok(Answer(answer(&access, 0, told)))
}

pub(super) fn number(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::new(Reason::UnknownTarget, "A device is named by its number (UUID)."))
}

fn path(access: &DeviceAccess) -> String {
    format!("{}/{}", access.user, access.device)
}

fn answer(access: &DeviceAccess, closed_connections: usize, told: Told) -> DeviceAccessView {
    DeviceAccessView {
        schema: "wandergate.device.access/1",
        id: access.id.to_string(),
        user: access.user.to_string(),
        device: access.device.to_string(),
        state: describe::state_word(access.revoked.is_some()),
        grants: access.grants.len(),
        closed_connections,
        told,
    }
}
