//! UDP services: a flow for each source and private address, over the fabric to a socket of its own at the service.
//!
//! A datagram carries no name and no proof, so `auth = "address"` is all that a `udp` entry can ask for: the private
//! address is the credential. DTLS and its like end at the service, which is the one that knows their keys.
//!
//! | what comes | what becomes of it |
//! | --- | --- |
//! | to an established flow | passed on, whatever has become of the lease; lost and counted where there is no room |
//! | to a leased entry | hook, a place in the [`table`](super::table), a flow; nothing is ever sent of our own |
//! | to anything else | dropped in silence ([`filter`](super::filter)) |
//!
//! One for each core: the kernel keeps a source on its core, so nothing here is ever contended.

mod inward;
mod life;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use defense::{Asked, Event, Evidence, Facts, HookPoint, Reason, VerdictKind, ask};
use rotator::Found;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::socket::Socket;
use super::table::{Caps, Ends, Table};
use crate::admission::Candidate;
use crate::bounds::{FLOW_DRAIN_IDLE, LOOK_EVERY};
use crate::budgets::Direction;
use crate::gate::Gate;
use inward::{Inward, Over};
use life::Life;

/// All flows of one core.
pub struct Flows {
    gate: Arc<Gate>,
    fabric: Arc<fabric::Gateway>,
    table: Mutex<Table<Arc<Inward>>>,
    /// Where answers that leave together are put side by side.
    together: Mutex<Vec<u8>>,
}

/// Datagrams of one source to one destination, of equal length but for the last.
#[derive(Clone, Copy)]
pub(super) struct Arrived<'a> {
    pub(super) ends: Ends,
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
}

/// A port's socket, and the end of its time.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) socket: Arc<Socket>,
    pub(super) closed: CancellationToken,
}

/// Why a newcomer is not let in.
pub(super) struct Refused {
    pub(super) verdict: VerdictKind,
    pub(super) reason: Reason,
}

impl Flows {
    /// The part of one core out of so many.
    pub fn new(gate: Arc<Gate>, fabric: Arc<fabric::Gateway>, cores: usize) -> Arc<Self> {
        let table = Mutex::new(Table::new(Caps::of_one_core(cores)));
        Arc::new(Self { gate, fabric, table, together: Mutex::default() })
    }

    /// Ends flows that have been quiet for too long, until told to stop.
    pub async fn sweep(self: Arc<Self>, stop: CancellationToken) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            let most = if self.gate.drain.begun.is_cancelled() { FLOW_DRAIN_IDLE } else { Duration::MAX };
            let most_ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
            let quiet = self.table().expire(self.now_ms(), most_ms);
            quiet.iter().for_each(|inward| inward.end(Over::Quiet));
        }
    }

    /// Flows of this core.
    pub fn len(&self) -> usize {
        self.table().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Passes on what belongs to an established flow. False: there is none.
    pub(super) fn pass(&self, arrived: Arrived<'_>) -> bool {
        let inward = {
            let mut table = self.table();
            match table.came(&arrived.ends, arrived.bytes.len(), self.now_ms()) {
                Some(inward) => Arc::clone(inward),
                None => return false,
            }
        };
        self.give(&inward, arrived);
        true
    }

    /// Begins a flow with its first datagrams.
    ///
    /// # Errors
    /// Why not; nothing is kept of it, and nothing was sent.
    pub(super) fn begin(
        self: &Arc<Self>,
        way: Way,
        candidate: &Candidate,
        arrived: Arrived<'_>,
    ) -> Result<(), Refused> {
        let (source, grant) = (arrived.ends.source, candidate.card.grant);
        let refuse = |reason| Refused { verdict: VerdictKind::Drop, reason };
        // An answer to one of our own addresses would come back as a question, for ever.
        if self.gate.roster.leases().find(source.ip()) != Found::Never {
            return Err(refuse(Reason::SourceForged));
        }
        if self.gate.drain.begun.is_cancelled() {
            return Err(refuse(Reason::DrainingEdge));
        }
        let facts = Facts::new(HookPoint::Connection, source.ip(), Evidence::Claimed).lease(grant);
        let passed = match ask(&self.gate.hooks, &facts, self.gate.moment()) {
            Asked::Passed(passed) => passed,
            Asked::Refused(refused) => {
                let finding = refused.finding;
                return Err(Refused { verdict: finding.verdict.kind(), reason: finding.reason });
            }
        };
        let taken = match self.gate.enter(&candidate.card) {
            Ok(taken) => taken,
            Err(over) => {
                let _ = passed.fail(over.reason, self.gate.moment());
                return Err(refuse(over.reason));
            }
        };
        let inward = Inward::new(grant, Arc::clone(taken.purse()));
        let entered =
            self.table().enter(arrived.ends, grant, arrived.bytes.len(), Arc::clone(&inward), self.now_ms());
        let (id, evicted) = match entered {
            Ok(entered) => entered,
            Err(reason) => {
                let _ = passed.fail(reason, self.gate.moment());
                return Err(refuse(reason));
            }
        };
        evicted.iter().for_each(|evicted| evicted.end(Over::GaveWay));
        self.give(&inward, arrived);
        let life = Life {
            flows: Arc::clone(self),
            way,
            candidate: candidate.clone(),
            ends: arrived.ends,
            id,
            inward,
        };
        tokio::spawn(life.run(passed, taken));
        Ok(())
    }

    fn give(&self, inward: &Inward, arrived: Arrived<'_>) {
        inward.pulse().came(arrived.bytes.len());
        if !inward.purse().datagram(Direction::In, arrived.bytes.len(), self.gate.moment()) {
            let lost = arrived.bytes.len().div_ceil(arrived.stride.max(1)).max(1);
            return self.note_lost(inward, arrived.ends.source, Reason::RateLease, lost as u64);
        }
        // An empty datagram is one, too.
        let stride = arrived.stride.max(1);
        let mut rest = arrived.bytes;
        let mut is_whole = true;
        loop {
            let (datagram, behind) = rest.split_at(stride.min(rest.len()));
            is_whole &= inward.give(datagram);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        if !is_whole {
            self.note_lost(inward, arrived.ends.source, Reason::DatagramDropped, inward.take_lost());
        }
    }

    /// Counts datagrams that were lost on an established flow.
    fn note_lost(&self, inward: &Inward, source: SocketAddr, reason: Reason, count: u64) {
        if count > 0 {
            self.gate.journal.record(&Event {
                at_unix_s: self.gate.clock.now().secs(),
                point: HookPoint::Connection,
                verdict: VerdictKind::Drop,
                reason,
                source: source.ip(),
                lease: Some(inward.grant),
                request: None,
                count: u32::try_from(count).unwrap_or(u32::MAX),
            });
        }
    }

    fn now_ms(&self) -> u64 {
        self.gate.clock.monotonic_ns() / 1_000_000
    }

    fn table(&self) -> MutexGuard<'_, Table<Arc<Inward>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn together(&self) -> MutexGuard<'_, Vec<u8>> {
        self.together.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
