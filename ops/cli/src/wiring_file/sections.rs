//! What may be written, section by section, and what each default is.
//!
//! Each reader returns `None` when it has reported something; all of them run, so that one look finds every mistake.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use fabric::Topology;
use fabric::topology::{
    EdgeSite, Egress, Health, Host, HubSite, LocalHubSite, NativeServer, OutsideFunction, Plane, Protocol,
    ServiceSite,
};
use toml::de::DeTable;

use super::{names, words};
use crate::config::reader::{Field, Section};
use crate::config::report::Report;
use crate::config::words as plain;
use crate::config::words::Bad;

pub(super) fn read<'a>(report: &'a Report<'a>, table: &'a DeTable<'a>) -> Option<Topology> {
    let root = Section::root(report, table);
    root.only(names::SECTIONS);
    let hosts = each(&root, "host", names::HOST, host);
    let planes = planes(&root, hosts.as_deref().unwrap_or_default());
    let local_hubs = each(&root, "local_hub", names::LOCAL_HUB, local_hub);
    let servers = each(&root, "server", names::SERVER, server);
    let edges = each(&root, "edge", names::EDGE, edge);
    let egresses = each(&root, "egress", names::EGRESS, egress);
    Some(Topology {
        hosts: hosts?,
        planes: planes?,
        local_hubs: local_hubs?,
        servers: servers?,
        edges: edges?,
        egresses: egresses?,
    })
}

/// Sections by name, in the order of their lines.
fn each<'a, T>(
    parent: &Section<'a>,
    kind: &str,
    keys: &[&str],
    read: impl Fn(&str, Section<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    let named = parent.named(kind, keys, plain::name, read)?;
    Some(named.into_iter().map(|(_, value)| value).collect())
}

/// A field's value, or its default where it is absent. `None` stays a value that was wrong.
fn or<T>(field: Option<Field<'_>>, default: T, read: impl FnOnce(Field<'_>) -> Option<T>) -> Option<T> {
    match field {
        Some(field) => read(field),
        None => Some(default),
    }
}

fn text(field: Field<'_>) -> Option<String> {
    field.text().map(str::to_owned)
}

fn texts(field: Field<'_>) -> Option<Vec<String>> {
    field.each(|item| item.text().map(str::to_owned))
}

fn host(name: &str, section: Section<'_>) -> Option<Host> {
    let addresses = section
        .required("addresses", "Name where others reach it: addresses = [\"10.0.0.1\"].")
        .and_then(|field| field.each(|item| item.parsed(plain::reachable)));
    let roles = section
        .required("roles", "Say what it is for: roles = [\"hub\"], [\"local-hub\"] or [\"edge\"].")
        .and_then(|field| field.each(|item| item.choice(&words::roles())));
    Some(Host { name: name.to_owned(), addresses: addresses?, roles: roles?.into_iter().collect() })
}

fn planes(root: &Section<'_>, hosts: &[Host]) -> Option<Vec<Plane>> {
    let read = |name: &str, section: Section<'_>| {
        let hubs = each(&section, "hub", names::HUB, |name, section| hub(name, &section, hosts));
        Some(Plane { name: name.to_owned(), hubs: hubs? })
    };
    let named = root.named("plane", names::PLANE, words::plane_name, read)?;
    Some(named.into_iter().map(|(_, plane)| plane).collect())
}

fn hub(name: &str, section: &Section<'_>, hosts: &[Host]) -> Option<HubSite> {
    let host = section.required("host", "Name its host: host = \"hub1\".").and_then(text);
    // A host that is not there is reported by the rules; any address does until then.
    let first = host.as_deref().and_then(|name| hosts.iter().find(|host| host.name == name));
    let first = first.and_then(|host| host.addresses.first()).copied();
    let first = first.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let members = section
        .required("members", "Name the port for local hubs and edges: members = 7000.")
        .and_then(|field| listener(&field, first));
    let between = section
        .required("between", "Name the port for the other hubs of its plane: between = 7001.")
        .and_then(|field| listener(&field, first));
    Some(HubSite { name: name.to_owned(), host: host?, members: members?, between: between? })
}

