//! Heads: a field section becomes a request's parts or trailers, a response's parts become a field section. Pure.
//!
//! RFC 9114 §4.1.2 to §4.3: what is malformed is no request. What HTTP/1.1 would read differently is malformed, too.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version, request, response};
use hyper::ext::Protocol;

use super::frame::{self, put_varint};
use super::qpack::{self, Unreadable};
use crate::bounds::HEADERS_MAX;

/// Why a head is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Malformed,
    TooLarge,
    /// Its packing is broken: the connection ends.
    Unreadable,
}

/// What a head says of its body's length; the rest is `http`'s.
#[derive(Debug)]
pub struct Head {
    pub parts: request::Parts,
    pub length: Option<u64>,
}

#[derive(Default)]
struct Pseudo {
    method: Option<Method>,
    scheme: Option<Bytes>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    protocol: Option<Bytes>,
}

/// Reads a request's head.
///
/// # Errors
/// See [`Refused`].
pub fn request(section: &[u8]) -> Result<Head, Refused> {
    let (mut pseudo, mut headers) = (Pseudo::default(), HeaderMap::with_capacity(16));
    qpack::decode(section, |name, value| match name.strip_prefix(b":") {
        Some(_) if !headers.is_empty() => Err(Refused::Malformed),
        Some(name) => pseudo.put(name, value),
        None => put(&mut headers, name, value),
    })?;
    let length = content_length(&headers)?;
    let mut parts = Request::new(()).into_parts().0;
    if let Some(protocol) = pseudo.protocol(length)? {
        parts.extensions.insert(protocol);
    }
    parts.uri = pseudo.uri()?;
    parts.method = pseudo.method.ok_or(Refused::Malformed)?;
    parts.version = Version::HTTP_3;
    parts.headers = headers;
    Ok(Head { parts, length })
}

/// Reads trailers.
///
/// # Errors
/// See [`Refused`].
pub fn trailers(section: &[u8]) -> Result<HeaderMap, Refused> {
    let mut fields = HeaderMap::new();
    qpack::decode(section, |name, value| put(&mut fields, name, value))?;
    Ok(fields)
}

/// Writes a response's head as a frame.
pub fn put_response(out: &mut BytesMut, parts: &response::Parts) {
    put_section(out, &parts.headers, Some(parts.status.as_u16()));
}

/// Writes trailers as a frame.
pub fn put_trailers(out: &mut BytesMut, fields: &HeaderMap) {
    put_section(out, fields, None);
}

fn put_section(out: &mut BytesMut, fields: &HeaderMap, status: Option<u16>) {
    let mut section = BytesMut::with_capacity(256);
    qpack::begin(&mut section);
    status.into_iter().for_each(|status| qpack::put_status(&mut section, status));
    for (name, value) in fields {
        qpack::put(&mut section, name.as_str(), value.as_bytes(), value.is_sensitive());
    }
    put_varint(out, frame::HEADERS);
    put_varint(out, section.len() as u64);
    out.put(section);
}

impl Pseudo {
    fn put(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refused> {
        let once = |slot: &mut Option<Bytes>| match slot.replace(Bytes::copy_from_slice(value)) {
            None => Ok(()),
            Some(_) => Err(Refused::Malformed),
        };
        match name {
            b"method" => {
                let method = Method::from_bytes(value).map_err(|_| Refused::Malformed)?;
                self.method.replace(method).map_or(Ok(()), |_| Err(Refused::Malformed))
            }
            b"scheme" => once(&mut self.scheme),
            b"authority" => once(&mut self.authority),
            b"path" => once(&mut self.path),
            b"protocol" => once(&mut self.protocol),
            // `:status` is a response's.
            _ => Err(Refused::Malformed),
        }
    }

    /// What an extended CONNECT (RFC 9220) makes of its stream. Its bytes have no length, and no other method has a protocol.
    fn protocol(&self, length: Option<u64>) -> Result<Option<Protocol>, Refused> {
        let Some(protocol) = &self.protocol else { return Ok(None) };
        if self.method != Some(Method::CONNECT) || length.is_some() {
            return Err(Refused::Malformed);
        }
        std::str::from_utf8(protocol).map(|text| Some(text.into())).map_err(|_| Refused::Malformed)
    }

    fn uri(&mut self) -> Result<Uri, Refused> {
        let malformed = |_| Refused::Malformed;
        let authority = self.authority.take().map(Authority::from_maybe_shared).transpose();
        let authority = authority.map_err(malformed)?;
        let mut uri = http::uri::Parts::default();
        if self.method == Some(Method::CONNECT) && self.protocol.is_none() {
            // It has an authority alone (§4.4), and is refused for what it is later.
            if self.scheme.is_some() || self.path.is_some() || authority.is_none() {
                return Err(Refused::Malformed);
            }
            uri.authority = authority;
            return Uri::from_parts(uri).map_err(|_| Refused::Malformed);
        }
        if self.scheme.as_deref() != Some(b"https") {
            return Err(Refused::Malformed);
        }
        let path = self.path.take().filter(|path| path.starts_with(b"/") || path == "*");
        let path = PathAndQuery::from_maybe_shared(path.ok_or(Refused::Malformed)?).map_err(malformed)?;
        // Without an authority the host stands in a field, as in HTTP/1.1.
        if authority.is_some() {
            uri.scheme = Some(Scheme::HTTPS);
            uri.authority = authority;
        }
        uri.path_and_query = Some(path);
        Uri::from_parts(uri).map_err(|_| Refused::Malformed)
    }
}

/// A regular field: lower-case, not of one connection only, and nothing around its value.
fn put(fields: &mut HeaderMap, name: &[u8], value: &[u8]) -> Result<(), Refused> {
    if fields.len() >= HEADERS_MAX {
        return Err(Refused::TooLarge);
    }
    if name.iter().any(u8::is_ascii_uppercase) {
        return Err(Refused::Malformed);
    }
    let is_blank = |byte: Option<&u8>| byte.is_some_and(|byte| b" \t".contains(byte));
    if is_blank(value.first()) || is_blank(value.last()) {
        return Err(Refused::Malformed);
    }
    let name = HeaderName::from_bytes(name).map_err(|_| Refused::Malformed)?;
    let is_refused = match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => true,
        _ => name == TE && !value.eq_ignore_ascii_case(b"trailers"),
    };
    if is_refused {
        return Err(Refused::Malformed);
    }
    let value = HeaderValue::from_bytes(value).map_err(|_| Refused::Malformed)?;
    fields.append(name, value);
    Ok(())
}

/// One length, in digits alone.
fn content_length(fields: &HeaderMap) -> Result<Option<u64>, Refused> {
    let mut all = fields.get_all(http::header::CONTENT_LENGTH).iter();
    let (Some(only), None) = (all.next(), all.next()) else {
        return if fields.contains_key(http::header::CONTENT_LENGTH) {
            Err(Refused::Malformed)
        } else {
            Ok(None)
        };
    };
    let digits = only.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Refused::Malformed);
    }
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    length.map(Some).ok_or(Refused::Malformed)
}

impl From<Unreadable> for Refused {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Broken => Self::Unreadable,
            Unreadable::TooLarge => Self::TooLarge,
        }
    }
}

#[cfg(test)]
mod tests;
