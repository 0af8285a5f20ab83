//! One connection's way: door, hook, ClientHello, name, handshake, HTTP. Each step refuses with its reason.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use defense::{
    Asked, Event, Evidence, Facts, HookPoint, Hooks, Journal, Moment, Outcome, Reason, VerdictKind, ask,
};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rotator::GrantNo;
use rustls::ServerConfig;
use rustls::server::Accepted;
use state::Clock;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::admission::{Candidate, Door, identify};
use crate::bounds::{
    DARK_MAX, DELAYED_MAX, DRAIN_MAX, H2_CONNECTION_WINDOW, H2_LOCAL_RESETS_MAX, H2_PENDING_RESETS_MAX,
    H2_STREAM_WINDOW, H2_STREAMS_MAX, HANDSHAKE_MAX, HEAD_BYTES_MAX, HEAD_MAX, HEADERS_MAX,
};
use crate::connections::{Connections, Seat};
use crate::hello::{self, HelloError};
use crate::http::{Visit, handle};
use crate::metered::{Metered, Pulse};
use crate::roster::Roster;
use crate::upstream::Upstream;

/// What every connection shares.
pub struct Gate {
    pub roster: Arc<Roster>,
    pub connections: Arc<Connections>,
    pub hooks: Arc<dyn Hooks>,
    pub journal: Arc<Journal>,
    pub clock: Clock,
    pub tls: Arc<ServerConfig>,
    pub http: auto::Builder<TokioExecutor>,
    /// Places for connections to dark addresses.
    pub dark: Semaphore,
    /// Places for calls that a verdict holds back.
    pub delayed: Semaphore,
    /// Cancelled when the edge begins to drain.
    pub draining: CancellationToken,
}

impl Gate {
    pub fn new(
        roster: Arc<Roster>,
        hooks: Arc<dyn Hooks>,
        journal: Arc<Journal>,
        clock: Clock,
        tls: Arc<ServerConfig>,
        draining: CancellationToken,
    ) -> Self {
        Self {
            roster,
            connections: Connections::new(),
            hooks,
            journal,
            clock,
            tls,
            http: http_builder(),
            dark: Semaphore::new(DARK_MAX),
            delayed: Semaphore::new(DELAYED_MAX),
            draining,
        }
    }

    /// Writes a refusal down: exact counters always, a sample as the journal's bounds allow.
    pub fn note(
        &self,
        point: HookPoint,
        verdict: VerdictKind,
        reason: Reason,
        source: IpAddr,
        lease: Option<GrantNo>,
        request: Option<u128>,
    ) {
        let at_unix_s = self.clock.now().secs();
        self.journal.record(&Event { at_unix_s, point, verdict, reason, source, lease, request, count: 1 });
    }

    fn moment(&self) -> Moment {
        Moment::from_nanos(self.clock.monotonic_ns())
    }
}

/// Serves one accepted socket to its end.
pub async fn run(
    gate: Arc<Gate>,
    upstream: Arc<Upstream>,
    stream: TcpStream,
    source: SocketAddr,
    local: SocketAddr,
) {
    let source = SocketAddr::new(source.ip().to_canonical(), source.port());
    match gate.roster.door(local.ip().to_canonical(), local.port(), gate.clock.now()) {
        Door::Open(candidates) => admit(&gate, upstream, stream, source, &candidates).await,
        Door::Reset(grant) => {
            gate.note(
                HookPoint::Connection,
                VerdictKind::Reject,
                Reason::Tombstone,
                source.ip(),
                Some(grant),
                None,
            );
            reset(&stream);
        }
        Door::Dark(reason, grant) => {
            gate.note(HookPoint::Connection, VerdictKind::Drop, reason, source.ip(), grant, None);
            stay_dark(&gate, stream).await;
        }
    }
}

/// Behaves as a live address does toward somebody who can't name it, as long as there is room for the pretense.
async fn stay_dark(gate: &Gate, mut stream: TcpStream) {
    if let Ok(_place) = gate.dark.try_acquire() {
        // Whatever comes, or nothing: it ends the same way.
        let _ = timeout_at(Instant::now() + HANDSHAKE_MAX, hello::read(&mut stream)).await;
    }
    reset(&stream);
}

async fn admit(
    gate: &Arc<Gate>,
    upstream: Arc<Upstream>,
    stream: TcpStream,
    source: SocketAddr,
    candidates: &[Candidate],
) {
    let known = match candidates {
        [only] => Some(only.card.grant),
        _ => None,
    };
    let facts = Facts::new(HookPoint::Connection, source.ip(), Evidence::Proven);
    let facts = known.map_or(facts, |grant| facts.lease(grant));
    let refuse =
        |verdict, reason, grant| gate.note(HookPoint::Connection, verdict, reason, source.ip(), grant, None);
    let passed = match ask(&gate.hooks, &facts, gate.moment()) {
        Asked::Passed(passed) => passed,
        Asked::Refused(refused) => {
            refuse(refused.finding.verdict.kind(), refused.finding.reason, known);
            return reset(&stream);
        }
    };
    match establish(gate, stream, source, candidates).await {
        Err(Failed { reason, grant }) => {
            refuse(VerdictKind::Drop, reason, grant.or(known));
            // There is no answer that a response delay could hold back.
            let _ = passed.fail(reason, gate.moment());
        }
        Ok(established) => {
            let pulse = Arc::clone(&established.pulse);
            established.serve(gate, upstream, source).await;
            let (bytes_in, bytes_out) = pulse.bytes();
            passed.result(&Outcome { status: None, bytes_in, bytes_out }, gate.moment());
        }
    }
}

