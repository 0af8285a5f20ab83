//! A wiring as people see it: edges above, planes between, local hubs below, and what it does not survive.

use std::path::Path;

use fabric::Topology;
use fabric::topology::{Door, EdgeSite, Health, LocalHubSite, Plane, ServiceSite};
use serde_json::{Value, json};

use crate::output::{Table, count};
use crate::verbs::Told;
use crate::wiring_file::Checked;

/// Blanks between the planes of the drawing.
const GAP: usize = 4;

pub(super) fn told(file: &Path, checked: &Checked) -> Told {
    let topology = &checked.topology;
    let mut text = vec![head(file, topology), String::new()];
    text.extend(drawing(topology));
    text.push(String::new());
    text.push(hosts(topology));
    if !topology.egresses.is_empty() {
        text.extend([String::new(), egresses(topology)]);
    }
    text.extend([String::new(), "what it does not survive".to_owned()]);
    text.extend(limits(topology).into_iter().map(|limit| format!("  {limit}")));
    if !checked.warnings.is_empty() {
        text.extend([String::new(), "worth knowing".to_owned()]);
        text.extend(checked.warnings.iter().map(|warning| format!("  {} {}", warning.message, warning.fix)));
    }
    Told::new(object(checked), text.join("\n"))
}

fn head(file: &Path, topology: &Topology) -> String {
    let number = |len: usize, noun: &str| count(len as u64, noun);
    format!(
        "{}: {}, {}, {}, {}",
        file.display(),
        number(topology.planes.len(), "plane"),
        number(topology.hubs().count(), "hub"),
        number(topology.local_hubs.len(), "local hub"),
        number(topology.edges.len(), "edge"),
    )
}

fn limits(topology: &Topology) -> Vec<String> {
    let planes = topology.planes.iter().flat_map(|plane| topology.limits_of(&plane.name));
    planes.chain(topology.limits()).collect()
}

fn drawing(topology: &Topology) -> Vec<String> {
    let boxes: Vec<Vec<String>> = topology.planes.iter().map(plane).collect();
    let widths: Vec<usize> =
        boxes.iter().map(|lines| lines.iter().map(|line| line.chars().count()).max().unwrap_or(0)).collect();
    let mut lines: Vec<String> = topology.edges.iter().map(edge).collect();
    lines.push(wires(&widths));
    let height = boxes.iter().map(Vec::len).max().unwrap_or(0);
    for row in 0..height {
        let cells = boxes.iter().zip(&widths).map(|(lines, width)| {
            let cell = lines.get(row).map_or("", String::as_str);
            format!("{cell:<width$}")
        });
        lines.push(format!("  {}", cells.collect::<Vec<_>>().join(&" ".repeat(GAP))).trim_end().to_owned());
    }
    lines.push(wires(&widths));
    for local in &topology.local_hubs {
        lines.extend(local_hub(topology, local));
    }
    lines
}

/// One bar under or over each plane: every member links to every plane.
fn wires(widths: &[usize]) -> String {
    let bars = widths.iter().map(|width| format!("{:<width$}", "  |"));
    format!("  {}", bars.collect::<Vec<_>>().join(&" ".repeat(GAP))).trim_end().to_owned()
}

fn plane(plane: &Plane) -> Vec<String> {
    let mut table = Table::new(&[&format!("plane {}", plane.name), "host", "members", "between"]);
    for hub in &plane.hubs {
        let cells = [&hub.name, &hub.host, &hub.members.to_string(), &hub.between.port().to_string()];
        table.row(cells.map(Clone::clone));
    }
    let text = table.text(&format!("plane {}: no hub", plane.name));
    let width = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let rule = format!("+{}+", "-".repeat(width + 2));
    let inner = text.lines().map(|line| format!("| {line:<width$} |"));
    [rule.clone()].into_iter().chain(inner).chain([rule]).collect()
}

fn edge(edge: &EdgeSite) -> String {
    let outside: Vec<String> =
        edge.outside.iter().map(|function| format!("{} {function}", function.name)).collect();
    let shown = if outside.is_empty() { "nothing".to_owned() } else { outside.join(", ") };
    let opens = if edge.opens.is_empty() { "nothing".to_owned() } else { edge.opens.join(", ") };
    format!("  edge {} on {}   outside: {shown}   opens: {opens}", edge.name, edge.host)
}

fn local_hub(topology: &Topology, local: &LocalHubSite) -> Vec<String> {
    let mut lines = vec![format!("  local hub {} on {}", local.name, local.host)];
    for service in &local.services {
        let mut servers: Vec<String> = service.servers.iter().map(ToString::to_string).collect();
        servers.extend(natives(topology, local, service).map(|name| format!("server {name}")));
        lines.push(format!("    {}  {} {}", service.name, service.protocol, servers.join(", ")));
    }
    lines
}

