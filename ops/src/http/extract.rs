//! What a request says, read strictly: unknown fields are refused, bodies are bounded in size and time.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use defense::Reason;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use state::Name;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::bounds::{BODY_BYTES_MAX, BODY_WAIT, PAGE_DEFAULT, PAGE_MAX};

/// A JSON body; an empty one is `{}`.
pub(super) struct Json<T>(pub(super) T);

/// The query string.
pub(super) struct Ask<T>(pub(super) T);

/// Changes may be tried without being made.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DryRun {
    /// Decide and answer, but change nothing.
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// Nothing may be asked here.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// A page of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Of the page before, as it says in `next`.
    pub(super) after: Option<String>,
    /// Items, 1 to 1000.
    pub(super) limit: Option<usize>,
}

impl Page {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX)
    }

    /// Cuts a sorted list to this page; answers where the next begins.
    pub(super) fn cut<T>(&self, mut all: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
        if let Some(after) = &self.after {
            all.retain(|item| key(item) > *after);
        }
        let more = all.len() > self.limit();
        all.truncate(self.limit());
        let next = more.then(|| all.last().map(&key)).flatten();
        (all, next)
    }
}

/// A name out of a path. One that cannot be a name belongs to nothing.
pub(super) fn name(text: &str, unknown: Reason) -> Result<Name, Problem> {
    text.parse().map_err(|_| Problem::from(unknown))
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Ask<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query
            .map(|q| Self(q.0))
            .map_err(|e| Problem::new(Reason::BodyInvalid, format!("Query: {}.", e.body_text())))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts, body).await?;
        if bytes.is_empty() {
            return decode(b"{}");
        }
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case("application/json")) {
            return Err(Problem::new(Reason::BodyInvalid, "The body has to be application/json."));
        }
        decode(&bytes)
    }
}

async fn read(parts: &Parts, body: Body) -> Result<bytes::Bytes, Problem> {
    let too_large =
        || Problem::new(Reason::BodyTooLarge, format!("At most {BODY_BYTES_MAX} bytes are taken."));
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let collected = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_WAIT, collected).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Reason::RequestMalformed.into()),
        Err(_) => Err(Reason::RequestTimeout.into()),
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Json<T>, Problem> {
    let decoded = serde_json::from_slice(bytes);
    decoded.map(Json).map_err(|e| Problem::new(Reason::BodyInvalid, format!("Body: {e}.")))
}
