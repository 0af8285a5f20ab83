//! Heads of HTTP/1.1 messages: bytes in; parts and framing out, or why not. Pure.
//!
//! A request is read as its grammar stands, without the repairs that RFC 9112 permits: what two readers could read
//! differently is read by nobody. A response is read likewise, but for what real services leave out.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use defense::Reason;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, Version, request, response};

use super::{Framing, Malformed};
use crate::bounds::{HEAD_BYTES_MAX, HEADERS_MAX, RESPONSE_HEADERS_MAX, UPSTREAM_BUFFER, URI_BYTES_MAX};

/// Fields that the way to the service adds: room for them saves the map a second growth.
const FIELDS_ADDED: usize = 8;

/// How far bytes were searched for a head's end: none is looked at twice, however few come at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    seen: usize,
    /// Where the line under way begins.
    line: usize,
    lines: usize,
    /// The one empty line that may precede a request was taken.
    is_led: bool,
}

/// Whether a line may end with a bare LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnds {
    CrLf,
    LfToo,
}

impl Scan {
    /// Where the section ends whose lines `bytes` hold: behind its empty line. `None`: not yet.
    pub(super) fn end(&mut self, bytes: &[u8], ends: LineEnds) -> Result<Option<usize>, Malformed> {
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.seen..]) {
            let at = self.seen + found;
            let line = &bytes[self.line..at];
            if ends == LineEnds::CrLf && line.last() != Some(&b'\r') {
                return Err(Malformed);
            }
            self.seen = at + 1;
            self.line = at + 1;
            if matches!(line, b"" | b"\r") {
                return Ok(Some(at + 1));
            }
            self.lines += 1;
        }
        self.seen = bytes.len();
        Ok(None)
    }

    /// Whole lines before the end.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }
}

/// A request's head.
#[derive(Debug)]
pub struct Asked {
    pub parts: request::Parts,
    pub framing: Framing,
    /// The client leaves the connection open for another request.
    pub keeps: bool,
    /// The client waits for a go-ahead before it sends the body.
    pub expects: bool,
    /// The client reads trailers.
    pub takes_trailers: bool,
}

/// A response's head.
#[derive(Debug)]
pub struct Answered {
    pub parts: response::Parts,
    pub framing: Framing,
    /// The service leaves the connection open for another request.
    pub keeps: bool,
}

/// Takes a request's head off `unread`. `None`: it is not whole yet; `scan` remembers how far it was read, and is
/// fresh again after a head.
///
/// # Errors
/// Why it is refused: nothing on its connection can be read after that.
pub fn request(unread: &mut BytesMut, scan: &mut Scan) -> Result<Option<Asked>, Reason> {
    // RFC 9112 §2.2: one empty line before a request is an old client's slip.
    if !scan.is_led && unread.starts_with(b"\r\n") {
        let _ = unread.split_to(2);
        scan.is_led = true;
    }
    match unread.first() {
        None => return Ok(None),
        Some(b'\r') if unread.len() == 1 && !scan.is_led => return Ok(None),
        // No method begins so: it needs no more bytes to be refused.
        Some(first) if !first.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~".contains(first) => {
            return Err(Reason::RequestMalformed);
        }
        Some(_) => {}
    }
    let end = scan.end(unread, LineEnds::CrLf).map_err(|Malformed| Reason::RequestMalformed)?;
    if end.unwrap_or(unread.len()) > HEAD_BYTES_MAX {
        let first_line = memchr::memchr(b'\n', unread).unwrap_or(unread.len());
        return Err(if first_line > URI_BYTES_MAX { Reason::UriTooLong } else { Reason::HeaderTooLarge });
    }
    // One line is the request's.
    if scan.lines() > HEADERS_MAX + 1 {
        return Err(Reason::HeaderTooLarge);
    }
    let Some(end) = end else { return Ok(None) };
    *scan = Scan::default();
    whole_request(unread.split_to(end).freeze()).map(Some)
}

fn whole_request(head: Bytes) -> Result<Asked, Reason> {
    let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(&head, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Reason::HeaderTooLarge),
        Ok(_) | Err(_) => return Err(Reason::RequestMalformed),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Reason::RequestMalformed);
    };
    if target.len() > URI_BYTES_MAX {
        return Err(Reason::UriTooLong);
    }
    // A fragment is the client's own affair; a parser that drops it hears another target than one that does not.
    if target.contains('#') || !target.is_ascii() {
        return Err(Reason::RequestMalformed);
    }
    let malformed = |_| Reason::RequestMalformed;
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::from_bytes(method.as_bytes()).map_err(|_| Reason::RequestMalformed)?;
    parts.uri =
        Uri::from_maybe_shared(head.slice_ref(target.as_bytes())).map_err(|_| Reason::RequestMalformed)?;
    parts.version = version(minor);
    parts.headers = header_map(&head, parsed.headers, FIELDS_ADDED).map_err(malformed)?;
    let framing = request_framing(parts.version, &parts.headers).map_err(malformed)?;
    let is_old = parts.version == Version::HTTP_10;
    Ok(Asked {
        framing,
        keeps: keeps(parts.version, &parts.headers),
        expects: !is_old && has_token(&parts.headers, &header::EXPECT, "100-continue"),
        takes_trailers: !is_old && has_token(&parts.headers, &header::TE, "trailers"),
        parts,
    })
}

