//! One connection's way: door, hook, ClientHello, name, handshake, HTTP. Each step refuses with its reason.

mod introduced;
mod serving;
mod speaks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use defense::{Asked, Evidence, Facts, HookPoint, Outcome, Passed, Reason, VerdictKind, ask};
use rotator::GrantNo;
use rustls::server::Accepted;
use state::records::Auth;
use state::{Protocol, Transport};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::hello::{self, HelloError};
use super::metered::{Metered, Resets};
use crate::admission::{Candidate, Door, identify};
use crate::auth;
use crate::bounds::HANDSHAKE_MAX;
use crate::budgets::{Purse, Taken};
use crate::connections::Seat;
use crate::gate::Gate;
use crate::pulse::Pulse;
use crate::raw;
use crate::upstream::{Caller, Upstream};
use introduced::introduced;

/// Serves one accepted socket to its end.
pub async fn run(
    gate: Arc<Gate>,
    upstream: Arc<Upstream>,
    stream: TcpStream,
    source: SocketAddr,
    local: SocketAddr,
) {
    let (source, local, begun) = (canonical(source), canonical(local), Instant::now());
    let Ok(_place) = gate.places.try_acquire() else {
        gate.note(HookPoint::Connection, VerdictKind::Drop, Reason::Overload, source.ip(), None, None);
        return reset(&stream);
    };
    let arriving = gate.drain.arrive();
    let mut newcomer = Newcomer { stream, source, begun };
    let mut reached = local;
    if gate.balancers.trusts(source.ip()) {
        match Box::pin(introduced(&gate, &mut newcomer, local)).await {
            Some(told) => reached = told,
            None => return,
        }
    }
    let source = newcomer.source;
    match door(&gate, reached) {
        Door::Open(mut candidates) => {
            // Bytes that carry no name can't tell who of several it is.
            if candidates.len() > 1 {
                candidates.retain(|candidate| candidate.reached.protocol.carries_name());
            }
            admit(&gate, upstream, newcomer, &candidates, arriving).await;
        }
        Door::Reset(grant) => {
            gate.note(
                HookPoint::Connection,
                VerdictKind::Reject,
                Reason::Tombstone,
                source.ip(),
                Some(grant),
                None,
            );
            reset(&newcomer.stream);
        }
        Door::Dark(reason, grant) => {
            gate.note(HookPoint::Connection, VerdictKind::Drop, reason, source.ip(), grant, None);
            drop(arriving);
            stay_dark(&gate, newcomer).await;
        }
    }
}

/// A connection, and who is at its other end.
struct Newcomer {
    stream: TcpStream,
    source: SocketAddr,
    begun: Instant,
}

fn canonical(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip().to_canonical(), end.port())
}

fn door(gate: &Gate, reached: SocketAddr) -> Door {
    gate.roster.door(reached.ip(), (Transport::Tcp, reached.port()), gate.clock.now())
}

/// Behaves as a live address does toward somebody who can't name it, as long as there is room for the pretense.
async fn stay_dark(gate: &Gate, newcomer: Newcomer) {
    let Newcomer { mut stream, begun, source: _ } = newcomer;
    if gate.pressure.pretends()
        && let Ok(_place) = gate.dark.try_acquire()
    {
        // Whatever comes, or nothing: it ends the same way.
        let _ = timeout_at(begun + HANDSHAKE_MAX, Box::pin(hello::read(&mut stream))).await;
    }
    reset(&stream);
}

