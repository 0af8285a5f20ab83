//! Bodies by example, from both sides of every bound, cut and mutated.

use proptest::prelude::*;

use super::*;
use crate::bounds::{
    CHUNK_EXTENSIONS_MAX, CHUNK_LINE_MAX, COPY_MAX as COPY, TRAILER_BYTES_MAX, TRAILERS_MAX,
};

/// All of a body that comes in pieces: its bytes, its trailers, and what follows it. An error where it is none, `None`
/// while it is not whole.
type Read = Option<Result<(Vec<u8>, Option<HeaderMap>, Vec<u8>), Malformed>>;

fn read(framing: Framing, writer: Writer, bytes: &[u8], cuts: &[usize]) -> Read {
    let (mut decoder, mut unread, mut body) = (Decoder::new(framing, writer), BytesMut::new(), Vec::new());
    let (mut from, mut over) = (0, None);
    for to in cuts.iter().copied().chain([bytes.len()]) {
        unread.extend_from_slice(&bytes[from..to]);
        from = to;
        while over.is_none() {
            match decoder.decode(&mut unread) {
                Err(malformed) => return Some(Err(malformed)),
                Ok(None) => break,
                Ok(Some(Piece::Bytes(bytes))) => body.extend_from_slice(&bytes),
                Ok(Some(Piece::Trailers(map))) => over = Some(Some(map)),
                Ok(Some(Piece::End)) => over = Some(None),
            }
        }
    }
    over.map(|trailers| Ok((body, trailers, unread.to_vec())))
}

fn chunked(bytes: &str) -> Read {
    read(Framing::Chunked, Writer::Client, bytes.as_bytes(), &[])
}

fn written(framing: Framing, pieces: &[&[u8]], trailers: Option<&HeaderMap>) -> Result<Vec<u8>, WrongLength> {
    let (mut encoder, mut out) = (Encoder::new(framing, true), Outbox::default());
    for piece in pieces {
        encoder.encode(Bytes::copy_from_slice(piece), &mut out)?;
    }
    encoder.end(trailers, &mut out)?;
    let mut bytes = Vec::new();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(out.poll_write(&mut bytes, &mut cx).is_ready() && out.is_empty());
    Ok(bytes)
}

#[test]
fn chunks_end_where_they_say_and_what_follows_is_left() {
    let whole = |body: &str, after: &str| Some(Ok((body.into(), None, after.into())));
    assert_eq!(chunked("3\r\nabc\r\n0\r\n\r\nGET"), whole("abc", "GET"));
    assert_eq!(chunked("A\r\n0123456789\r\n1\r\nx\r\n000\r\n\r\n"), whole("0123456789x", ""));
    assert_eq!(chunked("0\r\n\r\n"), whole("", ""));
    assert_eq!(chunked("3\r\nabc\r\n0\r\n"), None);
    assert_eq!(chunked("3;a\r\nabc\r\n0;b=c;d=\"e;\\\"\r f\"\r\n\r\n"), Some(Err(Malformed)));
    assert_eq!(chunked("3;a\r\nabc\r\n0;b=c;d=\"e;\\\" f\"\r\n\r\n"), whole("abc", ""));
    let Some(Ok((_, Some(trailers), after))) = chunked("0\r\nX-A: 1\r\nHost: evil\r\n\r\nGET") else {
        panic!()
    };
    assert_eq!((trailers["x-a"].as_bytes(), &after[..]), (&b"1"[..], &b"GET"[..]));
}

#[test]
fn what_is_no_chunk_is_refused() {
    for bytes in [
        "zz",
        "-1\r\n",
        "+1\r\n",
        "0x3\r\nabc\r\n",
        " 3\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "\r\n",
        "\n",
        ";x\r\n",
        "3\nabc\r\n",
        "3\r\nabc\n",
        "3\r\nabcX",
        "3\r\nab\r\n0\r\n\r\n",
        "3\r\r\nabc",
        "3\r\nabc\r\n0\n\n",
        "3\r\nabc\r\n0\r\n\n",
        "ffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "0000000000000003\r\nabc",
        "3;\r\n",
        "3;a=\r\n",
        "3;a=\"b\r\n",
        "3;a b\r\n",
        "3;a\nb\r\n",
        "3;a\rb\r\n",
        "3; a\r\n",
        "3;a =b\r\n",
        "3;a=\"\n\"\r\n",
        "3;a=\"\0\"\r\n",
        "3;\0\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\n X: 1\r\n\r\n",
        "0\r\nX : 1\r\n\r\n",
        "0\r\nX: 1\r\n y\r\n\r\n",
        "0\r\nX: 1\n\r\n",
        "0\r\n: 1\r\n\r\n",
        "0\r\nX: \0\r\n\r\n",
    ] {
        assert_eq!(chunked(bytes), Some(Err(Malformed)), "{bytes:?}");
    }
    assert!(matches!(read(Framing::Chunked, Writer::Service, b"3  \r\nabc\r\n0 \r\n\r\n", &[]), Some(Ok(_))));
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let line = |n: usize| format!("1;{}\r\nx\r\n", "e".repeat(n));
    let room = CHUNK_LINE_MAX - "1;\r\n".len();
    assert_eq!(chunked(&line(room)), None);
    assert_eq!(chunked(&line(room + 1)), Some(Err(Malformed)));
    assert_eq!(chunked(&format!("1;{}", "e".repeat(CHUNK_LINE_MAX))), Some(Err(Malformed)), "not even whole");
    let times = CHUNK_EXTENSIONS_MAX / 2;
    assert_eq!(chunked(&line(1).repeat(times)), None);
    assert_eq!(chunked(&line(1).repeat(times + 1)), Some(Err(Malformed)));
    let trailers = |n: usize| format!("0\r\n{}\r\n", "x: 1\r\n".repeat(n));
    assert!(matches!(chunked(&trailers(TRAILERS_MAX)), Some(Ok(_))));
    assert_eq!(chunked(&trailers(TRAILERS_MAX + 1)), Some(Err(Malformed)));
    assert_eq!(chunked(&format!("0\r\nx: {}", "a".repeat(TRAILER_BYTES_MAX))), Some(Err(Malformed)));
}

