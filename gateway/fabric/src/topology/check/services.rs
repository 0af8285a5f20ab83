//! Services: who serves them, who offers them, who opens them. Pure.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::super::fault::Rule;
use super::super::place::Place;
use super::super::{Door, Health, LocalHubSite, NativeServer, OPS_SERVICE, Protocol, ServiceSite, Topology};
use super::Findings;
use crate::bounds::{PORT_RANGES_MAX, SERVERS_MAX};

pub(super) fn check(topology: &Topology, findings: &mut Findings) {
    for local in &topology.local_hubs {
        if let Some(Door::Loopback(socket)) = local.door {
            let at = Place::local_hub(&local.name).key("door");
            loopback(findings, at, socket, "native servers join on this computer only");
        }
        for service in &local.services {
            served(topology, findings, local, service);
        }
    }
    for server in &topology.servers {
        joins(topology, findings, server);
    }
    ops(topology, findings);
    opened(topology, findings);
}

fn loopback(findings: &mut Findings, at: Place, socket: SocketAddr, why: &str) {
    if !socket.ip().is_loopback() {
        let what = format!("{at} = {socket} is not on loopback: {why}");
        let fix = format!("Write \"127.0.0.1:{}\".", socket.port());
        findings.add(Rule::OffLoopback, at, None, what, fix);
    }
}

fn served(topology: &Topology, findings: &mut Findings, local: &LocalHubSite, service: &ServiceSite) {
    let at = Place::service(&local.name, &service.name);
    let native =
        |server: &NativeServer| server.local_hub == local.name && server.serves.contains(&service.name);
    if service.servers.is_empty() && !topology.servers.iter().any(native) {
        let what = format!("{at} has no servers");
        let fix = format!(
            "Write servers = [\"127.0.0.1:3000\"], or a [server.NAME] with local_hub = \"{}\" that serves it.",
            local.name
        );
        findings.add(Rule::Serverless, at.clone(), None, what, fix);
    }
    let servers = at.clone().key("servers");
    if service.servers.len() > SERVERS_MAX {
        let what = format!("{servers} has {} entries, more than {SERVERS_MAX}", service.servers.len());
        findings.add(Rule::TooMany, servers.clone(), None, what, format!("Keep at most {SERVERS_MAX}."));
    }
    if service.ports.len() > PORT_RANGES_MAX {
        let ports = at.clone().key("ports");
        let what = format!("{ports} has {} entries, more than {PORT_RANGES_MAX}", service.ports.len());
        findings.add(Rule::TooMany, ports, None, what, format!("Keep at most {PORT_RANGES_MAX}."));
    }
    for (i, socket) in service.servers.iter().enumerate() {
        let at = servers.clone().item(i);
        if let Some(first) = service.servers.iter().take(i).position(|earlier| earlier == socket) {
            let other = servers.clone().item(first);
            let what = format!("{at} = {socket} is there already: {other}");
            findings.add(Rule::ServerTwice, at.clone(), Some(other), what, "Name each server once.");
        }
        loopback(findings, at, *socket, "services listen to nobody but their local hub");
    }
    if service.protocol == Protocol::Udp && service.health != Health::None {
        let (at, other) = (at.clone().key("health"), at.key("protocol"));
        let what = format!("{at} probes by a connection, which there is none of with udp in {other}");
        findings.add(Rule::ProtocolUnfit, at, Some(other), what, "Write health = \"none\".");
    }
}

fn joins(topology: &Topology, findings: &mut Findings, server: &NativeServer) {
    let at = Place::server(&server.name);
    let Some(local) = topology.local_hub(&server.local_hub) else {
        let known = topology.local_hubs.iter().map(|local| local.name.as_str());
        findings.unknown(at.key("local_hub"), "local hub", &server.local_hub, known);
        return;
    };
    if local.door.is_none() {
        let at = at.clone().key("local_hub");
        let other = Place::local_hub(&local.name);
        let what = format!("{at} = \"{}\" has no door to join by: {other}", local.name);
        let fix = "Write door = \"/run/wandergate/servers.sock\" there, or a loopback address and port.";
        findings.add(Rule::NoDoor, at, Some(other), what, fix);
    }
    for (i, service) in server.serves.iter().enumerate() {
        if !local.services.iter().any(|one| one.name == *service) {
            let known = local.services.iter().map(|one| one.name.as_str());
            let kind = format!("service of local_hub.{}", local.name);
            findings.unknown(at.clone().key("serves").item(i), &kind, service, known);
        }
    }
}

/// Requirement 0.10: what commands the fabric is not reached from outside of it.
fn ops(topology: &Topology, findings: &mut Findings) {
    let offered = topology.offerers(OPS_SERVICE).next();
    let other = offered.map(|local| Place::service(&local.name, OPS_SERVICE));
    let fix = "Remove it: operators reach the API by its Unix socket or loopback.";
    for edge in &topology.edges {
        for (i, _) in edge.opens.iter().enumerate().filter(|(_, name)| *name == OPS_SERVICE) {
            let at = Place::edge(&edge.name).key("opens").item(i);
            let by = other.as_ref().map_or(String::new(), |other| format!(", offered by {other}"));
            let what = format!("{at} = \"{OPS_SERVICE}\" would let an edge reach the operators' service{by}");
            findings.add(Rule::OpsReserved, at, other.clone(), what, fix);
        }
        if edge.outside.iter().any(|function| function.name == OPS_SERVICE) {
            let at = Place::edge(&edge.name).key("outside").key(OPS_SERVICE);
            let what = format!("{at} would show the operators' service to the outside");
            findings.add(Rule::OpsReserved, at, None, what, fix);
        }
    }
}

fn opened(topology: &Topology, findings: &mut Findings) {
    let offered: BTreeSet<&str> =
        topology.local_hubs.iter().flat_map(|local| &local.services).map(|one| one.name.as_str()).collect();
    for edge in &topology.edges {
        for (i, name) in edge.opens.iter().enumerate() {
            if name != OPS_SERVICE && !offered.contains(name.as_str()) {
                let at = Place::edge(&edge.name).key("opens").item(i);
                let what = format!("{at} = \"{name}\" is offered by nobody");
                let fix = format!("Write [local_hub.NAME.service.{name}], or remove it from opens.");
                findings.add(Rule::NotOffered, at, None, what, fix);
                if let Some(fault) = findings.faults.last_mut() {
                    fault.known = offered.iter().map(|name| (*name).to_owned()).collect();
                }
            }
        }
    }
    for local in &topology.local_hubs {
        for service in local.services.iter().filter(|service| service.name != OPS_SERVICE) {
            if !topology.edges.iter().any(|edge| edge.opens.contains(&service.name)) {
                let at = Place::service(&local.name, &service.name);
                let what = format!("{at} is offered, but no edge may open it");
                let fix = format!("Add \"{}\" to opens of an edge.", service.name);
                findings.add(Rule::NotOpened, at, None, what, fix);
            }
        }
    }
}
