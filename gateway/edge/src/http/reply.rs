//! What the client gets: the service's body, watched to its end, or our own refusal as problem+json (RFC 9457).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use defense::{Passed, Reason};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use tokio::time::{Instant, Sleep, sleep_until};

use super::trail::{End, Trail};
use super::upgrade::Bridge;
use super::{Visit, headers};
use crate::h1::body::never_trails;
use crate::pulse::Underway;
use crate::upstream::{Answer, Broken, Sent};

/// A response body.
pub enum Reply {
    Service(Answer, Box<Finish>),
    Own(Full<Bytes>),
    /// There is no body: once the head is written, the connection's shell runs the bridge on the client's bytes.
    Switched(Box<Bridge>),
}

/// A call whose response has begun.
pub(super) struct Call {
    pub(super) passed: Passed,
    pub(super) status: u16,
    pub(super) id: u128,
    pub(super) sent: Sent,
    pub(super) underway: Underway,
    pub(super) trail: Trail,
}

/// What happens when a service's body ends. Dropped before: the call counts as abandoned.
pub struct Finish {
    call: Option<Call>,
    visit: Arc<Visit>,
    bytes: u64,
    limit: Option<Pin<Box<Sleep>>>,
    /// A piece was handed over, and nobody has asked for the next one.
    is_unread: bool,
}

impl Finish {
    /// The answer must have ended by `limit`.
    pub(super) fn new(call: Call, visit: Arc<Visit>, limit: Option<Instant>) -> Self {
        Self {
            call: Some(call),
            visit,
            bytes: 0,
            limit: limit.map(|limit| Box::pin(sleep_until(limit))),
            is_unread: false,
        }
    }

    /// HTTP/2 asks for a piece when its client has a window for it.
    fn read(&mut self, is_unread: bool) {
        if self.is_unread != is_unread && self.visit.pulse.has_windows() {
            self.is_unread = is_unread;
            self.visit.pulse.answer_waits(is_unread);
        }
    }

    fn done(&mut self) {
        if let Some(mut call) = self.call.take() {
            call.underway.answered();
            let bytes_in = call.sent.bytes_in();
            self.visit.finished(call.passed, call.status, bytes_in, self.bytes);
            let status = Some(call.status);
            call.trail.end(End { status, reason: None, bytes_in, bytes_out: self.bytes });
        }
    }

    fn broken(&mut self, reason: Reason) {
        if let Some(mut call) = self.call.take() {
            call.underway.answered();
            self.visit.broken(call.passed, reason, call.id);
            let (status, reason) = (Some(call.status), Some(reason));
            let bytes_in = call.sent.bytes_in();
            call.trail.end(End { status, reason, bytes_in, bytes_out: self.bytes });
        }
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        self.read(false);
    }
}

impl Reply {
    pub(super) fn switched(bridge: Bridge, stream: Option<OnUpgrade>) -> Self {
        match stream {
            Some(stream) => {
                bridge.run_on(stream);
                Self::Own(Full::default())
            }
            None => Self::Switched(Box::new(bridge)),
        }
    }

    pub(super) fn service(body: Answer, finish: Finish) -> Self {
        let mut finish = finish;
        if body.is_end_stream() {
            finish.done();
        }
        Self::Service(body, Box::new(finish))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let (body, finish) = match self.get_mut() {
            Self::Own(body) => return Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Switched(_) => return Poll::Ready(None),
            Self::Service(body, finish) => (body, finish),
        };
        finish.read(false);
        if finish.limit.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready()) {
            finish.broken(Reason::ServiceTimeout);
            return Poll::Ready(Some(Err(Broken)));
        }
        let polled =
            Pin::new(&mut *body).poll_frame(cx).map_ok(|frame| headers::trailing(frame, never_trails));
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                finish.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                match body.is_end_stream() {
                    true => finish.done(),
                    false => finish.read(true),
                }
            }
            Poll::Ready(Some(Err(_))) => finish.broken(Reason::UpstreamClosed),
            Poll::Ready(None) => finish.done(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Service(body, _) => body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
            Self::Switched(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Service(body, _) => body.size_hint(),
            Self::Own(body) => body.size_hint(),
            Self::Switched(_) => SizeHint::default(),
        }
    }
}

/// Put into the extensions of a refusal: what it says, for whoever has to say it otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) reason: Reason,
    pub(super) id: u128,
}

/// A refusal that says what, why and what to do, and the id under which `wandergate why` finds it.
pub(super) fn refusal(reason: Reason, id: u128, retry_after_ms: Option<u64>) -> Response<Reply> {
    let status = StatusCode::from_u16(reason.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    problem(status, reason, id, retry_after_ms)
}

/// Who calls must prove anew who it is. RFC 9110 §15.5.2 wants a challenge: ours names no scheme of HTTP's own, since
/// the proof is a new connection under the private name.
pub(super) fn reauth(reason: Reason, id: u128) -> Response<Reply> {
    let mut response = problem(StatusCode::UNAUTHORIZED, reason, id, None);
    let challenge = HeaderValue::from_static("Wandergate realm=\"private name\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn problem(status: StatusCode, reason: Reason, id: u128, retry_after_ms: Option<u64>) -> Response<Reply> {
    let body = format!(
        "{{\"type\":\"about:blank\",\"title\":\"{}\",\"status\":{},\"code\":\"{}\",\"reason\":\"{}\",\"detail\":\"{}\",\"fix\":\"{}\",\"instance\":\"req_{id:032x}\"}}\n",
        escaped(reason.what()),
        status.as_u16(),
        reason.code(),
        reason.name(),
        escaped(reason.why()),
        escaped(reason.fix()),
    );
    let mut response = Response::new(Reply::Own(Full::new(Bytes::from(body))));
    *response.status_mut() = status;
    response.extensions_mut().insert(Refused { reason, id });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if reason == Reason::MethodRefused {
        headers
            .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    if let Some(ms) = retry_after_ms {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000).max(1)));
    }
    response
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
