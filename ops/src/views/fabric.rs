//! What is looked at in the fabric: hub instances of all planes.

use serde::Serialize;
use utoipa::ToSchema;

use super::Health;
use crate::eyes::{FabricSection, LinkSection, ReasonCount, StreamRefusal};

/// `wandergate.hub.list/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HubList {
    pub schema: &'static str,
    /// What the process that answers is in the fabric: `all`, `edge`, `hub`, `local-hub`.
    pub role: String,
    pub hubs: Vec<HubView>,
    /// Streams that were refused lately, newest first.
    pub refusals: Vec<StreamRefusal>,
}

/// One hub instance, as the process that answers sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HubView {
    pub name: String,
    pub plane: String,
    /// `active`, `standby`, `unreachable`, `unknown`.
    pub state: String,
    pub term: Option<u64>,
    pub address: Option<String>,
    /// It runs in the process that answers.
    pub here: bool,
    /// Lanes to it or, where it runs here, of it; and how many there should be.
    pub lanes_up: u64,
    pub lanes: u64,
    pub streams: u64,
}

/// `wandergate.hub/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HubAnswer {
    pub schema: &'static str,
    #[serde(flatten)]
    pub hub: HubView,
    /// The plane's services that can be opened now.
    pub services: Vec<String>,
    pub links: Vec<LinkSection>,
    /// Refusals and ends on its plane, since the start.
    pub refused: Vec<ReasonCount>,
}

/// `wandergate.hub.step_down/1`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SteppedDown {
    pub schema: &'static str,
    pub name: String,
    /// It has given its place up; another instance takes it within a second.
    pub changed: bool,
    pub dry_run: bool,
}

/// `wandergate.inside.status/1`: a process of the fabric alone.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InsideStatus {
    pub schema: &'static str,
    pub name: String,
    /// `hub`, `local-hub`.
    pub role: String,
    pub version: String,
    pub now: Option<String>,
    pub started_at: Option<String>,
    pub up_s: u64,
    pub fabric: FabricSection,
    pub health: Health,
}
