//! Heads as bytes. Pure: what is written is what the framing says, whatever the fields say of it.

use bytes::BytesMut;
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode, request};

use super::Framing;

/// Whether the connection goes on after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// As HTTP/1.1 has it without a word.
    Keeps,
    /// Said to a client of HTTP/1.0, which would expect the end.
    KeepsOld,
    Closes,
    /// It becomes another protocol's; the fields that say so are kept.
    Switches,
}

/// Writes the head of a request to a service: HTTP/1.1, its target in the form in which `parts` have it.
pub fn request(parts: &request::Parts, framing: Framing, out: &mut BytesMut) {
    out.reserve(size(&parts.headers) + 64 + parts.uri.path().len());
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.extend_from_slice(b" ");
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    fields(&parts.headers, |name| !is_framing(name), out);
    length(framing, out);
    out.extend_from_slice(b"\r\n");
}

/// The framing of a request whose body has a known length, or not. One without a body says so where a reader might
/// wait for it (RFC 9110 §8.6).
pub fn request_framing(parts: &request::Parts, length: Option<u64>) -> Framing {
    let is_expected = || {
        [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method)
            || parts.headers.contains_key(header::CONTENT_LENGTH)
    };
    match length {
        None => Framing::Chunked,
        Some(0) if !is_expected() => Framing::None,
        Some(length) => Framing::Length(length),
    }
}

/// Writes the head of a response. `date` is for one that has none. `announced` is the length that a response without
/// a body (to a HEAD, or 304) says its body would have had.
pub fn response(
    status: StatusCode,
    headers: &HeaderMap,
    framing: Framing,
    announced: Option<u64>,
    persistence: Persistence,
    date: &[u8],
    out: &mut BytesMut,
) {
    out.reserve(size(headers) + 128);
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.extend_from_slice(b" ");
        out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let switches = persistence == Persistence::Switches;
    let passes = |name: &HeaderName| {
        !is_framing(name) && (switches || (*name != header::CONNECTION && *name != header::UPGRADE))
    };
    fields(headers, passes, out);
    if !status.is_informational() && !headers.contains_key(header::DATE) {
        field(b"date", date, out);
    }
    match (framing, announced) {
        (Framing::None, Some(announced)) => length(Framing::Length(announced), out),
        (framing, _) => length(framing, out),
    }
    match persistence {
        Persistence::Keeps | Persistence::Switches => {}
        Persistence::KeepsOld => out.extend_from_slice(b"connection: keep-alive\r\n"),
        Persistence::Closes => out.extend_from_slice(b"connection: close\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// One field and its line's end.
pub fn field(name: &[u8], value: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn fields(headers: &HeaderMap, passes: impl Fn(&HeaderName) -> bool, out: &mut BytesMut) {
    for (name, value) in headers.iter().filter(|(name, _)| passes(name)) {
        field(name.as_str().as_bytes(), value.as_bytes(), out);
    }
}

fn is_framing(name: &HeaderName) -> bool {
    *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING
}

fn length(framing: Framing, out: &mut BytesMut) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Length(length) => {
            field(b"content-length", itoa::Buffer::new().format(length).as_bytes(), out);
        }
    }
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
