//! What a service listens on at its users' private addresses: `PROTOCOL/PORT[-PORT][=TARGET]`, as a checked list. Pure.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bounds::{LISTEN_ENTRIES_MAX, LISTEN_PORTS_MAX};

/// What is spoken at a port. There is no clear-text HTTP to choose (requirement 2.17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP over TLS: versions 1.1 and 2 over TCP, and 3 over UDP of the same port where it is enabled.
    Https,
    /// TLS that ends here; its bytes go on.
    Tls,
    /// Bytes as they come, which the service itself has to encrypt.
    Tcp,
    /// Datagrams as they come, likewise.
    Udp,
}

/// What carries a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    Tcp,
    Udp,
}

/// One entry: ports of one protocol, and where they lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    protocol: Protocol,
    first: u16,
    last: u16,
    /// Where `first` leads; the others keep their distance.
    target: Option<u16>,
}

/// All entries of a service: 1 to [`LISTEN_ENTRIES_MAX`], [`LISTEN_PORTS_MAX`] ports at most, none of a transport twice.
/// Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen(Arc<[Entry]>);

/// A port of a service that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reached {
    pub protocol: Protocol,
    pub port: u16,
    /// The port at the service's own server; `None` is the one that its `to` names.
    pub target: Option<u16>,
}

/// Why an entry, or a list of them, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    #[error("is not PROTOCOL/PORT")]
    Syntax,
    #[error("has the protocol {0:?}, which is none of https, tls, tcp and udp")]
    Protocol(String),
    #[error("would carry HTTP in clear text, which is refused")]
    ClearText,
    #[error("has {0:?} for a port, which is not 1 to 65535")]
    Port(String),
    #[error("has its ports backwards")]
    Backwards,
    #[error("leads to ports above 65535")]
    Target,
    #[error("is empty")]
    Empty,
    #[error("has more than {LISTEN_ENTRIES_MAX} entries")]
    TooMany,
    #[error("has more than {LISTEN_PORTS_MAX} ports in all")]
    TooManyPorts,
    #[error("has {0} and {1}, which share a port")]
    Overlap(Entry, Entry),
}

/// Words for what is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Http,
    Tls,
    Tcp,
    Udp,
    Ssh,
    Sip,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Http, Self::Tls, Self::Tcp, Self::Udp, Self::Ssh, Self::Sip];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Ssh => "ssh",
            Self::Sip => "sip",
        }
    }

    /// What such a service listens on: at `port`, or where it is usual, or where its own server is (`own`, 0 if not known).
    ///
    /// # Errors
    /// [`ListenError::Port`] where none of them is known.
    pub fn listen(self, port: Option<u16>, own: u16) -> Result<Listen, ListenError> {
        let at = |protocol, usual| Listen::new(&[Entry::one(protocol, port.unwrap_or(usual))?]);
        match self {
            Self::Http => at(Protocol::Https, 443),
            Self::Tls => at(Protocol::Tls, own),
            Self::Tcp => at(Protocol::Tcp, own),
            Self::Udp => at(Protocol::Udp, own),
            Self::Ssh => at(Protocol::Tcp, 22),
            Self::Sip => {
                let plain = port.unwrap_or(5060);
                Listen::new(&[
                    Entry::one(Protocol::Tls, plain.saturating_add(1))?,
                    Entry::one(Protocol::Tcp, plain)?,
                    Entry::one(Protocol::Udp, plain)?,
                    Entry::new(Protocol::Udp, 16384, 16483, None)?,
                ])
            }
        }
    }
}

