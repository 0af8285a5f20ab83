//! An admitted connection's life: requests until the client leaves, or one of the reasons to end it comes.

use std::net::SocketAddr;
use std::sync::Arc;

use defense::{HookPoint, Reason, VerdictKind};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::Established;
use crate::bounds::{
    DRAIN_MAX, H2_CONNECTION_WINDOW, H2_LOCAL_RESETS_MAX, H2_PENDING_RESETS_MAX, H2_SEND_BUFFER,
    H2_STREAM_WINDOW, H2_STREAMS_MAX, HEAD_BYTES_MAX, HEADERS_MAX, LOOK_EVERY, PARTING_MAX,
};
use crate::gate::Gate;
use crate::http::{Visit, handle};
use crate::pulse::{Pulse, Waits};
use crate::tcp::metered::Metered;
use crate::upstream::Upstream;

/// Everything that can wake a connection's loop.
enum Wake {
    /// The client has left or broken the protocol; hyper has answered what can be answered.
    Done,
    /// The grant is gone, or the session is over.
    Seat(Reason),
    /// A verdict to drop, or too many requests withdrawn.
    Cut(Option<Reason>),
    Drain,
    Look,
}

/// Carries requests until the client leaves, the session is over, the grant is gone, or nothing moves any more.
pub(super) async fn serve(
    established: Established,
    gate: &Arc<Gate>,
    upstream: Arc<Upstream>,
    source: SocketAddr,
) {
    let Established { tls, seat, purse, candidate, server_name, pulse } = established;
    let grant = candidate.card.grant;
    let http = builder(&tls);
    if http.is_http1_available() {
        pulse.time_heads();
    }
    let visit = Arc::new(Visit {
        gate: Arc::clone(gate),
        upstream,
        card: candidate.card,
        source,
        server_name,
        pulse: Arc::clone(&pulse),
        purse: Arc::clone(&purse),
    });
    let service = service_fn(|request| handle(Arc::clone(&visit), request));
    let io = TokioIo::new(Metered::new(tls, Arc::clone(&pulse), purse, gate.clock.clone()));
    let mut connection = std::pin::pin!(http.serve_connection(io, service));
    let note = |reason| {
        gate.note(HookPoint::Connection, VerdictKind::Drop, reason, source.ip(), Some(grant), None);
    };
    // Once it is set, the connection takes no new request and ends then at the latest.
    let mut limit: Option<Instant> = None;
    let mut is_cut = false;
    loop {
        let next = limit.map_or_else(
            || pulse.patience().min(LOOK_EVERY),
            |limit| limit.saturating_duration_since(Instant::now()),
        );
        let wake = tokio::select! {
            _ = connection.as_mut() => Wake::Done,
            reason = seat.ended() => Wake::Seat(reason),
            unwritten = pulse.ended(), if !is_cut => Wake::Cut(unwritten),
            () = gate.draining.cancelled(), if limit.is_none() => Wake::Drain,
            () = tokio::time::sleep(next) => Wake::Look,
        };
        let part_within = match wake {
            Wake::Done => return,
            Wake::Seat(reason) => {
                note(reason);
                return pulse.reset_on_close();
            }
            Wake::Cut(unwritten) => {
                unwritten.into_iter().for_each(note);
                is_cut = true;
                PARTING_MAX
            }
            Wake::Drain => DRAIN_MAX,
            Wake::Look => match look(&pulse, limit) {
                Looked::GoOn => continue,
                Looked::Idle => PARTING_MAX,
                Looked::Over => return,
                Looked::Slow => {
                    note(Reason::RequestTimeout);
                    return pulse.reset_on_close();
                }
            },
        };
        let part_by = Instant::now() + part_within;
        connection.as_mut().graceful_shutdown();
        limit = Some(limit.map_or(part_by, |limit| limit.min(part_by)));
    }
}

/// What a look at a connection comes to.
enum Looked {
    GoOn,
    /// Nothing was asked for a long time.
    Idle,
    /// A head or a body does not move on.
    Slow,
    /// Its time to part is over.
    Over,
}

fn look(pulse: &Pulse, limit: Option<Instant>) -> Looked {
    match (limit, pulse.waits()) {
        (Some(limit), _) if limit <= Instant::now() => Looked::Over,
        (Some(_), _) => Looked::GoOn,
        (None, _) if !pulse.patience().is_zero() => Looked::GoOn,
        (None, Waits::Idle) => Looked::Idle,
        (None, Waits::Head | Waits::Bytes) => Looked::Slow,
    }
}

/// HTTP/1.1 or HTTP/2 as the handshake agreed, with every limit set: library defaults leave connections open for ever.
/// The pulse keeps the time of heads and of idleness.
fn builder(tls: &TlsStream<TcpStream>) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
        // Never `pipeline_flush`: it keeps answers back while another request's first bytes wait, its refusal included.
        builder.http1().max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
        return builder.http1_only();
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(H2_STREAMS_MAX)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(H2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(H2_LOCAL_RESETS_MAX);
    builder.http2_only()
}
