//! Who may initiate and accept what on one host, by port number (requirement 0.11). Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{Host, HubSite, Plane, Protocol, Topology};

/// Everything that a host may do on the network besides loopback. What is not here is not allowed, in either direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrix {
    /// Whose.
    pub host: String,
    /// What it may accept.
    pub accepts: BTreeSet<Accept>,
    /// What it may initiate.
    pub initiates: BTreeSet<Initiate>,
}

/// Connections that a host may accept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Accept {
    /// What for.
    pub purpose: Purpose,
    /// Where: one address of the host, or any that it has (leases of users move).
    pub at: Option<IpAddr>,
    /// Its port.
    pub port: u16,
    /// Over what.
    pub protocol: Protocol,
    /// From whom, all of one family; nobody named is anybody.
    pub from: BTreeSet<IpAddr>,
}

/// A connection that a host may initiate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Initiate {
    /// What for.
    pub purpose: Purpose,
    /// Where to.
    pub to: SocketAddr,
    /// Over what.
    pub protocol: Protocol,
}

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A local hub or an edge links to a hub.
    Members {
        /// The hub's plane.
        plane: String,
        /// Who is dialed.
        hub: String,
    },
    /// A hub links to another of its plane.
    Between {
        /// The plane of both.
        plane: String,
        /// Who dials.
        from: String,
        /// Who is dialed.
        to: String,
    },
    /// The outside world knocks at an edge.
    Outside {
        /// Whose.
        edge: String,
        /// Which.
        function: String,
    },
    /// An edge leads out.
    Egress {
        /// Which.
        name: String,
    },
}

impl Topology {
    /// What a host may initiate and accept; `None` for a host that is not there.
    ///
    /// What stays on the host needs no row, even to an address of its own: it passes over loopback.
    pub fn matrix(&self, host: &str) -> Option<Matrix> {
        let host = self.host(host)?;
        let mut matrix = Matrix { host: host.name.clone(), ..Matrix::default() };
        if self.member_hosts().any(|member| member.name == host.name) {
            matrix.initiates.extend(self.links(host));
        }
        for (plane, hub) in self.hubs().filter(|(_, hub)| hub.host == host.name) {
            matrix.accepts.extend(self.members(plane, hub));
            for other in plane.hubs.iter().filter(|other| other.host != host.name) {
                matrix.accepts.extend(self.heard(plane, hub, other));
                matrix.initiates.extend(called(host, plane, hub, other));
            }
        }
        for edge in self.edges.iter().filter(|edge| edge.host == host.name) {
            for function in &edge.outside {
                let purpose = Purpose::Outside { edge: edge.name.clone(), function: function.name.clone() };
                let row = |protocol: &Protocol| Accept {
                    purpose: purpose.clone(),
                    at: None,
                    port: function.port,
                    protocol: *protocol,
                    from: BTreeSet::new(),
                };
                matrix.accepts.extend(function.protocols.iter().map(row));
            }
            let own = self.egresses.iter().filter(|egress| egress.edge == edge.name);
            matrix.initiates.extend(own.map(|egress| Initiate {
                purpose: Purpose::Egress { name: egress.name.clone() },
                to: egress.to,
                protocol: egress.protocol,
            }));
        }
        Some(matrix)
    }

    /// One row for each hub elsewhere.
    fn links(&self, host: &Host) -> impl Iterator<Item = Initiate> {
        self.hubs().filter(|(_, hub)| hub.host != host.name).map(|(plane, hub)| Initiate {
            purpose: Purpose::Members { plane: plane.name.clone(), hub: hub.name.clone() },
            to: hub.members,
            protocol: Protocol::Tcp,
        })
    }

    fn members(&self, plane: &Plane, hub: &HubSite) -> Option<Accept> {
        let others = self.member_hosts().filter(|member| member.name != hub.host);
        let from: BTreeSet<IpAddr> =
            others.flat_map(|member| &member.addresses).copied().filter(same_family(hub.members)).collect();
        let purpose = Purpose::Members { plane: plane.name.clone(), hub: hub.name.clone() };
        accept(purpose, hub.members, from)
    }

    fn heard(&self, plane: &Plane, hub: &HubSite, other: &HubSite) -> Option<Accept> {
        let addresses = &self.host(&other.host)?.addresses;
        let from = addresses.iter().copied().filter(same_family(hub.between)).collect();
        accept(between(plane, other, hub), hub.between, from)
    }
}

fn called(host: &Host, plane: &Plane, hub: &HubSite, other: &HubSite) -> Option<Initiate> {
    let row = Initiate { purpose: between(plane, hub, other), to: other.between, protocol: Protocol::Tcp };
    host.addresses.iter().copied().any(|address| same_family(other.between)(&address)).then_some(row)
}

fn between(plane: &Plane, from: &HubSite, to: &HubSite) -> Purpose {
    Purpose::Between { plane: plane.name.clone(), from: from.name.clone(), to: to.name.clone() }
}

fn same_family(socket: SocketAddr) -> impl Fn(&IpAddr) -> bool {
    move |address| address.is_ipv6() == socket.is_ipv6()
}

/// Nobody to accept from is no row: an empty set would mean anybody.
fn accept(purpose: Purpose, at: SocketAddr, from: BTreeSet<IpAddr>) -> Option<Accept> {
    let row = Accept { purpose, at: Some(at.ip()), port: at.port(), protocol: Protocol::Tcp, from };
    (!row.from.is_empty()).then_some(row)
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members { plane, hub } => write!(f, "members of hub {hub} in plane {plane}"),
            Self::Between { plane, from, to } => write!(f, "hub {from} to hub {to} in plane {plane}"),
            Self::Outside { edge, function } => write!(f, "function {function} of edge {edge}"),
            Self::Egress { name } => write!(f, "egress {name}"),
        }
    }
}

impl Purpose {
    /// Reads what `Display` wrote.
    pub fn from_text(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let own = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        match words[..] {
            ["members", "of", "hub", hub, "in", "plane", plane] => {
                Some(Self::Members { plane: own(plane)?, hub: own(hub)? })
            }
            ["hub", from, "to", "hub", to, "in", "plane", plane] => {
                Some(Self::Between { plane: own(plane)?, from: own(from)?, to: own(to)? })
            }
            ["function", function, "of", "edge", edge] => {
                Some(Self::Outside { edge: own(edge)?, function: own(function)? })
            }
            ["egress", name] => Some(Self::Egress { name: own(name)? }),
            _ => None,
        }
    }
}
