//! Answers: JSON, pages, problems; and how a verdict of the defense is carried out here.

use axum::body::Body;
use axum::response::Response;
use defense::{Finding, Verdict};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use state::Refusal;

use super::Hangup;
use crate::desk::Denied;
use crate::page;
use crate::problem::{MEDIA_TYPE, Problem};

/// Whom an answer is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    Json,
    Page,
}

pub(super) fn answer<T>(face: Face, judged: Result<T, Denied>, good: impl FnOnce(T) -> Response) -> Response {
    match judged {
        Ok(value) => good(value),
        Err(Denied::Refused(refused, request)) => refusal(face, &refused, Some(request)),
        Err(Denied::Shed(finding, request)) => shed(face, &finding, request),
    }
}

pub(super) fn json(status: u16, value: &impl Serialize) -> Response {
    body(status, "application/json", serde_json::to_string(value).unwrap_or_default())
}

pub(super) fn page(status: u16, html: String) -> Response {
    body(status, "text/html; charset=utf-8", html)
}

pub(super) fn refusal(face: Face, refusal: &Refusal, request: Option<u128>) -> Response {
    problem(face, &Problem::new(refusal, request))
}

/// A refusal of a request that was not judged.
pub(super) fn plain_refusal(refused: &Refusal) -> Response {
    refusal(Face::Json, refused, None)
}

/// Reject is 429 with the time to wait, reauth 401, drop a closed connection.
fn shed(face: Face, finding: &Finding, request: u128) -> Response {
    let mut told = Problem::new(&finding.reason.into(), Some(request));
    match finding.verdict {
        Verdict::Drop => {
            let mut answer = Response::default();
            answer.extensions_mut().insert(Hangup);
            answer
        }
        Verdict::Reauth => {
            told.status = StatusCode::UNAUTHORIZED.as_u16();
            let mut answer = problem(face, &told);
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Wandergate"));
            answer
        }
        // A verdict that proceeds never comes here; were it to, waiting is the answer that harms nobody.
        Verdict::Reject | Verdict::Pass | Verdict::Delay { .. } => {
            told.status = StatusCode::TOO_MANY_REQUESTS.as_u16();
            let mut answer = problem(face, &told);
            let wait = HeaderValue::from(finding.retry_after_s().unwrap_or(1));
            answer.headers_mut().insert(header::RETRY_AFTER, wait);
            answer
        }
    }
}

fn problem(face: Face, problem: &Problem) -> Response {
    match face {
        Face::Json => body(problem.status, MEDIA_TYPE, serde_json::to_string(problem).unwrap_or_default()),
        Face::Page => page(problem.status, page::refused(problem)),
    }
}

fn body(status: u16, kind: &'static str, text: String) -> Response {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// The headers that every answer carries.
pub(super) fn strict(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(policy) = HeaderValue::from_str(&page::POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}
