//! What excludes each other: listeners on one port, pools that overlap, choices that a pool does not allow.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use defense::Reason;
use ops::acts::service::usual_auth;
use rotator::Pool;
use rotator::bounds::V6_HOSTS_RESERVED;
use rotator::pool::Range;
use state::Transport;

use super::report::Report;
use super::{Auth, Config, Fabric};

pub(super) fn check(report: &Report<'_>, config: &Config) {
    pools_overlap(report, &config.pools);
    families(report, config);
    weak_pools(report, config);
    reserved_names(report, config);
    fixed_addresses(report, config);
    let listeners = listeners(report, config);
    ports(report, &listeners);
    loops(report, config, &listeners);
    bare_bytes(report, config);
}

/// Requirement 2.17: bytes that pass as they come may be clear text. Told once, whatever number of services has them.
fn bare_bytes(report: &Report<'_>, config: &Config) {
    let bare = config.services.values().filter(|service| !service.listen.carries_names());
    let mut bare: Vec<&str> = bare.map(|service| service.name.as_str()).collect();
    bare.sort_by_key(|name| report.place(&format!("service.{name}")).start);
    let Some(first) = bare.first() else { return };
    let key = ["listen", "proto"].map(|key| format!("service.{first}.{key}"));
    let key = key.iter().find(|key| report.wrote(key)).unwrap_or(&key[0]);
    let (verb, all) = (if bare.len() == 1 { "passes" } else { "pass" }, bare.join(", "));
    report.warn(
        Reason::ConfigConflict,
        report.place(key),
        key,
        &format!("{all} {verb} on the bytes of tcp and udp entries as they come, clear text included."),
        None,
        "Nothing, where they are encrypted by themselves, as SSH, DTLS and SRTP are. Otherwise listen on \"tls/PORT\".",
    );
}

fn conflict(report: &Report<'_>, key: &str, message: &str, fix: &str) {
    report.error(Reason::ConfigConflict, report.place(key), key, message, fix);
}

fn pools_overlap(report: &Report<'_>, pools: &[Pool]) {
    // In the order of the lines, so that the later one is blamed.
    let mut pools: Vec<(usize, &Pool)> =
        pools.iter().map(|pool| (report.place(&range_key(pool)).start, pool)).collect();
    pools.sort_by_key(|(place, _)| *place);
    for (i, (_, later)) in pools.iter().enumerate() {
        let Some((_, earlier)) = pools.iter().take(i).find(|(_, pool)| pool.range.overlaps(&later.range))
        else {
            continue;
        };
        let line = report.line_of(&range_key(earlier));
        let message = format!(
            "pool.{} = {} overlaps pool.{} = {} ({line})",
            later.id, later.range, earlier.id, earlier.range
        );
        conflict(report, &range_key(later), &message, "Give each pool addresses of its own.");
    }
}

fn range_key(pool: &Pool) -> String {
    format!("pool.{}.range", pool.id)
}

/// A pool whose family nobody listens on would hand out dead addresses.
fn families(report: &Report<'_>, config: &Config) {
    for pool in &config.pools {
        if config.edge.listen.iter().any(|address| address.is_ipv6() == pool.range.is_v6()) {
            continue;
        }
        let (family, wildcard) = if pool.range.is_v6() { ("IPv6", "::") } else { ("IPv4", "0.0.0.0") };
        let line = report.line_of(&range_key(pool));
        let message = format!(
            "edge.listen has no {family} address, but pool.{} = {} ({line}) does",
            pool.id, pool.range
        );
        conflict(
            report,
            "edge.listen",
            &message,
            &format!("Add \"{wildcard}\" to listen, or remove the pool."),
        );
    }
}

