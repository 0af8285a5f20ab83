//! Who asks for what: one request's, or one connection's. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fabric::Origin;
use rotator::GrantNo;
use state::{Card, Reached};

/// Whose requests a connection carries, and to which port at its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holder {
    pub(super) user: (GrantNo, IpAddr),
    pub(super) target: Option<u16>,
}

/// A user's device at some address, and which port of its service it reached.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub card: &'a Card,
    pub reached: Reached,
    pub source: SocketAddr,
}

impl Caller<'_> {
    /// What the service may know of whoever asks. The address that was reached is the user's own secret; its port is not.
    pub fn origin(self) -> Origin {
        let reached: IpAddr = match self.source.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let origin = Origin::new(self.source, SocketAddr::new(reached, self.reached.port));
        origin.clone().with_names(self.card.user.as_str(), self.card.device.as_str()).unwrap_or(origin)
    }

    /// The service's port, as the fabric is asked for it; 0 is its own.
    pub fn port(self) -> u16 {
        self.reached.target.unwrap_or(0)
    }

    pub(super) fn holder(self) -> Holder {
        Holder { user: (self.card.grant, self.source.ip()), target: self.reached.target }
    }
}