/// Takes a response's head off `unread`, as [`request`] does. `asked` is the method that it answers.
///
/// # Errors
/// The service breaks the protocol.
pub fn response(
    unread: &mut BytesMut,
    scan: &mut Scan,
    asked: &Method,
) -> Result<Option<Answered>, Malformed> {
    let end = scan.end(unread, LineEnds::LfToo)?;
    if end.unwrap_or(unread.len()) > UPSTREAM_BUFFER || scan.lines() > RESPONSE_HEADERS_MAX + 1 {
        return Err(Malformed);
    }
    // What does not begin as a response never becomes one: no need to wait for more of it.
    let prefix = unread.len().min(5);
    if unread[..prefix] != b"HTTP/"[..prefix] {
        return Err(Malformed);
    }
    let Some(end) = end else { return Ok(None) };
    *scan = Scan::default();
    let head = unread.split_to(end).freeze();
    let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; RESPONSE_HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, &head, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) | Err(_) => return Err(Malformed),
    }
    let (Some(code), Some(minor)) = (parsed.code, parsed.version) else { return Err(Malformed) };
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = StatusCode::from_u16(code).map_err(|_| Malformed)?;
    parts.version = version(minor);
    parts.headers = header_map(&head, parsed.headers, 0)?;
    let framing = response_framing(&parts, asked)?;
    let keeps = framing != Framing::UntilClose && keeps(parts.version, &parts.headers);
    Ok(Some(Answered { parts, framing, keeps }))
}

fn version(minor: u8) -> Version {
    if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// Values share the head's memory.
pub(super) fn header_map(
    head: &Bytes,
    fields: &[httparse::Header<'_>],
    more: usize,
) -> Result<HeaderMap, Malformed> {
    let mut map = HeaderMap::with_capacity(fields.len() + more);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed)?;
        let value = match field.value {
            // An empty slice is not known to lie within the head.
            b"" => HeaderValue::from_static(""),
            value => HeaderValue::from_maybe_shared(head.slice_ref(value)).map_err(|_| Malformed)?,
        };
        map.append(name, value);
    }
    Ok(map)
}

fn request_framing(version: Version, headers: &HeaderMap) -> Result<Framing, Malformed> {
    match (is_chunked(version, headers)?, length(headers)?) {
        (false, None) => Ok(Framing::None),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (true, None) => Ok(Framing::Chunked),
        // RFC 9112 §6.3 lets a server take the chunks for true. Whoever sends both means to be misread.
        (true, Some(_)) => Err(Malformed),
    }
}

fn response_framing(parts: &response::Parts, asked: &Method) -> Result<Framing, Malformed> {
    // Both are read even where neither counts: a service that contradicts itself is not to be trusted with the next.
    let framing = match (is_chunked(parts.version, &parts.headers)?, length(&parts.headers)?) {
        (true, Some(_)) => return Err(Malformed),
        (true, None) => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClose,
    };
    let is_bodiless = asked == Method::HEAD
        || parts.status.is_informational()
        || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(if is_bodiless { Framing::None } else { framing })
}

/// Exactly one field that says exactly `chunked`, in HTTP/1.1, or none.
fn is_chunked(version: Version, headers: &HeaderMap) -> Result<bool, Malformed> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        (Some(only), None)
            if version == Version::HTTP_11 && only.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(true)
        }
        (Some(_), _) => Err(Malformed),
    }
}

/// Exactly one field of `1*DIGIT`, or none. Two equal ones are refused, too: not every reader compares them.
fn length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let only = match (lengths.next(), lengths.next()) {
        (None, _) => return Ok(None),
        (Some(only), None) => only.as_bytes(),
        (Some(_), Some(_)) => return Err(Malformed),
    };
    // Within what any reader's signed 64 bits hold.
    if only.is_empty() || only.len() > 18 || !only.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    Ok(Some(only.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))))
}

/// RFC 9112 §9.3.
fn keeps(version: Version, headers: &HeaderMap) -> bool {
    match version {
        Version::HTTP_10 => {
            has_token(headers, &header::CONNECTION, "keep-alive")
                && !has_token(headers, &header::CONNECTION, "close")
        }
        _ => !has_token(headers, &header::CONNECTION, "close"),
    }
}

/// Whether a list field names a token.
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let is_it = |listed: &[u8]| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes());
    headers.get_all(name).iter().any(|value| value.as_bytes().split(|b| *b == b',').any(is_it))
}

#[cfg(test)]
mod tests;
