//! The first rules: at each hook point, budgets of the source's networks, of the lease, and of everybody.
//!
//! A call is looked at by every rule first and spends only when none objects. So a refused call spends nothing:
//! one flooding host uses up its own budget and not its office's, a sprayed network fills no cells once it is over
//! its widest budget, and a stranger's refused flood does not eat the budget of the lease that it hits.

use std::net::IpAddr;

use crate::bounds::{PREFIX_LEVELS, SKETCH_CELLS};
use crate::clock::Latest;
use crate::exact::{ChargeLease, ChargeShared, LeaseCells, LookLease, LookShared, SharedCell};
use crate::facts::{Evidence, Facts, HookPoint};
use crate::gate::{Gate, Step};
use crate::limits::{Limits, PointLimits, PrefixRates};
use crate::prefix::{Level, PrefixKey, Seed};
use crate::reason::Reason;
use crate::sketch::{Charge, Look, Sketch};
use crate::verdict::{Finding, Verdict};

const POINTS: usize = HookPoint::ALL.len();

/// What was spent. Outlives the rules, so that new limits do not forget a flood. All of it is made at once, but for
/// the pages of lease cells.
#[derive(Debug)]
pub(crate) struct Spent {
    points: [PointSpent; POINTS],
}

#[derive(Debug)]
struct PointSpent {
    claimed: [Sketch; PREFIX_LEVELS],
    proven: [Sketch; PREFIX_LEVELS],
    lease: LeaseCells,
    global: SharedCell,
}

impl Spent {
    pub(crate) fn new() -> Self {
        let sketches = || Level::ALL.map(|_| Sketch::new(SKETCH_CELLS));
        Self {
            points: HookPoint::ALL.map(|_| PointSpent {
                claimed: sketches(),
                proven: sketches(),
                lease: LeaseCells::new(),
                global: SharedCell::default(),
            }),
        }
    }

    /// Cells in memory (8 bytes each): the fixed ones, and those of leases.
    pub(crate) fn cells(&self) -> (usize, usize) {
        let fixed = |p: &PointSpent| p.claimed.iter().chain(&p.proven).map(Sketch::cells).sum::<usize>() + 1;
        (self.points.iter().map(fixed).sum(), self.points.iter().map(|p| p.lease.cells()).sum())
    }
}

/// The rules in force.
pub(crate) struct Rules {
    points: [PointRules; POINTS],
}

struct PointRules {
    claimed: [Option<Gate<Look, Charge>>; PREFIX_LEVELS],
    proven: [Option<Gate<Look, Charge>>; PREFIX_LEVELS],
    lease: Option<Gate<LookLease, ChargeLease>>,
    global: Option<Gate<LookShared, ChargeShared>>,
}

impl Rules {
    pub(crate) fn new(limits: &Limits, spent: &Spent, latest: &Latest) -> Self {
        Self {
            points: HookPoint::ALL
                .map(|point| PointRules::new(limits.point(point), &spent.points[point.index()], latest)),
        }
    }

    /// What the rules say of a call from `source` (canonical). Spends if nothing.
    pub(crate) fn judge(&self, facts: &Facts<'_>, source: IpAddr, seed: Seed) -> Option<Finding> {
        let rules = &self.points[facts.point.index()];
        let keys = Level::ALL.map(|level| seed.prefix_key(source, level));
        let mut worst = None;
        for step in [Step::Look, Step::Charge] {
            rules.each(facts, &keys, step, &mut |finding| {
                worst = Finding::strongest(worst.into_iter().chain([finding]));
            });
            // After the look nothing objects any more, but for a race; what that one says stands.
            if worst.is_some() {
                break;
            }
        }
        worst
    }
}

