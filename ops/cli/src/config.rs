//! The configuration: one TOML file, read once into plain, checked values.
//!
//! [`load`] reads a file, [`parse`] a text; both report every mistake at once, each with its place, the value, and what
//! to do. Unknown keys are errors. Relative paths are taken from the folder of the file.
//!
//! In reading order: `sections` (what may be written, one function per section), `conflicts` (what excludes each
//! other), `reader` and `report` (typed access with errors), `words` (the syntax of single values), `error` and `source` (how a
//! mistake is shown), `suggest` (did you mean), `bounds` (every limit).

#![warn(clippy::wildcard_enum_match_arm)]

pub mod bounds;
mod conflicts;
mod error;
mod names;
pub(crate) mod reader;
pub(crate) mod report;
mod sections;
pub(crate) mod source;
pub(crate) mod suggest;
pub(crate) mod syntax;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use defense::Reason;
use ipnet::IpNet;
use state::Listen;
use state::records::Handling;
use toml::de::DeTable;

pub use error::{ConfigError, ConfigErrors, Excerpt, Position};
use report::Report;
use source::Source;

/// Everything that the file decides, with its defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub edge: Edge,
    /// By name, in its order. At least one; none overlaps another.
    pub pools: Vec<rotator::Pool>,
    pub services: BTreeMap<String, Service>,
    /// Always has `standard`.
    pub schedules: BTreeMap<String, SchedulePair>,
    pub dns: Dns,
    pub join: Join,
    pub fabric: Fabric,
    /// Without files of its own, a private CA is made in [`StateDir::dir`].
    pub tls: Option<Tls>,
    pub state: StateDir,
    pub ops: Ops,
    pub defense: Defense,
    pub log: Log,
}

/// `[edge]`: this gateway process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub name: String,
    /// Delegated zone: lower case, no dot at the end.
    pub zone: String,
    /// Wildcard or literal addresses to listen on; by default the wildcard of each family that a pool has.
    pub listen: Vec<IpAddr>,
    /// Port of services that name none.
    pub listen_port: u16,
    /// Interface to bind to (`SO_BINDTODEVICE`); at most 15 bytes.
    pub device: Option<String>,
    /// From the end of `drain_pause` to the hard end of what is still open, in seconds: 1 to [`bounds::DRAIN_MAX_S`].
    pub drain_max_s: u32,
    /// From the word to stop until newcomers are turned away, in seconds: as long as a balancer in front takes to see that
    /// readiness is gone. At most [`bounds::DRAIN_PAUSE_MAX_S`].
    pub drain_pause_s: u32,
    /// A JSON line for each request and session; none is written by default, since it says who did what when.
    pub access_log: Option<PathBuf>,
    /// Of so many requests that pass, one is written; refusals always are. 1 to [`bounds::SAMPLE_MAX`].
    pub access_sample: u32,
    /// HTTP/3 at the UDP port of each https entry. On by default: who can't name an address gets no byte there either, and
    /// who can't reach it over UDP stays with TCP.
    pub http3: bool,
    /// Networks of balancers whose TCP connections begin with a PROXY header of version 2; at most [`bounds::LIST_MAX`].
    pub trusted_proxies: Vec<IpNet>,
    /// Bytes of memory by which the edge measures its pressure, if less than its group or machine has; at least
    /// [`bounds::MEMORY_MIN`].
    pub memory_max: Option<u64>,
}

/// `[service.NAME]`: what users reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    /// Where its own server listens; a real address and port, or [`state::records::BEHIND_FABRIC`] where local hubs run
    /// elsewhere.
    pub to: SocketAddr,
    /// What users reach at their addresses.
    pub listen: Listen,
    pub auth: Auth,
    /// Exists in [`Config::schedules`].
    pub schedule: String,
    /// Each exists in [`Config::pools`]; never empty.
    pub pools: Vec<String>,
    /// Overrides the schedule's, in seconds.
    pub max_session_s: Option<u32>,
    pub handling: Handling,
}