impl Protocol {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Https, Self::Tls, Self::Tcp, Self::Udp];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Tls => "tls",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// Whether it takes ports of this transport.
    pub const fn is_on(self, transport: Transport) -> bool {
        match (self, transport) {
            (Self::Https, Transport::Tcp | Transport::Udp)
            | (Self::Tls | Self::Tcp, Transport::Tcp)
            | (Self::Udp, Transport::Udp) => true,
            (Self::Tls | Self::Tcp, Transport::Udp) | (Self::Udp, Transport::Tcp) => false,
        }
    }

    /// Whether a client can say a private name in it before anything is answered.
    pub const fn carries_name(self) -> bool {
        match self {
            Self::Https | Self::Tls => true,
            Self::Tcp | Self::Udp => false,
        }
    }

    /// What carries it from the edge to the service.
    pub const fn inside(self) -> Transport {
        match self {
            Self::Https | Self::Tls | Self::Tcp => Transport::Tcp,
            Self::Udp => Transport::Udp,
        }
    }
}

impl Entry {
    /// One port, which leads to the service's own.
    ///
    /// # Errors
    /// [`ListenError::Port`] for 0.
    pub fn one(protocol: Protocol, port: u16) -> Result<Self, ListenError> {
        Self::new(protocol, port, port, None)
    }

    /// Ports `first` to `last`; `target` is where the first leads. Without it, one port leads to the service's own, and of
    /// several each to itself.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn new(protocol: Protocol, first: u16, last: u16, target: Option<u16>) -> Result<Self, ListenError> {
        if first == 0 || target == Some(0) {
            return Err(ListenError::Port("0".to_owned()));
        }
        let more = last.checked_sub(first).ok_or(ListenError::Backwards)?;
        if target.is_some_and(|target| target.checked_add(more).is_none()) {
            return Err(ListenError::Target);
        }
        Ok(Self { protocol, first, last, target })
    }

    pub fn protocol(self) -> Protocol {
        self.protocol
    }

    pub fn first(self) -> u16 {
        self.first
    }

    pub fn last(self) -> u16 {
        self.last
    }

    /// Its ports, in order.
    pub fn ports(self) -> std::ops::RangeInclusive<u16> {
        self.first..=self.last
    }

    /// The ports at the service's own server that it leads to; `None` is the one that `to` names.
    pub fn targets(self) -> Option<(u16, u16)> {
        match (self.target, self.last - self.first) {
            (Some(target), more) => Some((target, target + more)),
            (None, 0) => None,
            (None, _) => Some((self.first, self.last)),
        }
    }

    fn reached(self, port: u16) -> Reached {
        let target = self.targets().map(|(first, _)| first + (port - self.first));
        Reached { protocol: self.protocol, port, target }
    }

    fn overlaps(self, other: Self) -> bool {
        let shares = |t| self.protocol.is_on(t) && other.protocol.is_on(t);
        (shares(Transport::Tcp) || shares(Transport::Udp))
            && self.first <= other.last
            && other.first <= self.last
    }
}

impl Listen {
    /// `https/PORT` alone.
    ///
    /// # Errors
    /// [`ListenError::Port`] for 0.
    pub fn https(port: u16) -> Result<Self, ListenError> {
        Ok(Self([Entry::one(Protocol::Https, port)?].into()))
    }

    /// # Errors
    /// None, too many, or two that share a port.
    pub fn new(entries: &[Entry]) -> Result<Self, ListenError> {
        if entries.is_empty() {
            return Err(ListenError::Empty);
        }
        if entries.len() > LISTEN_ENTRIES_MAX {
            return Err(ListenError::TooMany);
        }
        if entries.iter().map(|e| e.ports().len()).sum::<usize>() > LISTEN_PORTS_MAX {
            return Err(ListenError::TooManyPorts);
        }
        for (i, later) in entries.iter().enumerate() {
            if let Some(earlier) = entries[..i].iter().find(|earlier| earlier.overlaps(*later)) {
                return Err(ListenError::Overlap(*earlier, *later));
            }
        }
        Ok(Self(entries.into()))
    }

