//! Headers as the specification has them, as balancers send them, and as nobody should.

use proptest::prelude::*;

use super::*;

/// A header of somebody's connection, with these fields; lengths are right.
fn header(source: &str, destination: &str, fields: &[u8]) -> Vec<u8> {
    let (source, destination): (SocketAddr, SocketAddr) =
        (source.parse().unwrap(), destination.parse().unwrap());
    let mut body = Vec::new();
    for ip in [source.ip(), destination.ip()] {
        match ip {
            IpAddr::V4(ip) => body.extend(ip.octets()),
            IpAddr::V6(ip) => body.extend(ip.octets()),
        }
    }
    body.extend(source.port().to_be_bytes());
    body.extend(destination.port().to_be_bytes());
    body.extend_from_slice(fields);
    with(PROXY, if source.is_ipv4() { STREAM_V4 } else { STREAM_V6 }, &body)
}

fn with(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    out.extend([command, family]);
    out.extend((body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &(value.len() as u16).to_be_bytes()[..], value].concat()
}

/// The same with its checksum as the last field.
fn summed(source: &str, destination: &str, fields: &[u8]) -> Vec<u8> {
    let mut made = header(source, destination, &[fields, &field(TYPE_CRC32C, &[0; 4])].concat());
    let at = made.len() - 4;
    let sum = crc32c(&made, at);
    made[at..].copy_from_slice(&sum.to_be_bytes());
    made
}

fn passed(source: &str, destination: &str) -> Result<Told, Reason> {
    Ok(Told::Passed { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
}

const MALFORMED: Result<Told, Reason> = Err(Reason::ProxyMalformed);
const FOUR: (&str, &str) = ("192.0.2.1:258", "198.51.100.7:443");
const SIX: (&str, &str) = ("[2001:db8::1]:258", "[2001:db8:42::7]:443");

#[test]
fn both_families_are_read_with_any_fields_and_what_is_mapped_is_ipv4() {
    for (from, to) in [FOUR, SIX] {
        assert_eq!(read(&header(from, to, &[])), passed(from, to));
        let fields = [field(0x02, b"name.example"), field(0x04, &[0; 300]), field(0xEA, b"")].concat();
        assert_eq!(read(&header(from, to, &fields)), passed(from, to));
        assert_eq!(read(&summed(from, to, &fields)), passed(from, to));
    }
    let mapped = header("[::ffff:192.0.2.1]:258", "[::ffff:198.51.100.7]:443", &[]);
    assert_eq!(read(&mapped), passed(FOUR.0, FOUR.1));
}

#[test]
fn the_checksum_is_that_of_the_standard() {
    // RFC 3720 B.4, and the check value of its catalogs.
    assert_eq!(crc32c(&[0; 32], usize::MAX - 8), 0x8a91_36aa);
    assert_eq!(crc32c(b"123456789", usize::MAX - 8), 0xe306_9283);
    // Its own four bytes count as zeros.
    assert_eq!(
        crc32c(&[&b"1234"[..], &[9; 4], b"5"].concat(), 4),
        crc32c(b"1234\0\0\0\x005", usize::MAX - 8)
    );
}

#[test]
fn a_wrong_checksum_one_of_another_length_and_a_second_one_are_refused() {
    let mut wrong = summed(FOUR.0, FOUR.1, &[]);
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(read(&wrong), MALFORMED);
    let mut other = summed(FOUR.0, FOUR.1, &field(0x02, b"name"));
    other[40] ^= 1;
    assert_eq!(read(&other), MALFORMED, "it covers every byte");
    assert_eq!(read(&header(FOUR.0, FOUR.1, &field(TYPE_CRC32C, &[0; 3]))), MALFORMED);
    let right = summed(FOUR.0, FOUR.1, &[]);
    let twice = summed(FOUR.0, FOUR.1, &right[FIXED_BYTES + ADDRESSES_V4_BYTES..]);
    assert_eq!(read(&twice), MALFORMED);
}

#[test]
fn a_health_check_is_local_whatever_its_block_says() {
    for body in [&[][..], &[0xff; 5], &[0; 36]] {
        assert_eq!(read(&with(LOCAL, 0, body)), Ok(Told::Local));
        assert_eq!(read(&with(LOCAL, STREAM_V4, body)), Ok(Told::Local));
    }
}

#[test]
fn what_is_no_header_of_version_2_is_missing_and_what_is_a_bad_one_malformed() {
    let missing = Err(Reason::ProxyMissing);
    for other in [
        &b"PROXY TCP4 192.0.2.1 198.51.100.7 1 443\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[0x16; 40],
        b"",
    ] {
        assert_eq!(read(other), missing, "{}", other.escape_ascii());
    }
    assert_eq!(read(&with(0x11, STREAM_V4, &[1; 12])), missing, "another version");
    for (command, family) in [
        (0x22, STREAM_V4),
        (PROXY, 0x00),
        (PROXY, 0x12),
        (PROXY, 0x22),
        (PROXY, 0x31),
        (PROXY, 0x41),
        (PROXY, 0xff),
    ] {
        assert_eq!(read(&with(command, family, &[1; 216])), MALFORMED, "{command:x} {family:x}");
    }
    for (family, least) in [(STREAM_V4, ADDRESSES_V4_BYTES), (STREAM_V6, ADDRESSES_V6_BYTES)] {
        assert_eq!(read(&with(PROXY, family, &vec![1; least - 1])), MALFORMED);
        assert!(read(&with(PROXY, family, &vec![1; least])).is_ok());
        assert_eq!(read(&with(PROXY, family, &vec![1; least + 2])), MALFORMED, "a field without its length");
        assert_eq!(read(&with(PROXY, family, &vec![0; least + 3])), MALFORMED, "no addresses");
    }
    for (from, to) in
        [("0.0.0.0:1", FOUR.1), ("192.0.2.1:0", FOUR.1), (FOUR.0, "198.51.100.7:0"), (FOUR.0, "224.0.0.1:1")]
    {
        assert_eq!(read(&header(from, to, &[])), MALFORMED, "{from} {to}");
    }
}

#[test]
fn a_header_is_as_long_as_it_may_be_and_no_longer() {
    let room = PROXY_HEADER_BYTES_MAX - FIXED_BYTES - ADDRESSES_V4_BYTES - 3;
    assert_eq!(read(&header(FOUR.0, FOUR.1, &field(4, &vec![0; room]))), passed(FOUR.0, FOUR.1));
    assert_eq!(read(&header(FOUR.0, FOUR.1, &field(4, &vec![0; room + 1]))), MALFORMED);
    let mut long = [0xff; FIXED_BYTES];
    long[..14].copy_from_slice(&with(LOCAL, 0, &[])[..14]);
    assert_eq!(rest_bytes(&long), Err(Reason::ProxyMalformed), "65,535 bytes are not waited for");
}

fn fields() -> impl Strategy<Value = Vec<u8>> {
    let one = (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..20))
        .prop_map(|(kind, value)| field(if kind == TYPE_CRC32C { 4 } else { kind }, &value));
    proptest::collection::vec(one, 0..6).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn what_was_written_is_read_again(four: bool, from: [u8; 16], to: [u8; 16], ports in (1..=u16::MAX, 1..=u16::MAX), fields in fields()) {
        let ip = |bytes: [u8; 16]| match four {
            true => IpAddr::from([bytes[0] & 0x7f, bytes[1], bytes[2], 1]),
            false => IpAddr::from([&[0x20], &bytes[1..]].concat().first_chunk::<16>().copied().unwrap()),
        };
        let (source, destination) = (SocketAddr::new(ip(from), ports.0), SocketAddr::new(ip(to), ports.1));
        let made = summed(&source.to_string(), &destination.to_string(), &fields);
        prop_assert_eq!(read(&made), Ok(Told::Passed { source, destination }));
    }

    #[test]
    fn no_part_of_a_header_is_a_header_and_none_with_a_byte_more(fields in fields(), cut: proptest::sample::Index) {
        let mut made = summed(SIX.0, SIX.1, &fields);
        prop_assert!(read(&made[..cut.index(made.len())]).is_err());
        made.push(0);
        prop_assert!(read(&made).is_err());
    }

    #[test]
    fn a_changed_address_never_passes_a_checksum(fields in fields(), at in 0..ADDRESSES_V4_BYTES, change in 1..=u8::MAX) {
        let mut made = summed(FOUR.0, FOUR.1, &fields);
        made[FIXED_BYTES + at] ^= change;
        prop_assert_eq!(read(&made), MALFORMED);
    }

    #[test]
    fn whatever_comes_is_an_answer_and_never_more_is_waited_for_than_allowed(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), signed: bool) {
        if signed {
            let signed = [&SIGNATURE[..], &[PROXY, STREAM_V4, 0, bytes.len() as u8]].concat();
            bytes = [signed, bytes].concat();
        }
        let _ = read(&bytes);
        if let Some(fixed) = bytes.first_chunk() {
            prop_assert!(rest_bytes(fixed).is_ok_and(|rest| rest <= PROXY_HEADER_BYTES_MAX) || rest_bytes(fixed).is_err());
        }
    }
}
