//! May it come in? Pure: what stands at an address, and what name the client gave, to one answer.

use std::sync::Arc;

use defense::Reason;
use rotator::{Found, GrantNo, Label, Lease, Newcomer, UnixTime};
use state::records::Auth;
use state::{Card, Reached, Transport};

/// A lease that would accept the newcomer, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub lease: Lease,
    pub card: Arc<Card>,
    /// Which of its service's ports was reached.
    pub reached: Reached,
}

/// What stands at an address and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// One lease, or several that share the address: the name must tell.
    Open(Vec<Candidate>),
    /// A recently closed lease of this grant: its owner is told to move on.
    Reset(GrantNo),
    /// Nothing shows. The reason is for our own eyes.
    Dark(Reason, Option<GrantNo>),
}

/// Judges a newcomer by its destination alone.
pub fn door(
    found: &Found,
    (transport, port): (Transport, u16),
    now: UnixTime,
    card_of: impl Fn(GrantNo) -> Option<Arc<Card>>,
) -> Door {
    let leases: &[Lease] = match found {
        Found::Never => return Door::Dark(Reason::NoWindow, None),
        Found::One(lease) => std::slice::from_ref(lease),
        Found::Shared(leases) => leases,
    };
    let here = leases.iter().filter_map(|lease| {
        let card = card_of(lease.grant)?;
        let reached = card.listen.find(transport, port)?;
        Some(Candidate { lease: *lease, card, reached })
    });
    let mut open = Vec::with_capacity(1);
    let mut closed = None;
    for candidate in here {
        match candidate.lease.newcomer(now) {
            Newcomer::Accept => open.push(candidate),
            Newcomer::Reset => closed = Some(Door::Reset(candidate.lease.grant)),
            Newcomer::Silence => {
                closed.get_or_insert(Door::Dark(Reason::LeaseExpired, Some(candidate.lease.grant)));
            }
        }
    }
    match open.is_empty() {
        false => Door::Open(open),
        true => closed.unwrap_or(Door::Dark(Reason::NoWindow, None)),
    }
}

/// The server name in the ClientHello, as far as it concerns us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerName {
    Missing,
    /// Outside of our zone: no claim to be anybody.
    Foreign,
    /// A name of our zone; the grant that bears it now, if any does.
    Ours(Option<GrantNo>),
}

/// Which of the candidates the newcomer is.
///
/// A name of our zone must always be the grant's own, whatever `auth` says: a name that contradicts the address is a
/// stranger with one half of the secret.
///
/// # Errors
/// Why it is none of them.
pub fn identify(candidates: &[Candidate], name: ServerName) -> Result<&Candidate, Reason> {
    let by_address = || match candidates {
        [only] if only.card.auth == Auth::Address => Some(only),
        _ => None,
    };
    match name {
        ServerName::Ours(Some(grant)) => {
            candidates.iter().find(|c| c.card.grant == grant).ok_or(Reason::NameMismatch)
        }
        ServerName::Ours(None) => Err(Reason::NameMismatch),
        ServerName::Missing | ServerName::Foreign => by_address().ok_or(match (name, candidates) {
            (_, [a, b, ..]) if a.card.auth == Auth::Address && b.card.auth == Auth::Address => {
                Reason::AmbiguousAddress
            }
            (ServerName::Missing, _) => Reason::SniMissing,
            (ServerName::Foreign | ServerName::Ours(_), _) => Reason::NameMismatch,
        }),
    }
}

/// Splits `<label>.<zone>` (with or without a final dot or a port) off a host name of our zone. `None`: foreign.
///
/// `Some(None)`: in our zone, but no label (another shape, or deeper).
pub fn label_in_zone(host: &str, zone: &str) -> Option<Option<Label>> {
    let host = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
    let host = host.strip_suffix('.').unwrap_or(host);
    let split = host.len().checked_sub(zone.len())?;
    let (head, tail) = (host.get(..split)?, host.get(split..)?);
    if !tail.eq_ignore_ascii_case(zone) {
        return None;
    }
    match head.strip_suffix('.') {
        Some(label) => Some(Label::parse(label.as_bytes())),
        None if head.is_empty() => Some(None),
        None => None,
    }
}

#[cfg(test)]
mod tests;
