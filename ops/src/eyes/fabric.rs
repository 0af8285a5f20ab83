//! The inside as a process of any role sees it: planes, hub instances, links, lanes.

use defense::Reason;
use serde::Serialize;
use utoipa::ToSchema;

/// The fabric's part of a running process: all that a process without store and edge can tell. Calls return at once.
pub trait FabricEyes: Send + Sync + 'static {
    fn fabric(&self) -> FabricSection;

    /// Makes the hub instance of that name, which runs in this process, give its place as active to another one.
    ///
    /// # Errors
    /// `unknown_hub`: no such instance is known here; `step_down_elsewhere`: it runs in another process;
    /// `step_down_refused`: it is not active, or nobody could take over.
    fn step_down(&self, hub: &str) -> Result<(), Reason>;
}

/// The inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct FabricSection {
    /// `all`, `edge`, `hub`, `local-hub`: what this process is in the fabric.
    pub role: String,
    /// Its name there, as in the wiring.
    pub name: String,
    pub planes: Vec<PlaneSection>,
    /// What this process's local hub has to offer; empty elsewhere.
    pub offers: Vec<OfferSection>,
    /// Streams that were refused lately, newest first; bounded.
    pub refusals: Vec<StreamRefusal>,
}

/// One of the two independent networks, A and B.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlaneSection {
    pub plane: String,
    /// `active`: it carries streams; `standby` (at a standby hub: another instance does); `partial`: lanes are missing;
    /// `electing` (at a hub: no active is known); `down`.
    pub state: String,
    /// The instance that is active, as far as this process knows.
    pub active: Option<String>,
    /// Number of that instance's mandate; it only ever grows.
    pub term: Option<u64>,
    /// Lanes that are up, and how many there should be (six per link).
    pub lanes_up: u64,
    pub lanes: u64,
    pub streams: u64,
    /// Streams that reached their service, since the start.
    pub opened_total: u64,
    /// How often a member chose this plane for a stream, asked it because the other was late, and kept whose answer.
    pub chosen_total: u64,
    pub hedges_won_total: u64,
    pub hedges_lost_total: u64,
    /// Round trip to the active, smoothed.
    pub rtt_us: Option<u64>,
    /// Nothing was heard of it for longer than usual: new streams avoid it.
    pub suspect: bool,
    /// Names of services that can be opened.
    pub services: Vec<String>,
    /// Its instances.
    pub hubs: Vec<HubSection>,
    /// Links of this process on this plane: a hub's members, or a member's one link to the active.
    pub links: Vec<LinkSection>,
    /// Why the last lane to any of its hubs ended, or could not be made.
    pub last_end: Option<String>,
    /// Refusals and ends since the start.
    pub refused: Vec<ReasonCount>,
}

/// One main hub instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct HubSection {
    pub name: String,
    /// Where members dial it.
    pub address: Option<String>,
    /// `active`, `standby`, `unreachable`, `unknown`.
    pub state: String,
    /// The highest term that was heard of it.
    pub term: Option<u64>,
    /// It runs in this process.
    pub here: bool,
}

/// Six lanes to one member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkSection {
    /// Who is at the far side: `edge/edge1`, `local-hub/local-1`, `hub/hub-a1`.
    pub far: String,
    /// All six lanes are up.
    pub ready: bool,
    /// Some lane of it is in doubt.
    pub suspect: bool,
    /// Round trip of the control lane, smoothed.
    pub rtt_us: Option<u64>,
    pub lanes: Vec<LaneSection>,
    /// What the far side offers, or what may be offered to it.
    pub services: Vec<String>,
    /// Why its last lane ended, or the last attempt to make one failed.
    pub last_end: Option<String>,
}

/// One TCP connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct LaneSection {
    /// `control`, `alert`, `interactive`, `bulk`.
    pub class: String,
    pub up: bool,
    pub suspect: bool,
    pub streams: u64,
    /// Round trip, smoothed; of lanes other than control that of the last time it was needed.
    pub rtt_us: Option<u64>,
}

/// A service at its local hub.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct OfferSection {
    pub service: String,
    /// Where its servers are.
    pub servers: Vec<String>,
    /// Some plane's active hub permits the offer.
    pub permitted: bool,
    /// Servers that take new streams, of all of them.
    pub healthy: u64,
}

/// A reason of the fabric and how often it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReasonCount {
    pub reason: String,
    pub count: u64,
}

/// A stream that was not opened, or alike ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StreamRefusal {
    /// Seconds since the last one of them.
    pub ago_s: u64,
    pub service: String,
    /// Who asked: `edge/edge1`.
    pub caller: String,
    /// The fabric's word for it.
    pub reason: String,
    pub count: u64,
}
