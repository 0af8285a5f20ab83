//! Properties of the wire format.

use proptest::collection::vec;
use proptest::prelude::*;

use bytes::BytesMut;

use super::encode::header;
use super::*;
use crate::bounds::{
    DATA_FRAME_MAX, MANDATE_MAX, NAME_MAX, ORIGIN_MAX, PROOF_CERTIFICATE_MAX, PROOF_SIGNATURE_MAX,
    SERVICES_MAX,
};

fn names() -> impl Strategy<Value = String> {
    vec(proptest::sample::select(b"abcXYZ019._-:".to_vec()), 1..=40)
        .prop_map(|bytes| String::from_utf8(bytes).unwrap())
}

fn reasons() -> impl Strategy<Value = Refusal> {
    proptest::sample::select(Refusal::ALL.to_vec())
}

fn name_or_empty() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), names()]
}

fn opaque(most: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=most).prop_map(Bytes::from)
}

fn opens() -> impl Strategy<Value = Open> {
    let caller =
        prop_oneof![name_or_empty(), (names(), names()).prop_map(|(role, name)| format!("{role}/{name}"))];
    let resume = (names(), positions(), any::<u32>()).prop_map(|(at, received, attempt)| Resume {
        at,
        received,
        attempt,
    });
    let shape = prop_oneof![Just(Shape::Bytes), Just(Shape::Datagrams)];
    (names(), caller, any::<[u8; 16]>(), proptest::option::of(resume), shape, opaque(ORIGIN_MAX)).prop_map(
        |(service, caller, session, resume, shape, origin)| Open {
            service,
            caller,
            session,
            resume,
            shape,
            origin,
        },
    )
}

fn offerings() -> impl Strategy<Value = Offering> {
    (any::<[u8; 16]>(), any::<u64>(), vec(names(), 0..20))
        .prop_map(|(incarnation, sequence, services)| Offering { incarnation, sequence, services })
}

fn proofs() -> impl Strategy<Value = Proof> {
    (vec(any::<u8>(), 1..700), vec(any::<u8>(), 1..=PROOF_SIGNATURE_MAX)).prop_map(
        |(certificate, signature)| Proof { certificate: certificate.into(), signature: signature.into() },
    )
}

fn frames() -> impl Strategy<Value = Frame> {
    let stream = 1..=u32::MAX;
    let hello = (any::<u16>(), any::<u8>(), any::<[u8; 16]>(), names())
        .prop_map(|(version, lane, link, name)| Frame::Hello(Hello { version, lane, link, name }));
    prop_oneof![
        hello,
        (any::<u16>(), names(), opaque(2000)).prop_map(|(version, name, mandate)| Frame::Welcome {
            version,
            name,
            mandate
        }),
        reasons().prop_map(Frame::Refuse),
        (stream.clone(), opens()).prop_map(|(stream, open)| Frame::Open { stream, open: Box::new(open) }),
        (stream.clone(), name_or_empty(), positions())
            .prop_map(|(stream, at, received)| Frame::Opened { stream, opened: Opened { at, received } }),
        (stream.clone(), vec(any::<u8>(), 1..3000))
            .prop_map(|(stream, payload)| Frame::Data { stream, payload: payload.into() }),
        (stream.clone(), 1..=u32::MAX).prop_map(|(stream, bytes)| Frame::Credit { stream, bytes }),
        stream.clone().prop_map(|stream| Frame::Fin { stream }),
        (stream.clone(), reasons()).prop_map(|(stream, reason)| Frame::Reset { stream, reason }),
        (stream, positions()).prop_map(|(stream, received)| Frame::Ack { stream, received }),
        any::<u64>().prop_map(|nonce| Frame::Ping { nonce }),
        any::<u64>().prop_map(|nonce| Frame::Pong { nonce }),
        offerings().prop_map(Frame::Offer),
        vec(names(), 0..20).prop_map(|services| Frame::Accepted { services }),
        (any::<u64>(), name_or_empty()).prop_map(|(term, active)| Frame::Standby { term, active }),
        proofs().prop_map(|proof| Frame::Proof(Box::new(proof))),
        (names(), offerings()).prop_map(|(origin, offering)| Frame::Notice { origin, offering }),
    ]
}

