//! What may be written, section by section, and what each default is.
//!
//! Each reader returns `None` when it has reported something; all of them run, so that one look finds every mistake.

mod fabric;
mod schedules;
mod services;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use rotator::Pool;
use toml::de::DeTable;

use super::bounds::{DRAIN_MAX_S, DRAIN_PAUSE_MAX_S, POW_BITS_MAX, SAMPLE_MAX, SOCKET_PATH_BYTES_MAX};
use super::reader::{Field, Section};
use super::report::Report;
use super::words::{self, Bad};
use super::{
    Config, Defense, Dns, Edge, Join, Log, LogFormat, LogLevel, Member, MemberRole, Ops, Rate, Roles, Setup,
    StateDir, Tls, UnknownLabel, names,
};

/// The built-in schedule, which always exists.
pub(super) const STANDARD: &str = "standard";

pub(super) fn read<'a>(
    report: &'a Report<'a>,
    table: &'a DeTable<'a>,
    verb: Option<MemberRole>,
    is_file: &dyn Fn(&Path) -> bool,
) -> Option<Setup> {
    let root = Section::root(report, table);
    root.only(names::SECTIONS);
    let base = Path::new(report.source().file()).parent().unwrap_or(Path::new(""));
    let files = Files { base, is_file };
    // Without a role nobody can say what belongs into the rest.
    let roles = fabric::roles(&root, verb)?;
    match roles {
        Roles::Hub => member(&root, MemberRole::Hub, &files).map(Setup::Member),
        Roles::LocalHub => member(&root, MemberRole::LocalHub, &files).map(Setup::Member),
        Roles::All | Roles::EdgeSide => {
            gateway(&root, roles, &files).map(|config| Setup::Gateway(Box::new(config)))
        }
    }
}

/// Where relative paths begin, and whether a file is there.
struct Files<'f> {
    base: &'f Path,
    is_file: &'f dyn Fn(&Path) -> bool,
}

impl Files<'_> {
    /// A file that has to be there.
    fn present(&self, field: &Field<'_>, fix: &str) -> Option<PathBuf> {
        let path = field.parsed(|text| path(text, self.base))?;
        let absent = || Bad::new("is not a file that I can read", fix);
        field.accept((self.is_file)(&path).then_some(path).ok_or_else(absent))
    }
}

/// A process of the fabric alone.
fn member(root: &Section<'_>, role: MemberRole, files: &Files<'_>) -> Option<Member> {
    fabric::only_members_sections(root, role);
    let section = root.section("fabric", names::FABRIC);
    let read = section.and_then(|section| fabric::member(&section, role, files));
    let log = root.section("log", names::LOG).and_then(|section| log(&section));
    let dir = read.as_ref().map(|(_, dir)| dir.as_path());
    let socket = root.section("ops", names::OPS).and_then(|section| {
        if let Some(listen) = section.field("listen") {
            let why =
                format!("has no use: a process of role {} is asked through its socket alone", role.as_str());
            listen.bad(&Bad::new(&why, "Remove the line."));
        }
        socket(&section, files.base, dir)
    });
    let (joined, state_dir) = read?;
    Some(Member { role, joined, state_dir, socket: socket?, log: log? })
}

fn gateway(root: &Section<'_>, roles: Roles, files: &Files<'_>) -> Option<Config> {
    let base = files.base;
    let pools = services::pools(root);
    let schedules = schedules::read(root);
    let edge = root.section("edge", names::EDGE).and_then(|section| edge(&section, base, pools.as_deref()));
    let services = services::services(root, edge.as_ref(), pools.as_deref(), schedules.as_ref(), roles);
    let join = root.section("join", names::JOIN).and_then(|section| join(&section));
    let dns = root.section("dns", names::DNS).and_then(|section| dns(&section, join.as_ref()));
    let fabric = root.section("fabric", names::FABRIC);
    let fabric = fabric.and_then(|section| fabric::gateway(&section, roles, files));
    let tls = root.section("tls", names::TLS).and_then(|section| tls(&section, files));
    let state = root.section("state", names::STATE).and_then(|section| state(&section, base));
    let ops = root.section("ops", names::OPS).and_then(|section| ops(&section, base, state.as_ref()));
    let defense = root.section("defense", names::DEFENSE).and_then(|section| defense(&section));
    let log = root.section("log", names::LOG).and_then(|section| log(&section));
    Some(Config {
        edge: edge?,
        pools: pools?,
        services: services?,
        schedules: schedules?,
        dns: dns?,
        join: join?,
        fabric: fabric?,
        tls: tls?,
        state: state?,
        ops: ops?,
        defense: defense?,
        log: log?,
    })
}

/// A field's value, or its default where it is absent. `None` stays a value that was wrong.
fn or<T>(field: Option<Field<'_>>, default: T, read: impl FnOnce(Field<'_>) -> Option<T>) -> Option<T> {
    match field {
        Some(field) => read(field),
        None => Some(default),
    }
}

