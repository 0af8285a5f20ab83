//! Heads by example, from both sides of every bound, cut and mutated.

use proptest::prelude::*;

use super::*;

fn ask(bytes: &[u8]) -> Result<Option<Asked>, Reason> {
    request(&mut BytesMut::from(bytes), &mut Scan::default())
}

fn answer(bytes: &[u8]) -> Result<Option<Answered>, Malformed> {
    response(&mut BytesMut::from(bytes), &mut Scan::default(), &Method::GET)
}

fn with(rest: &str) -> Vec<u8> {
    format!("POST /a?b HTTP/1.1\r\nHost: one.example\r\n{rest}\r\n").into_bytes()
}

#[test]
fn a_request_is_read_to_its_last_byte_and_no_further() {
    let mut unread = BytesMut::from(&b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\nEmpty:\r\n\r\nrest"[..]);
    let asked = request(&mut unread, &mut Scan::default()).unwrap().unwrap();
    assert_eq!(&unread[..], b"rest");
    assert_eq!((asked.parts.method, asked.parts.uri.to_string()), (Method::GET, "/a?b=c".to_owned()));
    assert_eq!(
        (asked.parts.headers["x-y"].as_bytes(), asked.parts.headers["empty"].as_bytes()),
        (&b"z"[..], &b""[..])
    );
    assert_eq!(
        (asked.framing, asked.keeps, asked.expects, asked.takes_trailers),
        (Framing::None, true, false, false)
    );
}

#[test]
fn framing_and_wishes_are_read_from_their_fields() {
    let asked =
        ask(&with("Content-Length: 12\r\nExpect: 100-continue\r\nConnection: close\r\n")).unwrap().unwrap();
    assert_eq!((asked.framing, asked.keeps, asked.expects), (Framing::Length(12), false, true));
    let asked = ask(&with("Transfer-Encoding: CHUNKED\r\nTE: gzip, trailers\r\n")).unwrap().unwrap();
    assert_eq!((asked.framing, asked.takes_trailers), (Framing::Chunked, true));
    let asked = ask(b"GET / HTTP/1.0\r\n\r\n").unwrap().unwrap();
    assert_eq!((asked.keeps, asked.framing), (false, Framing::None));
    let asked =
        ask(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nExpect: 100-continue\r\n\r\n").unwrap().unwrap();
    assert_eq!((asked.keeps, asked.expects), (true, false));
    assert!(ask(&with("Content-Length: 999999999999999999\r\n")).is_ok());
}

/// Fields that follow a host.
const UNCLEAR_FIELDS: &[&str] = &[
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "Content-Length: 4\r\nContent-Length: 4\r\n",
    "Content-Length: 4\r\nContent-Length: 5\r\n",
    "Content-Length: 4, 4\r\n",
    "Content-Length: +4\r\n",
    "Content-Length: -4\r\n",
    "Content-Length: 0x4\r\n",
    "Content-Length: 4 4\r\n",
    "Content-Length: 1e3\r\n",
    "Content-Length:\r\n",
    "Content-Length: 9999999999999999999\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Content-Length : 4\r\n",
    "Content-Length\t: 4\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding: chunked;x\r\n",
    "Transfer-Encoding:\r\n",
    "Transfer-Encoding: \x0bchunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "X: a\r\n folded\r\n",
    "X: a\r\n\tfolded\r\n",
    " X: a\r\n",
    "X: a\rb\r\n",
    "X: a\0b\r\n",
    "X: a\x7fb\r\n",
    "X: a\nY: b\r\n",
    "X: a\r\r\nY: b\r\n",
    "X\r\n",
    ": x\r\n",
    "X Y: z\r\n",
    "X(: z\r\n",
    "X: a\n",
];
const UNCLEAR_HEADS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\n",
    b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\rGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /  HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    b"GET / HTTP/01.1\r\nHost: x\r\n\r\n",
    b"GET / http/1.1\r\nHost: x\r\n\r\n",
    b"GET /\r\nHost: x\r\n\r\n",
    b"GET\r\n\r\n",
    b"G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nH\xf6st: x\r\n\r\n",
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x00",
    b"\0",
];

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    for rest in UNCLEAR_FIELDS {
        assert_eq!(ask(&with(rest)).unwrap_err(), Reason::RequestMalformed, "{rest:?}");
    }
    for whole in UNCLEAR_HEADS {
        assert_eq!(ask(whole).unwrap_err(), Reason::RequestMalformed, "{}", whole.escape_ascii());
    }
    assert!(
        ask(b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().is_some(),
        "one empty line is an old slip"
    );
}

#[test]
fn sizes_are_bounded_from_both_sides() {
    let fields = |n: usize| with(&(0..n).map(|i| format!("x-{i}: 1\r\n")).collect::<String>());
    assert!(ask(&fields(HEADERS_MAX - 1)).unwrap().is_some());
    assert_eq!(ask(&fields(HEADERS_MAX)).unwrap_err(), Reason::HeaderTooLarge);
    let uri = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(n - 1)).into_bytes();
    assert!(ask(&uri(URI_BYTES_MAX)).unwrap().is_some());
    assert_eq!(ask(&uri(URI_BYTES_MAX + 1)).unwrap_err(), Reason::UriTooLong);
    assert_eq!(ask(&uri(4 * HEAD_BYTES_MAX)).unwrap_err(), Reason::UriTooLong);
    let empty = with("X: \r\n").len();
    let value = |n: usize| with(&format!("X: {}\r\n", "a".repeat(n)));
    assert!(ask(&value(HEAD_BYTES_MAX - empty)).unwrap().is_some());
    assert_eq!(ask(&value(HEAD_BYTES_MAX - empty + 1)).unwrap_err(), Reason::HeaderTooLarge);
    // Not whole, and too large already.
    assert_eq!(ask(&value(HEAD_BYTES_MAX)[..HEAD_BYTES_MAX + 1]).unwrap_err(), Reason::HeaderTooLarge);
}

