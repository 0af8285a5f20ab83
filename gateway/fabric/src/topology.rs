//! The wiring of a whole deployment: planes and their hubs, hosts, local hubs, servers, edges, and who may do what. Pure.
//!
//! One file describes it (`ops/wiring.example.toml`), and every member reads the same one. Nothing is permitted that does
//! not stand there: a local hub offers the services written below it, an edge opens what its `opens` names, a native
//! server serves what its `serves` names, and an inside identity gets out only through an egress that names it.
//!
//! In reading order: this file (what may be written), [`place`] (where it stands), [`fault`] and `check` (what cannot be),
//! `grants` (the fabric's permissions), `limits` (what it does not survive), [`matrix`] (who may initiate and accept
//! what), [`nft`] (the same as firewall rules, and back).

mod check;
pub mod fault;
mod grants;
mod limits;
pub mod matrix;
pub mod nft;
pub mod place;
mod ports;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::identity::Identity;

pub use fault::{Rule, TopologyFault, Weight};
pub use matrix::Matrix;
pub use place::Place;

/// The service of operators. No wiring lets an edge open it (requirement 0.10).
pub const OPS_SERVICE: &str = "ops";

/// Everything that the file says. Made by a reader, believed after [`Topology::check`] has found nothing that refuses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The computers.
    pub hosts: Vec<Host>,
    /// The hub-and-spoke networks; they share nothing.
    pub planes: Vec<Plane>,
    /// The fabric's ends on the computers of services.
    pub local_hubs: Vec<LocalHubSite>,
    /// Servers that join a local hub by the library.
    pub servers: Vec<NativeServer>,
    /// The gateways.
    pub edges: Vec<EdgeSite>,
    /// The ways out.
    pub egresses: Vec<Egress>,
}

/// A computer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// One lower-case label.
    pub name: String,
    /// Where others reach it, and from where it dials.
    pub addresses: Vec<IpAddr>,
    /// What may stand on it.
    pub roles: BTreeSet<HostRole>,
}

/// What a computer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostRole {
    /// Main hubs.
    Hub,
    /// A local hub, with its services and servers.
    LocalHub,
    /// Gateways: the only role that the outside world touches, and never beside another (requirement 0.09).
    Edge,
}

/// One of the networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// `A`, `B`.
    pub name: String,
    /// Its instances; one of them is active.
    pub hubs: Vec<HubSite>,
}

/// One instance of a main hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSite {
    /// Its identity's name: unique over all planes.
    pub name: String,
    /// Where it runs.
    pub host: String,
    /// Where local hubs and edges reach it.
    pub members: SocketAddr,
    /// Where the other instances of its plane reach it.
    pub between: SocketAddr,
}

/// A local hub and what it offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalHubSite {
    /// Its identity's name.
    pub name: String,
    /// Where it runs.
    pub host: String,
    /// Where native servers join it; none join without.
    pub door: Option<Door>,
    /// What it offers.
    pub services: Vec<ServiceSite>,
}

/// Where a local hub listens for native servers: on this computer only (requirement 0.02).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// Loopback TCP.
    Loopback(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// One service of a local hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSite {
    /// What edges open.
    pub name: String,
    /// Where its servers listen, on loopback; native servers come besides.
    pub servers: Vec<SocketAddr>,
    /// What they speak.
    pub protocol: Protocol,
    /// Ports at the servers' addresses that edges may ask for besides each server's own.
    pub ports: Vec<PortRange>,
    /// How the local hub finds out which of them work.
    pub health: Health,
    /// Whether each connection begins with the PROXY protocol, version 2.
    pub proxy: bool,
}

/// Ports of a service, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// What they carry.
    pub protocol: Protocol,
    /// Not 0.
    pub first: u16,
    /// Not below the first.
    pub last: u16,
}

/// What is carried over a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// How a server is asked whether it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not at all.
    None,
    /// It accepts a connection.
    Connect,
    /// It answers a GET of this path with 2xx or 3xx.
    Http(String),
}

/// A server that joins a local hub by itself. It runs on the host of that local hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeServer {
    /// Its identity's name.
    pub name: String,
    /// The local hub that it joins.
    pub local_hub: String,
    /// The services of that local hub which it may serve.
    pub serves: Vec<String>,
}

