//! What stands where: hosts and their roles, addresses and their families, planes and their hubs. Pure.

use std::net::{IpAddr, SocketAddr};

use super::super::fault::Rule;
use super::super::place::Place;
use super::super::{Host, HostRole, HubSite, Plane, Topology};
use super::Findings;

pub(super) fn check(topology: &Topology, findings: &mut Findings) {
    for (role, at, host) in placements(topology) {
        placed(topology, findings, role, at, host);
    }
    for host in &topology.hosts {
        edge_inside(topology, findings, host);
        idle(topology, findings, host);
    }
    addresses_twice(topology, findings);
    for (plane, hub) in topology.hubs() {
        foreign(topology, findings, plane, hub);
    }
    planes(topology, findings);
    families(topology, findings);
}

/// Role, the key that places it, and the host that this key names.
fn placements(topology: &Topology) -> Vec<(HostRole, Place, &str)> {
    let hubs = topology
        .hubs()
        .map(|(plane, hub)| (HostRole::Hub, Place::hub(&plane.name, &hub.name), hub.host.as_str()));
    let locals = topology
        .local_hubs
        .iter()
        .map(|one| (HostRole::LocalHub, Place::local_hub(&one.name), one.host.as_str()));
    let edges = topology.edges.iter().map(|one| (HostRole::Edge, Place::edge(&one.name), one.host.as_str()));
    let all = hubs.chain(locals).chain(edges);
    all.map(|(role, place, host)| (role, place.key("host"), host)).collect()
}

fn roles(host: &Host) -> Place {
    Place::host(&host.name).key("roles")
}

fn placed(topology: &Topology, findings: &mut Findings, role: HostRole, at: Place, name: &str) {
    let Some(host) = topology.host(name) else {
        findings.unknown(at, "host", name, topology.hosts.iter().map(|host| host.name.as_str()));
        return;
    };
    if !host.roles.contains(&role) {
        let other = roles(host);
        let what = format!("{at} puts a {role} on {name}, which is not for one by {other}");
        let fix = format!("Move it to a host for a {role}, or add \"{role}\" to the roles of {name}.");
        findings.add(Rule::RoleMissing, at, Some(other), what, fix);
    }
}

/// Requirement 0.09: what the outside world touches stands apart.
fn edge_inside(topology: &Topology, findings: &mut Findings, host: &Host) {
    let Some(inside) = host.roles.iter().find(|role| role.is_inside()) else { return };
    if !host.roles.contains(&HostRole::Edge) {
        return;
    }
    let at = roles(host);
    let stands = |role: HostRole| {
        placements(topology)
            .into_iter()
            .find(|(placed, _, on)| *placed == role && *on == host.name)
            .map(|(_, place, _)| place)
    };
    let (edge, within) = (stands(HostRole::Edge), stands(*inside));
    let place = |place: &Option<Place>| place.as_ref().map_or(String::new(), |place| format!(" ({place})"));
    let what = format!("{at} has edge{} beside {inside}{}", place(&edge), place(&within));
    let fix =
        "Give the edge a host of its own; only a single computer without a wiring file may be everything.";
    findings.add(Rule::EdgeInside, at, within.or(edge), what, fix);
}

fn idle(topology: &Topology, findings: &mut Findings, host: &Host) {
    let placements = placements(topology);
    for role in &host.roles {
        if !placements.iter().any(|(placed, _, on)| placed == role && *on == host.name) {
            let at = roles(host);
            let what = format!("{at} has {role}, but nothing of that role stands on {}", host.name);
            findings.add(Rule::RoleIdle, at, None, what, "Place one there, or remove the role.");
        }
    }
}

