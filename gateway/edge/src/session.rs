//! One connection's way: door, hook, ClientHello, name, handshake, HTTP. Each step refuses with its reason.

mod serving;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use defense::{
    Asked, Event, Evidence, Facts, HookPoint, Hooks, Journal, Moment, Outcome, Passed, Reason, VerdictKind,
    ask,
};
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
use crate::bounds::{CONNECTIONS_MAX, DARK_MAX, DELAY_MAX, DELAYED_MAX, HANDSHAKE_MAX};
use crate::connections::{Connections, Seat};
use crate::hello::{self, HelloError};
use crate::metered::{Pulse, Resets};
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
    /// Places for connections of every kind.
    pub places: Semaphore,
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
            places: Semaphore::new(CONNECTIONS_MAX),
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

    pub fn moment(&self) -> Moment {
        Moment::from_nanos(self.clock.monotonic_ns())
    }

    /// Waits out a delay that a verdict asked for, if there is room to wait: a floor since the call's arrival.
    ///
    /// # Errors
    /// `overload`: too many are held back already.
    pub async fn hold(&self, passed: &Passed) -> Result<(), Reason> {
        self.hold_until(passed.ticket().since, passed.floor_ms()).await
    }

    /// As [`Gate::hold`], for any floor since any moment; at most [`DELAY_MAX`].
    ///
    /// # Errors
    /// As [`Gate::hold`].
    pub async fn hold_until(&self, since: Moment, floor_ms: u32) -> Result<(), Reason> {
        let floor = Duration::from_millis(floor_ms.into()).min(DELAY_MAX);
        if floor.is_zero() {
            return Ok(());
        }
        let _place = self.delayed.try_acquire().map_err(|_| Reason::Overload)?;
        let waited = Duration::from_nanos(self.moment().nanos_since(since));
        tokio::time::sleep(floor.saturating_sub(waited)).await;
        Ok(())
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
    let Ok(_place) = gate.places.try_acquire() else {
        gate.note(HookPoint::Connection, VerdictKind::Drop, Reason::Overload, source.ip(), None, None);
        return reset(&stream);
    };
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
            // A reset at once would tell a stranger with a spent budget that this address is live.
            return stay_dark(gate, stream).await;
        }
    };
    match establish(gate, stream, source, candidates, &passed).await {
        Err(Failed { reason, grant }) => {
            refuse(VerdictKind::Drop, reason, grant.or(known));
            // There is no answer that a response delay could hold back.
            let _ = passed.fail(reason, gate.moment());
        }
        Ok(established) => {
            let pulse = Arc::clone(&established.pulse);
            serving::serve(established, gate, upstream, source).await;
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

/// ClientHello, name, place, handshake; all within [`HANDSHAKE_MAX`], but for a delay by verdict.
async fn establish(
    gate: &Arc<Gate>,
    mut stream: TcpStream,
    source: SocketAddr,
    candidates: &[Candidate],
    passed: &Passed,
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
    // The door was judged when the socket was accepted. A revocation since then found no connection to close, so it
    // is looked for again, now that there is one.
    if gate.roster.card(candidate.card.grant).is_none() {
        reset(&stream);
        return Err(failed(Reason::Revoked));
    }
    // Held back only now: a stranger must not learn from a delay that the address is live.
    let held = Instant::now();
    gate.hold(passed).await.inspect_err(|_| reset(&stream)).map_err(failed)?;
    let deadline = deadline + held.elapsed();
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

/// Ends a socket with a reset and no byte. The kernel sends it when the stream is dropped.
fn reset(stream: &TcpStream) {
    // Where lingering can't be set, an orderly close is the next best.
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

impl Resets for TlsStream<TcpStream> {
    fn reset_on_drop(&self) {
        reset(self.get_ref().0);
    }
}