async fn admit(
    gate: &Arc<Gate>,
    upstream: Arc<Upstream>,
    newcomer: Newcomer,
    candidates: &[Candidate],
    arriving: impl Sized,
) {
    let source = newcomer.source;
    let (known, first) = match candidates {
        [only] => (Some(only.card.grant), only),
        [first, ..] => (None, first),
        [] => {
            drop(arriving);
            return stay_dark(gate, newcomer).await;
        }
    };
    let since = gate.moment();
    // Requests have lines of their own. A stranger in front of a name is nobody yet.
    let log = |grant: Option<GrantNo>, bytes, reason| {
        let whose = candidates.iter().find(|candidate| Some(candidate.card.grant) == grant);
        if let Some(candidate) = whose.filter(|candidate| candidate.reached.protocol != Protocol::Https) {
            gate.log_session(candidate, source.ip(), since, bytes, reason);
        }
    };
    let refuse =
        |verdict, reason, grant| gate.note(HookPoint::Connection, verdict, reason, source.ip(), grant, None);
    let (passed, knock) = match judge(gate, source, known, candidates, first) {
        Ok(passed) => passed,
        Err((verdict, reason)) => {
            refuse(verdict, reason, known);
            log(known.filter(|_| first.reached.protocol == Protocol::Tcp), (0, 0), Some(reason));
            drop(arriving);
            // A reset at once would tell a stranger with a spent budget that this address is live.
            return stay_dark(gate, newcomer).await;
        }
    };
    let ended = if first.reached.protocol == Protocol::Tcp {
        drop(knock);
        let ended = Box::pin(bytes(gate, &upstream, newcomer, first, &passed, arriving)).await;
        ended.map_err(|reason| Failed { reason, grant: known })
    } else {
        // Boxed: what only a handshake needs is not kept for as long as the connection lasts.
        let established = Box::pin(establish(gate, newcomer, candidates, &passed, knock)).await;
        drop(arriving);
        match established {
            Ok(established) => speak(established, gate, upstream, source).await,
            Err(failed) => Err(failed),
        }
    };
    match ended {
        Ok(Over { grant, bytes: (bytes_in, bytes_out), reason }) => {
            log(Some(grant), (bytes_in, bytes_out), reason);
            passed.result(&Outcome { status: None, bytes_in, bytes_out }, gate.moment());
        }
        Err(Failed { reason, grant }) => {
            log(grant, (0, 0), Some(reason));
            refuse(VerdictKind::Drop, reason, grant.or(known));
            // There is no answer that a response delay could hold back.
            let _ = passed.fail(reason, gate.moment());
        }
    }
}

/// What can be said before a byte is read: by the hook, and by the budget of those who have not named themselves.
fn judge(
    gate: &Gate,
    source: SocketAddr,
    known: Option<GrantNo>,
    candidates: &[Candidate],
    first: &Candidate,
) -> Result<(Passed, Taken), (VerdictKind, Reason)> {
    if let Some(reason) = unfit(candidates).filter(|_| first.reached.protocol == Protocol::Tcp) {
        return Err((VerdictKind::Drop, reason));
    }
    let facts = Facts::new(HookPoint::Connection, source.ip(), Evidence::Proven);
    let facts = known.map_or(facts, |grant| facts.lease(grant));
    let passed = match ask(&gate.hooks, &facts, gate.moment()) {
        Asked::Passed(passed) => passed,
        Asked::Refused(refused) => return Err((refused.finding.verdict.kind(), refused.finding.reason)),
    };
    // Of several grants at one address the first lends the place: who it is will be known by the name only.
    match gate.purse(&first.card).knock() {
        Ok(knock) => Ok((passed, knock)),
        Err(over) => {
            let _ = passed.fail(over.reason, gate.moment());
            Err((VerdictKind::Drop, over.reason))
        }
    }
}

/// Why bare bytes are not taken: a name is asked of whatever can carry one, but a key of everything, and the address has to
/// tell the grant by itself.
fn unfit(candidates: &[Candidate]) -> Option<Reason> {
    match candidates {
        [only] if only.card.auth != Auth::Key => None,
        [_] => Some(Reason::AuthRequired),
        _ => Some(Reason::AmbiguousAddress),
    }
}

/// Within TLS: the service's own bytes, or HTTP.
///
/// # Errors
/// Why it never reached the service.
async fn speak(
    established: Box<Established>,
    gate: &Arc<Gate>,
    upstream: Arc<Upstream>,
    source: SocketAddr,
) -> Result<Over, Failed> {
    let (pulse, grant) = (Arc::clone(&established.pulse), established.candidate.card.grant);
    let mut reason = None;
    if established.candidate.reached.protocol == Protocol::Tls {
        let Established { tls, seat, purse, candidate, server_name: _, pulse: _ } = *established;
        let client = Metered::half_closing(tls, Arc::clone(&pulse), purse, gate.clock.clone());
        let caller = Caller { card: &candidate.card, reached: candidate.reached, source };
        let carried = Box::pin(raw::carry(gate, &upstream, caller, &seat, &pulse, client)).await;
        reason = carried.map_err(|reason| Failed { reason, grant: Some(grant) })?;
    } else {
        serving::serve(established, gate, upstream, source).await;
    }
    Ok(Over { grant, bytes: pulse.bytes(), reason })
}

