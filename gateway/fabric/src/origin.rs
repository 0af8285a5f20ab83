//! Where a stream comes from, outside: the user's addresses, user and device, in few bytes that the fabric does not read. Pure.
//!
//! The gateway says it in Open; hubs hand it on unread; the local hub reads it for PROXY protocol and for native servers.
//!
//! ```text
//! version u8 = 1, source address, destination address, user text, device text
//! or: version u8 = 2, port u16 of the service, not 0; then nothing, or the origin as in version 1
//! or: nothing
//! address: family u8 (4 | 6), 4 or 16 bytes, port u16      text: length u8, so many bytes of UTF-8
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{Buf, BufMut};

use crate::bounds::ORIGIN_TEXT_MAX;

const VERSION: u8 = 1;
const WITH_PORT: u8 = 2;

/// The outside of a stream, as the gateway tells it. Addresses are canonical: no IPv4 in IPv6 clothes.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    source: SocketAddr,
    destination: SocketAddr,
    user: Box<str>,
    device: Box<str>,
}

/// What a gateway says in Open besides the service's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Which of the service's ports; 0 is the server's own.
    pub(crate) port: u16,
    pub(crate) origin: Option<Origin>,
}

/// A text that cannot be part of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is longer than {ORIGIN_TEXT_MAX} bytes or holds control characters")]
pub struct OriginTextError;

impl Origin {
    /// Of a user whose connection came from `source` to `destination`; user and device are not known.
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let [source, destination] =
            [source, destination].map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()));
        Self { source, destination, user: "".into(), device: "".into() }
    }

    /// With the user's name and that of the device; empty is unknown.
    ///
    /// # Errors
    /// [`OriginTextError`]: longer than [`ORIGIN_TEXT_MAX`] bytes, or control characters.
    pub fn with_names(self, user: &str, device: &str) -> Result<Self, OriginTextError> {
        if !is_text(user) || !is_text(device) {
            return Err(OriginTextError);
        }
        Ok(Self { user: user.into(), device: device.into(), ..self })
    }

    /// The user's address.
    pub fn source(&self) -> SocketAddr {
        self.source
    }

    /// The address that the user reached.
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// The user's name; empty if unknown.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The device's name; empty if unknown.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The bytes for Open; at most [`crate::bounds::ORIGIN_MAX`].
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_address(&mut out, self.source);
        put_address(&mut out, self.destination);
        for text in [&self.user, &self.device] {
            out.put_u8(text.len() as u8);
            out.put_slice(text.as_bytes());
        }
        out
    }

    /// Reads what [`Origin::encode`] wrote; `None` for anything else.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        if rest.try_get_u8().ok()? != VERSION {
            return None;
        }
        let (source, destination) = (take_address(rest)?, take_address(rest)?);
        let (user, device) = (take_text(rest)?, take_text(rest)?);
        rest.is_empty().then(|| Self { source, destination, user: user.into(), device: device.into() })
    }
}

impl Asked {
    /// The bytes for Open; at most [`crate::bounds::ORIGIN_MAX`].
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.port != 0 {
            out.put_u8(WITH_PORT);
            out.put_u16(self.port);
        }
        if let Some(origin) = &self.origin {
            out.extend_from_slice(&origin.encode());
        }
        out
    }

    /// Reads what [`Asked::encode`] wrote; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (port, rest) = match bytes {
            [WITH_PORT, high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
            rest => (0, rest),
        };
        if port == 0 && rest.len() != bytes.len() {
            return None;
        }
        let origin = match rest {
            [] => None,
            rest => Some(Origin::decode(rest)?),
        };
        Some(Self { port, origin })
    }
}

impl fmt::Debug for Origin {
    /// Without names and addresses: whoever logs a stream does not log a user by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").finish_non_exhaustive()
    }
}

fn is_text(text: &str) -> bool {
    text.len() <= ORIGIN_TEXT_MAX && !text.chars().any(char::is_control)
}

