//! Names: their alphabet, their uniqueness, and how many there may be. Pure.

use std::collections::BTreeMap;

use super::super::fault::Rule;
use super::super::place::Place;
use super::super::{Topology, is_plane_name, is_wiring_name};
use super::Findings;
use crate::bounds::{HOSTS_MAX, MEMBERS_MAX, SERVICES_MAX};

pub(super) fn check(topology: &Topology, findings: &mut Findings) {
    let hosts = topology.hosts.iter().map(|host| (host.name.as_str(), Place::host(&host.name)));
    family(findings, "host", HOSTS_MAX, hosts);
    let planes = topology.planes.iter().map(|plane| (plane.name.as_str(), Place::plane(&plane.name)));
    family(findings, "plane", crate::bounds::PLANES_MAX, planes);
    for plane in &topology.planes {
        too_many(
            findings,
            "hub",
            crate::bounds::INSTANCES_MAX,
            plane.hubs.len(),
            Place::plane(&plane.name).key("hub"),
        );
    }
    let hubs = topology.hubs().map(|(plane, hub)| (hub.name.as_str(), Place::hub(&plane.name, &hub.name)));
    family(findings, "hub", usize::MAX, hubs);
    let locals = topology.local_hubs.iter().map(|one| (one.name.as_str(), Place::local_hub(&one.name)));
    family(findings, "local hub", MEMBERS_MAX, locals);
    let servers = topology.servers.iter().map(|one| (one.name.as_str(), Place::server(&one.name)));
    family(findings, "server", MEMBERS_MAX, servers);
    let edges = topology.edges.iter().map(|one| (one.name.as_str(), Place::edge(&one.name)));
    family(findings, "edge", MEMBERS_MAX, edges);
    let egresses = topology.egresses.iter().map(|one| (one.name.as_str(), Place::egress(&one.name)));
    family(findings, "egress", SERVICES_MAX, egresses);
    for local in &topology.local_hubs {
        let services =
            local.services.iter().map(|one| (one.name.as_str(), Place::service(&local.name, &one.name)));
        family(findings, "service", SERVICES_MAX, services);
    }
    for edge in &topology.edges {
        let place = |name: &str| Place::edge(&edge.name).key("outside").key(name);
        let functions = edge.outside.iter().map(|one| (one.name.as_str(), place(&one.name)));
        family(findings, "outside function", SERVICES_MAX, functions);
    }
}

/// Names that must differ among each other.
fn family<'t>(
    findings: &mut Findings,
    kind: &str,
    most: usize,
    named: impl Iterator<Item = (&'t str, Place)>,
) {
    let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
    let mut count = 0;
    for (name, place) in named {
        count += 1;
        let (fine, fix) = match kind {
            "plane" => (is_plane_name(name), "Use letters, digits and hyphens inside, at most 16: \"A\"."),
            _ => {
                (is_wiring_name(name), "Use a to z, 0 to 9 and hyphens inside, at most 63: \"frankfurt-1\".")
            }
        };
        if !fine {
            let what = format!("{:?} is no name for a {kind}", name);
            findings.add(Rule::NameInvalid, place, None, what, fix);
            continue;
        }
        if let Some(first) = seen.get(name) {
            let what = format!("{place} has the name of {first}");
            let fix = format!("Give each {kind} a name of its own: it is its identity.");
            findings.add(Rule::NameTwice, place, Some(first.clone()), what, fix);
            continue;
        }
        seen.insert(name, place);
    }
    if let Some(place) = seen.into_values().next_back() {
        too_many(findings, kind, most, count, place);
    }
}

fn too_many(findings: &mut Findings, kind: &str, most: usize, count: usize, place: Place) {
    if count > most {
        let what = format!("{count} sections of kind {kind} are more than {most}");
        findings.add(Rule::TooMany, place, None, what, format!("Keep at most {most}."));
    }
}
