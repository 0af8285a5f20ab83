//! WebSocket: a request that becomes a pair of byte streams, once the service agrees and not a byte before.
//!
//! | the client's transport | how it asks | who carries the bytes |
//! | --- | --- | --- |
//! | HTTP/1.1 | `Upgrade: websocket` (RFC 6455 §4.1) | the connection's own shell: the 101 comes with [`Reply::Switched`](super::Reply) |
//! | HTTP/2 | extended CONNECT (RFC 8441) | a task of its own, on the stream that hyper hands over |
//! | HTTP/3 | extended CONNECT (RFC 9220) | the shell, as with HTTP/1.1 |
//!
//! The service sees an HTTP/1.1 upgrade each time. No other protocol is switched to: `h2c` would carry requests past
//! every check, and of the rest no browser asks. Such a wish is no error: the field is hop-by-hop, and the request goes
//! on without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::BASE64;
use defense::{Passed, Reason};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ring::digest;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

use super::Visit;
use super::trail::{End, Trail};
use crate::bounds::{UPGRADED_BUFFER, UPGRADED_IDLE_MAX, UPGRADED_PARTING_MAX};
use crate::pulse::Underway;
use crate::upstream::Line;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("Upgrade");
const KEY: HeaderName = header::SEC_WEBSOCKET_KEY;
const ACCEPT: HeaderName = header::SEC_WEBSOCKET_ACCEPT;
/// RFC 6455 §1.3.
const ACCEPT_SALT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Put into the extensions of an HTTP/1.1 request that has an `Upgrade` field by a shell that can switch: one that runs
/// the bridge of a [`Reply::Switched`](super::Reply) after a 101's head. Without it, there is no wish.
#[derive(Clone, Copy, Debug)]
pub struct CanSwitch;

/// What a client wants its request to become.
pub(super) enum Wish {
    /// The shell has the client's bytes, and switches at a 101.
    Upgrade,
    /// The stream itself becomes the byte stream, at a 200. hyper hands it over; other shells have it already.
    Connect { key: HeaderValue, stream: Option<OnUpgrade> },
}

/// Takes the wish out of a request. `random` becomes the key of a handshake that HTTP/2 and 3 do without.
///
/// # Errors
/// An extended CONNECT for another protocol than WebSocket.
pub(super) fn wish(
    parts: &mut Parts,
    has_body: bool,
    random: impl FnOnce() -> u128,
) -> Result<Option<Wish>, Reason> {
    if let Some(protocol) = parts.extensions.remove::<Protocol>() {
        if parts.method != Method::CONNECT || !protocol.as_ref().eq_ignore_ascii_case(b"websocket") {
            return Err(Reason::MethodRefused);
        }
        let key = BASE64.encode(&random().to_be_bytes());
        let key = HeaderValue::from_str(&key).map_err(|_| Reason::InternalError)?;
        parts.method = Method::GET;
        return Ok(Some(Wish::Connect { key, stream: parts.extensions.remove() }));
    }
    let asks = parts.extensions.remove::<CanSwitch>().is_some()
        && parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && !has_body
        && has_token(&parts.headers, &header::CONNECTION, "upgrade")
        && is_websocket(&parts.headers);
    Ok(asks.then_some(Wish::Upgrade))
}

impl Wish {
    /// Adds to a request for the service what makes it an upgrade. After the hop-by-hop fields were removed.
    pub(super) fn to_service(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONNECTION, UPGRADE);
        headers.insert(header::UPGRADE, WEBSOCKET);
        // Bytes have no trailers.
        headers.remove(header::TE);
        if let Self::Connect { key, .. } = self {
            headers.insert(KEY, key.clone());
        }
    }

    /// Whether the service did what was asked for, judged by its head as it came.
    ///
    /// # Errors
    /// `upstream_closed`: it says that it switches, but to something else; or that a WebSocket which it never opened is
    /// one (any 2xx would tell an HTTP/2 client so).
    pub(super) fn is_granted(&self, status: StatusCode, headers: &HeaderMap) -> Result<bool, Reason> {
        let switches = status == StatusCode::SWITCHING_PROTOCOLS;
        let is_sound = match self {
            Self::Upgrade => !switches || is_websocket(headers),
            Self::Connect { key, .. } if switches => {
                let accept = headers.get(ACCEPT).map(HeaderValue::as_bytes);
                is_websocket(headers) && accept == Some(accept_of(key).as_bytes())
            }
            Self::Connect { .. } => !status.is_success(),
        };
        is_sound.then_some(switches).ok_or(Reason::UpstreamClosed)
    }

    /// The client's stream, where hyper hands it over.
    pub(super) fn into_stream(self) -> Option<OnUpgrade> {
        match self {
            Self::Upgrade => None,
            Self::Connect { stream, .. } => stream,
        }
    }

    /// Makes the service's 101 the answer that the client's transport has for it. After the hop-by-hop fields were removed.
    pub(super) fn to_client<B>(&self, response: &mut Response<B>) {
        match self {
            Self::Upgrade => {
                response.headers_mut().insert(header::CONNECTION, UPGRADE);
                response.headers_mut().insert(header::UPGRADE, WEBSOCKET);
            }
            Self::Connect { .. } => {
                *response.status_mut() = StatusCode::OK;
                response.headers_mut().remove(ACCEPT);
            }
        }
    }
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(header::UPGRADE).iter();
    let only = (all.next(), all.next());
    matches!(only, (Some(protocol), None) if protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// RFC 6455 §4.2.2: what proves that the far side speaks WebSocket and read this very key.
fn accept_of(key: &HeaderValue) -> String {
    let mut sha1 = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key.as_bytes());
    sha1.update(ACCEPT_SALT);
    BASE64.encode(sha1.finish().as_ref())
}