/// A connection of a `tcp` service, whose address names one grant: seat, delay, and its bytes to the end.
///
/// # Errors
/// Why it never reached the service.
async fn bytes(
    gate: &Arc<Gate>,
    upstream: &Upstream,
    newcomer: Newcomer,
    candidate: &Candidate,
    passed: &Passed,
    arriving: impl Sized,
) -> Result<Over, Reason> {
    let Newcomer { stream, source, begun: _ } = newcomer;
    let (card, pulse) = (&candidate.card, Pulse::new());
    let taken = gate.enter(card).inspect_err(|_| reset(&stream)).map_err(|over| over.reason)?;
    let purse = Arc::clone(taken.purse());
    let seat = gate.connections.enter(card, candidate.lease, source, gate.clock.now(), &pulse, taken);
    drop(arriving);
    // As of any other: a revocation may have come before there was a seat to end.
    if gate.roster.card(card.grant).is_none() {
        reset(&stream);
        return Err(Reason::Revoked);
    }
    gate.hold(passed, &purse).await.inspect_err(|_| reset(&stream))?;
    let client = Metered::half_closing(stream, Arc::clone(&pulse), purse, gate.clock.clone());
    let caller = Caller { card, reached: candidate.reached, source };
    let reason = raw::carry(gate, upstream, caller, &seat, &pulse, client).await?;
    Ok(Over { grant: card.grant, bytes: pulse.bytes(), reason })
}

/// How a connection ended that reached its service, or carried requests.
struct Over {
    grant: GrantNo,
    bytes: (u64, u64),
    /// Why its bytes were cut, or broke off.
    reason: Option<Reason>,
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
    purse: Arc<Purse>,
    candidate: Candidate,
    server_name: Option<Box<str>>,
    pulse: Arc<Pulse>,
}

/// ClientHello, name, place, handshake; all within [`HANDSHAKE_MAX`], but for a delay by verdict.
async fn establish(
    gate: &Arc<Gate>,
    newcomer: Newcomer,
    candidates: &[Candidate],
    passed: &Passed,
    knock: Taken,
) -> Result<Box<Established>, Failed> {
    let Newcomer { mut stream, source, begun } = newcomer;
    let deadline = begun + gate.pressure.handshake_max();
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
    drop(knock);
    let taken = gate.enter(&candidate.card).inspect_err(|_| reset(&stream)).map_err(|o| failed(o.reason))?;
    let purse = Arc::clone(taken.purse());
    let pulse = Pulse::new();
    let seat = gate.connections.enter(&candidate.card, candidate.lease, source, now, &pulse, taken);
    // The door was judged when the socket was accepted. A revocation since then found no connection to close, so it
    // is looked for again, now that there is one.
    if gate.roster.card(candidate.card.grant).is_none() {
        reset(&stream);
        return Err(failed(Reason::Revoked));
    }
    // Held back only now: a stranger must not learn from a delay that the address is live.
    let held = Instant::now();
    gate.hold(passed, &purse).await.inspect_err(|_| reset(&stream)).map_err(failed)?;
    let deadline = deadline + held.elapsed();
    let mut terms = Arc::clone(gate.tls.of(candidate.card.auth));
    if candidate.reached.protocol == Protocol::Tls {
        // What its clients agree on beyond TLS is the service's own.
        Arc::make_mut(&mut terms).alpn_protocols.clear();
    }
    let handshake = StartHandshake::from_parts(hello, stream).into_stream(terms);
    let tls = match timeout_at(deadline, handshake).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return Err(failed(failed_handshake(&error))),
        Err(_) => return Err(failed(Reason::HandshakeTimeout)),
    };
    if let Err(reason) = auth::proves(&candidate.card, tls.get_ref().1.peer_certificates()) {
        tls.reset_on_drop();
        return Err(failed(reason));
    }
    Ok(Box::new(Established { tls, seat, purse, candidate, server_name: name, pulse }))
}

fn failed_handshake(error: &std::io::Error) -> Reason {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    tls.map_or(Reason::HandshakeFailed, auth::failure)
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

impl Resets for TcpStream {
    fn reset_on_drop(&self) {
        reset(self);
    }
}

impl Resets for TlsStream<TcpStream> {
    fn reset_on_drop(&self) {
        reset(self.get_ref().0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the task of one connection, its protocol's own part aside.
    fn size<F: Future>(
        _: impl FnOnce(Arc<Gate>, Arc<Upstream>, TcpStream, SocketAddr, SocketAddr) -> F,
    ) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_that_waits_holds_nothing_of_its_handshake() {
        assert!(size(run) <= 1664, "{} bytes", size(run));
    }
}
