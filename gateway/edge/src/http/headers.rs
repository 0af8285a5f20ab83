//! Which header fields pass. Pure.

mod trace;

use std::net::{IpAddr, Ipv6Addr};

use bytes::Bytes;
use defense::Reason;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Uri, Version};
use http_body::Frame;

use super::grpc;
use crate::bounds::{HEADERS_MAX, URI_BYTES_MAX};
use crate::h1::body::never_trails;
use crate::h1::head::has_token;

/// Fields that concern one connection only (RFC 9110 §7.6.1), and old ones that act like it.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// What a client may not say of itself: we say it, or nobody does. (`proxy` becomes `HTTP_PROXY` in CGI.)
/// `remote-user` and its like are how services behind a proxy are told who asks.
const OURS: [&str; 8] = [
    "forwarded",
    "proxy",
    "remote-user",
    "true-client-ip",
    "x-client-ip",
    "x-real-ip",
    "x-remote-user",
    "x-request-id",
];
const OURS_PREFIXES: [&str; 2] = ["x-forwarded-", "x-wandergate-"];
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_USER: HeaderName = HeaderName::from_static("x-wandergate-user");
const X_DEVICE: HeaderName = HeaderName::from_static("x-wandergate-device");

/// Who asks, for the service's eyes: rendered once for all requests of a connection.
#[derive(Clone, Debug)]
pub struct Asker {
    source: HeaderValue,
    /// The source as `Forwarded` has it.
    forwarded_for: Box<str>,
    user: HeaderValue,
    device: HeaderValue,
}

impl Asker {
    /// # Errors
    /// A name is none that a header can carry.
    pub fn new(source: IpAddr, user: &str, device: &str) -> Result<Self, Reason> {
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Reason::RequestMalformed);
        // RFC 7239: an IPv6 address needs quotes.
        let forwarded_for = match source {
            IpAddr::V4(a) => format!("for={a}"),
            IpAddr::V6(a) => format!("for=\"[{a}]\""),
        };
        Ok(Self {
            source: value(&source.to_string())?,
            forwarded_for: forwarded_for.into(),
            user: value(user)?,
            device: value(device)?,
        })
    }
}

/// Whether the request is one that is forwarded at all. Stricter than RFC 9112 on purpose: what two readers could
/// read differently is read by nobody.
///
/// # Errors
/// Its method, target, or head is refused.
pub fn check(parts: &Parts) -> Result<(), Reason> {
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(Reason::MethodRefused);
    }
    // Without a path it is the form that CONNECT alone may have (RFC 9112 §3.2.3).
    let target = parts.uri.path_and_query().ok_or(Reason::RequestMalformed)?.as_str();
    if target.len() > URI_BYTES_MAX {
        return Err(Reason::UriTooLong);
    }
    if parts.headers.len() > HEADERS_MAX {
        return Err(Reason::HeaderTooLarge);
    }
    let scheme_is_ours = matches!(parts.uri.scheme_str(), None | Some("http" | "https"));
    if !scheme_is_ours || (target == "*" && parts.method != Method::OPTIONS) {
        return Err(Reason::RequestMalformed);
    }
    if parts.headers.keys().any(|name| name.as_str().contains('_') && !is_metadata(parts, name)) {
        return Err(Reason::RequestMalformed);
    }
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => Err(Reason::RequestMalformed),
    }
}

/// The host that the request names, without its port.
///
/// # Errors
/// There is none, or two that differ, or one that is no host with or without a port.
pub fn host_name(parts: &Parts) -> Result<&str, Reason> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = match (authority, hosts.next(), hosts.next()) {
        (Some(authority), None, _) => authority,
        (Some(authority), Some(host), None) if host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {
            authority
        }
        (None, Some(host), None) => host.to_str().map_err(|_| Reason::RequestMalformed)?,
        (Some(_) | None, _, _) => return Err(Reason::RequestMalformed),
    };
    without_port(host).ok_or(Reason::RequestMalformed)
}

/// A gateway of old (CGI) makes `_` of `-`: `x_wandergate_user` would pass for what we say. gRPC's own metadata may have it,
/// unless it reads as a field that means something.
fn is_metadata(parts: &Parts, name: &HeaderName) -> bool {
    let dashed = HeaderName::try_from(name.as_str().replace('_', "-"));
    grpc::is_call(parts.version, &parts.headers)
        && dashed.is_ok_and(|dashed| !is_ours(&dashed) && !never_trails(&dashed))
}