fn addresses_twice(topology: &Topology, findings: &mut Findings) {
    for (i, later) in topology.hosts.iter().enumerate() {
        let taken = |address: &IpAddr| {
            let earlier = topology.hosts.iter().take(i).find(|host| host.addresses.contains(address));
            earlier.map(|host| (*address, host))
        };
        let Some((address, earlier)) = later.addresses.iter().find_map(taken) else { continue };
        let at = Place::host(&later.name).key("addresses");
        let other = Place::host(&earlier.name).key("addresses");
        let what = format!("{at} has {address}, which is also in {other}");
        let fix = "Give each host addresses of its own, or make the two one host.";
        findings.add(Rule::AddressTwice, at, Some(other), what, fix);
    }
}

/// A hub listens where its host is.
fn foreign(topology: &Topology, findings: &mut Findings, plane: &Plane, hub: &HubSite) {
    let Some(host) = topology.host(&hub.host) else { return };
    for (key, socket) in [("members", hub.members), ("between", hub.between)] {
        if !host.addresses.contains(&socket.ip()) {
            let at = Place::hub(&plane.name, &hub.name).key(key);
            let other = Place::host(&host.name).key("addresses");
            let what = format!("{at} = {socket} is on an address that is not in {other}");
            let fix = "Name an address of that host, or write the port alone for its first.";
            findings.add(Rule::AddressForeign, at, Some(other), what, fix);
        }
    }
}

fn planes(topology: &Topology, findings: &mut Findings) {
    if topology.planes.is_empty() {
        let what = "there is no plane".to_owned();
        let fix = "Add a section [plane.A.hub.NAME] with host, members and between.";
        findings.add(Rule::PlaneEmpty, Place::plane("A"), None, what, fix);
    }
    for plane in &topology.planes {
        let at = Place::plane(&plane.name);
        if plane.hubs.is_empty() {
            let what = format!("{at} has no hub");
            let fix = format!("Add a section [plane.{}.hub.NAME].", plane.name);
            findings.add(Rule::PlaneEmpty, at, None, what, fix);
        }
    }
    let hubs: Vec<(&Plane, &HubSite)> = topology.hubs().collect();
    for (i, (plane, hub)) in hubs.iter().enumerate() {
        let Some((first_plane, first)) = hubs.iter().take(i).find(|(_, first)| first.host == hub.host) else {
            continue;
        };
        let at = Place::hub(&plane.name, &hub.name).key("host");
        let other = Place::hub(&first_plane.name, &first.name).key("host");
        let (rule, what) = match plane.name == first_plane.name {
            true => {
                (Rule::HubsTogether, format!("{at} is {}, and so is {other}: both die with it", hub.host))
            }
            false => (
                Rule::PlanesTogether,
                format!("{at} is {}, and so is {other}: the planes do not fail apart", hub.host),
            ),
        };
        findings.add(rule, at, Some(other), what, "Put each hub on a host of its own.");
    }
}

/// Whoever dials needs an address of the family that is dialed.
fn families(topology: &Topology, findings: &mut Findings) {
    for host in topology.member_hosts() {
        let apart = topology.hubs().find(|(_, hub)| is_apart(host, hub.members));
        if let Some((plane, hub)) = apart {
            apart_fault(findings, host, hub.members, Place::hub(&plane.name, &hub.name).key("members"));
        }
    }
    for plane in &topology.planes {
        for (hub, far) in plane.hubs.iter().flat_map(|hub| plane.hubs.iter().map(move |far| (hub, far))) {
            let Some(host) = topology.host(&hub.host) else { continue };
            if hub.name != far.name && is_apart(host, far.between) {
                apart_fault(findings, host, far.between, Place::hub(&plane.name, &far.name).key("between"));
            }
        }
    }
}

fn is_apart(host: &Host, socket: SocketAddr) -> bool {
    !host.addresses.iter().any(|address| address.is_ipv6() == socket.is_ipv6())
}

fn apart_fault(findings: &mut Findings, host: &Host, socket: SocketAddr, other: Place) {
    let at = Place::host(&host.name).key("addresses");
    let family = if socket.is_ipv6() { "IPv6" } else { "IPv4" };
    let what = format!("{at} has no {family} address, but {} has to dial {socket} by {other}", host.name);
    findings.add(Rule::FamilyApart, at, Some(other), what, "Give both an address of one family.");
}