fn edge(section: &Section<'_>, base: &Path, pools: Option<&[Pool]>) -> Option<Edge> {
    let name = or(section.field("name"), "edge1".to_owned(), |f| f.parsed(words::name));
    let zone = section
        .required("zone", "Name the zone that is delegated to this machine: zone = \"edge.example.net\".")
        .and_then(|f| f.parsed(words::zone));
    let listen = or(section.field("listen"), wildcards(pools.unwrap_or_default()), |f| {
        f.each(|item| item.parsed(words::address))
    });
    let listen_port = or(section.field("listen_port"), 443, port);
    let device = or(section.field("device"), None, |f| f.parsed(words::device).map(Some));
    let drain_max = or(section.field("drain_max"), 30, |f| seconds(&f, 1..=DRAIN_MAX_S));
    let drain_pause = or(section.field("drain_pause"), 0, |f| seconds(&f, 0..=DRAIN_PAUSE_MAX_S));
    let access_log = or(section.field("access_log"), None, |f| f.parsed(|text| path(text, base)).map(Some));
    let sample = section.field("access_sample");
    if let (Some(sample), None) = (&sample, section.field("access_log")) {
        let fix = "Name the file too, access_log = \"access.jsonl\", or remove the line.";
        sample.bad(&Bad::new("samples an access log that is not written", fix));
    }
    let access_sample = or(sample, 1, |f| f.whole(1..=SAMPLE_MAX));
    let http3 = or(section.field("http3"), true, |f| f.flag());
    let trusted =
        or(section.field("trusted_proxies"), Vec::new(), |f| f.each(|item| item.parsed(words::network)));
    let memory = or(section.field("memory_max"), None, |f| f.parsed(words::memory).map(Some));
    Some(Edge {
        name: name?,
        zone: zone?,
        listen: listen?,
        listen_port: listen_port?,
        device: device?,
        access_log: access_log?,
        access_sample: access_sample?,
        http3: http3?,
        trusted_proxies: trusted?,
        memory_max: memory?,
        drain_max_s: drain_max?,
        drain_pause_s: drain_pause?,
    })
}

/// A duration within bounds, in seconds.
fn seconds(field: &Field<'_>, bounds: RangeInclusive<u32>) -> Option<u32> {
    let seconds = field.duration()?;
    let (least, most) = (words::duration_text(*bounds.start()), words::duration_text(*bounds.end()));
    let outside =
        || Bad::new(&format!("is not {least} to {most}"), &format!("Write \"{least}\" to \"{most}\"."));
    field.accept(bounds.contains(&seconds).then_some(seconds).ok_or_else(outside))
}

/// The wildcard address of each family that a pool has.
fn wildcards(pools: &[Pool]) -> Vec<IpAddr> {
    let v6 = pools.iter().any(|pool| pool.range.is_v6()).then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let v4 = pools.iter().any(|pool| !pool.range.is_v6()).then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    v6.into_iter().chain(v4).collect()
}

fn port(field: Field<'_>) -> Option<u16> {
    field.whole(1..=u32::from(u16::MAX)).and_then(|port| u16::try_from(port).ok())
}

/// Sections that stand once per name; their names are checked, and `read` takes each.
fn named<'a, T>(
    root: &Section<'a>,
    kind: &str,
    keys: &[&str],
    read: impl Fn(&str, Section<'a>) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    Some(root.named(kind, keys, words::name, read)?.into_iter().collect())
}

fn defense(section: &Section<'_>) -> Option<Defense> {
    let rate = |key, per_second| {
        or(section.field(key), Rate { count: per_second, per_s: 1 }, |f| f.parsed(words::rate))
    };
    let (connections, requests) = (rate("lease_connections", 100), rate("lease_requests", 4000));
    Some(Defense { lease_connections: connections?, lease_requests: requests? })
}

fn join(section: &Section<'_>) -> Option<Join> {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8444));
    let listen = or(section.field("listen"), default, |f| f.parsed(words::listener));
    let address = match (section.field("address"), listen) {
        (Some(field), _) => field.parsed(words::reachable),
        (None, Some(listen)) if listen.ip().is_unspecified() => {
            let fix = "Name the public address that join.ZONE shall have: address = \"192.0.2.1\".";
            section.missing("address", fix);
            None
        }
        (None, listen) => listen.map(|listen| listen.ip()),
    };
    let open = or(section.field("open"), false, |f| f.flag());
    let pow_bits = or(section.field("pow_bits"), 16, |f| f.whole(0..=POW_BITS_MAX));
    let rate = or(section.field("rate"), Rate { count: 30, per_s: 60 }, |f| f.parsed(words::rate));
    let pow_bits = pow_bits.and_then(|bits| u8::try_from(bits).ok());
    Some(Join { listen: listen?, address: address?, open: open?, pow_bits: pow_bits?, rate: rate? })
}

