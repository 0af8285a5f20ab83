//! What changes answer with.

use serde::Serialize;
use utoipa::ToSchema;

use super::{InviteView, PoolView, ScheduleView, ServiceView, VersionView};

/// What every change tells besides its own.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Told {
    /// False when it was so already.
    pub changed: bool,
    /// True when nothing was done, only decided.
    pub dry_run: bool,
    /// The store's revision that has it; absent in a dry run.
    pub revision: Option<u64>,
    /// Everybody who serves from the store, and how long each took to serve this; `null` is "not within 2 s".
    pub acks: Vec<AckView>,
    /// The command that undoes it; empty when nothing does.
    pub undo: Vec<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AckView {
    pub name: String,
    pub ack_ms: Option<u64>,
}

/// `wandergate.user.access/1`: a user revoked or restored.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserAccess {
    pub schema: &'static str,
    pub user: String,
    /// `active` or `revoked`.
    pub state: &'static str,
    pub grants: usize,
    pub closed_connections: usize,
    #[serde(flatten)]
    pub told: Told,
}

/// `wandergate.device.access/1`: a device revoked or restored.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeviceAccessView {
    pub schema: &'static str,
    pub id: String,
    pub user: String,
    pub device: String,
    pub state: &'static str,
    pub grants: usize,
    pub closed_connections: usize,
    #[serde(flatten)]
    pub told: Told,
}

/// `wandergate.invite/1`: an invite made or withdrawn.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InviteAnswer {
    pub schema: &'static str,
    #[serde(flatten)]
    pub invite: InviteView,
    /// The code, once, when it was just made. Whoever has it may enroll one device.
    pub code: Option<String>,
    /// The address to open, once, when it was just made.
    pub url: Option<String>,
    #[serde(flatten)]
    pub told: Told,
}

/// `wandergate.service/1`: a service added or removed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServiceAnswer {
    pub schema: &'static str,
    #[serde(flatten)]
    pub service: ServiceView,
    pub closed_connections: usize,
    #[serde(flatten)]
    pub told: Told,
}

/// `wandergate.schedule.change/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleChange {
    pub schema: &'static str,
    #[serde(flatten)]
    pub schedule: ScheduleView,
    /// The first second of the new version.
    pub begins_at: Option<String>,
    #[serde(flatten)]
    pub told: Told,
}

/// `wandergate.rotation/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RotationAnswer {
    pub schema: &'static str,
    pub grants: usize,
    /// They follow by themselves.
    pub agents: usize,
    /// They follow by DNS, within their resolvers' time.
    pub name_clients: usize,
    pub leaked: bool,
    /// When the new addresses begin.
    pub begins_at: Option<String>,
    /// New private names, where they were asked for: hand them to their users.
    pub names: Vec<NewName>,
    #[serde(flatten)]
    pub told: Told,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NewName {
    pub user: String,
    pub device: String,
    pub service: String,
    /// The full host name.
    pub host: String,
}

/// `wandergate.schedule.preview/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PreviewAnswer {
    pub schema: &'static str,
    pub schedule: String,
    pub from: Option<String>,
    pub until: Option<String>,
    pub span_s: u64,
    pub before: VersionView,
    /// `null` when nothing would change.
    pub after: Option<VersionView>,
    pub rows: Vec<PreviewRow>,
    pub impact: Vec<ImpactView>,
    pub exposure: Vec<ExposureChange>,
    /// Always 0: established connections outlive their window until `max_session`.
    pub sessions_cut: u32,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PreviewRow {
    pub class: &'static str,
    /// Whose, or `null` where nobody of that class is enrolled yet.
    pub user: Option<String>,
    pub device: Option<String>,
    pub service: Option<String>,
    pub before: Vec<PreviewWindow>,
    pub after: Vec<PreviewWindow>,
}

/// Seconds from the preview's `from`; negative before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PreviewWindow {
    pub window: u64,
    pub opens_s: i64,
    pub starts_s: i64,
    pub ends_s: i64,
    pub closes_s: i64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ImpactView {
    pub class: &'static str,
    pub grants: u64,
    pub moves_per_hour_before: f64,
    pub moves_per_hour_after: f64,
    pub dns_per_s_before: f64,
    pub dns_per_s_after: f64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExposureChange {
    pub before: PoolView,
    /// `null` when nothing would change.
    pub after: Option<PoolView>,
}
