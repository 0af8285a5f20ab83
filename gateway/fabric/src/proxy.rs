//! The header of PROXY protocol version 2, which tells a service who is at the other end. Pure.
//!
//! Source: "The PROXY protocol, versions 1 & 2" of HAProxy, section 2.2. Written here, never read.

use std::net::{IpAddr, SocketAddr};

use bytes::BufMut;

use crate::origin::Origin;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 in the upper half.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TYPE_UNIQUE_ID: u8 = 0x05;

/// The user's name, as UTF-8: the first of the types that the protocol leaves to applications.
pub const TYPE_USER: u8 = 0xE0;
/// The device's name, as UTF-8.
pub const TYPE_DEVICE: u8 = 0xE1;
/// The identity of the gateway that carries the stream, as `role/name`.
pub const TYPE_GATEWAY: u8 = 0xE2;

/// How the service is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Stream = 1,
    Datagram = 2,
}

/// The header of a connection that is our own, for a health check.
pub(crate) fn local() -> Vec<u8> {
    header(LOCAL, UNSPECIFIED, &[])
}

/// The header of a user's connection. Without an origin its addresses are unspecified, and the service keeps ours.
pub(crate) fn proxied(
    transport: Transport,
    origin: Option<&Origin>,
    session: &[u8; 16],
    gateway: &str,
) -> Vec<u8> {
    let (mut family, mut body) = (UNSPECIFIED, Vec::with_capacity(128));
    if let Some(origin) = origin {
        family = put_addresses(&mut body, origin.source(), origin.destination()) | transport as u8;
    }
    let id = data_encoding::HEXLOWER.encode(session);
    put_field(&mut body, TYPE_UNIQUE_ID, &id);
    if let Some(origin) = origin {
        put_field(&mut body, TYPE_USER, origin.user());
        put_field(&mut body, TYPE_DEVICE, origin.device());
    }
    put_field(&mut body, TYPE_GATEWAY, gateway);
    header(PROXY, family, &body)
}

fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + body.len());
    out.put_slice(&SIGNATURE);
    out.put_u8(command);
    out.put_u8(family);
    // Two addresses and four short texts: far below 65,535.
    out.put_u16(body.len() as u16);
    out.put_slice(body);
    out
}

/// Both addresses and the family's half of the byte. If only one is IPv4, it goes as IPv6: a header knows one family.
fn put_addresses(out: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr) -> u8 {
    let family = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            out.put_slice(&source.octets());
            out.put_slice(&destination.octets());
            0x10
        }
        (source, destination) => {
            for ip in [source, destination] {
                let ip = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                out.put_slice(&ip.octets());
            }
            0x20
        }
    };
    out.put_u16(source.port());
    out.put_u16(destination.port());
    family
}

/// A type-length-value; an unknown text is left out.
fn put_field(out: &mut Vec<u8>, kind: u8, text: &str) {
    if !text.is_empty() {
        out.put_u8(kind);
        out.put_u16(text.len() as u16);
        out.put_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(mut bytes: &[u8]) -> Vec<(u8, String)> {
        let mut all = Vec::new();
        while let [kind, high, low, rest @ ..] = bytes {
            let (text, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            all.push((*kind, String::from_utf8(text.to_vec()).unwrap()));
            bytes = after;
        }
        assert!(bytes.is_empty());
        all
    }

    #[test]
    fn a_header_is_laid_out_as_the_specification_says() {
        let origin = Origin::new("192.0.2.1:258".parse().unwrap(), "198.51.100.7:443".parse().unwrap())
            .with_names("anna", "laptop")
            .unwrap();
        let header = proxied(Transport::Stream, Some(&origin), &[0xAB; 16], "edge/e1");
        assert_eq!(&header[..12], b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A");
        assert_eq!(header[12..14], [0x21, 0x11]);
        assert_eq!(usize::from(u16::from_be_bytes([header[14], header[15]])), header.len() - 16);
        assert_eq!(header[16..28], [192, 0, 2, 1, 198, 51, 100, 7, 1, 2, 1, 187]);
        let texts =
            [(5, "ab".repeat(16)), (0xE0, "anna".into()), (0xE1, "laptop".into()), (0xE2, "edge/e1".into())];
        assert_eq!(fields(&header[28..]), texts);
    }

    #[test]
    fn six_and_four_together_go_as_six_and_datagrams_say_so() {
        let six = Origin::new("[2001:db8::1]:1".parse().unwrap(), "192.0.2.9:53".parse().unwrap());
        let header = proxied(Transport::Datagram, Some(&six), &[0; 16], "");
        assert_eq!(header[13], 0x22);
        assert_eq!(header[32..48], "::ffff:192.0.2.9".parse::<std::net::Ipv6Addr>().unwrap().octets());
        assert_eq!(header[48..52], [0, 1, 0, 53]);
        assert_eq!(fields(&header[52..]).len(), 1, "only the session");
        let four = Origin::new("192.0.2.1:1".parse().unwrap(), "192.0.2.9:53".parse().unwrap());
        assert_eq!(proxied(Transport::Datagram, Some(&four), &[0; 16], "")[13], 0x12);
    }

    #[test]
    fn a_health_check_is_local_and_an_unknown_user_unspecified() {
        assert_eq!(local(), b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A\x20\x00\x00\x00");
        let header = proxied(Transport::Stream, None, &[1; 16], "edge/e1");
        assert_eq!(header[12..14], [0x21, 0x00]);
        assert_eq!(fields(&header[16..]).len(), 2);
    }
}
