//! One QUIC connection's way: name (which the doorman has heard), hook, place, handshake, HTTP/3.
//!
//! The name comes before the hook, unlike on TCP: anybody may write any source on a datagram, and must not spend a
//! user's budget by that.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use defense::{Asked, Evidence, Facts, HookPoint, Outcome, Passed, Reason, Verdict, VerdictKind, ask};
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connecting, Connection, Incoming};
use rotator::GrantNo;
use rustls_pki_types::CertificateDer;
use tokio::time::timeout;

use super::doorman::Named;
use super::endpoint::Front;
use super::h3::code::Code;
use super::h3::connection;
use crate::admission::Candidate;
use crate::auth;
use crate::bounds::QUIC_RETRY_ABOVE;
use crate::connections::Seat;
use crate::http::Visit;
use crate::pulse::Pulse;
use crate::udp::port::Kept;

/// Serves one newcomer to its end.
pub async fn run(front: Arc<Front>, incoming: Incoming) {
    let (remote, local) = (incoming.remote_address(), incoming.local_ip().map(|ip| ip.to_canonical()));
    let source = SocketAddr::new(remote.ip().to_canonical(), remote.port());
    let note = |verdict, reason, grant| {
        front.gate.note(HookPoint::Connection, verdict, reason, source.ip(), grant, None);
    };
    // Whoever came past the doorman without a name has a connection ID that was ours once.
    let Some((local, named)) = local.and_then(|local| Some((local, front.doorman.named(remote, local)?)))
    else {
        return incoming.ignore();
    };
    let (candidate, name) = match named {
        Named::Open(candidate, name) => (candidate, name),
        Named::Tombstone(grant) => {
            note(VerdictKind::Reject, Reason::Tombstone, Some(grant));
            return incoming.refuse();
        }
    };
    let Ok(_place) = front.gate.places.try_acquire() else {
        note(VerdictKind::Drop, Reason::Overload, Some(candidate.card.grant));
        return incoming.ignore();
    };
    let is_proven = incoming.remote_address_validated();
    if is_proven {
        front.doorman.proven(remote, local);
    }
    if !is_proven
        && (front.handshakes.load(Ordering::Relaxed) >= QUIC_RETRY_ABOVE || front.gate.pressure.asks_retry())
    {
        // Under load, whoever comes shows first that it is where it says.
        if let Err(error) = incoming.retry() {
            error.into_incoming().ignore();
        }
        return;
    }
    let grant = candidate.card.grant;
    let evidence = if is_proven { Evidence::Proven } else { Evidence::Claimed };
    let facts = Facts::new(HookPoint::Connection, source.ip(), evidence).lease(grant);
    let newcomer = Newcomer { front: &front, source, local, candidate, name };
    match ask(&front.gate.hooks, &facts, front.gate.moment()) {
        Asked::Refused(refused) => {
            note(refused.finding.verdict.kind(), refused.finding.reason, Some(grant));
            newcomer.turn_away(incoming, refused.finding.verdict).await;
        }
        Asked::Passed(passed) => newcomer.serve(incoming, passed).await,
    }
}

/// Somebody who could name the address.
struct Newcomer<'a> {
    front: &'a Arc<Front>,
    source: SocketAddr,
    local: IpAddr,
    candidate: Candidate,
    name: Option<Box<str>>,
}

/// One handshake under way.
struct Handshake<'a>(&'a AtomicUsize);