/// Why a connection ended before it carried a request.
struct Failed {
    reason: Reason,
    grant: Option<GrantNo>,
}

/// An admitted connection with its handshake done.
struct Established {
    tls: TlsStream<TcpStream>,
    seat: Seat,
    candidate: Candidate,
    server_name: Option<Box<str>>,
    pulse: Arc<Pulse>,
}

/// ClientHello, name, place, handshake; all within [`HANDSHAKE_MAX`].
async fn establish(
    gate: &Arc<Gate>,
    mut stream: TcpStream,
    source: SocketAddr,
    candidates: &[Candidate],
) -> Result<Established, Failed> {
    let deadline = Instant::now() + HANDSHAKE_MAX;
    let hello = match timeout_at(deadline, hello::read(&mut stream)).await {
        Ok(Ok(hello)) => hello,
        missed => {
            reset(&stream);
            return Err(Failed { reason: missed_hello(missed), grant: None });
        }
    };
    let name = hello.client_hello().server_name().map(Box::from);
    let now = gate.clock.now();
    let candidate = match identify(candidates, gate.roster.server_name(name.as_deref(), now)) {
        Ok(candidate) => candidate.clone(),
        Err(reason) => {
            reset(&stream);
            return Err(Failed { reason, grant: None });
        }
    };
    let failed = |reason| Failed { reason, grant: Some(candidate.card.grant) };
    let pulse = Pulse::new();
    let seat = gate.connections.enter(&candidate.card, candidate.lease, source, now, &pulse);
    let seat = seat.inspect_err(|_| reset(&stream)).map_err(failed)?;
    let handshake = StartHandshake::from_parts(hello, stream).into_stream(Arc::clone(&gate.tls));
    let tls = match timeout_at(deadline, handshake).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(_)) => return Err(failed(Reason::HandshakeFailed)),
        Err(_) => return Err(failed(Reason::HandshakeTimeout)),
    };
    Ok(Established { tls, seat, candidate, server_name: name, pulse })
}

fn missed_hello(missed: Result<Result<Accepted, HelloError>, tokio::time::error::Elapsed>) -> Reason {
    match missed {
        Ok(Err(HelloError::NotTls | HelloError::TooLong)) => Reason::NotTls,
        Ok(Err(HelloError::Gone(_))) => Reason::HandshakeFailed,
        Ok(Ok(_)) | Err(_) => Reason::HandshakeTimeout,
    }
}

impl Established {
    /// Carries requests until the client leaves, the session is over, the grant is gone, or nothing moves any more.
    async fn serve(self, gate: &Arc<Gate>, upstream: Arc<Upstream>, source: SocketAddr) {
        let Self { tls, seat, candidate, server_name, pulse } = self;
        let Candidate { lease: _, card } = candidate;
        let visit = Arc::new(Visit {
            gate: Arc::clone(gate),
            upstream,
            card,
            source,
            server_name,
            pulse: Arc::clone(&pulse),
        });
        let io = TokioIo::new(Metered::new(tls, Arc::clone(&pulse)));
        let service = service_fn(|request| handle(Arc::clone(&visit), request));
        let mut connection = std::pin::pin!(gate.http.serve_connection(io, service));
        let mut drain_ends = None;
        loop {
            let patience = drain_ends.map_or_else(
                || pulse.patience(),
                |end: Instant| end.saturating_duration_since(Instant::now()),
            );
            tokio::select! {
                // Its error concerns the client only, who has left or broken the protocol; hyper has answered it.
                _ = connection.as_mut() => return,
                _ = seat.ended() => return,
                () = gate.draining.cancelled(), if drain_ends.is_none() => {
                    connection.as_mut().graceful_shutdown();
                    drain_ends = Some(Instant::now() + DRAIN_MAX);
                }
                () = tokio::time::sleep(patience) => {
                    if drain_ends.is_some() || pulse.patience().is_zero() {
                        return;
                    }
                }
            }
        }
    }
}

/// Ends a socket with a reset and no byte. The kernel sends it when the stream is dropped.
fn reset(stream: &TcpStream) {
    // Where lingering can't be set, an orderly close is the next best.
    let _ = socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
}

/// HTTP/1.1 and HTTP/2 by ALPN, with every limit set: library defaults leave connections open for ever.
fn http_builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(H2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(H2_LOCAL_RESETS_MAX);
    builder
}
