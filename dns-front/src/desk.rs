//! Where every transport brings its queries: asks the defense, answers from the view, reports what came of it. A shell:
//! it reads the clock and takes the view's lock.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use defense::{
    Asked, Event, Evidence, Facts, HookPoint, Hooks, Journal, Moment, Outcome, Passed, Reason, Refused,
    Verdict, VerdictKind, ask,
};
use state::Clock;

use crate::answer::Kind;
use crate::bounds::{DELAY_MAX, SLIP_EVERY};
use crate::respond::{Came, Response, Ruling, respond};
use crate::tally::{Tally, count};
use crate::view::View;
use crate::wire::{Transport, is_query};

/// Shared by all transports and the follower.
pub(crate) struct Desk {
    view: RwLock<View>,
    pub(crate) clock: Clock,
    hooks: Arc<dyn Hooks>,
    journal: Option<Arc<Journal>>,
    pub(crate) tally: Tally,
    /// Queries over UDP beyond a network's budget: which of them are slipped.
    over_budget: AtomicU64,
}

/// What a transport is to do with a query.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Served {
    Silence,
    Reply(Vec<u8>),
    /// TCP only: the answer, not before this has passed.
    Later(Duration, Vec<u8>),
}

impl Desk {
    pub(crate) fn new(
        view: View,
        clock: Clock,
        hooks: Arc<dyn Hooks>,
        journal: Option<Arc<Journal>>,
    ) -> Self {
        let (tally, over_budget) = (Tally::default(), AtomicU64::new(0));
        Self { view: RwLock::new(view), clock, hooks, journal, tally, over_budget }
    }

    /// Held for microseconds by readers; they queue behind a waiting writer, so no stranger can keep one out.
    pub(crate) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn serve(&self, bytes: &[u8], source: SocketAddr, transport: Transport) -> Served {
        self.tally.arrived(transport);
        if !is_query(bytes) || !answerable(source) {
            count(&self.tally.ignored);
            return Served::Silence;
        }
        let facts = Facts::new(HookPoint::Query, source.ip().to_canonical(), evidence(transport))
            .bytes(bytes.len() as u64);
        match ask(&self.hooks, &facts, self.moment()) {
            Asked::Refused(refused) => self.refused(bytes, source, transport, &refused),
            Asked::Passed(passed) => self.passed(bytes, source, transport, passed),
        }
    }

    fn refused(&self, bytes: &[u8], source: SocketAddr, transport: Transport, refused: &Refused) -> Served {
        let finding = refused.finding;
        self.record(source.ip(), finding.verdict.kind(), finding.reason);
        match finding.verdict {
            Verdict::Drop if self.slips(transport, finding.reason) => {
                self.respond(bytes, transport, Ruling::Slip).bytes.map_or(Served::Silence, Served::Reply)
            }
            Verdict::Drop => {
                count(&self.tally.dropped);
                Served::Silence
            }
            Verdict::Pass | Verdict::Delay { .. } | Verdict::Reauth | Verdict::Reject => {
                let response = self.respond(bytes, transport, Ruling::Refuse);
                response.bytes.map_or(Served::Silence, Served::Reply)
            }
        }
    }

    /// Whoever forges a resolver's address spends that resolver's budget. If silence were all that it met then, a few
    /// packets a second would cut it off; a slip costs a victim no more bytes than were sent in its name, and sends
    /// the resolver to TCP, where its budget is its own.
    fn slips(&self, transport: Transport, reason: Reason) -> bool {
        transport == Transport::Udp
            && reason == Reason::DnsRate
            && self.over_budget.fetch_add(1, Ordering::Relaxed) % SLIP_EVERY == SLIP_EVERY - 1
    }

    fn passed(&self, bytes: &[u8], source: SocketAddr, transport: Transport, passed: Passed) -> Served {
        if let Some(finding) = passed.delayed() {
            self.record(source.ip(), finding.verdict.kind(), finding.reason);
        }
        let floor_ms = passed.floor_ms();
        let ruling = match transport {
            // UDP answers are never held back: that would be memory for a stranger.
            Transport::Udp if floor_ms > 0 => Ruling::Slip,
            Transport::Udp | Transport::Tcp => Ruling::Answer,
        };
        let response = self.respond(bytes, transport, ruling);
        let floor_ms = match failure(response.came) {
            None => {
                let bytes_out = response.bytes.as_ref().map_or(0, Vec::len) as u64;
                let status = Some(response.code);
                passed.result(&Outcome { status, bytes_in: bytes.len() as u64, bytes_out }, self.moment());
                floor_ms
            }
            Some(reason) => {
                self.record(source.ip(), VerdictKind::Reject, reason);
                floor_ms.max(passed.fail(reason, self.moment()).unwrap_or(0))
            }
        };
        let Some(reply) = response.bytes else { return Served::Silence };
        match transport {
            Transport::Udp if floor_ms > 0 && ruling != Ruling::Slip => Served::Silence,
            Transport::Tcp if floor_ms > 0 => {
                Served::Later(Duration::from_millis(u64::from(floor_ms)).min(DELAY_MAX), reply)
            }
            Transport::Udp | Transport::Tcp => Served::Reply(reply),
        }
    }

    fn respond(&self, bytes: &[u8], transport: Transport, ruling: Ruling) -> Response {
        let now = self.clock.now();
        let response = respond(bytes, transport, ruling, &self.view(), now);
        self.tally.came(response.came);
        if response.came == Came::Said(Kind::Failed) {
            let times = self.tally.failed.load(Ordering::Relaxed);
            if times.is_power_of_two() {
                let reason = Reason::EpochKeyMissing;
                tracing::error!(event = "dns.key_missing", code = reason.code(), count = times);
            }
        }
        response
    }

    fn record(&self, source: IpAddr, verdict: VerdictKind, reason: Reason) {
        let Some(journal) = &self.journal else { return };
        journal.record(&Event {
            at_unix_s: self.clock.now().secs(),
            point: HookPoint::Query,
            verdict,
            reason,
            source,
            lease: None,
            request: None,
            count: 1,
        });
    }

    fn moment(&self) -> Moment {
        Moment::from_nanos(self.clock.monotonic_ns())
    }
}

/// An answer to port 0, nobody, everybody or a group would reach no client.
fn answerable(source: SocketAddr) -> bool {
    let ip = source.ip().to_canonical();
    let broadcast = ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    source.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

fn evidence(transport: Transport) -> Evidence {
    match transport {
        Transport::Udp => Evidence::Claimed,
        Transport::Tcp => Evidence::Proven,
    }
}

/// Why a query that the defense let pass was not answered well, if it was not.
fn failure(came: Came) -> Option<Reason> {
    match came {
        Came::Malformed => Some(Reason::QueryMalformed),
        Came::OpCode | Came::Said(Kind::Closed) => Some(Reason::QtypeRefused),
        Came::Said(Kind::Foreign) => Some(Reason::ZoneForeign),
        Came::Said(Kind::Failed) => Some(Reason::EpochKeyMissing),
        Came::Said(Kind::Label | Kind::Decoy | Kind::Fixed | Kind::NoData | Kind::Any | Kind::NxDomain)
        | Came::Slipped
        | Came::Refused
        | Came::EdnsVersion
        | Came::Ignored => None,
    }
}

#[cfg(test)]
mod tests;
