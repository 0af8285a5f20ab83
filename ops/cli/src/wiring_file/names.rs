//! Every section and key that may be written.

use crate::config::report::Home;

pub(super) const SECTIONS: &[&str] = &["host", "plane", "local_hub", "server", "edge", "egress"];
/// Sections that a configuration has not.
pub(super) const ONLY_HERE: &[&str] = &["host", "plane", "local_hub", "server", "egress"];

pub(super) const HOST: &[&str] = &["addresses", "roles"];
pub(super) const PLANE: &[&str] = &["hub"];
pub(super) const HUB: &[&str] = &["host", "members", "between"];
pub(super) const LOCAL_HUB: &[&str] = &["host", "door", "service"];
pub(super) const SERVICE: &[&str] = &["servers", "protocol", "ports", "health", "proxy"];
pub(super) const SERVER: &[&str] = &["local_hub", "serves"];
pub(super) const EDGE: &[&str] = &["host", "opens", "outside"];
pub(super) const EGRESS: &[&str] = &["edge", "to", "protocol", "openers"];

pub(super) const HOMES: &[Home] = &[
    ("[host.NAME]", HOST),
    ("[plane.NAME.hub.NAME]", HUB),
    ("[local_hub.NAME]", LOCAL_HUB),
    ("[local_hub.NAME.service.NAME]", SERVICE),
    ("[server.NAME]", SERVER),
    ("[edge.NAME]", EDGE),
    ("[egress.NAME]", EGRESS),
];
