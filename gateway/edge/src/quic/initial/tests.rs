//! The Initial of the published example, ClientHellos in pieces and out of order, and noise.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::crypto::ring;
use rustls::quic::ClientConnection;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;

use super::*;

const DESTINATION: [u8; 8] = [7; 8];

pub(crate) fn suite() -> &'static Tls13CipherSuite {
    ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap()
}

/// A ClientHello, as it stands in CRYPTO frames.
pub(crate) fn client_hello(name: Option<&str>) -> Vec<u8> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let mut config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.enable_sni = name.is_some();
    config.alpn_protocols = vec![b"h3".to_vec()];
    let name = ServerName::try_from(name.unwrap_or("nobody.example").to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), Version::V1, name, vec![1, 2, 3]).unwrap();
    let mut bytes = Vec::new();
    client.write_hs(&mut bytes);
    bytes
}

pub(crate) fn varint(value: usize) -> Vec<u8> {
    let value = u32::try_from(value).unwrap();
    (value | 0x8000_0000).to_be_bytes().to_vec()
}

pub(crate) fn crypto(offset: usize, piece: &[u8]) -> Vec<u8> {
    [&[6][..], &varint(offset), &varint(piece.len()), piece].concat()
}

/// One protected Initial packet of a client, padded to `size`.
pub(crate) fn packet(destination: &[u8], number: u8, frames: &[u8], size: usize) -> Vec<u8> {
    let keys = Keys::initial(Version::V1, suite(), suite().quic.unwrap(), destination, Side::Client);
    let mut header = vec![0xc0, 0, 0, 0, 1, u8::try_from(destination.len()).unwrap()];
    header.extend_from_slice(destination);
    header.extend_from_slice(&[4, 5, 5, 5, 5, 0]);
    let mut payload = frames.to_vec();
    payload.resize(payload.len().max(size.saturating_sub(header.len() + 4 + 1 + 16)), 0);
    header.extend_from_slice(&varint(1 + payload.len() + 16));
    let number_at = header.len();
    header.push(number);
    let tag = keys.local.packet.encrypt_in_place(number.into(), &header, &mut payload).unwrap();
    payload.extend_from_slice(tag.as_ref());
    let sample: [u8; 16] = payload[3..19].try_into().unwrap();
    let (first, rest) = header.split_first_mut().unwrap();
    let number = &mut rest[number_at - 1..];
    keys.local.header.encrypt_in_place(&sample, first, number).unwrap();
    [header, payload].concat()
}

fn hear(hello: &mut Hello, datagram: &[u8]) -> Result<Heard, NotInitial> {
    hello.hear(datagram, suite())
}

fn named(name: &str) -> Heard {
    Heard::Whole(Some(name.into()))
}

#[test]
fn the_name_in_a_first_packet_is_read() {
    let datagram = packet(&DESTINATION, 0, &crypto(0, &client_hello(Some("a.example"))), 1200);
    assert_eq!(datagram.len(), 1200);
    assert_eq!(hear(&mut Hello::default(), &datagram), Ok(named("a.example")));
    let datagram = packet(&DESTINATION, 0, &crypto(0, &client_hello(None)), 1200);
    assert_eq!(hear(&mut Hello::default(), &datagram), Ok(Heard::Whole(None)));
}

#[test]
fn the_example_of_the_standard_is_read() {
    // RFC 9001 appendix A.2: the unprotected CRYPTO frame and connection ID.
    let hello = "010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff";
    let hello: Vec<u8> =
        (0..hello.len()).step_by(2).map(|i| u8::from_str_radix(&hello[i..i + 2], 16).unwrap()).collect();
    let destination = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
    let datagram = packet(&destination, 2, &crypto(0, &hello), 1200);
    assert_eq!(hear(&mut Hello::default(), &datagram), Ok(named("example.com")));
}