fn decoder() -> Decoder {
    let mut decoder = Decoder::new();
    decoder.greeted();
    decoder
}

fn drain(decoder: &mut Decoder) -> Result<Vec<Frame>, Violation> {
    std::iter::from_fn(|| decoder.next_frame().transpose()).collect()
}

proptest! {
    #[test]
    fn every_frame_comes_back_as_it_was(sent in vec(frames(), 0..20)) {
        let mut bytes = BytesMut::new();
        sent.iter().for_each(|frame| frame.encode(&mut bytes));
        let mut decoder = decoder();
        decoder.buffer().extend_from_slice(&bytes);
        prop_assert_eq!(drain(&mut decoder).unwrap(), sent);
        prop_assert!(decoder.buffer().is_empty());
    }

    #[test]
    fn any_split_gives_the_same_frames(sent in vec(frames(), 1..8), cuts in vec(1usize..400, 1..400)) {
        let mut bytes = BytesMut::new();
        sent.iter().for_each(|frame| frame.encode(&mut bytes));
        let (mut decoder, mut seen, mut rest, mut cuts) = (decoder(), Vec::new(), &bytes[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            decoder.buffer().extend_from_slice(piece);
            seen.extend(drain(&mut decoder).unwrap());
            rest = after;
        }
        prop_assert_eq!(seen, sent);
    }

    #[test]
    fn any_bytes_are_frames_or_a_violation(bytes in vec(any::<u8>(), 0..4000), greeted: bool) {
        let mut decoder = Decoder::new();
        if greeted { decoder.greeted(); }
        decoder.buffer().extend_from_slice(&bytes);
        let _ = drain(&mut decoder);
        prop_assert!(decoder.buffer().capacity() <= 2 * bytes.len() + 64);
    }

    #[test]
    fn any_bytes_behind_a_true_header_are_a_frame_or_a_violation(
        kind in 0u8..=18, stream in 0u32..3, payload in vec(any::<u8>(), 0..600)
    ) {
        let mut decoder = decoder();
        header(decoder.buffer(), payload.len() as u32, kind, stream);
        decoder.buffer().extend_from_slice(&payload);
        if let Ok(Some(frame)) = decoder.next_frame() {
            let mut again = BytesMut::new();
            frame.encode(&mut again);
            prop_assert_eq!(&again[HEADER..], &payload[..], "one meaning, one spelling");
        }
    }
}

fn verdict_on(length: u32, kind: u8, stream: u32, greeted: bool) -> Result<Option<Frame>, Violation> {
    let mut decoder = Decoder::new();
    if greeted {
        decoder.greeted();
    }
    header(decoder.buffer(), length, kind, stream);
    decoder.next_frame()
}

#[test]
fn a_length_is_judged_before_its_payload_arrives_from_both_sides_of_each_limit() {
    assert_eq!(verdict_on(DATA_FRAME_MAX as u32, DATA, 1, true), Ok(None));
    assert_eq!(verdict_on(DATA_FRAME_MAX as u32 + 1, DATA, 1, true), Err(Violation::FrameTooLong));
    assert_eq!(verdict_on(0, DATA, 1, true), Err(Violation::Malformed));
    assert_eq!(verdict_on(u32::MAX, 4, 1, true), Err(Violation::FrameTooLong));
    assert_eq!(verdict_on(HELLO_MAX as u32, DATA, 1, false), Ok(None));
    assert_eq!(verdict_on(HELLO_MAX as u32 + 1, DATA, 1, false), Err(Violation::FrameTooLong));
    assert_eq!(verdict_on(5, 7, 1, true), Err(Violation::FrameTooLong));
    assert_eq!(verdict_on(3, 7, 1, true), Err(Violation::Malformed));
    assert_eq!(verdict_on(0, 0, 0, true), Err(Violation::KindUnknown));
    assert_eq!(verdict_on(0, 18, 0, true), Err(Violation::KindUnknown));
    assert_eq!(verdict_on(7, 16, 1, true), Err(Violation::Malformed));
    assert_eq!(verdict_on(9, 16, 1, true), Err(Violation::FrameTooLong));
}

#[test]
fn stream_frames_need_a_stream_and_lane_frames_have_none() {
    assert_eq!(verdict_on(0, 8, 0, true), Err(Violation::Malformed));
    assert_eq!(verdict_on(8, 10, 1, true), Err(Violation::Malformed));
    assert_eq!(verdict_on(8, 16, 0, true), Err(Violation::Malformed));
    assert_eq!(verdict_on(27, 17, 1, true), Err(Violation::Malformed));
}

#[test]
fn the_format_is_what_the_text_says() {
    let mut bytes = BytesMut::new();
    let mut open = Open {
        service: "web".into(),
        caller: "edge/a".into(),
        session: *b"0123456789abcdef",
        ..Open::default()
    };
    let encode = |open: &Open| {
        let mut bytes = BytesMut::new();
        Frame::Open { stream: 0x0102_0304, open: Box::new(open.clone()) }.encode(&mut bytes);
        bytes
    };
    assert_eq!(
        &encode(&open)[..],
        b"\0\0\0\x1f\x04\x01\x02\x03\x04\x03web\x06edge/a0123456789abcdef\0\0\0\0"
    );
    open.resume = Some(Resume { at: "l1".into(), received: at(0x0a0b).ended(), attempt: 2 });
    open.shape = Shape::Datagrams;
    open.origin = Bytes::from_static(b"from");
    assert_eq!(&encode(&open)[HEADER + 27..], b"\x01\x02l1\x80\0\0\0\0\0\x0a\x0b\0\0\0\x02\x01\0\x04from");
    Frame::Opened { stream: 1, opened: Opened { at: "l1".into(), received: at(3) } }.encode(&mut bytes);
    assert_eq!(&bytes[..], b"\0\0\0\x0b\x05\0\0\0\x01\x02l1\0\0\0\0\0\0\0\x03");
    bytes.clear();
    Frame::Welcome { version: 2, name: "h".into(), mandate: Bytes::from_static(b"votes") }.encode(&mut bytes);
    assert_eq!(&bytes[..], b"\0\0\0\x09\x02\0\0\0\0\0\x02\x01hvotes");
    bytes.clear();
    Frame::Standby { term: 7, active: String::new() }.encode(&mut bytes);
    assert_eq!(&bytes[..], b"\0\0\0\x09\x0e\0\0\0\0\0\0\0\0\0\0\0\x07\0");
    bytes.clear();
    Frame::Ack { stream: 1, received: at(2) }.encode(&mut bytes);
    assert_eq!(&bytes[..], b"\0\0\0\x08\x10\0\0\0\x01\0\0\0\0\0\0\0\x02");
    bytes.clear();
    let offering = Offering { incarnation: *b"0123456789abcdef", sequence: 1, services: vec!["a".into()] };
    Frame::Notice { origin: "l1".into(), offering }.encode(&mut bytes);
    assert_eq!(&bytes[..], b"\0\0\0\x1e\x11\0\0\0\0\x02l10123456789abcdef\0\0\0\0\0\0\0\x01\x01\x01a");
    bytes.clear();
    let proof = Proof { certificate: Bytes::from_static(b"leaf"), signature: Bytes::from_static(b"s") };
    Frame::Proof(Box::new(proof)).encode(&mut bytes);
    assert_eq!(&bytes[..], b"\0\0\0\x09\x0f\0\0\0\0\0\x04leaf\0\x01s");
    bytes.clear();
    Frame::Reset { stream: 1, reason: Refusal::ServiceUnknown }.encode(&mut bytes);
    assert_eq!(&bytes[..], b"\0\0\0\x01\x09\0\0\0\x01\x01");
}

#[test]
fn the_longest_of_each_kind_fits_and_a_byte_more_does_not() {
    let name = "n".repeat(NAME_MAX);
    let names = vec![name.clone(); SERVICES_MAX];
    let offering = Offering { incarnation: [0; 16], sequence: 0, services: names.clone() };
    let full = |length: usize| Bytes::from(vec![1; length]);
    let open = Open {
        service: name.clone(),
        caller: name.clone(),
        session: [0; 16],
        resume: Some(Resume { at: name.clone(), received: at(0), attempt: 1 }),
        shape: Shape::Bytes,
        origin: full(ORIGIN_MAX),
    };
    let proof = Proof { certificate: full(PROOF_CERTIFICATE_MAX), signature: full(PROOF_SIGNATURE_MAX) };
    for frame in [
        Frame::Hello(Hello { version: 0, lane: 0, link: [0; 16], name: name.clone() }),
        Frame::Welcome { version: 0, name: name.clone(), mandate: full(MANDATE_MAX) },
        Frame::Open { stream: 1, open: Box::new(open) },
        Frame::Opened { stream: 1, opened: Opened { at: name.clone(), received: at(0) } },
        Frame::Data { stream: 1, payload: full(DATA_FRAME_MAX) },
        Frame::Offer(offering.clone()),
        Frame::Accepted { services: names },
        Frame::Standby { term: 0, active: name.clone() },
        Frame::Proof(Box::new(proof)),
        Frame::Notice { origin: name, offering },
    ] {
        let mut decoder = decoder();
        frame.encode(decoder.buffer());
        let length = (decoder.buffer().len() - HEADER) as u32;
        assert_eq!(drain(&mut decoder).unwrap(), std::slice::from_ref(&frame));
        let (kind, stream) = {
            let mut bytes = BytesMut::new();
            frame.encode(&mut bytes);
            (bytes[4], u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]))
        };
        assert_eq!(verdict_on(length, kind, stream, true), Ok(None));
        assert_eq!(verdict_on(length + 1, kind, stream, true), Err(Violation::FrameTooLong), "{kind}");
    }
}

