//! What is looked at: status, why, windows, exposure, connections, audit.

use serde::Serialize;
use utoipa::ToSchema;

use super::Owner;
use crate::eyes::{Sections, StreamRefusal};

/// `wandergate.status/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Status {
    pub schema: &'static str,
    pub name: String,
    pub version: String,
    pub now: Option<String>,
    pub started_at: Option<String>,
    pub up_s: u64,
    /// Transactions so far; also the length of the audit.
    pub revision: u64,
    pub counts: Counts,
    #[serde(flatten)]
    pub sections: Sections,
    /// Refusals and delays since the start, the most frequent first.
    pub verdicts: Vec<VerdictCount>,
    pub health: Health,
}

/// What is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    pub users: usize,
    pub users_revoked: usize,
    pub devices: usize,
    pub grants: usize,
    pub services: usize,
    pub schedules: usize,
    pub invites_pending: usize,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VerdictCount {
    pub point: &'static str,
    pub verdict: &'static str,
    pub reason: &'static str,
    pub code: &'static str,
    pub count: u64,
}

/// Whether all parts serve; what is wrong otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Health {
    /// `good` or `unhealthy`.
    pub state: &'static str,
    /// One sentence for each part that does not serve.
    pub wrong: Vec<String>,
    /// One sentence for each part that serves, but has lost what it would fall back on.
    pub notices: Vec<String>,
}

impl Health {
    pub(crate) const fn of(wrong: Vec<String>, notices: Vec<String>) -> Self {
        Self { state: if wrong.is_empty() { "good" } else { "unhealthy" }, wrong, notices }
    }
}

/// `wandergate.health/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HealthAnswer {
    pub schema: &'static str,
    #[serde(flatten)]
    pub health: Health,
}

/// `wandergate.why/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Why {
    pub schema: &'static str,
    pub target: String,
    /// `address`, `source`, `network`, `name`, `user`, `device`, `service`, `request`, `reason`.
    pub kind: &'static str,
    /// `pass`, `delay`, `reauth`, `reject`, `drop`.
    pub verdict: &'static str,
    pub reason: Option<&'static str>,
    pub code: Option<&'static str>,
    pub layer: Option<&'static str>,
    pub what: String,
    pub why: Option<String>,
    pub fix: Option<String>,
    pub since: Option<String>,
    pub expires_at: Option<String>,
    pub expires_in_s: Option<u64>,
    pub owner: Option<Owner>,
    /// Open connections of the grants concerned.
    pub connections: usize,
    /// Leases concerned, without their addresses.
    pub leases: Vec<WhyLease>,
    /// Refusals that are remembered, newest first.
    pub seen: Vec<Refused>,
    /// Streams to this service that the fabric refused lately, newest first.
    pub fabric: Vec<StreamRefusal>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WhyLease {
    pub owner: Option<Owner>,
    pub window: u64,
    /// `early`, `live`, `grace`, `tombstone`, `draining`, `silence`.
    pub state: &'static str,
    pub opens_at: Option<String>,
    pub closes_at: Option<String>,
    pub closes_in_s: u64,
}

/// One refusal, or alike ones of the same second.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Refused {
    pub at: Option<String>,
    pub point: &'static str,
    pub verdict: &'static str,
    pub reason: &'static str,
    pub code: &'static str,
    pub source: String,
    /// At least so many alike.
    pub count: u64,
    pub owner: Option<Owner>,
    pub request: Option<String>,
}

/// `wandergate.window.list/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WindowList {
    pub schema: &'static str,
    pub now: Option<String>,
    /// Whether addresses and names are shown.
    pub revealed: bool,
    pub windows: Vec<WindowView>,
    /// What to pass as `after` for the next page; absent on the last.
    pub next: Option<u32>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WindowView {
    pub grant: u32,
    #[serde(flatten)]
    pub owner: Owner,
    pub class: &'static str,
    pub window: u64,
    pub state: &'static str,
    pub port: u16,
    pub opens_at: Option<String>,
    pub starts_at: Option<String>,
    pub ends_at: Option<String>,
    pub closes_at: Option<String>,
    pub closes_in_s: u64,
    /// `null` unless revealed.
    pub address: Option<String>,
    /// Private names borne now; empty unless revealed.
    pub names: Vec<String>,
}

/// `wandergate.connection.list/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConnectionList {
    pub schema: &'static str,
    /// Open connections of all grants listed.
    pub open: usize,
    /// Grants with open connections, the busiest first; at most a page.
    pub connections: Vec<GrantConnections>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GrantConnections {
    #[serde(flatten)]
    pub owner: Owner,
    pub open: usize,
}

/// `wandergate.exposure/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExposureReport {
    pub schema: &'static str,
    /// Guesses a second that the figures reckon with.
    pub rate_per_s: f64,
    pub pools: Vec<PoolView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PoolView {
    pub pool: String,
    pub range: String,
    pub family: &'static str,
    /// `strong`, or `weak` where the space is small enough to be scanned.
    pub posture: &'static str,
    pub grants: u64,
    /// Addresses that a guess may choose from.
    pub space: f64,
    /// Addresses accepted at once, on average.
    pub accepted: f64,
    pub chance_per_guess: f64,
    pub window_s: u32,
    /// Chance of any hit within one window at that rate.
    pub chance_per_window: f64,
    /// Expected guesses until the first hit; `null` when nothing is accepted.
    pub guesses_until_hit: Option<f64>,
    pub seconds_until_hit: Option<f64>,
}

/// `wandergate.audit.list/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditList {
    pub schema: &'static str,
    /// Length of the whole chain.
    pub length: u64,
    pub entries: Vec<AuditView>,
    /// What to pass as `from` for the next page; absent on the last.
    pub next: Option<u64>,
}

/// One entry. `at_unix` is what the hash covers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditView {
    pub seq: u64,
    pub at: Option<String>,
    pub at_unix: u64,
    pub actor: String,
    pub verb: String,
    pub target: String,
    pub why: String,
    pub changes: String,
    pub before: String,
    pub hash: String,
}