/// A gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeSite {
    /// Its identity's name.
    pub name: String,
    /// Where it runs.
    pub host: String,
    /// The services that it may open.
    pub opens: Vec<String>,
    /// What it does towards the outside, one port each (requirement 0.15).
    pub outside: Vec<OutsideFunction>,
}

/// Something that the outside world may knock at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideFunction {
    /// What for: `web`, `dns`, `join`.
    pub name: String,
    /// Its only port.
    pub port: u16,
    /// Never empty.
    pub protocols: BTreeSet<Protocol>,
}

/// A way out: a name that inside identities may open, which an edge leads to one fixed address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// What is opened.
    pub name: String,
    /// The edge that leads out.
    pub edge: String,
    /// Where to.
    pub to: SocketAddr,
    /// How.
    pub protocol: Protocol,
    /// Local hubs and native servers.
    pub openers: Vec<Identity>,
}

impl HostRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hub, Self::LocalHub, Self::Edge];

    /// As the file writes it; the same words as in certificates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::LocalHub => "local-hub",
            Self::Edge => "edge",
        }
    }

    /// Whether the outside world never touches it.
    pub fn is_inside(self) -> bool {
        match self {
            Self::Hub | Self::LocalHub => true,
            Self::Edge => false,
        }
    }
}

impl Protocol {
    /// As the file and the firewall write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for HostRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for PortRange {
    /// As the file writes it: `udp/16384-16483`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}/{}", self.protocol, self.first),
            false => write!(f, "{}/{}-{}", self.protocol, self.first, self.last),
        }
    }
}

impl fmt::Display for OutsideFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocols: Vec<&str> = self.protocols.iter().map(|protocol| protocol.as_str()).collect();
        write!(f, "{}/{}", self.port, protocols.join("+"))
    }
}

impl Topology {
    /// The computer of that name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The plane of that name.
    pub fn plane(&self, name: &str) -> Option<&Plane> {
        self.planes.iter().find(|plane| plane.name == name)
    }

    /// Every hub with its plane.
    pub fn hubs(&self) -> impl Iterator<Item = (&Plane, &HubSite)> {
        self.planes.iter().flat_map(|plane| plane.hubs.iter().map(move |hub| (plane, hub)))
    }

    /// The hub of that name, whichever its plane.
    pub fn hub(&self, name: &str) -> Option<(&Plane, &HubSite)> {
        self.hubs().find(|(_, hub)| hub.name == name)
    }

    /// The local hub of that name.
    pub fn local_hub(&self, name: &str) -> Option<&LocalHubSite> {
        self.local_hubs.iter().find(|local| local.name == name)
    }

    /// The native server of that name.
    pub fn server(&self, name: &str) -> Option<&NativeServer> {
        self.servers.iter().find(|server| server.name == name)
    }

    /// The edge of that name.
    pub fn edge(&self, name: &str) -> Option<&EdgeSite> {
        self.edges.iter().find(|edge| edge.name == name)
    }

    /// The local hubs that offer a service.
    pub fn offerers(&self, service: &str) -> impl Iterator<Item = &LocalHubSite> {
        self.local_hubs.iter().filter(move |local| local.services.iter().any(|one| one.name == service))
    }

    /// Hosts that dial hubs: those of local hubs and of edges.
    pub(crate) fn member_hosts(&self) -> impl Iterator<Item = &Host> {
        let dials = |host: &&Host| {
            self.local_hubs.iter().any(|local| local.host == host.name)
                || self.edges.iter().any(|edge| edge.host == host.name)
        };
        self.hosts.iter().filter(dials)
    }
}

/// A name as the wiring has it: one lower-case label of 1 to 63 letters, digits, and hyphens inside. A plane's may have upper
/// case. Narrower than [`crate::refusal::is_name`], so that it stands in paths, rules and comments as it is.
pub fn is_wiring_name(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(fine) && !name.starts_with('-') && !name.ends_with('-')
}

/// As [`is_wiring_name`], where upper case may stand too, and at most 16.
pub fn is_plane_name(name: &str) -> bool {
    name.len() <= 16 && is_wiring_name(&name.to_ascii_lowercase())
}
