//! Frames in whatever pieces they come, and those that no stream may carry.

use proptest::prelude::*;

use super::*;

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_varint(&mut out, kind);
    put_varint(&mut out, payload.len() as u64);
    out.put_slice(payload);
    out.to_vec()
}

/// All pieces of a stream that comes in chunks of `size`; neighbouring pieces of bodies are joined.
fn read(lane: Lane, bytes: &[u8], size: usize) -> Result<(Vec<Piece>, bool), Trouble> {
    let (mut reader, mut pieces) = (FrameReader::new(lane), Vec::<Piece>::new());
    for chunk in bytes.chunks(size) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(piece) = reader.next(&mut chunk)? {
            match (pieces.last_mut(), piece) {
                (Some(Piece::Data(before)), Piece::Data(more)) => {
                    *before = [&before[..], &more].concat().into();
                }
                (_, piece) => pieces.push(piece),
            }
        }
        assert!(chunk.is_empty(), "nothing is left unread");
    }
    Ok((pieces, reader.is_between_frames()))
}

fn violation(code: Code) -> Trouble {
    Trouble::Violation(Violation(code))
}

proptest! {
    #[test]
    fn a_request_is_read_however_it_is_cut(size in 1_usize..40, body in prop::collection::vec(any::<u8>(), 1..60)) {
        let stream = [
            frame(HEADERS, b"head"),
            frame(0x21, b"grease"),
            frame(DATA, &body),
            frame(0x21 + 0x1f * 9, &[]),
            frame(DATA, &[]),
            frame(HEADERS, b"tail"),
        ]
        .concat();
        let whole = |text: &'static [u8]| Piece::Whole(HEADERS, Bytes::from_static(text));
        let (pieces, is_between) = read(Lane::Request, &stream, size).unwrap();
        prop_assert_eq!(pieces, [whole(b"head"), Piece::Data(body.into()), whole(b"tail")]);
        prop_assert!(is_between);
    }

    #[test]
    fn nothing_can_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..40) {
        let _ = read(Lane::Request, &bytes, size);
        let _ = read(Lane::Control, &bytes, size);
    }

    #[test]
    fn an_integer_comes_back_in_its_shortest_form(value in 0_u64..1 << 62) {
        let mut out = BytesMut::new();
        put_varint(&mut out, value);
        let mut read = &out[..];
        prop_assert_eq!(varint(&mut read), Some(value));
        prop_assert!(read.is_empty());
    }
}

#[test]
fn a_stream_that_ends_within_a_frame_is_seen() {
    let stream = [frame(HEADERS, b"head"), frame(DATA, b"body")].concat();
    for end in 1..stream.len() {
        let is_whole = [0, 6].contains(&end);
        assert_eq!(read(Lane::Request, &stream[..end], 100).unwrap().1, is_whole, "{end}");
    }
}

#[test]
fn frames_of_the_other_kind_of_stream_and_of_http2_end_the_connection() {
    for kind in [CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID, 2, 6, 8, 9] {
        assert_eq!(
            read(Lane::Request, &frame(kind, &[0]), 9),
            Err(violation(Code::FrameUnexpected)),
            "{kind}"
        );
    }
    for kind in [DATA, HEADERS, PUSH_PROMISE, 2, 6, 8, 9] {
        assert_eq!(
            read(Lane::Control, &frame(kind, &[0]), 9),
            Err(violation(Code::FrameUnexpected)),
            "{kind}"
        );
    }
}

#[test]
fn what_a_length_promises_is_not_kept() {
    let promise = |kind: u64, length: u64| {
        let mut out = BytesMut::new();
        put_varint(&mut out, kind);
        put_varint(&mut out, length);
        out.to_vec()
    };
    let beyond = HEAD_BYTES_MAX as u64 + 1;
    assert!(read(Lane::Request, &promise(HEADERS, beyond - 1), 99).is_ok());
    assert_eq!(read(Lane::Request, &promise(HEADERS, beyond), 99), Err(Trouble::HeadTooLarge));
    assert_eq!(read(Lane::Request, &promise(HEADERS, 1 << 61), 99), Err(Trouble::HeadTooLarge));
    let load = Err(violation(Code::ExcessiveLoad));
    assert_eq!(read(Lane::Control, &promise(SETTINGS, H3_CONTROL_FRAME_MAX as u64 + 1), 99), load);
    assert_eq!(read(Lane::Request, &promise(0x21, H3_SKIPPED_MAX), 99), load);
    assert_eq!(read(Lane::Control, &promise(0x21, H3_SKIPPED_MAX + 1), 99), load);
    // Empty ones add up, too.
    assert_eq!(read(Lane::Request, &frame(0x21, &[]).repeat(1 + H3_SKIPPED_MAX as usize / 16), 99), load);
    // A body may be as long as it likes: it is passed on, never kept.
    assert!(read(Lane::Request, &promise(DATA, 1 << 61), 99).is_ok());
}
