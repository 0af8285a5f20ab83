//! The syntax of single values: names of planes, outside ports, doors, probes, identities.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use fabric::topology::{Door, Health, HostRole, PortRange, Protocol, is_plane_name};
use fabric::{Identity, Role};

use crate::config::bounds::SOCKET_PATH_BYTES_MAX;
use crate::config::words::{self, Bad};

/// Longest path that is asked for by a probe, in bytes.
const PROBE_PATH_BYTES_MAX: usize = 1024;

/// `A`, `B`.
pub(super) fn plane_name(text: &str) -> Result<String, Bad> {
    match is_plane_name(text) {
        true => Ok(text.to_owned()),
        false => Err(Bad::new(
            "is no name for a plane",
            "Use letters, digits and hyphens inside, at most 16: [plane.A.hub.NAME].",
        )),
    }
}

/// `443/tcp`, `53/tcp+udp`.
pub(super) fn outside(text: &str) -> Result<(u16, BTreeSet<Protocol>), Bad> {
    let example = "Write a port and what it carries: \"443/tcp\", \"53/tcp+udp\".";
    let (port, protocols) = text.split_once('/').ok_or_else(|| Bad::new("says no protocol", example))?;
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 => port,
        Ok(_) | Err(_) => return Err(Bad::new("has no port from 1 to 65535", example)),
    };
    let one = |word: &str| {
        [Protocol::Tcp, Protocol::Udp].into_iter().find(|known| known.as_str() == word).ok_or_else(|| {
            Bad::new(&format!("has the protocol {word:?}, which is neither tcp nor udp"), example)
        })
    };
    Ok((port, protocols.split('+').map(one).collect::<Result<_, _>>()?))
}

/// `tcp/5061`, `udp/16384-16483`.
pub(super) fn port_range(text: &str) -> Result<PortRange, Bad> {
    let example = "Write what is spoken and where: \"tcp/5061\", \"udp/16384-16483\".";
    let bad = |why: &str| Bad::new(why, example);
    let (word, ports) = text.split_once('/').ok_or_else(|| bad("says no protocol"))?;
    let protocol = PROTOCOLS.into_iter().find(|(known, _)| *known == word);
    let (_, protocol) =
        protocol.ok_or_else(|| bad(&format!("has the protocol {word:?}, which is neither tcp nor udp")))?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first > 0 && first <= last => Ok(PortRange { protocol, first, last }),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => Err(bad("has no ports from 1 to 65535, the lower one first")),
    }
}

/// A loopback address and port, or the path of a Unix socket.
pub(super) fn door(text: &str) -> Result<Door, Bad> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return words::target(text).map(|_| Door::Loopback(socket));
    }
    if !text.starts_with('/') || text.contains('\0') {
        return Err(Bad::new(
            "is neither a loopback address and port nor the full path of a Unix socket",
            "Write \"127.0.0.1:7002\" or \"/run/wandergate/servers.sock\".",
        ));
    }
    match text.len() <= SOCKET_PATH_BYTES_MAX {
        true => Ok(Door::Unix(PathBuf::from(text))),
        false => Err(Bad::new(
            &format!("is longer than a Unix socket's path may be ({SOCKET_PATH_BYTES_MAX} bytes)"),
            "Name a shorter one: \"/run/wandergate/servers.sock\".",
        )),
    }
}

/// `none`, `connect`, `http /health`.
pub(super) fn health(text: &str) -> Result<Health, Bad> {
    let example = "Write \"none\", \"connect\", or \"http /health\" with the path to ask for.";
    match text.split_once(' ') {
        None if text == "none" => Ok(Health::None),
        None if text == "connect" => Ok(Health::Connect),
        None if text == "http" => Err(Bad::new("has no path to ask for", "Write it: \"http /health\".")),
        Some(("http", path)) => {
            let fine = path.starts_with('/')
                && path.len() <= PROBE_PATH_BYTES_MAX
                && path.bytes().all(|b| b.is_ascii_graphic());
            match fine {
                true => Ok(Health::Http(path.to_owned())),
                false => Err(Bad::new(
                    "has a path that HTTP cannot ask for",
                    "Begin it with a slash, without blanks: \"http /health\".",
                )),
            }
        }
        None | Some(_) => Err(Bad::new("is no probe", example)),
    }
}

/// `local-hub/app1`, `server/worker1`: as certificates name members.
pub(super) fn identity(text: &str) -> Result<Identity, Bad> {
    let example = "Write a role and a name: \"local-hub/app1\", \"server/worker1\".";
    let Some((role, name)) = text.split_once('/') else {
        return Err(Bad::new("has no role", example));
    };
    let Some(role) = Role::ALL.into_iter().find(|known| known.as_str() == role) else {
        return Err(Bad::new(&format!("has the role {role:?}, which there is not"), example));
    };
    Identity::new(role, name).ok_or_else(|| Bad::new("has a name that is none", example))
}

/// As a choice of the reader.
pub(super) fn roles() -> [(&'static str, HostRole); 3] {
    HostRole::ALL.map(|role| (role.as_str(), role))
}

/// As a choice of the reader.
pub(super) const PROTOCOLS: [(&str, Protocol); 2] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
