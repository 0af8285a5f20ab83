//! What every request passes: who asks, under which host name, and what every answer carries.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use defense::Reason;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::net::{IpAddr, SocketAddr};
use uuid::Uuid;

use super::problem::Problem;
use super::token::Token;
use crate::bounds::{REQUEST_ID_CHARS_MAX, REQUEST_WAIT};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How a connection came in, and so what it still has to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// The kernel told who it is; others were turned away when they connected.
    Local { uid: u32 },
    /// Anybody on this machine, a browser on a foreign page too: needs the token and a loopback host name.
    Loopback { here: SocketAddr },
}

impl Credential {
    /// Who the audit names.
    pub(super) fn actor(self) -> String {
        match self {
            Self::Local { uid } => format!("ops:uid-{uid}"),
            Self::Loopback { .. } => "ops:token".to_owned(),
        }
    }
}

/// The outermost layer.
pub(super) async fn guard(State(token): State<Option<Token>>, request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let credential = request.extensions().get::<Credential>().copied();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let response = match admit(credential, request.headers(), token.as_ref()) {
        Err(problem) => problem.into_response(),
        Ok(()) => match tokio::time::timeout(REQUEST_WAIT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::from(Reason::Overload).into_response(),
        },
    };
    let who = credential.map(Credential::actor).unwrap_or_default();
    tracing::debug!(event = "ops.request", %method, path, status = response.status().as_u16(), who, id);
    finished(response, &id)
}

fn admit(credential: Option<Credential>, headers: &HeaderMap, token: Option<&Token>) -> Result<(), Problem> {
    match credential {
        Some(Credential::Local { .. }) => Ok(()),
        Some(Credential::Loopback { here }) => {
            own_host(headers, here)?;
            bearer(headers, token)
        }
        None => Err(Reason::NotAuthorized.into()),
    }
}

/// Against DNS rebinding: a page of elsewhere reaches loopback under its own name only.
fn own_host(headers: &HeaderMap, here: SocketAddr) -> Result<(), Problem> {
    let host = headers.get(HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !is_own(host, here) {
        return Err(Problem::new(
            Reason::HostMismatch,
            "This listener is loopback: use its address, or localhost.",
        ));
    }
    match headers.get(ORIGIN) {
        None => Ok(()),
        Some(origin) => {
            let host = origin.to_str().ok().and_then(|o| o.strip_prefix("http://"));
            let own = host.is_some_and(|host| is_own(host, here));
            own.then_some(())
                .ok_or_else(|| Problem::new(Reason::HostMismatch, "The request's origin is foreign."))
        }
    }
}

/// `localhost` or a loopback address, with this listener's port.
fn is_own(host: &str, here: SocketAddr) -> bool {
    let Some((name, port)) = host.rsplit_once(':') else { return false };
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    let loopback = bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    port.parse() == Ok(here.port()) && (loopback || name.eq_ignore_ascii_case("localhost"))
}

fn bearer(headers: &HeaderMap, token: Option<&Token>) -> Result<(), Problem> {
    let sent = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let secret = sent.and_then(|v| {
        let (scheme, secret) = v.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(secret)
    });
    match (secret, token) {
        (Some(secret), Some(token)) if token.matches(secret) => Ok(()),
        (Some(_) | None, Some(_) | None) => Err(Reason::NotAuthorized.into()),
    }
}

/// The client's own id if it is a plain word, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|v| v.to_str().ok());
    let plain = |id: &&str| {
        let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(sound)
    };
    given.filter(plain).map_or_else(|| format!("req_{}", Uuid::new_v4().simple()), str::to_owned)
}

fn finished(mut response: Response, id: &str) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem.finish(id, response);
    }
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"wandergate\""));
    }
    debug_assert!(status.is_success() || headers.contains_key(CONTENT_TYPE), "every refusal is a problem");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_with_the_own_port_are_own() {
        let here = "127.0.0.1:7780".parse().unwrap();
        for own in ["127.0.0.1:7780", "localhost:7780", "LOCALHOST:7780", "[::1]:7780", "127.9.9.9:7780"] {
            assert!(is_own(own, here), "{own}");
        }
        for foreign in
            ["", "localhost", "localhost:80", "evil.example:7780", "10.0.0.1:7780", "127.0.0.1.evil:7780"]
        {
            assert!(!is_own(foreign, here), "{foreign}");
        }
    }

    #[test]
    fn a_request_id_is_taken_over_only_when_it_is_a_plain_word() {
        let with = |id: &str| HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(id).unwrap())]);
        assert_eq!(request_id(&with("abc-1_2.3")), "abc-1_2.3");
        assert_eq!(request_id(&with(&"a".repeat(REQUEST_ID_CHARS_MAX))).len(), REQUEST_ID_CHARS_MAX);
        for bad in ["", "a b", "a\"b", &"a".repeat(REQUEST_ID_CHARS_MAX + 1)] {
            assert!(request_id(&with(bad)).starts_with("req_"), "{bad}");
        }
    }
}
