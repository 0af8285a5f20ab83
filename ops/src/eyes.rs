//! What ops must see and do in the running process, without knowing its parts: the binary joins them.

mod fabric;

use std::net::IpAddr;

use defense::{Journal, Reason};
use rotator::{GrantNo, Lease};
use serde::Serialize;
use utoipa::ToSchema;

pub use fabric::{
    FabricEyes, FabricSection, HubSection, LaneSection, LinkSection, OfferSection, PlaneSection, ReasonCount,
    StreamRefusal,
};

/// The running gateway, as the ops API sees it. Every call returns at once: it reads memory and never waits.
pub trait Eyes: FabricEyes {
    /// Leases that the edge has in its table for a destination address, tombstones included.
    fn leases_at(&self, address: IpAddr) -> Vec<Lease>;

    /// The grant that bears a label now; `label` is the first label of a host name, in any case.
    fn grant_of_label(&self, label: &str) -> Option<GrantNo>;

    /// Addresses of a grant that the edge has in its table, oldest first, tombstones included.
    fn addresses_of(&self, grant: GrantNo) -> Vec<(IpAddr, Lease)>;

    /// Full host names that a grant bears now. They are secrets: ops shows them only when a reveal was asked for.
    fn names_of(&self, grant: GrantNo) -> Vec<String>;

    /// Open connections of a grant.
    fn connections_of(&self, grant: GrantNo) -> usize;

    /// Closes every connection of these grants; answers how many there were. Idempotent: the edge also closes them by
    /// itself when it applies a revocation.
    fn close_grants(&self, grants: &[GrantNo], reason: Reason) -> usize;

    /// What each part of the process says of itself.
    fn sections(&self) -> Sections;

    /// What was refused lately.
    fn journal(&self) -> &Journal;
}

/// What each part of the process says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sections {
    pub edge: EdgeSection,
    pub dns: DnsSection,
    pub fabric: FabricSection,
    pub registration: RegistrationSection,
    pub process: ProcessSection,
}

/// The process as the kernel sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProcessSection {
    pub pid: u32,
    /// Open descriptors, and how many there may be.
    pub descriptors: u64,
    pub descriptors_max: u64,
    /// How many there should be able to be, so that every place can be used.
    pub descriptors_wanted: u64,
    pub resident_bytes: u64,
    pub threads: u64,
    /// Tasks of all runtimes.
    pub tasks: u64,
}

/// The edge: what it listens on, and how much it carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct EdgeSection {
    pub name: String,
    /// The zone under which private names live.
    pub zone: String,
    /// Which engine drops what was not leased: `user` where nothing better works.
    pub engine: String,
    pub listen: Vec<String>,
    /// HTTP/3 is spoken at the UDP ports of https entries, too.
    pub http3: bool,
    /// Connections are accepted, and the process has not been told to stop.
    pub serving: bool,
    /// It was told to stop: who is here finishes, then it ends.
    pub draining: bool,
    /// Connections that a drain had to cut.
    pub cut_total: u64,
    /// Connections of every kind that may be open at a time, and how many more could be now.
    pub places: u64,
    pub places_free: u64,
    pub connections: u64,
    /// Of these, those whose lease has closed.
    pub connections_draining: u64,
    pub leases: LeaseCounts,
    pub pressure: PressureSection,
    /// Since the start.
    pub connections_total: u64,
    pub requests_total: u64,
}

/// How hard pressed the edge is, and what it has shed for that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PressureSection {
    /// `calm`, `raised`, `high`, `severe`.
    pub level: String,
    /// What presses: `queue`, `lag`, `memory`, `places`.
    pub by: Option<String>,
    /// How often a higher level was reached since the start.
    pub raised_total: u64,
    pub shed: Vec<ShedCount>,
}

/// One kind of work that was shed under pressure, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShedCount {
    /// `pretense`, `retry`, `idle`, `delay`, `share`, `newcomer`.
    pub what: String,
    pub count: u64,
}

/// Leases in the edge's table by the stage of their life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct LeaseCounts {
    pub early: u64,
    pub live: u64,
    pub grace: u64,
    pub tombstone: u64,
}

/// The name server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct DnsSection {
    pub listen: Vec<String>,
    pub serving: bool,
    /// Labels that are answered with a lease now.
    pub labels: u64,
    /// Since the start.
    pub queries_total: u64,
    pub decoys_total: u64,
}

/// The one public surface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RegistrationSection {
    pub url: String,
    pub serving: bool,
    /// Whether somebody without an invite may register.
    pub open: bool,
    /// Leading zero bits of the proof of work asked of somebody without an invite.
    pub pow_bits: u8,
    /// Since the start.
    pub enrolled_total: u64,
    pub refused_total: u64,
}
