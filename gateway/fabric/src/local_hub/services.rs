//! What is where: the services of this computer, by name, as they are configured. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::health::{Health, is_path};
use crate::bounds::{HEALTH_INTERVAL_MIN, PORT_RANGES_MAX, SERVERS_MAX, SERVICES_MAX};
use crate::refusal::is_name;
use crate::wire::Shape;

/// Services by name.
pub type Services = BTreeMap<String, Service>;

/// One service and its servers. Native servers come by themselves and are not named here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// What its servers speak.
    pub protocol: Protocol,
    /// Where they listen, on loopback; the least loaded gets the next stream.
    pub servers: Vec<ServerAddress>,
    /// Ports at the servers' addresses that an opener may ask for besides each server's own.
    pub ports: Vec<Ports>,
    /// How they are asked whether they are well.
    pub health: Health,
    /// Whether they are told who is at the other end.
    pub proxy: ProxyProtocol,
}

impl Service {
    /// Would a server of the one be served as a server of the other?
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.protocol == other.protocol && self.health == other.health && self.proxy == other.proxy
    }

    /// May a stream of this shape be led to this port of a server, whose own is `own`?
    pub(super) fn permits(&self, shape: Shape, port: u16, own: u16) -> bool {
        let wanted = match shape {
            Shape::Bytes => Protocol::Tcp,
            Shape::Datagrams => Protocol::Udp,
        };
        let listed = |ports: &Ports| ports.protocol == wanted && (ports.first..=ports.last).contains(&port);
        (port == own && self.protocol == wanted) || self.ports.iter().any(listed)
    }
}

/// A range of ports that an opener may ask for, and what is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Of them all.
    pub protocol: Protocol,
    /// The lowest; not 0.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

/// What a server speaks below its own protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Streams of bytes.
    #[default]
    Tcp,
    /// Flows of datagrams: each has a socket of its own, so that the server sees as many clients as there are.
    Udp,
}

/// Whether a server gets a header of the PROXY protocol: once in front of a stream's bytes, or in front of each datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// It sees this computer at the other end.
    #[default]
    Off,
    /// Version 2; see [`crate::proxy`].
    V2,
}

/// One server of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// Where it listens.
    pub address: SocketAddr,
    /// It gets no new streams; those that run go on.
    pub is_draining: bool,
}

impl From<SocketAddr> for ServerAddress {
    fn from(address: SocketAddr) -> Self {
        Self { address, is_draining: false }
    }
}

impl From<SocketAddr> for Service {
    /// TCP to one address, not probed.
    fn from(address: SocketAddr) -> Self {
        Self { servers: vec![address.into()], ..Self::default() }
    }
}

/// A table of services that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServicesError {
    /// The name breaks the rules of names.
    #[error("{0:?} is no service name: 1 to 255 ASCII letters, digits, and . _ - :")]
    NotAName(String),
    /// The address leads off this computer; the fabric gives nobody a way out.
    #[error("{0}: the address {1} is not on loopback")]
    NotLoopback(String, SocketAddr),
    /// More than [`SERVICES_MAX`].
    #[error("more than {SERVICES_MAX} services")]
    TooMany,
    /// More than [`SERVERS_MAX`].
    #[error("{0}: more than {SERVERS_MAX} servers")]
    TooManyServers(String),
    /// More than [`PORT_RANGES_MAX`].
    #[error("{0}: more than {PORT_RANGES_MAX} ranges of ports")]
    TooManyPorts(String),
    /// A range without ports, or with port 0.
    #[error("{0}: {1} to {2} is no range of ports")]
    Ports(String, u16, u16),
    /// A server is there twice.
    #[error("{0}: {1} is named twice")]
    Twice(String, SocketAddr),
    /// A datagram service has no connection that could be made for a probe.
    #[error("{0}: a UDP service cannot be probed; leave its health unasked")]
    HealthOfDatagrams(String),
    /// The path does not fit into a request line.
    #[error("{0}: {1:?} is no path to probe: it begins with / and holds printable ASCII without spaces")]
    HealthPath(String, String),
    /// Thresholds of 0, or probes faster than [`HEALTH_INTERVAL_MIN`].
    #[error("{0}: health needs rise and fall of 1 or more and an interval of 50 ms or more")]
    HealthThresholds(String),
}

pub(super) fn check(services: &Services) -> Result<(), ServicesError> {
    if services.len() > SERVICES_MAX {
        return Err(ServicesError::TooMany);
    }
    services.iter().try_for_each(|(name, service)| {
        if !is_name(name) {
            return Err(ServicesError::NotAName(name.clone()));
        }
        check_servers(name, &service.servers)?;
        check_ports(name, &service.ports)?;
        check_health(name, service)
    })
}

fn check_servers(name: &str, servers: &[ServerAddress]) -> Result<(), ServicesError> {
    if servers.len() > SERVERS_MAX {
        return Err(ServicesError::TooManyServers(name.to_owned()));
    }
    let mut seen = BTreeSet::new();
    for ServerAddress { address, .. } in servers {
        if !address.ip().to_canonical().is_loopback() {
            return Err(ServicesError::NotLoopback(name.to_owned(), *address));
        }
        if !seen.insert(address) {
            return Err(ServicesError::Twice(name.to_owned(), *address));
        }
    }
    Ok(())
}

