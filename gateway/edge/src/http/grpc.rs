//! gRPC, as far as a gateway has to know it: how long its client waits, and how it is told that there is no answer. Pure.
//!
//! Its clients make a code of a bare HTTP status, too, but lose the reason, and take a timeout for something to try again.
//! So a refusal is an answer of their own kind: a head that is its own trailers ("Trailers-Only", gRPC over HTTP/2).

use std::fmt::Write as _;
use std::time::Duration;

use defense::Reason;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version, request};
use http_body_util::Full;

use super::reply::{Refused, Reply};
use crate::bounds::{GRPC_GRACE, RESPONSE_HEAD_MAX, STALL_MAX};
use crate::upstream::Patience;

const CONTENT_TYPE: &str = "application/grpc";
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// Whether a request is a call of gRPC: by HTTP/1.1 there is none.
pub(super) fn is_call(version: Version, headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let rest = kind.strip_prefix(CONTENT_TYPE.as_bytes());
    version >= Version::HTTP_2 && rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// How long a call's first word is waited for: a stream's may come long after its beginning. As its client says, and
/// with [`GRPC_GRACE`], so that of both it is the client who knows first.
pub(super) fn patience(parts: &request::Parts) -> Patience {
    if !is_call(parts.version, &parts.headers) {
        return Patience(RESPONSE_HEAD_MAX);
    }
    let said = parts.headers.get(TIMEOUT).and_then(|value| timeout(value.to_str().ok()?));
    Patience(said.map_or(STALL_MAX, |said| said.saturating_add(GRPC_GRACE).min(STALL_MAX)))
}

/// `1*8DIGIT` and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A refusal of ours in gRPC's words. Whatever a service said stays as it is.
pub(super) fn told(answer: Response<Reply>) -> Response<Reply> {
    let Some(Refused { reason, id }) = answer.extensions().get::<Refused>().copied() else { return answer };
    let mut told = Response::new(Reply::Own(Full::default()));
    let wait_s =
        answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let headers = told.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(STATUS, HeaderValue::from(code(reason)));
    let message = format!("{} ({} {}, req_{id:032x})", reason.what(), reason.code(), reason.name());
    if let Ok(message) = HeaderValue::from_str(&encoded(&message)) {
        headers.insert(MESSAGE, message);
    }
    if let Some(wait_s) = wait_s {
        headers.insert(PUSHBACK_MS, HeaderValue::from(u64::saturating_mul(wait_s, 1000)));
    }
    told
}

/// As gRPC maps HTTP's statuses, but for what that table says less well: a timeout may have been processed and must not look
/// like something to try again, and what is too large is no unknown error.
fn code(reason: Reason) -> u16 {
    match StatusCode::from_u16(reason.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR) {
        StatusCode::BAD_REQUEST | StatusCode::INTERNAL_SERVER_ERROR => INTERNAL,
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => UNIMPLEMENTED,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => DEADLINE_EXCEEDED,
        StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::URI_TOO_LONG
        | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => RESOURCE_EXHAUSTED,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => {
            UNAVAILABLE
        }
        _ => UNKNOWN,
    }
}

const UNKNOWN: u16 = 2;
const DEADLINE_EXCEEDED: u16 = 4;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;
const UNAUTHENTICATED: u16 = 16;

/// Percent-encoded, as gRPC has its messages.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut all, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => all.push(char::from(byte)),
            // Writing to a String can't fail.
            _ => drop(write!(all, "%{byte:02X}")),
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(version: Version, fields: &[(&'static str, &str)]) -> request::Parts {
        let mut request = http::Request::new(());
        *request.version_mut() = version;
        for (name, value) in fields {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request.into_parts().0
    }

    #[test]
    fn a_call_is_known_by_its_kind_and_not_by_what_begins_likewise() {
        let is = |version, kind| {
            let parts = asked(version, &[("content-type", kind)]);
            is_call(parts.version, &parts.headers)
        };
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;x=1"] {
            assert!(is(Version::HTTP_2, kind) && is(Version::HTTP_3, kind) && !is(Version::HTTP_11, kind));
        }
        for kind in ["application/grpc-web", "application/grpcx", "application/json", ""] {
            assert!(!is(Version::HTTP_2, kind), "{kind}");
        }
    }

    #[test]
    fn a_call_is_waited_for_as_long_as_its_client_waits_and_not_for_ever() {
        let of = |text: &str| {
            let kind = ("content-type", "application/grpc");
            patience(&asked(Version::HTTP_2, &[kind, ("grpc-timeout", text)])).0
        };
        assert_eq!(of("20S"), Duration::from_secs(20) + GRPC_GRACE);
        assert_eq!(of("1500m"), Duration::from_millis(1500) + GRPC_GRACE);
        assert_eq!(
            (of("1M"), of("9u"), of("9n")),
            (
                Duration::from_secs(60) + GRPC_GRACE,
                Duration::from_micros(9) + GRPC_GRACE,
                Duration::from_nanos(9) + GRPC_GRACE
            )
        );
        for odd in ["99999999H", "999999999S", "S", "", "-1S", "1.5S", "1s", "1", "\u{e9}"] {
            assert_eq!(of(odd), STALL_MAX, "{odd}");
        }
        let other = asked(Version::HTTP_2, &[("grpc-timeout", "1S")]);
        assert_eq!(patience(&other).0, RESPONSE_HEAD_MAX, "no call of gRPC");
    }

    #[test]
    fn every_refusal_has_a_code_that_says_whether_trying_again_is_safe() {
        for (reason, expected) in [
            (Reason::ServiceUnreachable, UNAVAILABLE),
            (Reason::RateLease, UNAVAILABLE),
            (Reason::Maintenance, UNAVAILABLE),
            (Reason::ServiceTimeout, DEADLINE_EXCEEDED),
            (Reason::BodyTooLarge, RESOURCE_EXHAUSTED),
            (Reason::RequestMalformed, INTERNAL),
            (Reason::MethodRefused, UNIMPLEMENTED),
        ] {
            assert_eq!(code(reason), expected, "{reason}");
        }
        assert!(Reason::ALL.iter().all(|reason| (2..=16).contains(&code(*reason))));
        assert_eq!(encoded("a 100% b\u{e9}\n"), "a 100%25 b%C3%A9%0A");
    }
}