/// What admits a client besides its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// The private address alone; IPv6 pools only.
    Address,
    /// The private name too, in the TLS ClientHello.
    Name,
    /// Besides the name, the handshake proves the key with which the device is enrolled.
    Key,
}

/// `[schedule.NAME]`: one schedule per class of client; both keep the rotator's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulePair {
    pub name: rotator::Schedule,
    pub agent: rotator::Schedule,
}

/// `[dns]`: the authoritative front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// First label within the zone, and the addresses it has. Never empty: by default `ns1`, at [`Join::address`].
    pub nameservers: BTreeMap<String, Vec<IpAddr>>,
    pub unknown: UnknownLabel,
}

/// What a label that nobody has is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownLabel {
    Decoy,
    Nxdomain,
}

/// `[join]`: the registration surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    pub listen: SocketAddr,
    /// What `join.ZONE` answers; by default where it listens.
    pub address: IpAddr,
    /// Whether somebody without an invite may enrol.
    pub open: bool,
    /// Proof of work asked of somebody without an invite, in leading zero bits; 0 asks none.
    pub pow_bits: u8,
    /// New users only.
    pub rate: Rate,
}

/// `count` times in `per_s` seconds; both at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per_s: u32,
}

/// What a file describes: a gateway, or one process of the fabric alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Setup {
    Gateway(Box<Config>),
    Member(Member),
}

/// `roles`: what this process is. The single box, which is everything, is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    All,
    /// `edge`, `dns`, `register`, `ops`: they share one state. Hubs and local hubs run elsewhere.
    EdgeSide,
    Hub,
    LocalHub,
}

/// `[fabric]` of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fabric {
    /// A plane of its own, with one hub, which listens here for local hubs.
    Own { hub: SocketAddr },
    /// Planes that run elsewhere.
    Joined(Joined),
}

/// How a process finds its place in planes of several computers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The wiring file, the same for everybody.
    pub wiring: PathBuf,
    /// Certificate, key and authority of this member; a file of mode 0600.
    pub credentials: PathBuf,
    /// The name in the certificate, if it is to be checked.
    pub name: Option<String>,
}

/// A process of role `hub` or `local-hub`. It has no store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub role: MemberRole,
    pub joined: Joined,
    /// Where a hub keeps its word: the term it voted in. A folder of its own.
    pub state_dir: PathBuf,
    /// Its control socket.
    pub socket: PathBuf,
    pub log: Log,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRole {
    Hub,
    LocalHub,
}

impl MemberRole {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::LocalHub => "local-hub",
        }
    }
}

/// `[tls]`: PEM files of the wildcard certificate for the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// `[state]`: what is remembered, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    pub dir: PathBuf,
}

/// `[ops]`: the operators' API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ops {
    /// Unix socket; at most [`bounds::SOCKET_PATH_BYTES_MAX`] bytes.
    pub socket: PathBuf,
    /// Loopback only.
    pub listen: SocketAddr,
}

/// `[defense]`: what one lease may spend; five seconds' worth may come at once. One leaked address floods one lane only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defense {
    pub lease_connections: Rate,
    pub lease_requests: Rate,
}

/// `[log]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Json,
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// As a filter spells it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Config {
    pub fn pool(&self, name: &str) -> Option<&rotator::Pool> {
        self.pools.iter().find(|pool| &*pool.id == name)
    }
}

/// Reads and checks a gateway's file, and that the files which it names are there.
///
/// # Errors
/// Every mistake in it, or why it cannot be read (absent, over [`bounds::FILE_BYTES_MAX`]).
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    load_setup(path, None).and_then(|setup| gateway(setup, &path.display().to_string()))
}

/// As [`load`], for a file of any role. `verb` is the role that the command line asks for: a file that names none is read
/// for it.
///
/// # Errors
/// As [`load`]; a file that names another role than `verb`.
pub fn load_setup(path: &Path, verb: Option<MemberRole>) -> Result<Setup, ConfigErrors> {
    let bytes = bytes_of(path)?;
    parse_with(&bytes, &path.display().to_string(), verb, &Path::is_file).map(|(setup, _)| setup)
}

