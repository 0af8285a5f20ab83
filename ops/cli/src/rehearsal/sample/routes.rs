//! What each path of the sample service answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};

use super::super::bounds::{
    DRIP_CHUNK_BYTES, DRIP_PAUSE, DRIP_SECONDS_MAX, SAMPLE_BYTES_MAX, SAMPLE_DIGEST_BYTES_MAX,
    SAMPLE_DIGESTS_KEPT, SAMPLE_ECHO_BYTES_MAX,
};
use super::super::stream::{Stream, sha256};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Digests that were computed already: each costs up to a second.
#[derive(Debug, Default)]
pub(super) struct Digests(Mutex<BTreeMap<u64, String>>);

impl Digests {
    async fn of(&self, length: u64) -> Option<String> {
        if length > SAMPLE_DIGEST_BYTES_MAX {
            return None;
        }
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&length).cloned();
        if known.is_some() {
            return known;
        }
        let digest = tokio::task::spawn_blocking(move || sha256(length)).await.ok()?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= SAMPLE_DIGESTS_KEPT {
            kept.pop_first();
        }
        kept.insert(length, digest.clone());
        Some(digest)
    }
}

pub(super) async fn answer(request: Request<Incoming>, digests: &Digests) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match (reads, path.as_str()) {
        (true, "/") => text(StatusCode::OK, "text/html; charset=utf-8", page(request.headers())),
        (true, "/hello") => text(StatusCode::OK, "text/plain; charset=utf-8", hello(request.headers())),
        (true, "/drip") => drip(request.uri().query().unwrap_or_default()),
        (false, "/echo") if request.method() == Method::POST => echo(request),
        (true, path) => match (number(path, "/bytes/"), number(path, "/sha256/")) {
            (Some(length), _) if length <= SAMPLE_BYTES_MAX => bytes(length, digests.of(length).await),
            (_, Some(length)) => match digests.of(length).await {
                Some(digest) => text(StatusCode::OK, "text/plain", format!("{digest}\n")),
                None => text(StatusCode::BAD_REQUEST, "text/plain", "at most 268435456\n".to_owned()),
            },
            (Some(_), _) => text(StatusCode::BAD_REQUEST, "text/plain", "at most 1073741824\n".to_owned()),
            (None, None) => text(StatusCode::NOT_FOUND, "text/plain", "there is no such page\n".to_owned()),
        },
        (false, _) => text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "not that way\n".to_owned()),
    }
}

fn number(path: &str, prefix: &str) -> Option<u64> {
    path.strip_prefix(prefix)?.parse().ok()
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

fn said<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("nobody that the gateway named")
}

fn hello(headers: &HeaderMap) -> String {
    format!("hello {}\n", said(headers, "x-wandergate-user"))
}

fn page(headers: &HeaderMap) -> String {
    let shown = |name| escaped(said(headers, name));
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Wandergate sample</title>\n\
         <h1>You are {}</h1>\n<p>Device {}, asking for {}.</p>\n\
         <p>This service listens on loopback only. The gateway brought you here, and told it who you are.</p>\n</html>\n",
        shown("x-wandergate-user"),
        shown("x-wandergate-device"),
        shown("x-forwarded-host"),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn bytes(length: u64, digest: Option<String>) -> Response<Body> {
    let frames = futures_util::stream::iter(Stream::new(length)).map(|chunk| Ok(Frame::data(chunk)));
    let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, length.into());
    if let Some(digest) = digest.and_then(|digest| digest.parse().ok()) {
        headers.insert("x-sha256", digest);
    }
    response
}

/// Bytes of a whole `/drip`.
pub fn drip_bytes(seconds: u32) -> u64 {
    chunks(seconds) * DRIP_CHUNK_BYTES as u64
}

fn chunks(seconds: u32) -> u64 {
    u64::from(seconds) * 1000 / DRIP_PAUSE.as_millis() as u64
}

fn drip(query: &str) -> Response<Body> {
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("seconds="));
    let seconds = asked.map_or(Some(60), |text| text.parse().ok());
    let Some(seconds) = seconds.filter(|seconds| (1..=DRIP_SECONDS_MAX).contains(seconds)) else {
        return text(StatusCode::BAD_REQUEST, "text/plain", "seconds=1 to 3600\n".to_owned());
    };
    let frames = futures_util::stream::unfold(0, move |chunk| async move {
        if chunk >= chunks(seconds) {
            return None;
        }
        if chunk > 0 {
            tokio::time::sleep(DRIP_PAUSE).await;
        }
        Some((Ok(Frame::data(Bytes::from(vec![b'.'; DRIP_CHUNK_BYTES]))), chunk + 1))
    });
    let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(CONTENT_LENGTH, drip_bytes(seconds).into());
    response
}

fn echo(request: Request<Incoming>) -> Response<Body> {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let mut response = Response::new(Limited::new(request.into_body(), SAMPLE_ECHO_BYTES_MAX).boxed_unsync());
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_is_four_chunks_a_second_and_says_its_length() {
        assert_eq!(drip_bytes(60), 240 * 1024);
        assert_eq!(drip("seconds=2").headers()[CONTENT_LENGTH], "8192");
        assert_eq!(drip("").headers()[CONTENT_LENGTH], drip_bytes(60).to_string());
        for bad in ["seconds=0", "seconds=3601", "seconds=x", "seconds=-1"] {
            assert_eq!(drip(bad).status(), StatusCode::BAD_REQUEST, "{bad}");
        }
        assert_eq!(drip("seconds=3600").status(), StatusCode::OK);
    }

    #[test]
    fn a_page_shows_names_as_text_and_never_as_markup() {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-wandergate-user"),
            http::HeaderValue::from_static("<b>alice</b>"),
        )]);
        assert!(page(&headers).contains("You are &lt;b&gt;alice"));
        assert!(!page(&headers).contains("<b>"));
    }

    #[tokio::test]
    async fn a_digest_is_given_up_to_its_limit_and_remembered_within_bounds() {
        let digests = Digests::default();
        assert_eq!(digests.of(SAMPLE_DIGEST_BYTES_MAX + 1).await, None);
        for length in 0..2 * SAMPLE_DIGESTS_KEPT as u64 {
            assert_eq!(digests.of(length).await, Some(sha256(length)));
        }
        assert_eq!(digests.0.lock().unwrap().len(), SAMPLE_DIGESTS_KEPT);
    }
}