fn dns(section: &Section<'_>, join: Option<&Join>) -> Option<Dns> {
    let default = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 5353))];
    let listen = or(section.field("listen"), default, |f| f.each(|item| item.parsed(words::listener)));
    let nameservers = match section.field("nameservers") {
        Some(field) => nameservers(&field),
        None => join.map(|join| BTreeMap::from([("ns1".to_owned(), vec![join.address])])),
    };
    let unknown = or(section.field("unknown"), UnknownLabel::Decoy, |f| {
        f.choice(&[("decoy", UnknownLabel::Decoy), ("nxdomain", UnknownLabel::Nxdomain)])
    });
    Some(Dns { listen: listen?, nameservers: nameservers?, unknown: unknown? })
}

fn nameservers(field: &Field<'_>) -> Option<BTreeMap<String, Vec<IpAddr>>> {
    let one = |(key, span, entry): (&str, _, Field<'_>)| {
        let name = entry.name(key, span, words::name);
        let addresses = entry.each(|item| item.parsed(words::reachable));
        Some((name?, addresses?))
    };
    let read: Vec<_> = field.table()?.entries().map(one).collect();
    if read.is_empty() {
        field.bad(&Bad::new("names none", "Name at least one: nameservers = { ns1 = [\"192.0.2.1\"] }."));
        return None;
    }
    read.into_iter().collect()
}

/// The outer `None` is a mistake, the inner one says that no files are named.
fn tls(section: &Section<'_>, files: &Files<'_>) -> Option<Option<Tls>> {
    let (cert, key) = (section.field("cert"), section.field("key"));
    match (&cert, &key) {
        (None, None) => return Some(None),
        (Some(_), None) => section.missing("key", "Name the file of the private key: key = \"tls.key\"."),
        (None, Some(_)) => {
            section.missing("cert", "Name the file of the certificate chain: cert = \"tls.pem\".");
        }
        (Some(_), Some(_)) => {}
    }
    let file = |field: Field<'_>| files.present(&field, "Name an existing PEM file.");
    let (cert, key) = (cert.map(file), key.map(file));
    Some(Some(Tls { cert: cert??, key: key?? }))
}

fn state(section: &Section<'_>, base: &Path) -> Option<StateDir> {
    let default = PathBuf::from("/var/lib/wandergate");
    Some(StateDir { dir: or(section.field("dir"), default, |f| f.parsed(|text| path(text, base)))? })
}

fn ops(section: &Section<'_>, base: &Path, state: Option<&StateDir>) -> Option<Ops> {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 7780));
    let listen = or(section.field("listen"), default, |f| f.parsed(ops_listener));
    let socket = socket(section, base, state.map(|state| state.dir.as_path()));
    Some(Ops { socket: socket?, listen: listen? })
}

/// Where operators ask; by default in the folder `dir`, if that could be read.
fn socket(section: &Section<'_>, base: &Path, dir: Option<&Path>) -> Option<PathBuf> {
    if let Some(field) = section.field("socket") {
        return field.parsed(|text| path(text, base).and_then(socket_path));
    }
    let socket = socket_path(dir?.join("ops.sock")).ok();
    if socket.is_none() {
        let fix = "The state folder's path is too long for a Unix socket: name a shorter one.";
        section.missing("socket", fix);
    }
    socket
}

/// The API can change everything, so it is never offered to a network without mutual TLS.
fn ops_listener(text: &str) -> Result<SocketAddr, Bad> {
    let socket = words::listener(text)?;
    match socket.ip().is_loopback() {
        true => Ok(socket),
        false => Err(Bad::new(
            "would offer the operators' API to a network without mutual TLS, which is refused",
            &format!(
                "Write \"127.0.0.1:{}\", and reach it through the Unix socket or an SSH forward.",
                socket.port()
            ),
        )),
    }
}

fn path(text: &str, base: &Path) -> Result<PathBuf, Bad> {
    if text.contains("-----BEGIN") {
        let fix = "Put it into a file of mode 0600, and name that file here.";
        return Err(Bad::new("holds the content of a file, where its name belongs", fix));
    }
    match text.is_empty() || text.contains('\0') {
        true => Err(Bad::new("is no path", "Write the path of a file or folder, or remove the line.")),
        false => Ok(base.join(text)),
    }
}

fn socket_path(path: PathBuf) -> Result<PathBuf, Bad> {
    match path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        true => Ok(path),
        false => Err(Bad::new(
            &format!("is longer than a Unix socket's path may be ({SOCKET_PATH_BYTES_MAX} bytes)"),
            "Name a shorter one: socket = \"/run/wandergate/ops.sock\".",
        )),
    }
}

fn log(section: &Section<'_>) -> Option<Log> {
    let format = or(section.field("format"), LogFormat::Auto, |f| {
        f.choice(&[("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)])
    });
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let levels = levels.map(|level| (level.word(), level));
    let level = or(section.field("level"), LogLevel::Info, |f| f.choice(&levels));
    Some(Log { format: format?, level: level? })
}