/// The native servers of a service.
fn natives<'t>(
    topology: &'t Topology,
    local: &'t LocalHubSite,
    service: &'t ServiceSite,
) -> impl Iterator<Item = &'t str> {
    let serves = move |server: &&fabric::topology::NativeServer| {
        server.local_hub == local.name && server.serves.contains(&service.name)
    };
    topology.servers.iter().filter(serves).map(|server| server.name.as_str())
}

fn hosts(topology: &Topology) -> String {
    let mut table = Table::new(&["HOST", "FOR", "ADDRESSES", "ACCEPTS", "INITIATES"]);
    for host in &topology.hosts {
        let roles: Vec<&str> = host.roles.iter().map(|role| role.as_str()).collect();
        let addresses: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
        let matrix = topology.matrix(&host.name).unwrap_or_default();
        let ports = |ports: std::collections::BTreeSet<u16>| match ports.is_empty() {
            true => "nothing".to_owned(),
            false => ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        table.row([
            host.name.clone(),
            roles.join(" "),
            addresses.join(" "),
            ports(matrix.accepts.iter().map(|row| row.port).collect()),
            ports(matrix.initiates.iter().map(|row| row.to.port()).collect()),
        ]);
    }
    table.text("no hosts")
}

fn egresses(topology: &Topology) -> String {
    let mut table = Table::new(&["EGRESS", "BY EDGE", "TO", "FOR"]);
    for egress in &topology.egresses {
        let openers: Vec<String> = egress.openers.iter().map(ToString::to_string).collect();
        let to = format!("{}/{}", egress.to, egress.protocol);
        table.row([egress.name.clone(), egress.edge.clone(), to, openers.join(" ")]);
    }
    table.text("")
}

fn object(checked: &Checked) -> Value {
    let topology = &checked.topology;
    let planes: Vec<Value> = topology
        .planes
        .iter()
        .map(|plane| {
            let hubs: Vec<Value> = plane
                .hubs
                .iter()
                .map(|hub| {
                    json!({ "name": hub.name, "host": hub.host, "members": hub.members, "between": hub.between })
                })
                .collect();
            json!({ "name": plane.name, "hubs": hubs, "limits": topology.limits_of(&plane.name) })
        })
        .collect();
    let hosts: Vec<Value> = topology
        .hosts
        .iter()
        .map(|host| {
            let roles: Vec<&str> = host.roles.iter().map(|role| role.as_str()).collect();
            json!({ "name": host.name, "addresses": host.addresses, "roles": roles })
        })
        .collect();
    let warnings: Vec<&str> = checked.warnings.iter().map(|warning| warning.message.as_str()).collect();
    json!({
        "schema": "wandergate.fabric.show/1",
        "hosts": hosts,
        "planes": planes,
        "local_hubs": topology.local_hubs.iter().map(|local| local_object(topology, local)).collect::<Vec<_>>(),
        "edges": topology.edges.iter().map(edge_object).collect::<Vec<_>>(),
        "egresses": topology.egresses.iter().map(egress_object).collect::<Vec<_>>(),
        "limits": topology.limits(),
        "warnings": warnings,
    })
}

fn local_object(topology: &Topology, local: &LocalHubSite) -> Value {
    let door = local.door.as_ref().map(|door| match door {
        Door::Loopback(socket) => socket.to_string(),
        Door::Unix(path) => path.display().to_string(),
    });
    let service = |service: &ServiceSite| {
        let health = match &service.health {
            Health::None => "none".to_owned(),
            Health::Connect => "connect".to_owned(),
            Health::Http(path) => format!("http {path}"),
        };
        json!({
            "name": service.name,
            "servers": service.servers,
            "native": natives(topology, local, service).collect::<Vec<_>>(),
            "protocol": service.protocol.as_str(),
            "ports": service.ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "health": health,
            "proxy": service.proxy,
        })
    };
    let services: Vec<Value> = local.services.iter().map(service).collect();
    json!({ "name": local.name, "host": local.host, "door": door, "services": services })
}

fn edge_object(edge: &EdgeSite) -> Value {
    let outside: Vec<Value> = edge
        .outside
        .iter()
        .map(|function| {
            let protocols: Vec<&str> = function.protocols.iter().map(|protocol| protocol.as_str()).collect();
            json!({ "name": function.name, "port": function.port, "protocols": protocols })
        })
        .collect();
    json!({ "name": edge.name, "host": edge.host, "opens": edge.opens, "outside": outside })
}

fn egress_object(egress: &fabric::topology::Egress) -> Value {
    let openers: Vec<String> = egress.openers.iter().map(ToString::to_string).collect();
    json!({
        "name": egress.name,
        "edge": egress.edge,
        "to": egress.to,
        "protocol": egress.protocol.as_str(),
        "openers": openers,
    })
}