/// An upgraded request, whose service waits for the client's bytes. Dropped before its end, it counts as abandoned.
pub struct Bridge {
    line: Line,
    passed: Passed,
    visit: Arc<Visit>,
    _underway: Underway,
    trail: Trail,
}

impl Bridge {
    pub(super) fn new(
        line: Line,
        passed: Passed,
        visit: Arc<Visit>,
        mut underway: Underway,
        trail: Trail,
    ) -> Self {
        // It was answered: whoever leaves now withdraws nothing.
        underway.answered();
        Self { line, passed, visit, _underway: underway, trail }
    }

    /// Carries bytes both ways until both sides have closed, one is silent for too long after the other has, or nothing
    /// moves for [`UPGRADED_IDLE_MAX`]. `client` gives what came after the request's head, and takes what follows the
    /// answer's; the head has to be written before.
    pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(self, client: S) {
        let Self { line, passed, visit, _underway, trail } = self;
        let flow = Flow::new(Instant::now());
        let (from_client, to_client) = tokio::io::split(client);
        let (from_service, to_service) = tokio::io::split(line);
        let both = async {
            tokio::join!(
                flow.carry(from_client, to_service, &flow.bytes_in),
                flow.carry(from_service, to_client, &flow.bytes_out),
            );
        };
        tokio::select! {
            () = both => {}
            () = flow.silence() => {}
        }
        let status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
        let (bytes_in, bytes_out) = (flow.bytes_in.into_inner(), flow.bytes_out.into_inner());
        visit.finished(passed, status, bytes_in, bytes_out);
        trail.end(End { status: Some(status), reason: None, bytes_in, bytes_out });
    }

    /// Runs on the stream that hyper hands over once the answer is out.
    pub(super) fn run_on(self, stream: OnUpgrade) {
        tokio::spawn(async move {
            if let Ok(stream) = stream.await {
                self.run(TokioIo::new(stream)).await;
            }
        });
    }
}

/// Two directions, and when either last moved.
struct Flow {
    begun: Instant,
    moved_ms: AtomicU64,
    /// Directions that have ended.
    ended: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Flow {
    fn new(begun: Instant) -> Self {
        let zero = AtomicU64::default;
        Self { begun, moved_ms: zero(), ended: zero(), bytes_in: zero(), bytes_out: zero() }
    }

    /// One direction to its end; an error ends it too.
    async fn carry<R, W>(&self, mut from: R, mut to: W, count: &AtomicU64)
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut buffer = vec![0; UPGRADED_BUFFER];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            if to.write_all(&buffer[..n]).await.is_err() || to.flush().await.is_err() {
                break;
            }
            count.fetch_add(n as u64, Ordering::Relaxed);
            self.touch();
        }
        // The far side may be gone.
        let _ = to.shutdown().await;
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.touch();
    }

    fn touch(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(ms, Ordering::Relaxed);
    }

    /// Resolves when nothing has moved for too long.
    async fn silence(&self) {
        loop {
            let limit = match self.ended.load(Ordering::Relaxed) {
                0 => UPGRADED_IDLE_MAX,
                _ => UPGRADED_PARTING_MAX,
            };
            let moved = self.begun + std::time::Duration::from_millis(self.moved_ms.load(Ordering::Relaxed));
            if moved + limit <= Instant::now() {
                return;
            }
            // A direction that ends shortens the wait; it is looked for often enough.
            sleep_until((moved + limit).min(Instant::now() + UPGRADED_PARTING_MAX)).await;
        }
    }
}

#[cfg(test)]
mod tests;