/// A port on the host's first address, or an address and port.
fn listener(field: &Field<'_>, first: IpAddr) -> Option<SocketAddr> {
    if field.is_text() {
        return field.parsed(plain::target);
    }
    let port = field.whole(1..=u32::from(u16::MAX)).and_then(|port| u16::try_from(port).ok());
    port.map(|port| SocketAddr::new(first, port))
}

fn local_hub(name: &str, section: Section<'_>) -> Option<LocalHubSite> {
    let host = section.required("host", "Name its host: host = \"app1\".").and_then(text);
    let door = or(section.field("door"), None, |field| field.parsed(words::door).map(Some));
    let services = each(&section, "service", names::SERVICE, service);
    Some(LocalHubSite { name: name.to_owned(), host: host?, door: door?, services: services? })
}

fn service(name: &str, section: Section<'_>) -> Option<ServiceSite> {
    let servers =
        or(section.field("servers"), Vec::new(), |field| field.each(|item| item.parsed(plain::target)));
    let protocol = or(section.field("protocol"), Protocol::Tcp, |field| field.choice(&words::PROTOCOLS));
    // A datagram that nobody answers says nothing about a server.
    let default = match protocol {
        Some(Protocol::Udp) => Health::None,
        Some(Protocol::Tcp) | None => Health::Connect,
    };
    let health = or(section.field("health"), default, |field| field.parsed(words::health));
    let ports =
        or(section.field("ports"), Vec::new(), |field| field.each(|item| item.parsed(words::port_range)));
    let proxy = or(section.field("proxy"), false, |field| field.flag());
    Some(ServiceSite {
        name: name.to_owned(),
        servers: servers?,
        protocol: protocol?,
        ports: ports?,
        health: health?,
        proxy: proxy?,
    })
}

fn server(name: &str, section: Section<'_>) -> Option<NativeServer> {
    let local_hub = section
        .required("local_hub", "Name the local hub that it joins: local_hub = \"app1\".")
        .and_then(text);
    // Without, it joins for the sake of its ways out.
    let serves = or(section.field("serves"), Vec::new(), texts);
    Some(NativeServer { name: name.to_owned(), local_hub: local_hub?, serves: serves? })
}

fn edge(name: &str, section: Section<'_>) -> Option<EdgeSite> {
    let host = section.required("host", "Name its host: host = \"edge1\".").and_then(text);
    let opens = or(section.field("opens"), Vec::new(), texts);
    let outside = or(section.field("outside"), Vec::new(), |field| outside(&field));
    Some(EdgeSite { name: name.to_owned(), host: host?, opens: opens?, outside: outside? })
}

fn outside(field: &Field<'_>) -> Option<Vec<OutsideFunction>> {
    let mut entries: Vec<_> = field.table()?.entries().collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    let one = |(key, span, entry): (&str, _, Field<'_>)| {
        let name = entry.name(key, span, plain::name);
        if entry.is_whole() {
            let fix = format!("Write {} = \"{}/tcp\".", entry.key(), entry.shown());
            entry.bad(&Bad::new("says no protocol", &fix));
            return None;
        }
        let (port, protocols) = entry.parsed(words::outside)?;
        Some(OutsideFunction { name: name?, port, protocols })
    };
    let read: Vec<_> = entries.into_iter().map(one).collect();
    read.into_iter().collect()
}

fn egress(name: &str, section: Section<'_>) -> Option<Egress> {
    let edge = section.required("edge", "Name the edge that leads out: edge = \"fra1\".").and_then(text);
    let to = section
        .required("to", "Name the one address that it leads to: to = \"192.0.2.25:587\".")
        .and_then(|field| field.parsed(plain::target));
    let protocol = or(section.field("protocol"), Protocol::Tcp, |field| field.choice(&words::PROTOCOLS));
    let openers = section
        .required("openers", "Name who may open it: openers = [\"local-hub/app1\"].")
        .and_then(|field| field.each(|item| item.parsed(words::identity)));
    Some(Egress { name: name.to_owned(), edge: edge?, to: to?, protocol: protocol?, openers: openers? })
}