#[test]
fn a_body_that_ends_with_its_connection_must_have_been_one() {
    let cut_short = |framing, bytes: &[u8]| {
        let (mut decoder, mut unread) = (Decoder::new(framing, Writer::Service), BytesMut::from(bytes));
        while decoder.decode(&mut unread).unwrap().is_some_and(|piece| piece != Piece::End) {}
        decoder.eof().is_err()
    };
    assert!(cut_short(Framing::Length(4), b"abc"));
    assert!(!cut_short(Framing::Length(3), b"abc"));
    assert!(cut_short(Framing::Chunked, b"3\r\nabc\r\n"));
    assert!(cut_short(Framing::Chunked, b"3\r\nabc\r\n0\r\n"));
    assert!(!cut_short(Framing::Chunked, b"3\r\nabc\r\n0\r\n\r\n"));
    assert!(!cut_short(Framing::UntilClose, b"abc"));
    assert!(!cut_short(Framing::None, b""));
}

#[test]
fn a_body_is_written_as_long_as_announced_or_not_at_all() {
    assert_eq!(written(Framing::Length(4), &[b"ab", b"cd"], None).unwrap(), b"abcd");
    assert!(written(Framing::Length(4), &[b"abc"], None).is_err());
    assert!(written(Framing::Length(4), &[b"abcde"], None).is_err());
    assert_eq!(written(Framing::None, &[b"abc"], None).unwrap(), b"");
    assert_eq!(written(Framing::UntilClose, &[b"abc"], None).unwrap(), b"abc");
    assert_eq!(
        written(Framing::Chunked, &[b"abc", b""], None).unwrap(),
        b"3\r\nabc\r\n0\r\n\r\n",
        "an empty piece is no end"
    );
}

#[test]
fn trailers_that_could_pass_for_a_heads_fields_are_left_out() {
    let mut trailers = HeaderMap::new();
    for name in [
        "x-checksum",
        "host",
        "content-length",
        "authorization",
        "x-wandergate-user",
        "x_forwarded_for",
        "forwarded",
        "keep-alive",
    ] {
        trailers.insert(HeaderName::from_static(name), http::HeaderValue::from_static("1"));
    }
    let bytes = written(Framing::Chunked, &[], Some(&trailers)).unwrap();
    assert_eq!(bytes, b"0\r\nx-checksum: 1\r\n\r\n", "{}", bytes.escape_ascii());
}

#[test]
fn sizes_of_pieces_decide_only_how_they_are_written() {
    for size in [COPY, COPY + 1, 5 * COPY] {
        let piece = vec![7; size];
        let bytes = written(Framing::Chunked, &[&piece, b"x", &piece], None).unwrap();
        let Some(Ok((body, None, after))) = read(Framing::Chunked, Writer::Client, &bytes, &[]) else {
            panic!()
        };
        assert_eq!((body.len(), after.len()), (2 * size + 1, 0));
    }
}

proptest! {
    #![proptest_config(crate::h1::fuzz())]

    #[test]
    fn what_is_written_is_read_again_however_it_is_cut(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..2000), 0..5),
        cuts in proptest::collection::vec(0..10_000_usize, 0..12),
        after in proptest::collection::vec(any::<u8>(), 0..20),
        is_chunked in any::<bool>(),
    ) {
        let whole = pieces.concat();
        let framing = if is_chunked { Framing::Chunked } else { Framing::Length(whole.len() as u64) };
        let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let mut bytes = written(framing, &slices, None).unwrap();
        bytes.extend_from_slice(&after);
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= bytes.len()).collect();
        cuts.sort_unstable();
        prop_assert_eq!(read(framing, Writer::Client, &bytes, &cuts), Some(Ok((whole, None, after))));
    }

    #[test]
    fn mutated_chunks_are_read_alike_in_whole_and_byte_by_byte(
        edits in proptest::collection::vec((any::<u16>(), any::<u8>(), 0..3_u8), 0..6),
    ) {
        let mut bytes = b"4;a=\"b\"\r\nabcd\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\nGET".to_vec();
        for (at, byte, how) in edits {
            let at = usize::from(at) % bytes.len();
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let every: Vec<usize> = (0..bytes.len()).collect();
        for writer in [Writer::Client, Writer::Service] {
            prop_assert_eq!(
                read(Framing::Chunked, writer, &bytes, &[]),
                read(Framing::Chunked, writer, &bytes, &every)
            );
        }
    }
}