impl PointRules {
    fn new(limits: &PointLimits, spent: &PointSpent, latest: &Latest) -> Self {
        let gates = |rates: &PrefixRates, sketches: &[Sketch; PREFIX_LEVELS]| {
            Level::ALL.map(|level| {
                let sketch = &sketches[level as usize];
                rates
                    .level(level)
                    .map(|rate| Gate::new(rate, Look(sketch.clone()), Charge(sketch.clone()), latest))
            })
        };
        Self {
            claimed: gates(&limits.claimed, &spent.claimed),
            proven: gates(&limits.proven, &spent.proven),
            lease: limits.lease.map(|rate| {
                Gate::new(rate, LookLease(spent.lease.clone()), ChargeLease(spent.lease.clone()), latest)
            }),
            global: limits.global.map(|rate| {
                Gate::new(rate, LookShared(spent.global.clone()), ChargeShared(spent.global.clone()), latest)
            }),
        }
    }

    /// Takes one step at every gate, narrow to wide, and hands on each objection.
    fn each(
        &self,
        facts: &Facts<'_>,
        keys: &[Option<PrefixKey>; PREFIX_LEVELS],
        step: Step,
        object: &mut dyn FnMut(Finding),
    ) {
        let prefixes = match facts.evidence {
            Evidence::Claimed => &self.claimed,
            Evidence::Proven => &self.proven,
        };
        for level in Level::ALL {
            let at = level as usize;
            if let (Some(gate), Some(key)) = (&prefixes[at], &keys[at])
                && let Some(wait_ms) = gate.step(step, key)
            {
                object(finding(facts, Scope::Prefix(level), wait_ms));
            }
        }
        if let (Some(gate), Some(number)) = (&self.lease, &facts.lease)
            && let Some(wait_ms) = gate.step(step, number)
        {
            object(finding(facts, Scope::Lease, wait_ms));
        }
        if let Some(gate) = &self.global
            && let Some(wait_ms) = gate.step(step, &())
        {
            object(finding(facts, Scope::Global, wait_ms));
        }
    }
}

/// What a budget is counted by.
#[derive(Clone, Copy)]
enum Scope {
    Prefix(Level),
    Lease,
    Global,
}

fn finding(facts: &Facts<'_>, scope: Scope, wait_ms: u64) -> Finding {
    Finding::new(verdict(facts), reason(facts.point, scope), name(scope)).retry_after(wait_ms)
}

/// A flood of connections, or of datagrams that anybody may have forged, gets no answer; others are told.
const fn verdict(facts: &Facts<'_>) -> Verdict {
    match (facts.point, facts.evidence) {
        (HookPoint::Connection, _) | (HookPoint::Query, Evidence::Claimed) => Verdict::Drop,
        (HookPoint::Query, Evidence::Proven)
        | (HookPoint::Request | HookPoint::Enrolment | HookPoint::Renewal, _) => Verdict::Reject,
    }
}

const fn reason(point: HookPoint, scope: Scope) -> Reason {
    match (scope, point) {
        (Scope::Prefix(_), HookPoint::Query) => Reason::DnsRate,
        (Scope::Prefix(_), HookPoint::Enrolment) => Reason::RegistrationRatePrefix,
        (Scope::Prefix(_), HookPoint::Connection | HookPoint::Request | HookPoint::Renewal) => {
            Reason::RatePrefix
        }
        (Scope::Lease, HookPoint::Connection) => Reason::LeaseBudget,
        (Scope::Lease, HookPoint::Request | HookPoint::Query | HookPoint::Enrolment | HookPoint::Renewal) => {
            Reason::RateLease
        }
        (Scope::Global, HookPoint::Enrolment) => Reason::RegistrationRateGlobal,
        (
            Scope::Global,
            HookPoint::Connection | HookPoint::Request | HookPoint::Query | HookPoint::Renewal,
        ) => Reason::Overload,
    }
}

const fn name(scope: Scope) -> &'static str {
    match scope {
        Scope::Prefix(Level::Host) => "host_rate",
        Scope::Prefix(Level::Site) => "site_rate",
        Scope::Prefix(Level::Network) => "network_rate",
        Scope::Lease => "lease_rate",
        Scope::Global => "global_rate",
    }
}
