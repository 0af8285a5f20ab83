//! Errors on the wire: RFC 9457 problem details, with a code, what, why and the fix.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use defense::Reason;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use state::{CommitError, Refusal};
use utoipa::ToSchema;

/// A refusal on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    reason: Reason,
    detail: String,
}

/// `application/problem+json`
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemView {
    /// Stable for one kind of problem.
    r#type: String,
    /// What happened, of this kind.
    title: &'static str,
    status: u16,
    /// `W-7101`
    code: &'static str,
    /// `unknown_user`
    reason: &'static str,
    /// What happened, exactly.
    detail: String,
    why: &'static str,
    fix: &'static str,
    /// The request's id.
    instance: String,
    /// Whether the same request may succeed later.
    retryable: bool,
}

impl Problem {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// The whole answer, once the request's id is known.
    pub(super) fn finish(self, instance: &str, mut head: Response) -> Response {
        // A struct of strings and numbers always serializes.
        let body = serde_json::to_vec(&self.view(instance)).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        head.headers_mut().insert(header::CONTENT_TYPE, kind);
        head.headers_mut().remove(header::CONTENT_LENGTH);
        head.map(|_| Body::from(body))
    }

    fn view(self, instance: &str) -> ProblemView {
        let reason = self.reason;
        let status = reason.http_status();
        ProblemView {
            r#type: format!("https://docs.wandergate.dev/e/{}", reason.code()),
            title: reason.what(),
            status,
            code: reason.code(),
            reason: reason.name(),
            detail: self.detail,
            why: reason.why(),
            fix: reason.fix(),
            instance: instance.to_owned(),
            retryable: matches!(status, 408 | 429 | 502..=504),
        }
    }
}

impl From<Reason> for Problem {
    fn from(reason: Reason) -> Self {
        Self::new(reason, reason.what())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.reason, refusal.detail)
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Refused(refusal) => refusal.into(),
            CommitError::Store(why) => {
                tracing::error!(event = "ops.store_failed", why);
                Reason::StoreUnreachable.into()
            }
        }
    }
}

/// A head only: the guard adds the body, for it knows the request's id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.reason.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
