//! One connection: handshake, requests, end; each within its time.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use defense::Reason;
use http::{HeaderValue, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::bounds::{
    CONNECTION_AGE_MAX, DRAIN_MAX, H2_RESETS_MAX, H2_STREAMS_MAX, HANDSHAKE_TIMEOUT, HEAD_BYTES_MAX,
    HEAD_TIMEOUT, HEADERS_MAX, REQUESTS_PER_CONNECTION_MAX,
};
use crate::desk::Desk;
use crate::http::{Hangup, Source};

/// What all connections share.
pub(super) struct Shell {
    pub(super) desk: Arc<Desk>,
    router: Router,
    acceptor: TlsAcceptor,
    builder: Builder<TokioExecutor>,
}

/// The defense wants no answer given.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
struct NoAnswer;

/// What one connection's requests tell its loop.
#[derive(Default)]
struct Signals {
    served: AtomicU32,
    enough: Notify,
    hangup: Notify,
}

impl Shell {
    pub(super) fn new(desk: Arc<Desk>, router: Router, acceptor: TlsAcceptor) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .half_close(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .max_pending_accept_reset_streams(H2_RESETS_MAX)
            .max_local_error_reset_streams(H2_RESETS_MAX)
            .keep_alive_interval(HEAD_TIMEOUT)
            .keep_alive_timeout(HEAD_TIMEOUT);
        Self { desk, router, acceptor, builder }
    }

    pub(super) async fn serve(&self, stream: TcpStream, source: IpAddr, cancel: CancellationToken) {
        // A connection that does without is a little slower, no more.
        drop(stream.set_nodelay(true));
        match timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.requests(stream, source, cancel).await,
            Ok(Err(_)) => self.desk.note_connection(source, Reason::HandshakeFailed),
            Err(_) => self.desk.note_connection(source, Reason::HandshakeTimeout),
        }
    }

    async fn requests(&self, stream: TlsStream<TcpStream>, source: IpAddr, cancel: CancellationToken) {
        let signals = Arc::new(Signals::default());
        let told = Arc::clone(&signals);
        let router = &self.router;
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let last = told.served.fetch_add(1, Ordering::Relaxed) + 1 >= REQUESTS_PER_CONNECTION_MAX;
            answer(router.clone(), request, source, Arc::clone(&told), last)
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            // Its end, good or bad, is the client's business.
            _ = connection.as_mut() => return,
            () = signals.hangup.notified() => return,
            () = signals.enough.notified() => {}
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(CONNECTION_AGE_MAX) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = timeout(DRAIN_MAX, connection.as_mut()) => {}
            () = signals.hangup.notified() => {}
        }
    }
}

async fn answer(
    router: Router,
    request: hyper::Request<Incoming>,
    source: IpAddr,
    signals: Arc<Signals>,
    last: bool,
) -> Result<Response, NoAnswer> {
    let version = request.version();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Source(source));
    let mut answer = match router.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    if answer.extensions().get::<Hangup>().is_some() {
        signals.hangup.notify_one();
        return Err(NoAnswer);
    }
    if last {
        signals.enough.notify_one();
        if version == Version::HTTP_11 {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    Ok(answer)
}