#[test]
fn what_is_no_initial_of_a_client_is_told_at_once() {
    let good = packet(&DESTINATION, 0, &crypto(0, &client_hello(Some("a.example"))), 1200);
    let refused = |datagram: &[u8]| assert_eq!(hear(&mut Hello::default(), datagram), Err(NotInitial));
    refused(&[]);
    refused(&good[..1199]);
    refused(&[0; 1200]);
    refused(&[0xff; 1200]);
    // Another version, of which a server would tell what it speaks instead.
    let mut version = good.clone();
    version[4] = 2;
    refused(&version);
    // A handshake packet; a packet for another key.
    let mut kind = good.clone();
    kind[0] |= 0x20;
    refused(&kind);
    let mut other = good;
    other[6] ^= 1;
    refused(&other);
    refused(&packet(&[7; 7], 0, &crypto(0, &client_hello(Some("a.example"))), 1200));
    // Frames that an Initial can't hold, lengths beyond the end, too much of a hello.
    for frames in [
        &[8, 0, 0][..],
        &[6, 0, 0x7f, 0xff],
        &crypto(QUIC_HELLO_BYTES_MAX, &[1]),
        &crypto(0, &[2, 0, 0, 1, 0]),
        &crypto(0, &[1, 1, 0, 0, 0]),
        &crypto(0, &[1, 0, 0, 1, 0]),
    ] {
        refused(&packet(&DESTINATION, 0, frames, 1200));
    }
}

#[test]
fn a_hello_in_scattered_pieces_is_whole_when_the_last_one_came() {
    let hello = client_hello(Some("a.example"));
    let (a, b) = (hello.len() / 3, 2 * hello.len() / 3);
    let mut assembled = Hello::default();
    let first = [crypto(b, &hello[b..]), vec![1, 0, 0], crypto(a, &hello[a..b])].concat();
    assert_eq!(hear(&mut assembled, &packet(&DESTINATION, 0, &first, 1200)), Ok(Heard::More));
    let second = crypto(0, &hello[..a + 3]);
    assert_eq!(hear(&mut assembled, &packet(&DESTINATION, 1, &second, 1200)), Ok(named("a.example")));
}

#[test]
fn crumbs_of_a_hello_are_not_kept_without_end() {
    let mut crumbs = Vec::new();
    for i in 0..=QUIC_HELLO_PIECES_MAX {
        crumbs.extend_from_slice(&crypto(8 + 2 * i, &[0]));
    }
    assert_eq!(hear(&mut Hello::default(), &packet(&DESTINATION, 0, &crumbs, 1200)), Err(NotInitial));
}

proptest! {
    #[test]
    fn nothing_that_is_sent_can_break_the_reader(
        mut datagram in prop::collection::vec(any::<u8>(), 0..1500),
        is_forged in any::<bool>(),
    ) {
        if is_forged && datagram.len() > 6 {
            datagram[..6].copy_from_slice(&[0xc0, 0, 0, 0, 1, 8]);
        }
        let _ = hear(&mut Hello::default(), &datagram);
        let _ = destination(&datagram, 8);
    }

    #[test]
    fn nothing_that_is_encrypted_can_break_the_reader(frames in prop::collection::vec(any::<u8>(), 0..1100)) {
        let _ = hear(&mut Hello::default(), &packet(&DESTINATION, 0, &frames, 1200));
    }

    #[test]
    fn a_hello_is_read_however_it_is_cut(cuts in prop::collection::btree_set(1_usize..230, 0..12)) {
        let hello = client_hello(Some("a.example"));
        let ends = cuts.iter().copied().filter(|cut| *cut < hello.len()).chain([hello.len()]);
        let mut begin = 0;
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for end in ends {
            frames.push(crypto(begin, &hello[begin..end]));
            begin = end;
        }
        frames.reverse();
        let datagram = packet(&DESTINATION, 0, &frames.concat(), 1200);
        prop_assert_eq!(hear(&mut Hello::default(), &datagram), Ok(named("a.example")));
    }
}