/// IPv4 space is searched in a second, so that an IPv4 address alone admits nobody (design, section 4).
fn weak_pools(report: &Report<'_>, config: &Config) {
    for service in config.services.values() {
        let nameless = !service.listen.carries_names();
        if service.auth != Auth::Address && usual_auth(&service.listen) == state::records::Auth::Address {
            let key = format!("service.{}.auth", service.name);
            let message = format!(
                "{key} asks for more than an address, but nothing of {} carries a name",
                service.listen
            );
            conflict(report, &key, &message, "Remove the line, or write auth = \"address\".");
        }
        if service.auth == Auth::Key
            && nameless
            && usual_auth(&service.listen) != state::records::Auth::Address
        {
            let key = format!("service.{}.auth", service.name);
            let message = format!(
                "{key} asks for a key, which is shown within https and tls only, and {} has more",
                service.listen
            );
            conflict(report, &key, &message, "Make two services of it, or write auth = \"name\".");
        }
        if service.auth != Auth::Address && !nameless {
            continue;
        }
        let weak = service.pools.iter().filter_map(|name| config.pool(name)).find(|pool| !pool.range.is_v6());
        let Some(pool) = weak else {
            continue;
        };
        let (name, id, line) = (&service.name, &pool.id, report.line_of(&range_key(pool)));
        let message = format!(
            "service.{name}.auth = \"address\" is not enough for pool.{id} = {} ({line}): IPv4 addresses can all be tried in a second",
            pool.range
        );
        if nameless {
            let key = if report.wrote(&format!("service.{name}.proto")) { "proto" } else { "listen" };
            let key = format!("service.{name}.{key}");
            let message = format!(
                "{key}: nothing tells users apart at {} in pool.{id} = {} ({line}): IPv4 addresses can all be tried in a second",
                service.listen, pool.range
            );
            let fix = "Name IPv6 pools only: pool = [\"…\"]; or listen with https and tls alone.";
            conflict(report, &key, &message, fix);
            continue;
        }
        let fix = "Write auth = \"name\", or name IPv6 pools only: pool = [\"…\"].";
        conflict(report, &format!("service.{name}.auth"), &message, fix);
    }
}

fn reserved_names(report: &Report<'_>, config: &Config) {
    if config.dns.nameservers.contains_key("join") {
        let message = "dns.nameservers has \"join\", which is the name of the registration surface";
        conflict(report, "dns.nameservers.join", message, "Call it ns1.");
    }
}

/// A fixed address inside a pool would be leased to somebody one day.
fn fixed_addresses(report: &Report<'_>, config: &Config) {
    let join = [
        ("join.listen".to_owned(), config.join.listen.ip()),
        ("join.address".to_owned(), config.join.address),
    ];
    let servers = config.dns.nameservers.iter().flat_map(|(name, addresses)| {
        addresses
            .iter()
            .enumerate()
            .map(move |(i, address)| (format!("dns.nameservers.{name}[{i}]"), *address))
    });
    for (key, address) in join.into_iter().chain(servers).filter(|(key, _)| report.wrote(key)) {
        let Some(pool) = config.pools.iter().find(|pool| leases(&pool.range, address)) else {
            continue;
        };
        let line = report.line_of(&range_key(pool));
        let message = format!(
            "{key} = {address} is inside pool.{} = {} ({line}), which would lease it to a user",
            pool.id, pool.range
        );
        conflict(report, &key, &message, &spare(&pool.range));
    }
}

fn spare(range: &Range) -> String {
    match range {
        Range::V6(net) => {
            format!("Take one of the reserved host numbers ({} to …:ffff), or one outside.", net.network())
        }
        Range::V4 { .. } => "Take an address outside of the pool, or make the pool smaller.".to_owned(),
    }
}

fn leases(range: &Range, address: IpAddr) -> bool {
    let reserved = match (range, address) {
        (Range::V6(net), IpAddr::V6(a)) => u128::from(a) & u128::from(net.hostmask()) < V6_HOSTS_RESERVED,
        (Range::V4 { first, last, whole }, IpAddr::V4(a)) => *whole && (a == *first || a == *last),
        (Range::V6(_), IpAddr::V4(_)) | (Range::V4 { .. }, IpAddr::V6(_)) => true,
    };
    range.contains(address) && !reserved
}

/// One thing that listens, and the key that says so.
struct Listener {
    key: String,
    /// The part of the product, for which two sockets on one address are never both meant.
    role: &'static str,
    socket: SocketAddr,
    /// No TCP there.
    is_udp: bool,
}

