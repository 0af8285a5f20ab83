//! Which header fields pass. Pure.

use std::fmt::Write as _;
use std::net::IpAddr;

use defense::Reason;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Uri, Version};

use crate::bounds::URI_BYTES_MAX;

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
/// What a client may not say of itself: we say it.
const OURS: [&str; 10] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "x-wandergate-device",
    "x-wandergate-service",
    "x-wandergate-user",
];

/// Who asks, for the service's eyes.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub source: IpAddr,
    pub user: &'a str,
    pub device: &'a str,
    pub request_id: &'a str,
}

/// Whether the request is one that is forwarded at all.
///
/// # Errors
/// Its method or target is refused.
pub fn check(parts: &Parts) -> Result<(), Reason> {
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(Reason::MethodRefused);
    }
    let target = parts.uri.path_and_query().map_or(0, |p| p.as_str().len());
    if target > URI_BYTES_MAX {
        return Err(Reason::UriTooLong);
    }
    let hosts = parts.headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.uri.authority().is_none()) {
        return Err(Reason::RequestMalformed);
    }
    Ok(())
}

/// The host that the request names: `:authority` first, as HTTP/2 and absolute targets have it.
pub fn host(parts: &Parts) -> Option<&str> {
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    authority.or_else(|| parts.headers.get(header::HOST)?.to_str().ok())
}

/// Makes the request one for the service: HTTP/1.1, origin form, our own fields in place of the client's.
///
/// # Errors
/// The host is not one that a header can carry.
pub fn to_service(parts: &mut Parts, asker: &Asker<'_>) -> Result<(), Reason> {
    let host = host(parts).unwrap_or_default().to_owned();
    let host_value = HeaderValue::from_str(&host).map_err(|_| Reason::RequestMalformed)?;
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    parts.uri = target.parse::<Uri>().map_err(|_| Reason::RequestMalformed)?;
    // A request that came as HTTP/2 would be refused by an HTTP/1 connection otherwise.
    parts.version = Version::HTTP_11;
    strip(&mut parts.headers);
    for name in OURS {
        parts.headers.remove(name);
    }
    let mut set =
        |name: &'static str, value: HeaderValue| parts.headers.insert(HeaderName::from_static(name), value);
    set("host", host_value.clone());
    set("x-forwarded-host", host_value);
    set("x-forwarded-proto", HeaderValue::from_static("https"));
    for (name, value) in [
        ("x-forwarded-for", asker.source.to_string()),
        ("forwarded", forwarded(asker.source, &host)),
        ("x-request-id", asker.request_id.to_owned()),
        ("x-wandergate-user", asker.user.to_owned()),
        ("x-wandergate-device", asker.device.to_owned()),
    ] {
        set(name, HeaderValue::from_str(&value).map_err(|_| Reason::RequestMalformed)?);
    }
    Ok(())
}

/// Makes the response one for the client.
pub fn to_client(headers: &mut HeaderMap) {
    strip(headers);
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

/// RFC 7239: an IPv6 address and a host with a port need quotes.
fn forwarded(source: IpAddr, host: &str) -> String {
    let mut value = match source {
        IpAddr::V4(a) => format!("for={a}"),
        IpAddr::V6(a) => format!("for=\"[{a}]\""),
    };
    // Writing to a String can't fail.
    let _ = write!(value, ";host=\"{}\";proto=https", host.replace(['"', '\\'], ""));
    value
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const ASKER: Asker<'_> = Asker {
        source: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        user: "alice",
        device: "laptop",
        request_id: "00ff",
    };

    fn parts(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn what_a_client_says_of_itself_is_replaced_by_what_we_know() {
        let mut parts = parts(
            Request::get("/a?b=c")
                .header("Host", "x.example")
                .header("X-Forwarded-For", "9.9.9.9")
                .header("X-Wandergate-User", "root")
                .header("X-Wandergate-User", "admin")
                .header("Forwarded", "for=9.9.9.9"),
        );
        to_service(&mut parts, &ASKER).unwrap();
        assert_eq!(parts.headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(parts.headers.get_all("x-wandergate-user").iter().collect::<Vec<_>>(), ["alice"]);
        assert_eq!(parts.headers["forwarded"], "for=127.0.0.1;host=\"x.example\";proto=https");
        assert_eq!((parts.uri.to_string().as_str(), parts.version), ("/a?b=c", Version::HTTP_11));
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_names_go_no_further() {
        let mut parts = parts(
            Request::get("/")
                .header("Host", "x")
                .header("Connection", "keep-alive, X-Secret-Hop")
                .header("X-Secret-Hop", "1")
                .header("Keep-Alive", "timeout=5")
                .header("TE", "trailers")
                .header("Upgrade", "h2c")
                .header("X-Stays", "1"),
        );
        to_service(&mut parts, &ASKER).unwrap();
        for gone in ["connection", "x-secret-hop", "keep-alive", "te", "upgrade"] {
            assert!(!parts.headers.contains_key(gone), "{gone}");
        }
        assert_eq!(parts.headers["x-stays"], "1");
    }

    #[test]
    fn methods_hosts_and_targets_that_are_not_forwarded_are_refused() {
        let get = || Request::get("/").header("Host", "x");
        assert_eq!(check(&parts(get())), Ok(()));
        assert_eq!(check(&parts(get().method("TRACE"))), Err(Reason::MethodRefused));
        assert_eq!(
            check(&parts(Request::builder().method("CONNECT").uri("x:1"))),
            Err(Reason::MethodRefused)
        );
        assert_eq!(check(&parts(Request::get("/"))), Err(Reason::RequestMalformed));
        assert_eq!(check(&parts(get().header("Host", "y"))), Err(Reason::RequestMalformed));
        let longest = format!("/{}", "a".repeat(URI_BYTES_MAX - 1));
        assert_eq!(check(&parts(get().uri(longest.as_str()))), Ok(()));
        assert_eq!(check(&parts(get().uri(format!("{longest}a")))), Err(Reason::UriTooLong));
    }
}