/// As [`load_setup`], for a file of any role; with what is worth knowing about it nevertheless.
///
/// # Errors
/// As [`load`].
pub fn load_checked(path: &Path) -> Result<(Setup, ConfigErrors), ConfigErrors> {
    parse_with(&bytes_of(path)?, &path.display().to_string(), None, &Path::is_file)
}

/// Checks a text; `file_name` is for messages and as the base of relative paths. Touches no file.
///
/// # Errors
/// Every mistake in it; of mistakes in TOML's own syntax the first only.
pub fn parse(text: &str, file_name: &str) -> Result<Config, ConfigErrors> {
    parse_bytes(text.as_bytes(), file_name)
}

/// As [`parse`], for bytes that may not be text.
///
/// # Errors
/// As [`parse`].
pub fn parse_bytes(bytes: &[u8], file_name: &str) -> Result<Config, ConfigErrors> {
    parse_with(bytes, file_name, None, &|_| true).and_then(|(setup, _)| gateway(setup, file_name))
}

/// As [`parse`], for a text of any role.
///
/// # Errors
/// As [`parse`].
pub fn parse_setup(text: &str, file_name: &str) -> Result<Setup, ConfigErrors> {
    parse_with(text.as_bytes(), file_name, None, &|_| true).map(|(setup, _)| setup)
}

fn gateway(setup: Setup, file_name: &str) -> Result<Config, ConfigErrors> {
    match setup {
        Setup::Gateway(config) => Ok(*config),
        Setup::Member(member) => Err(ConfigErrors::whole_file(
            file_name,
            &format!("is for a process of role {}, not for a gateway.", member.role.as_str()),
            "Name the gateway's own file.",
        )),
    }
}

fn parse_with(
    bytes: &[u8],
    file_name: &str,
    verb: Option<MemberRole>,
    is_file: &dyn Fn(&Path) -> bool,
) -> Result<(Setup, ConfigErrors), ConfigErrors> {
    let read = |report: &Report<'_>, table: &DeTable<'_>| {
        let setup = sections::read(report, table, verb, is_file);
        if let Some(Setup::Gateway(config)) = &setup {
            conflicts::check(report, config);
        }
        setup
    };
    parse_toml(bytes, file_name, names::HOMES, read)
}

/// The bytes of a file, one more than it may have at most.
pub(crate) fn bytes_of(path: &Path) -> Result<Vec<u8>, ConfigErrors> {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(bounds::FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(cause) => Err(ConfigErrors::whole_file(
            &path.display().to_string(),
            &format!("cannot be read: {cause}"),
            "Name an existing file: `wandergate check FILE`, `wandergate run --config FILE`.",
        )),
    }
}

/// Any file of ours: what `read` makes of its table, with warnings, or every mistake.
pub(crate) fn parse_toml<T>(
    bytes: &[u8],
    file_name: &str,
    homes: &'static [report::Home],
    read: impl FnOnce(&Report<'_>, &DeTable<'_>) -> Option<T>,
) -> Result<(T, ConfigErrors), ConfigErrors> {
    if bytes.len() > bounds::FILE_BYTES_MAX {
        let what = format!("is larger than {} bytes", bounds::FILE_BYTES_MAX);
        return Err(ConfigErrors::whole_file(
            file_name,
            &what,
            "Keep lists of users out of it; they live in the state.",
        ));
    }
    let (source, text_error) = Source::new(bytes, file_name);
    let report = Report::new(&source, homes);
    if let Some(offset) = text_error {
        report.error(Reason::ConfigSyntax, offset..offset, "", "not UTF-8 text", "Save the file as UTF-8.");
        return Err(report.into_errors());
    }
    let table = match DeTable::parse(source.text()) {
        Ok(table) => table,
        Err(error) => {
            syntax::report(&report, &error);
            return Err(report.into_errors());
        }
    };
    let value = read(&report, table.get_ref());
    let (errors, warnings) = report.into_findings();
    match value {
        Some(value) if errors.is_empty() => Ok((value, warnings)),
        Some(_) | None => Err(errors),
    }
}