fn listeners(report: &Report<'_>, config: &Config) -> Vec<Listener> {
    let mut all = of_edge(report, config);
    let mut add = |key: String, role, socket| all.push(Listener { key, role, socket, is_udp: false });
    for (i, socket) in config.dns.listen.iter().enumerate() {
        add(format!("dns.listen[{i}]"), "dns", *socket);
    }
    add("join.listen".to_owned(), "join", config.join.listen);
    if let Fabric::Own { hub } = config.fabric {
        add("fabric.hub".to_owned(), "fabric", hub);
    }
    add("ops.listen".to_owned(), "ops", config.ops.listen);
    all
}

/// Each port of each transport once, with the line that asks for it first.
fn of_edge(report: &Report<'_>, config: &Config) -> Vec<Listener> {
    let mut ports = vec![(config.edge.listen_port, false, "edge.listen_port".to_owned())];
    let mut known = BTreeSet::from([(config.edge.listen_port, false)]);
    for service in config.services.values() {
        let proto = format!("service.{}.proto", service.name);
        for (i, entry) in service.listen.entries().iter().enumerate() {
            let key = if report.wrote(&proto) {
                proto.clone()
            } else {
                format!("service.{}.listen[{i}]", service.name)
            };
            let is_udp = !entry.protocol().is_on(Transport::Tcp);
            let new = entry.ports().filter(|port| known.insert((*port, is_udp)));
            ports.extend(new.map(|port| (port, is_udp, key.clone())));
        }
    }
    let mut all = Vec::new();
    for (i, address) in config.edge.listen.iter().enumerate() {
        for (port, is_udp, key) in &ports {
            let key = if report.wrote(key) { key.clone() } else { format!("edge.listen[{i}]") };
            let socket = SocketAddr::new(*address, *port);
            all.push(Listener { key, role: "edge", socket, is_udp: *is_udp });
        }
    }
    all
}

fn ports(report: &Report<'_>, listeners: &[Listener]) {
    // Ports of services are many and each is there once, so they are compared with what is not of the edge alone.
    let is_many = |listener: &&Listener| listener.key.starts_with("service.");
    for (i, later) in listeners.iter().enumerate().filter(|(_, later)| !is_many(later)) {
        let Some(earlier) = listeners.iter().take(i).find(|earlier| collide(earlier, later)) else {
            continue;
        };
        // Blame what was written: a default cannot be at fault.
        let (blamed, other) = match report.wrote(&later.key) {
            true => (later, earlier),
            false => (earlier, later),
        };
        let message = format!(
            "{} listens on {}, which {} = {} ({}) takes already",
            blamed.key,
            blamed.socket,
            other.key,
            other.socket,
            report.line_of(&other.key)
        );
        conflict(report, &blamed.key, &message, "Give each listener an address or a port of its own.");
    }
}

fn collide(a: &Listener, b: &Listener) -> bool {
    let (x, y) = (a.socket, b.socket);
    let wild = x.ip().is_unspecified() || y.ip().is_unspecified();
    // The public door stands beside the private addresses on the same port: its socket is the more specific one.
    let beside = (a.role, b.role) == ("edge", "join") && !y.ip().is_unspecified();
    // Only DNS listens over UDP besides.
    let apart = (a.is_udp && b.role != "dns") || (b.is_udp && a.role != "dns");
    !apart && x.port() == y.port() && x.is_ipv6() == y.is_ipv6() && (x.ip() == y.ip() || (wild && !beside))
}

/// A service that is one of our own listeners would call itself for ever.
fn loops(report: &Report<'_>, config: &Config, listeners: &[Listener]) {
    for service in config.services.values() {
        let own = |listener: &&Listener| {
            let (to, socket) = (service.to, listener.socket);
            let wild_loopback = socket.ip().is_unspecified() && to.ip().is_loopback();
            to.port() == socket.port()
                && to.is_ipv6() == socket.is_ipv6()
                && (to.ip() == socket.ip() || wild_loopback)
        };
        let Some(listener) = listeners.iter().find(own) else {
            continue;
        };
        let key = format!("service.{}.to", service.name);
        let line = report.line_of(&listener.key);
        let message =
            format!("{key} = {} is my own {} = {} ({line})", service.to, listener.key, listener.socket);
        conflict(report, &key, &message, "Name the address and port where the service itself listens.");
    }
}
