//! Why is that refused, or not: one answer about an address, source, host name, user, device, service, request or code.
//!
//! Three steps, so that no lock is held while another is asked for: [`Target::parse`] reads what was asked, [`grants`]
//! finds in the records whose matter it is, [`look`] asks the running gateway, and [`answer`] tells. All but `look` pure.

mod answer;
mod inside;
mod owners;

use std::net::IpAddr;
use std::str::FromStr;

use defense::{Reason, Sample};
use ipnet::IpNet;
use rotator::{GrantNo, Label, Lease};
use state::{Name, Records, Refusal};
use uuid::Uuid;

use crate::bounds::{TARGET_CHARS_MAX, WHY_LEASES_MAX, WHY_SEEN_MAX};
use crate::eyes::{Eyes, StreamRefusal};

pub use answer::answer;
pub use inside::inside;

/// What was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A source, or the destination of a lease.
    Address(IpAddr),
    Network(IpNet),
    /// A private name's label.
    Label(Label),
    /// A device's number, or a request's: which of them, the records know.
    Number(Uuid),
    Reason(Reason),
    /// `user/device`.
    Device(Name, Name),
    /// A user, or else a service.
    Named(Name),
}

/// What the running gateway knows about a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub leases: Vec<(IpAddr, Lease)>,
    /// The grant that bears the label now.
    pub bearer: Option<GrantNo>,
    pub connections: usize,
    /// Refusals, newest first.
    pub samples: Vec<Sample>,
    /// Exact count since the start, of a reason.
    pub total: Option<u64>,
    /// Streams that the fabric refused: of a service, or for a reason.
    pub refused_streams: Vec<StreamRefusal>,
}

impl Target {
    /// Reads an address (`2001:db8::7`, `[2001:db8::7]:443`), a CIDR block, a host name or URL, a user, `user/device`, a
    /// device's or request's number, a reason's name or code.
    ///
    /// # Errors
    /// `unknown_target` for what is none of these.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        if text.is_empty() || text.len() > TARGET_CHARS_MAX {
            return Err(unknown(text));
        }
        let plain = [address(text), network(text), reason(text), number(text), device(text)];
        if let Some(target) = plain.into_iter().flatten().next() {
            return Ok(target);
        }
        let host = host_of(text);
        let first = host.split('.').next().unwrap_or(host);
        let label = Label::parse(first.as_bytes()).map(Self::Label);
        let inner = address(host).filter(|_| host != text);
        let name = || text.parse().ok().map(Self::Named);
        label.or(inner).or_else(name).ok_or_else(|| unknown(text))
    }
}

/// The grants that a target is about, as far as the records alone know. At most [`WHY_LEASES_MAX`].
pub fn grants(records: &Records, target: &Target) -> Vec<GrantNo> {
    let of_user = |name: &Name| {
        let devices = records.user_named(name).into_iter().flat_map(|u| records.devices_of(u.id));
        devices.flat_map(|d| records.grants_of(d.id)).map(|(no, _)| no).collect::<Vec<_>>()
    };
    let mut found: Vec<GrantNo> = match target {
        Target::Label(label) => records.grant_labeled(*label).into_iter().collect(),
        Target::Number(id) => records.grants_of(*id).map(|(no, _)| no).collect(),
        Target::Device(user, device) => {
            let found = owners::device_named(records, user, device);
            found.into_iter().flat_map(|d| records.grants_of(d.id)).map(|(no, _)| no).collect()
        }
        Target::Named(name) if records.user_named(name).is_some() => of_user(name),
        Target::Named(name) => records.grants_for(name).take(WHY_LEASES_MAX).collect(),
        Target::Address(_) | Target::Network(_) | Target::Reason(_) => Vec::new(),
    };
    found.truncate(WHY_LEASES_MAX);
    found
}

/// Asks the running gateway. No lock on the records may be held.
pub fn look(eyes: &dyn Eyes, target: &Target, grants: &[GrantNo]) -> Seen {
    let journal = eyes.journal();
    let mut seen = Seen::default();
    let mut grants = grants.to_vec();
    match target {
        Target::Address(address) => {
            seen.leases = eyes.leases_at(*address).into_iter().map(|lease| (*address, lease)).collect();
            grants = seen.leases.iter().map(|(_, lease)| lease.grant).collect();
            seen.samples = journal.about_source(*address);
        }
        Target::Network(network) => seen.samples = journal.about_network(*network),
        Target::Label(label) => {
            seen.bearer = eyes.grant_of_label(&label.to_string());
            grants.extend(seen.bearer);
        }
        Target::Number(id) => seen.samples = journal.about_request(id.as_u128()),
        Target::Reason(reason) => {
            seen.samples = journal.about_reason(*reason);
            seen.total = Some(journal.total(*reason));
            seen.refused_streams = refused_streams(eyes, |r| r.reason == reason.name());
        }
        Target::Named(name) => seen.refused_streams = refused_streams(eyes, |r| r.service == name.as_str()),
        Target::Device(..) => {}
    }
    grants.sort_unstable();
    grants.dedup();
    for grant in grants {
        seen.connections += eyes.connections_of(grant);
        seen.samples.extend(journal.about_lease(grant));
        if !matches!(target, Target::Address(_)) {
            seen.leases.extend(eyes.addresses_of(grant));
        }
    }
    seen.samples.sort_by_key(|s| std::cmp::Reverse(s.first.at_unix_s));
    seen.leases.truncate(WHY_LEASES_MAX);
    seen
}

fn refused_streams(eyes: &dyn Eyes, wanted: impl Fn(&StreamRefusal) -> bool) -> Vec<StreamRefusal> {
    eyes.fabric().refusals.into_iter().filter(wanted).take(WHY_SEEN_MAX).collect()
}

fn address(text: &str) -> Option<Target> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip());
    let address: Option<IpAddr> = bare.parse().ok().or_else(with_port);
    address.map(|a| Target::Address(a.to_canonical()))
}

fn network(text: &str) -> Option<Target> {
    let net: IpNet = text.parse().ok()?;
    Some(Target::Network(net.trunc()))
}

fn reason(text: &str) -> Option<Target> {
    Reason::from_code(text).or_else(|| Reason::from_name(text)).map(Target::Reason)
}

/// As an answer's `X-Request-Id` or `device ls` spells it: 32 hexadecimal digits, with or without hyphens or `req_`.
fn number(text: &str) -> Option<Target> {
    Uuid::from_str(text.strip_prefix("req_").unwrap_or(text)).ok().map(Target::Number)
}

fn device(text: &str) -> Option<Target> {
    let (user, device) = text.split_once('/')?;
    Some(Target::Device(user.parse().ok()?, device.parse().ok()?))
}

/// The host of a URL, or of `host:port`, or the text itself.
fn host_of(text: &str) -> &str {
    let after = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = after.split(['/', '?', '#']).next().unwrap_or(after);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    host.trim_end_matches('.')
}

fn unknown(text: &str) -> Refusal {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    Refusal::new(Reason::UnknownTarget, format!("Nothing is known about \"{shown}\"."))
}

#[cfg(test)]
mod tests;
