//! Properties of the wire format.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn names() -> impl Strategy<Value = String> {
    vec(proptest::sample::select(b"abcXYZ019._-:".to_vec()), 1..=40)
        .prop_map(|bytes| String::from_utf8(bytes).unwrap())
}

fn reasons() -> impl Strategy<Value = Refusal> {
    proptest::sample::select(Refusal::ALL.to_vec())
}

fn frames() -> impl Strategy<Value = Frame> {
    let stream = 1..=u32::MAX;
    let hello = (any::<u16>(), any::<u8>(), any::<[u8; 16]>(), names())
        .prop_map(|(version, lane, link, name)| Frame::Hello(Hello { version, lane, link, name }));
    let caller = prop_oneof![
        Just(String::new()),
        (names(), names()).prop_map(|(role, name)| format!("{role}/{name}"))
    ];
    prop_oneof![
        hello,
        (any::<u16>(), names()).prop_map(|(version, name)| Frame::Welcome { version, name }),
        reasons().prop_map(Frame::Refuse),
        (stream.clone(), names(), caller).prop_map(|(stream, service, caller)| Frame::Open {
            stream,
            service,
            caller
        }),
        stream.clone().prop_map(|stream| Frame::Opened { stream }),
        (stream.clone(), vec(any::<u8>(), 1..3000))
            .prop_map(|(stream, payload)| Frame::Data { stream, payload: payload.into() }),
        (stream.clone(), 1..=u32::MAX).prop_map(|(stream, bytes)| Frame::Credit { stream, bytes }),
        stream.clone().prop_map(|stream| Frame::Fin { stream }),
        (stream, reasons()).prop_map(|(stream, reason)| Frame::Reset { stream, reason }),
        any::<u64>().prop_map(|nonce| Frame::Ping { nonce }),
        any::<u64>().prop_map(|nonce| Frame::Pong { nonce }),
        vec(names(), 0..20).prop_map(|services| Frame::Offer { services }),
        vec(names(), 0..20).prop_map(|services| Frame::Accepted { services }),
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
        kind in 0u8..=15, stream in 0u32..3, payload in vec(any::<u8>(), 0..600)
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
    assert_eq!(verdict_on(0, 14, 0, true), Err(Violation::KindUnknown));
}

#[test]
fn stream_frames_need_a_stream_and_lane_frames_have_none() {
    assert_eq!(verdict_on(0, 8, 0, true), Err(Violation::Malformed));
    assert_eq!(verdict_on(8, 10, 1, true), Err(Violation::Malformed));
}

#[test]
fn the_format_is_what_the_text_says() {
    let mut bytes = BytesMut::new();
    Frame::Open { stream: 0x0102_0304, service: "web".into(), caller: "edge/a".into() }.encode(&mut bytes);
    assert_eq!(&bytes[..], b"\0\0\0\x0b\x04\x01\x02\x03\x04\x03web\x06edge/a");
    bytes.clear();
    Frame::Reset { stream: 1, reason: Refusal::ServiceUnknown }.encode(&mut bytes);
    assert_eq!(&bytes[..], b"\0\0\0\x01\x09\0\0\0\x01\x01");
}