impl Newcomer<'_> {
    async fn serve(self, incoming: Incoming, passed: Passed) {
        let (gate, grant) = (&self.front.gate, self.candidate.card.grant);
        let pulse = Pulse::new();
        match self.establish(incoming, &passed, &pulse).await {
            Err(reason) => {
                self.note(VerdictKind::Drop, reason, grant);
                // There is no answer that a response delay could hold back.
                let _ = passed.fail(reason, gate.moment());
            }
            Ok((connection, seat, _kept)) => {
                let visit = Visit::new(
                    Arc::clone(gate),
                    Arc::clone(&self.front.upstream),
                    self.candidate.clone(),
                    self.source,
                    self.name.clone(),
                    Arc::clone(&pulse),
                    gate.purse(&self.candidate.card),
                );
                let cut = connection::serve(&connection, visit, seat).await;
                if let Some(reason) = cut {
                    self.note(VerdictKind::Drop, reason, grant);
                }
                let (bytes_in, bytes_out) = pulse.bytes();
                passed.result(&Outcome { status: None, bytes_in, bytes_out }, gate.moment());
            }
        }
    }

    /// Place, delay, handshake.
    async fn establish(
        &self,
        incoming: Incoming,
        passed: &Passed,
        pulse: &Arc<Pulse>,
    ) -> Result<(Connection, Seat, Kept), Reason> {
        let (gate, card) = (&self.front.gate, &self.candidate.card);
        let taken = match gate.enter(card) {
            Ok(taken) => taken,
            Err(over) => {
                incoming.refuse();
                return Err(over.reason);
            }
        };
        let purse = Arc::clone(taken.purse());
        let _arriving = gate.drain.arrive();
        let (lease, now) = (self.candidate.lease, gate.clock.now());
        let seat = gate.connections.enter(card, lease, self.source, now, pulse, taken);
        // As for TCP: a revocation since the name was heard found no connection to close.
        if gate.roster.card(card.grant).is_none() {
            incoming.ignore();
            return Err(Reason::Revoked);
        }
        let kept = self.front.port.keep(self.local);
        if let Err(reason) = gate.hold(passed, &purse).await {
            incoming.refuse();
            return Err(reason);
        }
        let _handshake = Handshake::begin(&self.front.handshakes);
        let connecting = self.front.accept(incoming, card.auth).map_err(|_| Reason::HandshakeFailed)?;
        let connection = self.shake_hands(connecting).await?;
        Ok((connection, seat, kept))
    }

    async fn shake_hands(&self, connecting: Connecting) -> Result<Connection, Reason> {
        let remote = connecting.remote_address();
        let connection = match timeout(self.front.gate.pressure.handshake_max(), connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(_)) => return Err(Reason::HandshakeFailed),
            Err(_) => return Err(Reason::HandshakeTimeout),
        };
        self.front.doorman.proven(remote, self.local);
        let known = connection.handshake_data().and_then(|known| known.downcast::<HandshakeData>().ok());
        // What the doorman heard and what was agreed are the same, or somebody plays with both.
        if known.is_none_or(|known| known.server_name.as_deref() != self.name.as_deref()) {
            connection.close(Code::NoError.wire(), &[]);
            return Err(Reason::NameMismatch);
        }
        let shown =
            connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'_>>>().ok());
        if let Err(reason) = auth::proves(&self.candidate.card, shown.as_ref().map(|shown| &shown[..])) {
            connection.close(Code::RequestRejected.wire(), &[]);
            return Err(reason);
        }
        Ok(connection)
    }

    /// The table of verdicts for QUIC: a drop is silence, a reject is said, who has to prove itself anew is told after
    /// the handshake.
    async fn turn_away(self, incoming: Incoming, verdict: Verdict) {
        match verdict {
            Verdict::Drop => incoming.ignore(),
            Verdict::Reauth => {
                let _handshake = Handshake::begin(&self.front.handshakes);
                if let Ok(connecting) = self.front.accept(incoming, self.candidate.card.auth)
                    && let Ok(connection) = self.shake_hands(connecting).await
                {
                    connection.close(Code::RequestRejected.wire(), b"reauth");
                }
            }
            Verdict::Reject | Verdict::Pass | Verdict::Delay { .. } => incoming.refuse(),
        }
    }

    fn note(&self, verdict: VerdictKind, reason: Reason, grant: GrantNo) {
        let source = self.source.ip();
        self.front.gate.note(HookPoint::Connection, verdict, reason, source, Some(grant), None);
    }
}

impl<'a> Handshake<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