#[test]
fn a_response_is_read_as_services_write_them() {
    let read = |text: &str| answer(text.as_bytes()).unwrap().unwrap();
    let plain = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_eq!((plain.parts.status, plain.framing, plain.keeps), (StatusCode::OK, Framing::Length(5), true));
    for text in ["HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n", "HTTP/1.1 200 OK\n\n"] {
        let bare = read(text);
        assert_eq!(
            (bare.parts.status, bare.framing, bare.keeps),
            (StatusCode::OK, Framing::UntilClose, false)
        );
    }
    assert_eq!(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").framing, Framing::Chunked);
    assert!(!read("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n").keeps);
    assert!(read("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n").keeps);
    assert!(!read("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n").keeps);
    for status in [100, 101, 103, 204, 304] {
        let bodiless = read(&format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n"));
        assert_eq!((bodiless.framing, bodiless.keeps), (Framing::None, true));
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let head =
        response(&mut BytesMut::from(&head[..]), &mut Scan::default(), &Method::HEAD).unwrap().unwrap();
    assert_eq!(head.framing, Framing::None);
}

#[test]
fn a_response_that_contradicts_itself_is_no_response() {
    for rest in [
        "200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "200 OK\r\nContent-Length: x\r\n\r\n",
        "200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "204 X\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "200 OK\r\nX: a\r\n folded\r\n\r\n",
        "200 OK\r\nX : a\r\n\r\n",
        "200 OK\r\nX: a\rb\r\n\r\n",
        "200 OK\r\nX: \0\r\n\r\n",
        "20 OK\r\n\r\n",
        "2000 OK\r\n\r\n",
        "+20 OK\r\n\r\n",
        "099 OK\r\n\r\n",
        " 200 OK\r\n\r\n",
    ] {
        assert!(answer(format!("HTTP/1.1 {rest}").as_bytes()).is_err(), "{rest:?}");
    }
    for whole in [
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/3.7 200 OK\r\n\r\n",
        "SSH-2.0",
        "\0",
        "\r\n",
    ] {
        assert!(answer(whole.as_bytes()).is_err(), "{whole:?}");
    }
    assert!(
        answer(
            &b"HTTP/1.1 200 OK\r\n".iter().copied().chain(vec![b'a'; UPSTREAM_BUFFER]).collect::<Vec<_>>()
        )
        .is_err()
    );
    assert!(answer(b"").unwrap().is_none());
}

/// What a reader says of bytes that come in pieces: the heads' lines and what is left.
fn in_pieces(bytes: &[u8], cuts: &[usize]) -> (Vec<String>, Result<Vec<u8>, Reason>) {
    let (mut unread, mut scan, mut heads) = (BytesMut::new(), Scan::default(), Vec::new());
    let mut from = 0;
    for to in cuts.iter().copied().chain([bytes.len()]) {
        unread.extend_from_slice(&bytes[from..to]);
        from = to;
        loop {
            match request(&mut unread, &mut scan) {
                Ok(Some(head)) => {
                    heads.push(format!("{} {:?} {:?}", head.parts.uri, head.parts.headers, head.framing));
                }
                Ok(None) => break,
                Err(reason) => return (heads, Err(reason)),
            }
        }
    }
    (heads, Ok(unread.to_vec()))
}

fn cuts(length: usize) -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..=length, 0..12).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts
    })
}

const SAMPLES: [&str; 5] = [
    "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    "\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX:\t y \r\n\r\n",
    "GET /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET /d HTTP/1.1\nHost: x\n\n",
    "GET /e HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
];

proptest! {
    #![proptest_config(crate::h1::fuzz())]

    #[test]
    fn however_bytes_are_cut_the_same_heads_are_read(
        bytes in proptest::collection::vec(0..SAMPLES.len(), 1..4)
            .prop_map(|picks| picks.into_iter().map(|i| SAMPLES[i]).collect::<String>()),
        seed in cuts(400),
    ) {
        let cuts: Vec<usize> = seed.into_iter().filter(|cut| *cut <= bytes.len()).collect();
        prop_assert_eq!(in_pieces(bytes.as_bytes(), &cuts), in_pieces(bytes.as_bytes(), &[]));
    }

    #[test]
    fn mutated_heads_are_read_or_refused_alike_in_whole_and_byte_by_byte(
        pick in 0..SAMPLES.len(),
        edits in proptest::collection::vec((any::<u16>(), any::<u8>(), 0..3_u8), 0..6),
    ) {
        let mut bytes = SAMPLES[pick].as_bytes().to_vec();
        for (at, byte, how) in edits {
            let at = usize::from(at) % bytes.len().max(1);
            match how {
                0 if !bytes.is_empty() => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ if !bytes.is_empty() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        let every: Vec<usize> = (0..bytes.len()).collect();
        let (whole, slow) = (in_pieces(&bytes, &[]), in_pieces(&bytes, &every));
        prop_assert_eq!(&whole, &slow);
        let _ = answer(&bytes);
    }
}
