//! What is listed: users, devices, invites, services, schedules.

use serde::Serialize;
use utoipa::ToSchema;

/// When and why access ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RevokedView {
    pub at: Option<String>,
    pub why: String,
}

/// `wandergate.user.list/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserList {
    pub schema: &'static str,
    pub users: Vec<UserView>,
    /// What to pass as `after` for the next page; absent on the last.
    pub next: Option<String>,
}

/// `wandergate.user/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserAnswer {
    pub schema: &'static str,
    #[serde(flatten)]
    pub user: UserView,
    pub devices: Vec<DeviceView>,
    /// Invites that nobody has used yet.
    pub invites: Vec<InviteView>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserView {
    pub id: String,
    pub name: String,
    pub created_at: Option<String>,
    /// `active` or `revoked`.
    pub state: &'static str,
    pub revoked: Option<RevokedView>,
    pub devices_count: usize,
    /// Classes of its devices: `name`, `agent`.
    pub classes: Vec<&'static str>,
    pub services: Vec<String>,
    /// `strong`: all by key; `good`: by private name; `weak`: IPv4 only; `-` without devices.
    pub posture: &'static str,
    pub connections: usize,
}

/// `wandergate.device.list/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeviceList {
    pub schema: &'static str,
    pub devices: Vec<DeviceView>,
    /// What to pass as `after` for the next page; absent on the last.
    pub next: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeviceView {
    pub id: String,
    pub user: String,
    pub name: String,
    pub class: &'static str,
    pub enrolled_at: Option<String>,
    /// `active`, or `revoked` by itself or with its user.
    pub state: &'static str,
    pub revoked: Option<RevokedView>,
    /// First digits of the public key, for comparing by eye; `null` for an ordinary client.
    pub key: Option<String>,
    pub services: Vec<String>,
    pub connections: usize,
}

/// `wandergate.invite.list/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InviteList {
    pub schema: &'static str,
    pub invites: Vec<InviteView>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InviteView {
    /// First digits of the code's hash: no secret.
    pub id: String,
    pub user: String,
    pub services: Vec<String>,
    pub created_at: Option<String>,
    pub expires_at: Option<String>,
    pub expires_in_s: u64,
    /// `pending`, `used` or `expired`.
    pub state: &'static str,
    /// The device that it became.
    pub device: Option<String>,
}

/// `wandergate.service.list/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServiceList {
    pub schema: &'static str,
    pub services: Vec<ServiceView>,
}

/// `wandergate.service/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServiceShown {
    pub schema: &'static str,
    #[serde(flatten)]
    pub service: ServiceView,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ServiceView {
    pub name: String,
    pub to: String,
    /// What users reach at their addresses: `https/443`, `udp/16384-16483`.
    pub listen: Vec<String>,
    /// The port that stands for the service where only one can be told.
    pub port: u16,
    /// `address` or `name`.
    pub auth: &'static str,
    pub schedule: String,
    pub pools: Vec<String>,
    /// Longest session, in seconds, where it is not the schedule's.
    pub max_session_s: Option<u32>,
    /// The service is told who is at the other end (PROXY protocol, version 2).
    pub proxy: bool,
    /// In which HTTP the service is asked: `http/1.1` or `h2`.
    pub speaks: &'static str,
    /// What requests are answered with instead of by the service.
    pub maintenance: Option<String>,
    /// Longest request body, in bytes; `null` is the usual.
    pub max_body: Option<u64>,
    /// Longest time for one request, in seconds; `null` is the usual.
    pub max_time_s: Option<u32>,
    /// `config` or `api`: who may change it.
    pub origin: &'static str,
    pub grants: usize,
}

/// `wandergate.schedule.list/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleList {
    pub schema: &'static str,
    pub schedules: Vec<ScheduleView>,
}

/// `wandergate.schedule/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleAnswer {
    pub schema: &'static str,
    #[serde(flatten)]
    pub schedule: ScheduleView,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ScheduleView {
    pub name: String,
    pub origin: &'static str,
    pub services: Vec<String>,
    /// In force now.
    pub current: VersionView,
    /// Decided, and to begin later.
    pub pending: Vec<VersionView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct VersionView {
    pub from: Option<String>,
    /// Of ordinary clients, by DNS name.
    pub name: Times,
    /// Of agents.
    pub agent: Times,
}

/// All in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Times {
    pub window_s: u32,
    pub lead_s: u32,
    pub grace_s: u32,
    pub tombstone_s: u32,
    pub ttl_s: u32,
    pub label_s: u32,
    pub max_session_s: u32,
    /// `reset` or `drop`.
    pub stale: &'static str,
}
