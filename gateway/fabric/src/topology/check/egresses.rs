//! Ways out: named, fixed, and for inside identities only (requirement 0.18). Pure.

use super::super::fault::Rule;
use super::super::place::Place;
use super::super::{Egress, OPS_SERVICE, Topology};
use super::Findings;
use crate::identity::Role;

pub(super) fn check(topology: &Topology, findings: &mut Findings) {
    for egress in &topology.egresses {
        let at = Place::egress(&egress.name);
        if topology.edge(&egress.edge).is_none() {
            let known = topology.edges.iter().map(|edge| edge.name.as_str());
            findings.unknown(at.clone().key("edge"), "edge", &egress.edge, known);
        }
        name(topology, findings, egress);
        leads_out(topology, findings, egress);
        openers(topology, findings, egress);
    }
}

/// A name is either a service or a way out; who opens it must know which.
fn name(topology: &Topology, findings: &mut Findings, egress: &Egress) {
    let at = Place::egress(&egress.name);
    if egress.name == OPS_SERVICE {
        let what = format!("{at} has the name of the operators' service");
        findings.add(Rule::OpsReserved, at, None, what, "Give it another name.");
        return;
    }
    if let Some(local) = topology.offerers(&egress.name).next() {
        let other = Place::service(&local.name, &egress.name);
        let what = format!("{at} has the name of {other}");
        findings.add(Rule::EgressName, at, Some(other), what, "Give it another name.");
    }
}

/// Else it would be a way around the ports that a host accepts.
fn leads_out(topology: &Topology, findings: &mut Findings, egress: &Egress) {
    let at = Place::egress(&egress.name).key("to");
    let address = egress.to.ip();
    let fix = "Name an address of the outside world.";
    if let Some(host) = topology.hosts.iter().find(|host| host.addresses.contains(&address)) {
        let other = Place::host(&host.name).key("addresses");
        let what = format!("{at} = {} leads to a host of the inside: {other}", egress.to);
        findings.add(Rule::EgressInside, at, Some(other), what, fix);
    } else if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
        let what = format!("{at} = {} leads nowhere outside", egress.to);
        findings.add(Rule::EgressInside, at, None, what, fix);
    }
}

fn openers(topology: &Topology, findings: &mut Findings, egress: &Egress) {
    let locals = topology.local_hubs.iter().map(|one| (Role::LocalHub, one.name.as_str()));
    let servers = topology.servers.iter().map(|one| (Role::Server, one.name.as_str()));
    let inside: Vec<(Role, &str)> = locals.chain(servers).collect();
    for (i, opener) in egress.openers.iter().enumerate() {
        let at = Place::egress(&egress.name).key("openers").item(i);
        match opener.role() {
            Role::LocalHub | Role::Server if inside.contains(&(opener.role(), opener.name())) => {}
            Role::LocalHub | Role::Server => {
                let known: Vec<String> =
                    inside.iter().map(|(role, name)| format!("{}/{name}", role.as_str())).collect();
                let known = known.iter().map(String::as_str);
                findings.unknown(at, "inside identity", &opener.to_string(), known);
            }
            Role::Hub | Role::Edge => {
                let what = format!("{at} = \"{opener}\" is not one of those who open a way out");
                let fix = "Name local hubs and servers: \"local-hub/app1\", \"server/worker1\".";
                findings.add(Rule::EgressOpener, at, None, what, fix);
            }
        }
    }
}
