//! The protocol that a handshake agreed on: HTTP/1.1 of our own, or hyper's HTTP/2, with every limit set.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use defense::Reason;
use http::{Request, Response};
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::bounds::{
    H2_CONNECTION_WINDOW, H2_LOCAL_RESETS_MAX, H2_PENDING_RESETS_MAX, H2_SEND_BUFFER, H2_STREAM_WINDOW,
    H2_STREAMS_MAX, HEAD_BYTES_MAX,
};
use crate::h1::date::{Date, date};
use crate::h1::feed::Incoming;
use crate::h1::server::{Answering, Connection, Desk};
use crate::http::{Dropped, Reply, Visit, handle};
use crate::pulse::Pulse;
use crate::tcp::guarded::Guarded;
use crate::tcp::metered::Metered;

type Stream = Metered<TlsStream<TcpStream>>;

/// A connection that is served as long as it is polled.
pub(super) trait Speaks: Send {
    /// Ready at its end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Takes no request after those under way.
    fn graceful_shutdown(&mut self);

    /// Asks the client to go elsewhere, and turns away none of its requests that may be on the way.
    fn drain(&mut self);
}

/// Boxed: most connections wait, and each of a kind needs only the memory of that kind.
pub(super) fn speaks(tls: TlsStream<TcpStream>, visit: Arc<Visit>, pulse: &Arc<Pulse>) -> Box<dyn Speaks> {
    let is_h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let (purse, clock) = (Arc::clone(&visit.purse), visit.gate.clock.clone());
    let (stream, desk) = (Metered::new(tls, Arc::clone(pulse), purse, clock), Visited(visit));
    if is_h2 {
        let stream = Guarded::new(stream, Arc::clone(pulse));
        return Box::new(Http2(http2().serve_connection(TokioIo::new(stream), desk)));
    }
    pulse.time_heads();
    Box::new(Http1::Asked(Connection::new(stream, desk, Arc::clone(pulse))))
}

/// Answers whatever the connection carries.
struct Visited(Arc<Visit>);

impl Desk for Visited {
    type Body = Reply;

    fn answer(&self, request: Request<Incoming>) -> Answering<Reply> {
        Box::pin(handle(Arc::clone(&self.0), request))
    }

    fn refuse(&self, reason: Reason) -> Response<Reply> {
        self.0.refuse(reason)
    }

    fn date(&self) -> Date {
        date(self.0.gate.clock.now())
    }
}

impl Service<Request<hyper::body::Incoming>> for Visited {
    type Response = Response<Reply>;
    type Error = Dropped;
    type Future = Answering<Reply>;

    fn call(&self, request: Request<hyper::body::Incoming>) -> Answering<Reply> {
        Box::pin(handle(Arc::clone(&self.0), request))
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "it is boxed, and most are of the large kind for all their life"
)]
enum Http1 {
    Asked(Connection<Stream, Visited>),
    /// The bytes are another protocol's.
    Switched(Pin<Box<dyn Future<Output = ()> + Send>>),
    Over,
}

impl Speaks for Http1 {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self {
                Self::Asked(connection) => ready!(connection.poll(cx)),
                Self::Switched(bridge) => return bridge.as_mut().poll(cx),
                Self::Over => return Poll::Ready(()),
            }
            let Self::Asked(connection) = std::mem::replace(self, Self::Over) else { continue };
            if let Some((stream, Reply::Switched(bridge))) = connection.into_switched() {
                *self = Self::Switched(Box::pin(bridge.run(stream)));
            }
        }
    }

    fn graceful_shutdown(&mut self) {
        match self {
            Self::Asked(connection) => connection.graceful_shutdown(),
            // Whoever talks has until the limit.
            Self::Switched(_) | Self::Over => {}
        }
    }

    fn drain(&mut self) {
        match self {
            Self::Asked(connection) => connection.drain(),
            Self::Switched(_) | Self::Over => {}
        }
    }
}

struct Http2(http2::Connection<TokioIo<Guarded<Stream>>, Visited, TokioExecutor>);

impl Speaks for Http2 {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }

    fn graceful_shutdown(&mut self) {
        Pin::new(&mut self.0).graceful_shutdown();
    }

    /// Two GOAWAYs: the last stream is named only when the client has acknowledged the first.
    fn drain(&mut self) {
        self.graceful_shutdown();
    }
}

/// Library defaults leave connections open for ever. The pulse keeps the time of idleness.
fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(H2_STREAMS_MAX)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(H2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(H2_LOCAL_RESETS_MAX);
    builder
}