#[test]
fn a_dialer_waits_for_a_whole_mandate_and_a_listener_for_no_more_than_a_hello() {
    let mut welcome = BytesMut::new();
    let mandate = Bytes::from(vec![1; MANDATE_MAX]);
    Frame::Welcome { version: VERSION, name: "h".into(), mandate }.encode(&mut welcome);
    let (mut dialer, mut listener) = (Decoder::dialing(), Decoder::new());
    dialer.buffer().extend_from_slice(&welcome);
    assert!(matches!(dialer.next_frame(), Ok(Some(Frame::Welcome { .. }))));
    listener.buffer().extend_from_slice(&welcome[..HEADER]);
    assert_eq!(listener.next_frame(), Err(Violation::FrameTooLong));
}

#[test]
fn what_is_kept_of_a_frame_pins_no_read_buffer() {
    let mut decoder = decoder();
    let open = Open { service: "s".into(), origin: Bytes::from(vec![7; 100]), ..Open::default() };
    Frame::Open { stream: 1, open: Box::new(open) }.encode(decoder.buffer());
    let read = decoder.buffer().as_ptr_range();
    let Ok(Some(Frame::Open { open, .. })) = decoder.next_frame() else { panic!() };
    assert!(!read.contains(&open.origin.as_ptr()));
}

fn at(bytes: usize) -> Position {
    Position::default().after(bytes)
}

fn positions() -> impl Strategy<Value = Position> {
    any::<u64>().prop_map(Position::from_wire)
}