fn check_ports(name: &str, ports: &[Ports]) -> Result<(), ServicesError> {
    if ports.len() > PORT_RANGES_MAX {
        return Err(ServicesError::TooManyPorts(name.to_owned()));
    }
    match ports.iter().find(|ports| ports.first == 0 || ports.last < ports.first) {
        Some(bad) => Err(ServicesError::Ports(name.to_owned(), bad.first, bad.last)),
        None => Ok(()),
    }
}

fn check_health(name: &str, service: &Service) -> Result<(), ServicesError> {
    let Some(thresholds) = service.health.thresholds() else { return Ok(()) };
    if service.protocol == Protocol::Udp {
        return Err(ServicesError::HealthOfDatagrams(name.to_owned()));
    }
    if thresholds.rise == 0 || thresholds.fall == 0 || thresholds.interval < HEALTH_INTERVAL_MIN {
        return Err(ServicesError::HealthThresholds(name.to_owned()));
    }
    match &service.health {
        Health::Http { path, .. } if !is_path(path) => {
            Err(ServicesError::HealthPath(name.to_owned(), path.clone()))
        }
        Health::Http { .. } | Health::Connect(_) | Health::Unasked => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::health::Thresholds;
    use super::*;

    fn checked(change: impl FnOnce(&mut Service)) -> Result<(), ServicesError> {
        let mut service = Service::from(SocketAddr::from(([127, 0, 0, 1], 80)));
        change(&mut service);
        check(&Services::from([("web".to_owned(), service)]))
    }

    #[test]
    fn servers_are_on_loopback_each_once_and_not_too_many() {
        assert_eq!(checked(|_| {}), Ok(()));
        let outside = "192.0.2.1:80".parse().unwrap();
        assert!(matches!(
            checked(|s| s.servers.push(SocketAddr::into(outside))),
            Err(ServicesError::NotLoopback(..))
        ));
        assert!(matches!(checked(|s| s.servers.push(s.servers[0])), Err(ServicesError::Twice(..))));
        let many = |count: u16| {
            move |s: &mut Service| {
                s.servers = (1..=count).map(|port| SocketAddr::from(([127, 0, 0, 1], port)).into()).collect();
            }
        };
        assert_eq!(checked(many(SERVERS_MAX as u16)), Ok(()));
        assert!(matches!(checked(many(SERVERS_MAX as u16 + 1)), Err(ServicesError::TooManyServers(_))));
    }

    #[test]
    fn an_opener_gets_a_servers_own_port_and_listed_ones_of_the_same_protocol() {
        let udp = Ports { protocol: Protocol::Udp, first: 5060, last: 5061 };
        let tcp = Ports { protocol: Protocol::Tcp, first: 90, last: 90 };
        let service = Service { ports: vec![udp, tcp], ..SocketAddr::from(([127, 0, 0, 1], 80)).into() };
        for (shape, port, may) in [
            (Shape::Bytes, 80, true),
            (Shape::Datagrams, 80, false),
            (Shape::Bytes, 90, true),
            (Shape::Bytes, 22, false),
            (Shape::Bytes, 5060, false),
            (Shape::Datagrams, 5059, false),
            (Shape::Datagrams, 5060, true),
            (Shape::Datagrams, 5061, true),
            (Shape::Datagrams, 5062, false),
        ] {
            assert_eq!(service.permits(shape, port, 80), may, "{shape:?} {port}");
        }
    }

    #[test]
    fn ranges_of_ports_have_ports_and_are_not_too_many() {
        let range = |first, last| Ports { protocol: Protocol::Tcp, first, last };
        let with = |ports: Vec<Ports>| checked(move |s| s.ports = ports);
        assert_eq!(with(vec![range(1, 1); PORT_RANGES_MAX]), Ok(()));
        assert!(matches!(with(vec![range(1, 1); PORT_RANGES_MAX + 1]), Err(ServicesError::TooManyPorts(_))));
        for (first, last) in [(0, 1), (2, 1)] {
            assert!(
                matches!(with(vec![range(first, last)]), Err(ServicesError::Ports(..))),
                "{first}-{last}"
            );
        }
    }

    #[test]
    fn health_that_cannot_be_asked_is_refused() {
        let asked = |thresholds| move |s: &mut Service| s.health = Health::Connect(thresholds);
        let usual = Thresholds::default();
        assert_eq!(checked(asked(Thresholds { interval: HEALTH_INTERVAL_MIN, rise: 1, fall: 1 })), Ok(()));
        for bad in [
            Thresholds { rise: 0, ..usual },
            Thresholds { fall: 0, ..usual },
            Thresholds { interval: HEALTH_INTERVAL_MIN - Duration::from_millis(1), ..usual },
        ] {
            assert!(matches!(checked(asked(bad)), Err(ServicesError::HealthThresholds(_))), "{bad:?}");
        }
        let path = |path: &str| Health::Http { path: path.to_owned(), thresholds: usual };
        assert!(matches!(checked(|s| s.health = path("x\r\n")), Err(ServicesError::HealthPath(..))));
        let udp = checked(|s| (s.protocol, s.health) = (Protocol::Udp, path("/")));
        assert!(matches!(udp, Err(ServicesError::HealthOfDatagrams(_))));
    }
}