/// RFC 3986 §3.2 without user: a name, an IPv4 address, or an IPv6 address in brackets.
fn without_port(host: &str) -> Option<&str> {
    let end = host.rfind(']').map_or(0, |i| i + 1);
    let split = host[end..].find(':').map_or(host.len(), |i| end + i);
    let (name, port) = host.split_at(split);
    let port = port.strip_prefix(':').unwrap_or_default();
    let port_is_sound = port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    let name_is_sound = match name.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']').is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok()),
        None => name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    (port_is_sound && name_is_sound && !name.is_empty()).then_some(name)
}

/// Makes the request one for the service: HTTP/1.1, origin form, our own fields in place of the client's.
///
/// # Errors
/// The host is not one that a header can carry.
pub fn to_service(parts: &mut Parts, asker: &Asker, request_id: String) -> Result<(), Reason> {
    let authority = parts.uri.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    let host = authority.or_else(|| parts.headers.get(header::HOST).cloned());
    let host = host.ok_or(Reason::RequestMalformed)?;
    let forwarded = forwarded(asker, host.to_str().map_err(|_| Reason::RequestMalformed)?)?;
    if parts.uri.authority().is_some() || parts.uri.scheme().is_some() {
        let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        parts.uri = target.parse::<Uri>().map_err(|_| Reason::RequestMalformed)?;
    }
    // A request that came as HTTP/2 would be refused by an HTTP/1 connection otherwise.
    parts.version = Version::HTTP_11;
    // Whatever the server side has left there (a pending upgrade) concerns this connection.
    parts.extensions.clear();
    let takes_trailers = has_token(&parts.headers, &header::TE, "trailers");
    strip(&mut parts.headers);
    if takes_trailers {
        parts.headers.insert(header::TE, HeaderValue::from_static("trailers"));
        // RFC 9110 §10.1.4: who says it in HTTP/1.1 says of what it is.
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    let theirs: Vec<HeaderName> = parts.headers.keys().filter(|name| is_ours(name)).cloned().collect();
    for name in theirs {
        parts.headers.remove(name);
    }
    join_cookies(&mut parts.headers);
    trace::pass(&mut parts.headers, &request_id);
    let request_id = HeaderValue::try_from(request_id).map_err(|_| Reason::RequestMalformed)?;
    for (name, value) in [
        (header::HOST, host.clone()),
        (X_FORWARDED_HOST, host),
        (X_FORWARDED_PROTO, HeaderValue::from_static("https")),
        (X_FORWARDED_FOR, asker.source.clone()),
        (header::FORWARDED, forwarded),
        (X_REQUEST_ID, request_id),
        (X_USER, asker.user.clone()),
        (X_DEVICE, asker.device.clone()),
    ] {
        parts.headers.insert(name, value);
    }
    Ok(())
}

/// Makes the response one for the client.
pub fn to_client(headers: &mut HeaderMap) {
    // Of two lengths the chunks are true (RFC 9112 §6.3); the other must not reach anybody.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    strip(headers);
    // Where a service is reached is for us to say: what it says itself would lead around the address that was leased.
    headers.remove(header::ALT_SVC);
}

/// A piece of a body: of trailers, those fields stay out that are `barred`.
pub fn trailing(frame: Frame<Bytes>, barred: impl Fn(&HeaderName) -> bool) -> Frame<Bytes> {
    if !frame.is_trailers() {
        return frame;
    }
    let mut fields = frame.into_trailers().unwrap_or_default();
    let gone: Vec<HeaderName> = fields.keys().filter(|name| barred(name)).cloned().collect();
    for name in gone {
        fields.remove(name);
    }
    Frame::trailers(fields)
}

/// Whether a field is one that we alone say.
pub fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str();
    OURS.contains(&name) || OURS_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// HTTP/2 may carry cookies as many fields; HTTP/1 has one (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let all: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Joined values of header fields with a legal separator are one again.
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Removes hop-by-hop fields and whatever `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

/// RFC 7239: a host with a port needs quotes.
fn forwarded(asker: &Asker, host: &str) -> Result<HeaderValue, Reason> {
    let mut value = String::with_capacity(asker.forwarded_for.len() + host.len() + 20);
    value.push_str(&asker.forwarded_for);
    value.push_str(";host=\"");
    value.extend(host.chars().filter(|c| !matches!(c, '"' | '\\')));
    value.push_str("\";proto=https");
    HeaderValue::try_from(value).map_err(|_| Reason::RequestMalformed)
}

#[cfg(test)]
mod tests;
