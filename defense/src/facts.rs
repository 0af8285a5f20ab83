//! What is known about one call when a hook is asked: borrowed, so that asking costs no allocation.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Where in the product a call is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookPoint {
    /// A connection (or a datagram flow) to a leased address, after the door and before the handshake.
    Connection,
    /// A request on an admitted connection.
    Request,
    /// A DNS query.
    Query,
    /// A registration of a new device, from its challenge on.
    Enrolment,
    /// A renewal signed by an enrolled device's key.
    Renewal,
}

impl HookPoint {
    pub const ALL: [Self; 5] = [Self::Connection, Self::Request, Self::Query, Self::Enrolment, Self::Renewal];

    /// The word on the screen and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Request => "request",
            Self::Query => "query",
            Self::Enrolment => "enrolment",
            Self::Renewal => "renewal",
        }
    }

    /// Its place in [`HookPoint::ALL`], for tables by point.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// How much a source address is worth as evidence. A network's budgets for the two are never mixed, so forged
/// datagrams limit nobody who really comes from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Anybody may have written it there: a UDP datagram, a bare SYN.
    Claimed,
    /// The source answered from that address: a TCP or QUIC handshake, a DNS cookie.
    Proven,
}

/// The facts of one call. Build with [`Facts::new`] and the setters; what is not known stays `None`.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub point: HookPoint,
    pub source: IpAddr,
    pub evidence: Evidence,
    /// The grant's number in the running process (dense, small; see `bounds::LEASES_EXACT_MAX`).
    pub lease: Option<u32>,
    pub service: Option<&'a str>,
    /// Announced size in bytes (a content length, a datagram), if any.
    pub bytes: Option<u64>,
    pub method: Option<&'a str>,
    pub path: Option<&'a str>,
}

impl<'a> Facts<'a> {
    pub const fn new(point: HookPoint, source: IpAddr, evidence: Evidence) -> Self {
        Self { point, source, evidence, lease: None, service: None, bytes: None, method: None, path: None }
    }

    pub const fn lease(mut self, number: u32) -> Self {
        self.lease = Some(number);
        self
    }

    pub const fn service(mut self, name: &'a str) -> Self {
        self.service = Some(name);
        self
    }

    pub const fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    pub const fn request(mut self, method: &'a str, path: &'a str) -> Self {
        self.method = Some(method);
        self.path = Some(path);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_indexed_as_listed_and_named_as_serialized() {
        for (i, point) in HookPoint::ALL.into_iter().enumerate() {
            assert_eq!(point.index(), i);
            assert_eq!(serde_json::to_value(point).unwrap(), point.name());
        }
    }
}