    /// Reads each text, then the whole.
    ///
    /// # Errors
    /// The place of the entry at fault, or `None` where the list is; and why.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, (Option<usize>, ListenError)> {
        if texts.len() > LISTEN_ENTRIES_MAX {
            return Err((None, ListenError::TooMany));
        }
        let read = texts.iter().enumerate().map(|(i, text)| {
            let entry: Result<Entry, ListenError> = text.as_ref().parse();
            entry.map_err(|error| (Some(i), error))
        });
        Self::new(&read.collect::<Result<Vec<_>, _>>()?).map_err(|error| (None, error))
    }

    /// In the order that they were written; never empty.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// What clients may know of it: not where it leads.
    #[must_use]
    pub fn outside(&self) -> Self {
        Self(self.0.iter().map(|entry| Entry { target: None, ..*entry }).collect())
    }

    /// What stands at a port of a transport.
    pub fn find(&self, transport: Transport, port: u16) -> Option<Reached> {
        let here = |e: &&Entry| e.protocol.is_on(transport) && e.ports().contains(&port);
        self.0.iter().find(here).map(|e| e.reached(port))
    }

    /// The port that stands for the service where only one can be told: the first of HTTPS, else the first.
    pub fn main_port(&self) -> u16 {
        let https = self.0.iter().find(|e| e.protocol == Protocol::Https);
        https.or(self.0.first()).map_or(0, |e| e.first)
    }

    /// Whether a client can say its private name at every port.
    pub fn carries_names(&self) -> bool {
        self.0.iter().all(|e| e.protocol.carries_name())
    }

    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl ListenError {
    /// What to write instead.
    pub fn fix(&self) -> String {
        match self {
            Self::Syntax | Self::Protocol(_) | Self::Port(_) => {
                "Write entries such as \"https/443\", \"tls/5061\", \"tcp/22\", \"udp/16384-16483\", or with another \
                 port at the service: \"tcp/22=2222\"."
                    .to_owned()
            }
            Self::ClearText => "Write \"https/443\": the edge ends TLS, and the service gets HTTP.".to_owned(),
            Self::Backwards => "Write the lower port first: \"udp/16384-16483\".".to_owned(),
            Self::Target => "Name a lower first port behind the equals sign.".to_owned(),
            Self::Empty => "Name at least one: \"https/443\".".to_owned(),
            Self::TooMany => "Join neighbors to ranges: \"udp/16384-16483\".".to_owned(),
            Self::TooManyPorts => "Make the ranges smaller.".to_owned(),
            Self::Overlap(..) => {
                "Give each entry ports of its own; https has its port over TCP and UDP.".to_owned()
            }
        }
    }
}

impl FromStr for Entry {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        let (word, ports) = text.split_once('/').ok_or(ListenError::Syntax)?;
        let protocol = Protocol::ALL.into_iter().find(|known| known.as_str() == word);
        let protocol = protocol.ok_or_else(|| match word {
            "http" | "ws" => ListenError::ClearText,
            other => ListenError::Protocol(other.chars().take(20).collect()),
        })?;
        let (ports, target) = match ports.split_once('=') {
            Some((ports, target)) => (ports, Some(port(target)?)),
            None => (ports, None),
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        Self::new(protocol, port(first)?, port(last)?, target)
    }
}

/// Digits alone: no sign, no blank.
fn port(text: &str) -> Result<u16, ListenError> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    number.filter(|port| *port > 0).ok_or_else(|| ListenError::Port(text.chars().take(20).collect()))
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        self.target.map_or(Ok(()), |target| write!(f, "={target}"))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join(", "))
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Stored)
    }
}

/// A list of texts; or, in records of before there was a list, one port, which was of HTTPS.
struct Stored;

impl<'de> Visitor<'de> for Stored {
    type Value = Listen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of PROTOCOL/PORT, or a port")
    }

    fn visit_u64<E: de::Error>(self, port: u64) -> Result<Listen, E> {
        let port = u16::try_from(port).map_err(E::custom)?;
        Listen::https(port).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Listen, A::Error> {
        let mut texts: Vec<String> = Vec::new();
        while let Some(text) = from.next_element()? {
            texts.push(text);
            if texts.len() > LISTEN_ENTRIES_MAX {
                break;
            }
        }
        Listen::parse(&texts).map_err(|(_, error)| de::Error::custom(error))
    }
}

#[cfg(test)]
mod tests;
