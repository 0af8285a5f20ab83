//! The built-in engine: the first rules, an allow list that wins over them, and counts of what came of each call.

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::bounds::{ALLOW_MAX, DELAYED_MAX};
use crate::clock::Latest;
use crate::exact::{ChargeShared, SharedCell};
use crate::facts::{Facts, HookPoint};
use crate::gate::{Limiter, limiter};
use crate::hook::{Call, Hooks, Moment, Outcome, RefId, Ticket};
use crate::limits::{Limits, Rate};
use crate::prefix::Seed;
use crate::reason::Reason;
use crate::rules::{Rules, Spent};
use crate::verdict::VerdictKind;

/// Networks that no rule may refuse. At most `ALLOW_MAX`.
#[derive(Debug, Clone, Default)]
pub struct AllowList(Vec<IpNet>);

/// More than `ALLOW_MAX` networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowListTooLong;

impl std::fmt::Display for AllowListTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an allow list has at most {ALLOW_MAX} networks")
    }
}

impl std::error::Error for AllowListTooLong {}

impl AllowList {
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Result<Self, AllowListTooLong> {
        let networks: Vec<IpNet> = networks.into_iter().take(ALLOW_MAX + 1).collect();
        if networks.len() > ALLOW_MAX { Err(AllowListTooLong) } else { Ok(Self(networks)) }
    }

    /// IPv4-mapped addresses count as IPv4.
    pub fn contains(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.0.iter().any(|net| net.contains(&source))
    }
}

/// 256 secret random bits for one engine, from the shell's random source.
pub struct EngineSeed(pub [u8; 32]);

/// The built-in brain. Takes microseconds, no lock, and a fixed amount of memory (see [`Engine::memory_cells`]).
pub struct Engine {
    latest: Latest,
    prefix_seed: Seed,
    refid_seed: Seed,
    calls: AtomicU64,
    spent: Spent,
    held: SharedCell,
    force: ArcSwap<InForce>,
    tallies: [Tally; HookPoint::ALL.len()],
}

/// What a reload replaces.
struct InForce {
    rules: Rules,
    allow: AllowList,
    floor_ms: u32,
    /// Keeps the answers held back at one time under `DELAYED_MAX`.
    holding: Option<Limiter<ChargeShared>>,
}

impl Engine {
    pub fn new(seed: EngineSeed, limits: &Limits, allow: AllowList) -> Self {
        let (prefix_half, refid_half) = halves(&seed.0);
        let (latest, spent, held) = (Latest::default(), Spent::new(), SharedCell::default());
        let force = InForce::new(limits, allow, &spent, &held, &latest);
        Self {
            latest,
            prefix_seed: Seed::new(prefix_half),
            refid_seed: Seed::new(refid_half),
            calls: AtomicU64::new(0),
            spent,
            held,
            force: ArcSwap::from_pointee(force),
            tallies: Default::default(),
        }
    }

    /// New limits and a new allow list, from the next call on. What was spent stays spent.
    pub fn retune(&self, limits: &Limits, allow: AllowList) {
        self.force.store(std::sync::Arc::new(InForce::new(
            limits,
            allow,
            &self.spent,
            &self.held,
            &self.latest,
        )));
    }

    /// What came of the calls so far, in the order of [`HookPoint::ALL`].
    pub fn tallies(&self) -> [Tallied; HookPoint::ALL.len()] {
        HookPoint::ALL.map(|point| self.tallies[point.index()].read(point))
    }

    /// Rate cells in memory, 8 bytes each: those fixed since the start, and those of leases (which grow with the
    /// greatest lease number up to `LEASES_EXACT_MAX` per hook point, and with nothing that a stranger does).
    pub fn memory_cells(&self) -> (usize, usize) {
        self.spent.cells()
    }

    fn refid(&self) -> RefId {
        let (low, high) = self.refid_seed.words();
        let mut hasher = SipHasher13::new_with_keys(low, high);
        hasher.write_u64(self.calls.fetch_add(1, Ordering::Relaxed));
        RefId(hasher.finish128().as_u128())
    }
}

impl InForce {
    fn new(limits: &Limits, allow: AllowList, spent: &Spent, held: &SharedCell, latest: &Latest) -> Self {
        let floor_ms = limits.floor_ms();
        Self {
            rules: Rules::new(limits, spent, latest),
            allow,
            floor_ms,
            holding: holding(floor_ms, held, latest),
        }
    }
}

/// At most a burst of half of `DELAYED_MAX`, and the other half over each floor's length.
fn holding(floor_ms: u32, held: &SharedCell, latest: &Latest) -> Option<Limiter<ChargeShared>> {
    let half = DELAYED_MAX / 2;
    let interval_nanos = u64::from(floor_ms) * 1_000_000 / u64::from(half);
    (floor_ms > 0)
        .then(|| limiter(Rate::every_nanos(interval_nanos, half), ChargeShared(held.clone()), latest))
}

impl Hooks for Engine {
    fn on_call(&self, facts: &Facts<'_>, now: Moment) -> Call {
        self.latest.advance(now);
        let source = facts.source.to_canonical();
        let force = self.force.load();
        let finding = if force.allow.contains(source) {
            None
        } else {
            force.rules.judge(facts, source, self.prefix_seed)
        };
        let ticket = Ticket {
            refid: self.refid(),
            point: facts.point,
            source: facts.source,
            evidence: facts.evidence,
            lease: facts.lease,
            since: now,
        };
        let call = Call { ticket, finding };
        self.tallies[facts.point.index()].said(call.verdict().kind());
        call
    }

    fn on_result(&self, ticket: &Ticket, _outcome: &Outcome, _now: Moment) {
        self.tallies[ticket.point.index()].succeeded.fetch_add(1, Ordering::Relaxed);
    }

    fn on_fail(&self, ticket: &Ticket, failure: Reason, now: Moment) -> Option<u32> {
        self.latest.advance(now);
        let tally = &self.tallies[ticket.point.index()];
        if failure == Reason::Abandoned {
            tally.abandoned.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        tally.failed.fetch_add(1, Ordering::Relaxed);
        match ticket.point {
            HookPoint::Enrolment | HookPoint::Renewal => {
                let force = self.force.load();
                let hold = force.holding.as_ref().is_some_and(|limiter| limiter.check_key(&()).is_ok());
                hold.then_some(force.floor_ms)
            }
            HookPoint::Connection | HookPoint::Request | HookPoint::Query => None,
        }
    }
}

/// Counts at one hook point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tallied {
    pub point: HookPoint,
    /// Calls by verdict, in the order of [`VerdictKind::ALL`].
    pub verdicts: [u64; VerdictKind::ALL.len()],
    pub succeeded: u64,
    pub failed: u64,
    /// Passed, and dropped without an outcome.
    pub abandoned: u64,
}

#[derive(Debug, Default)]
struct Tally {
    verdicts: [AtomicU64; VerdictKind::ALL.len()],
    succeeded: AtomicU64,
    failed: AtomicU64,
    abandoned: AtomicU64,
}

impl Tally {
    fn said(&self, kind: VerdictKind) {
        self.verdicts[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self, point: HookPoint) -> Tallied {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tallied {
            point,
            verdicts: std::array::from_fn(|i| of(&self.verdicts[i])),
            succeeded: of(&self.succeeded),
            failed: of(&self.failed),
            abandoned: of(&self.abandoned),
        }
    }
}

fn halves(seed: &[u8; 32]) -> ([u8; 16], [u8; 16]) {
    (std::array::from_fn(|i| seed[i]), std::array::from_fn(|i| seed[16 + i]))
}
