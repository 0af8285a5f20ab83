//! Every section and key that may be written.

use super::report::Home;

pub(super) const SECTIONS: &[&str] = &[
    "roles", "edge", "pool", "service", "schedule", "dns", "join", "fabric", "tls", "state", "ops",
    "defense", "log",
];
/// What a process of the fabric alone has a use for.
pub(super) const MEMBER_SECTIONS: &[&str] = &["roles", "fabric", "ops", "log"];
pub(super) const ROLES: &[&str] = &["edge", "dns", "register", "ops", "hub", "local-hub"];
pub(super) const EDGE_SIDE: &[&str] = &["edge", "dns", "register", "ops"];

pub(super) const EDGE: &[&str] = &[
    "name",
    "zone",
    "listen",
    "listen_port",
    "device",
    "drain_max",
    "drain_pause",
    "access_log",
    "access_sample",
    "http3",
    "trusted_proxies",
    "memory_max",
];
pub(super) const POOL: &[&str] = &["range"];
pub(super) const SERVICE: &[&str] = &[
    "to",
    "listen",
    "proto",
    "auth",
    "schedule",
    "pool",
    "max_session",
    "proxy",
    "speaks",
    "maintenance",
    "max_body",
    "max_time",
    "connections",
    "connections_per_s",
    "requests",
    "requests_per_s",
    "bytes_in_per_s",
    "bytes_out_per_s",
];
pub(super) const SCHEDULE: &[&str] = &["name", "agent", "stale", "max_session"];
pub(super) const CLASS_NAME: &[&str] = &["window", "grace", "lead", "ttl", "tombstone"];
pub(super) const CLASS_AGENT: &[&str] = &["window", "grace", "lead", "ttl", "tombstone", "label"];
pub(super) const DNS: &[&str] = &["listen", "nameservers", "unknown"];
pub(super) const JOIN: &[&str] = &["listen", "address", "open", "pow_bits", "rate"];
pub(super) const FABRIC: &[&str] = &["hub", "wiring", "credentials", "name", "state_dir"];
pub(super) const TLS: &[&str] = &["cert", "key"];
pub(super) const STATE: &[&str] = &["dir"];
pub(super) const OPS: &[&str] = &["socket", "listen"];
pub(super) const DEFENSE: &[&str] = &["lease_connections", "lease_requests"];
pub(super) const LOG: &[&str] = &["format", "level"];

/// Where a key belongs, for one that stands in the wrong section.
pub(super) const HOMES: &[Home] = &[
    ("[edge]", EDGE),
    ("[pool.NAME]", POOL),
    ("[service.NAME]", SERVICE),
    ("[schedule.NAME]", SCHEDULE),
    ("name = { … } or agent = { … } of [schedule.NAME]", CLASS_NAME),
    ("agent = { … } of [schedule.NAME]", &["label"]),
    ("[dns]", DNS),
    ("[join]", JOIN),
    ("[fabric]", FABRIC),
    ("[tls]", TLS),
    ("[state]", STATE),
    ("[ops]", OPS),
    ("[defense]", DEFENSE),
    ("[log]", LOG),
];
