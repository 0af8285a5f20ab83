//! Three kinds of ports, each number unique on its host and of one kind everywhere (requirements 0.12, 0.13, 0.15). Pure.

use std::net::SocketAddr;

use super::check::Findings;
use super::fault::Rule;
use super::place::Place;
use super::{Door, Topology};

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A hub accepts members there.
    Members,
    /// A hub accepts hubs of its plane there.
    Between,
    /// An edge accepts the outside there.
    Outside,
}

impl Kind {
    fn says(self) -> &'static str {
        match self {
            Self::Members => "where a hub accepts members",
            Self::Between => "where a hub accepts other hubs",
            Self::Outside => "where an edge accepts the outside",
        }
    }
}

struct Claim<'t> {
    kind: Kind,
    port: u16,
    host: &'t str,
    place: Place,
}

pub(super) fn check(topology: &Topology, findings: &mut Findings) {
    let claims = claims(topology);
    for (i, later) in claims.iter().enumerate() {
        let before = || claims.iter().take(i).filter(|earlier| earlier.port == later.port);
        if let Some(earlier) = before().find(|earlier| earlier.host == later.host) {
            taken(findings, later, earlier);
        } else if let Some(earlier) = before().find(|earlier| earlier.kind != later.kind) {
            other_kind(findings, later, earlier);
        }
    }
    loopback(topology, findings);
}

fn claims(topology: &Topology) -> Vec<Claim<'_>> {
    let hubs = topology.hubs().flat_map(|(plane, hub)| {
        let claim = move |kind, key: &str, socket: SocketAddr| Claim {
            kind,
            port: socket.port(),
            host: &hub.host,
            place: Place::hub(&plane.name, &hub.name).key(key),
        };
        [claim(Kind::Members, "members", hub.members), claim(Kind::Between, "between", hub.between)]
    });
    let edges = topology.edges.iter().flat_map(|edge| {
        edge.outside.iter().map(move |function| Claim {
            kind: Kind::Outside,
            port: function.port,
            host: &edge.host,
            place: Place::edge(&edge.name).key("outside").key(&function.name),
        })
    });
    hubs.chain(edges).collect()
}

fn taken(findings: &mut Findings, later: &Claim<'_>, earlier: &Claim<'_>) {
    let (at, other) = (later.place.clone(), earlier.place.clone());
    let what = format!("{at} wants port {} of {}, which is taken by {other}", later.port, later.host);
    findings.add(Rule::PortTaken, at, Some(other), what, "Give each a port of its own.");
}

/// Else a rule about a port number could not say what passes there.
fn other_kind(findings: &mut Findings, later: &Claim<'_>, earlier: &Claim<'_>) {
    let (at, other) = (later.place.clone(), earlier.place.clone());
    let (port, here, there) = (later.port, later.kind.says(), earlier.kind.says());
    let what = format!("{at} has port {port} {here}, but {port} is {there} by {other}");
    findings.add(
        Rule::PortKind,
        at,
        Some(other),
        what,
        "Give each of the three kinds port numbers of its own.",
    );
}

/// Where something of the fabric listens: host, socket, and the key that says so.
type Listener<'t> = (&'t str, SocketAddr, Place);

/// A service that is a listener of the fabric on its own host would call the fabric itself.
fn loopback(topology: &Topology, findings: &mut Findings) {
    let mut listeners: Vec<Listener<'_>> = Vec::new();
    for (plane, hub) in topology.hubs() {
        let place = Place::hub(&plane.name, &hub.name);
        listeners.push((&hub.host, hub.members, place.clone().key("members")));
        listeners.push((&hub.host, hub.between, place.key("between")));
    }
    for local in &topology.local_hubs {
        if let Some(Door::Loopback(socket)) = local.door {
            let at = Place::local_hub(&local.name).key("door");
            own(findings, &listeners, &local.host, socket, at.clone());
            listeners.push((&local.host, socket, at));
        }
    }
    for local in &topology.local_hubs {
        for service in &local.services {
            for (i, socket) in service.servers.iter().enumerate() {
                let at = Place::service(&local.name, &service.name).key("servers").item(i);
                own(findings, &listeners, &local.host, *socket, at);
            }
        }
    }
}

fn own(findings: &mut Findings, listeners: &[Listener<'_>], host: &str, socket: SocketAddr, at: Place) {
    let same = |listener: &&Listener<'_>| listener.0 == host && listener.1 == socket;
    if let Some((_, _, other)) = listeners.iter().find(same) {
        let what = format!("{at} = {socket} is taken by {other}");
        findings.add(Rule::PortTaken, at, Some(other.clone()), what, "Give each a port of its own.");
    }
}
