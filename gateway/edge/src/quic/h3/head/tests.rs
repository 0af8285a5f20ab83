//! Heads as their fields say them, and what makes one malformed.

use http::header;

use super::*;

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/x?y=1")];

fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = BytesMut::new();
    qpack::begin(&mut out);
    fields.iter().for_each(|(name, value)| qpack::put(&mut out, name, value.as_bytes(), false));
    out.to_vec()
}

fn with(more: &[(&str, &str)]) -> Result<Head, Refused> {
    request(&section(&[&GET, more].concat()))
}

#[test]
fn a_request_becomes_its_parts() {
    let head =
        with(&[("user-agent", "x"), ("cookie", "a=1"), ("cookie", "b=2"), ("content-length", "12")]).unwrap();
    assert_eq!((head.parts.method, head.parts.version), (Method::GET, Version::HTTP_3));
    assert_eq!(head.parts.uri, "https://a.example/x?y=1");
    assert_eq!((head.length, head.parts.headers.len()), (Some(12), 4));
    assert_eq!(head.parts.headers[header::USER_AGENT], "x");
    let hosted = [(":method", "OPTIONS"), (":scheme", "https"), (":path", "*"), ("host", "a.example")];
    assert_eq!(request(&section(&hosted)).unwrap().parts.uri, "*");
}

#[test]
fn connect_is_read_as_what_it_is() {
    let connect = [(":method", "CONNECT"), (":authority", "a.example:22")];
    let parts = request(&section(&connect)).unwrap().parts;
    assert_eq!((parts.method, parts.uri.path_and_query()), (Method::CONNECT, None));
    for more in [(":path", "/"), (":scheme", "https"), (":protocol", "websocket")] {
        assert_eq!(request(&section(&[&connect[..], &[more]].concat())).unwrap_err(), Refused::Malformed);
    }
}

#[test]
fn an_extended_connect_has_a_target_and_no_length() {
    let extended = [&[(":method", "CONNECT"), (":protocol", "websocket")], &GET[1..]].concat();
    let parts = request(&section(&extended)).unwrap().parts;
    assert_eq!((parts.method, parts.uri.to_string()), (Method::CONNECT, "https://a.example/x?y=1".into()));
    assert_eq!(parts.extensions.get::<Protocol>().unwrap().as_str(), "websocket");
    for missing in [2, 4] {
        let mut fields = extended.clone();
        fields.remove(missing);
        assert_eq!(request(&section(&fields)).unwrap_err(), Refused::Malformed, "{missing}");
    }
    let with_length = [&extended[..], &[("content-length", "0")]].concat();
    assert_eq!(request(&section(&with_length)).unwrap_err(), Refused::Malformed);
}

#[test]
fn a_pseudo_field_that_is_missing_twice_there_unknown_or_late_is_malformed() {
    for missing in [0, 1, 3] {
        let mut fields = GET.to_vec();
        fields.remove(missing);
        assert_eq!(request(&section(&fields)).unwrap_err(), Refused::Malformed, "{missing}");
    }
    for field in GET {
        assert_eq!(with(&[field]).unwrap_err(), Refused::Malformed, "{field:?}");
        assert_eq!(trailers(&section(&[field])).unwrap_err(), Refused::Malformed, "{field:?}");
    }
    for field in [(":protocol", "websocket"), (":status", "200"), (":x", ""), (":", "")] {
        assert_eq!(with(&[field]).unwrap_err(), Refused::Malformed, "{field:?}");
    }
    let mut late = GET.to_vec();
    late.insert(2, ("accept", "*/*"));
    assert_eq!(request(&section(&late)).unwrap_err(), Refused::Malformed);
}

#[test]
fn a_pseudo_field_that_http1_would_read_differently_is_malformed() {
    for (at, value) in [
        (0, "G T"),
        (0, ""),
        (1, "http"),
        (1, ""),
        (2, "a b"),
        (2, "a/b"),
        (3, ""),
        (3, "x"),
        (3, "/ HTTP/1.1\r\nx: y"),
        (3, "/a b"),
        (3, "*x"),
    ] {
        let mut fields = GET.to_vec();
        fields[at].1 = value;
        assert_eq!(request(&section(&fields)).unwrap_err(), Refused::Malformed, "{at} {value:?}");
    }
}

#[test]
fn a_field_that_http1_would_read_differently_is_malformed() {
    for field in [
        ("Accept", "x"),
        ("a b", "x"),
        ("", "x"),
        ("a\r\nb", "x"),
        ("a:b", "x"),
        ("x", "a\r\nb: c"),
        ("x", "a\0b"),
        ("x", "a\nb"),
        ("x", " a"),
        ("x", "a\t"),
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("content-length", "-1"),
        ("content-length", "+1"),
        ("content-length", "1, 1"),
        ("content-length", ""),
        ("content-length", "99999999999999999999"),
    ] {
        assert_eq!(with(&[field]).unwrap_err(), Refused::Malformed, "{field:?}");
    }
    assert_eq!(with(&[("content-length", "1"), ("content-length", "1")]).unwrap_err(), Refused::Malformed);
    assert!(with(&[("te", "trailers")]).is_ok());
}

#[test]
fn too_many_fields_are_too_much() {
    let fields = vec![("a", "b"); HEADERS_MAX];
    assert!(with(&fields).is_ok());
    assert_eq!(with(&[&fields[..], &[("a", "b")]].concat()).unwrap_err(), Refused::TooLarge);
    assert_eq!(with(&[("a", &"b".repeat(20_000))]).unwrap_err(), Refused::TooLarge);
    assert_eq!(request(&[1, 2, 3]).unwrap_err(), Refused::Unreadable);
}

#[test]
fn a_response_is_written_as_one_frame() {
    let mut response = http::Response::new(());
    response.headers_mut().insert("x-answer", HeaderValue::from_static("42"));
    let mut out = BytesMut::new();
    put_response(&mut out, &response.into_parts().0);
    let mut bytes = &out[..];
    assert_eq!(frame::varint(&mut bytes), Some(frame::HEADERS));
    assert_eq!(frame::varint(&mut bytes), Some(bytes.len() as u64));
    let mut fields = Vec::new();
    qpack::decode(bytes, |name, value| {
        fields.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        Ok::<(), Unreadable>(())
    })
    .unwrap();
    assert_eq!(fields, [(":status".to_owned(), b"200".to_vec()), ("x-answer".to_owned(), b"42".to_vec())]);
}