fn put_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            out.put_u8(4);
            out.put_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.put_u8(6);
            out.put_slice(&ip.octets());
        }
    }
    out.put_u16(address.port());
}

fn take_address(rest: &mut &[u8]) -> Option<SocketAddr> {
    let ip = match rest.try_get_u8().ok()? {
        4 => IpAddr::V4(Ipv4Addr::from(rest.try_get_u32().ok()?)),
        6 => IpAddr::V6(Ipv6Addr::from(rest.try_get_u128().ok()?)),
        _ => return None,
    };
    // One address has one form.
    (ip == ip.to_canonical()).then_some(SocketAddr::new(ip, rest.try_get_u16().ok()?))
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::from(rest.try_get_u8().ok()?);
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(text).ok().filter(|text| is_text(text))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::bounds::ORIGIN_MAX;

    fn longest() -> Origin {
        let text = "x".repeat(ORIGIN_TEXT_MAX);
        Origin::new("[2001:db8::1]:65535".parse().unwrap(), "[2001:db8::2]:443".parse().unwrap())
            .with_names(&text, &text)
            .unwrap()
    }

    #[test]
    fn an_origin_survives_its_bytes_up_to_the_longest() {
        let short = Origin::new("192.0.2.1:5".parse().unwrap(), "[::ffff:192.0.2.2]:443".parse().unwrap());
        assert_eq!(short.destination(), "192.0.2.2:443".parse().unwrap());
        let named = short.clone().with_names("żółw", "telephone 2").unwrap();
        for origin in [short, named, longest()] {
            assert_eq!(Origin::decode(&origin.encode()), Some(origin));
        }
        assert!(longest().encode().len() <= ORIGIN_MAX);
    }

    #[test]
    fn texts_have_a_length_and_no_control_characters() {
        let origin = longest();
        assert!(origin.clone().with_names(&"x".repeat(ORIGIN_TEXT_MAX + 1), "").is_err());
        assert!(origin.clone().with_names("", "a\r\nb").is_err());
        let mut bytes = origin.with_names("ab", "").unwrap().encode();
        let end = bytes.len();
        bytes[end - 2] = b'\n';
        assert_eq!(Origin::decode(&bytes), None);
    }

    #[test]
    fn a_debug_line_names_no_user_and_no_address() {
        assert_eq!(format!("{:?}", longest()), "Origin { .. }");
    }

    #[test]
    fn a_port_goes_with_an_origin_or_alone_and_none_has_no_bytes() {
        assert!(Asked::default().encode().is_empty());
        for port in [0, 1, 65535] {
            for origin in [None, Some(longest())] {
                let asked = Asked { port, origin };
                assert!(asked.encode().len() <= ORIGIN_MAX);
                assert_eq!(Asked::decode(&asked.encode()), Some(asked));
            }
        }
        assert_eq!(Asked::decode(&[WITH_PORT, 0, 0]), None, "a port of 0 has one form: none");
        assert_eq!(Asked::decode(&[WITH_PORT, 1]), None);
    }

    proptest! {
        #[test]
        fn nothing_but_what_a_gateway_says_is_read_as_it(bytes in vec(any::<u8>(), 0..ORIGIN_MAX + 8)) {
            if let Some(asked) = Asked::decode(&bytes) {
                prop_assert_eq!(asked.encode(), bytes);
            }
        }

        #[test]
        fn nothing_but_an_origin_is_read_as_one(bytes in vec(any::<u8>(), 0..ORIGIN_MAX + 8)) {
            if let Some(origin) = Origin::decode(&bytes) {
                prop_assert_eq!(origin.encode(), bytes);
            }
        }

        #[test]
        fn a_mutated_origin_is_refused_or_is_exactly_what_it_says(
            at in 0usize..300, with in any::<u8>(), cut in 0usize..300
        ) {
            let mut bytes = longest().encode();
            let length = bytes.len();
            bytes[at % length] = with;
            bytes.truncate(length - cut % 4);
            if let Some(origin) = Origin::decode(&bytes) {
                prop_assert_eq!(origin.encode(), bytes);
            }
        }
    }
}
