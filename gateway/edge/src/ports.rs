//! The ports that all services together listen on. Pure.

use std::collections::{BTreeMap, BTreeSet};

use state::listen::Entry;
use state::{Listen, Protocol, Transport};

/// Each port with what is spoken there; one port may carry several protocols, at different addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports(BTreeSet<(Protocol, u16)>);

impl Ports {
    /// Of these services.
    pub fn of<'a>(services: impl Iterator<Item = &'a Listen>) -> Self {
        let entries = services.flat_map(Listen::entries);
        Self(entries.flat_map(|entry| entry.ports().map(|port| (entry.protocol(), port))).collect())
    }

    /// Those that need a socket of this transport.
    pub fn on(&self, transport: Transport) -> BTreeSet<u16> {
        self.0.iter().filter(|(protocol, _)| protocol.is_on(transport)).map(|(_, port)| *port).collect()
    }

    /// Those where this protocol is spoken.
    pub fn speaking(&self, wanted: Protocol) -> BTreeSet<u16> {
        self.0.iter().filter(|(protocol, _)| *protocol == wanted).map(|(_, port)| *port).collect()
    }

    /// Those that need a socket for datagrams, and whether QUIC is spoken there.
    pub fn datagrams(&self, http3: bool) -> BTreeMap<u16, bool> {
        let mut ports: BTreeMap<u16, bool> =
            self.speaking(Protocol::Udp).into_iter().map(|port| (port, false)).collect();
        if http3 {
            ports.extend(self.speaking(Protocol::Https).into_iter().map(|port| (port, true)));
        }
        ports
    }

    /// For people: neighbors as ranges.
    pub fn texts(&self) -> Vec<String> {
        let mut ranges: Vec<(Protocol, u16, u16)> = Vec::new();
        for (protocol, port) in &self.0 {
            match ranges.last_mut() {
                Some((known, _, last)) if known == protocol && last.checked_add(1) == Some(*port) => {
                    *last = *port;
                }
                Some(_) | None => ranges.push((*protocol, *port, *port)),
            }
        }
        let text = |(protocol, first, last)| Entry::new(protocol, first, last, None).map(|e| e.to_string());
        ranges.into_iter().filter_map(|range| text(range).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_by_transport_and_shown_as_ranges() {
        let listen = |texts: &[&str]| Listen::parse(texts).unwrap();
        let voice = listen(&["tls/5061", "udp/5060", "udp/16384-16386"]);
        let ports = Ports::of([listen(&["https/443"]), listen(&["https/443", "udp/16387"]), voice].iter());
        assert_eq!(ports.texts(), ["https/443", "tls/5061", "udp/5060", "udp/16384-16387"]);
        assert_eq!(ports.on(Transport::Tcp), [443, 5061].into());
        assert_eq!(ports.on(Transport::Udp), [443, 5060, 16384, 16385, 16386, 16387].into());
        assert_eq!(ports.speaking(Protocol::Https), [443].into());
        let flows = [5060, 16384, 16385, 16386, 16387].map(|port| (port, false));
        assert_eq!(ports.datagrams(false), flows.into());
        assert_eq!(ports.datagrams(true), [&[(443, true)], &flows[..]].concat().into_iter().collect());
    }
}
