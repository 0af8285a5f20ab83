//! A grant's tenure: the terms (schedule and generation) under which it stands, and the windows they cut time into.
//!
//! A change of schedule or generation starts a new term. The window that is open then is cut short at that second; the
//! next term's first window opens in its place, `lead` ahead like any other, so nothing breaks on the way, as long as
//! every role knows of the change by then: a planned change begins at [`Tenure::soonest`] or later.

use std::sync::Arc;

use crate::bounds::{LEASES_PER_TURN_MAX, TERMS_MAX};
use crate::lease::{GrantNo, Lease};
use crate::schedule::Schedule;
use crate::time::UnixTime;

/// What becomes of the lease that a new term cuts short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// It keeps its grace: nobody notices.
    Grace,
    /// It ends at once, and with it every older lease that is still in its grace: an address has leaked, and nobody can
    /// say which. Answers already given outlive it; its owner is reset and resolves again.
    Now,
}

/// One stretch of a tenure, from a second until the next term's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub from: UnixTime,
    pub generation: u32,
    pub schedule: Schedule,
    /// How the term before is ended.
    pub cut: Cut,
}

/// All terms of a grant that still matter, oldest first. Clones share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    phase: u64,
    terms: Arc<[Term]>,
}

/// Which of a schedule's two rhythms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhythm {
    Address,
    Label,
}

/// One numbered period of a schedule for one grant, clipped to its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub number: u64,
    /// The first second by number alone: it fixes the key epoch.
    pub origin: UnixTime,
    pub start: UnixTime,
    /// The first second after the window.
    pub end: UnixTime,
    pub term: Term,
    /// The first second of the next term that ends older leases at once.
    cut_now: Option<UnixTime>,
}

/// A grant's windows at one second, of one rhythm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Windows whose leases have opened and are not forgotten, oldest first.
    pub(crate) open: Vec<Window>,
    /// Of each term the first window that opens later.
    pub(crate) ahead: Vec<Window>,
    /// The next second at which one opens or is forgotten.
    pub(crate) due: Option<UnixTime>,
}

impl Tenure {
    /// `phase` is [`crate::GrantId::phase`]. Terms are put in order; of more than [`TERMS_MAX`], the newest stay.
    /// Of two that begin at the same second the later one in `terms` stands, with the harder cut of both.
    pub fn new(phase: u64, mut terms: Vec<Term>) -> Self {
        terms.sort_by_key(|t| t.from);
        terms.dedup_by(|later, earlier| {
            let same = later.from == earlier.from;
            if same {
                let cut = harder(earlier.cut, later.cut);
                *earlier = Term { cut, ..*later };
            }
            same
        });
        let surplus = terms.len().saturating_sub(TERMS_MAX);
        Self { phase, terms: terms.drain(surplus..).collect() }
    }

    /// The first second at which a term learned of at `now` may begin with [`Cut::Grace`] and break nothing: every
    /// answer given before the change was known has left the caches, and no clock has passed that second yet.
    /// Add the time that the news takes to reach every role.
    pub fn soonest(&self, now: UnixTime, next: &Schedule) -> UnixTime {
        let schedules = || self.terms.iter().map(|term| &term.schedule).chain([next]);
        let lead_s = schedules().map(|s| s.lead_s).max().unwrap_or(0);
        let ttl_s = schedules().map(|s| s.ttl_s).max().unwrap_or(0);
        now.plus(2 * u64::from(lead_s) + u64::from(ttl_s) + 1)
    }

    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The term in force at `t`, if the grant has begun by then.
    pub fn term_at(&self, t: UnixTime) -> Option<&Term> {
        self.terms.iter().rev().find(|term| term.from <= t)
    }

    /// The longest life of any window of this rhythm under any term, in seconds.
    pub fn life_s(&self, rhythm: Rhythm) -> u64 {
        self.terms.iter().map(|term| rhythm.life_s(&term.schedule)).max().unwrap_or(0)
    }

    /// The window in which second `t` falls: `n = floor((unix + phase) / period)`.
    pub fn window_at(&self, t: UnixTime, rhythm: Rhythm) -> Option<Window> {
        let index = self.terms.iter().rposition(|term| term.from <= t)?;
        let term = self.terms[index];
        let later = &self.terms[index + 1..];
        let period = rhythm.period_s(&term.schedule);
        let phase = self.phase % period;
        let number = t.secs().saturating_add(phase) / period;
        let origin = UnixTime::from_secs(number.saturating_mul(period).saturating_sub(phase));
        let natural_end =
            UnixTime::from_secs(number.saturating_add(1).saturating_mul(period).saturating_sub(phase));
        Some(Window {
            number,
            origin,
            start: origin.max(term.from),
            end: later.first().map_or(natural_end, |next| next.from.min(natural_end)),
            term,
            cut_now: later.iter().find(|term| term.cut == Cut::Now).map(|term| term.from),
        })
    }

    /// Windows in order of time, beginning with the one in which `t` falls, or the tenure's first.
    pub fn windows_from(&self, t: UnixTime, rhythm: Rhythm) -> impl Iterator<Item = Window> + '_ {
        let begin = self.terms.first().map(|first| t.max(first.from));
        let mut next = begin.and_then(|t| self.window_at(t, rhythm));
        std::iter::from_fn(move || {
            let window = next?;
            next = self.window_at(window.end, rhythm).filter(|w| w.start > window.start);
            Some(window)
        })
    }

    /// The windows whose leases stand at `now`, and when that changes. Costs what stands, however old the tenure.
    pub(crate) fn standing(&self, now: UnixTime, rhythm: Rhythm) -> Standing {
        let mut standing = Standing::default();
        for (index, term) in self.terms.iter().enumerate() {
            let until = self.terms.get(index + 1).map_or(UnixTime::END, |next| next.from);
            let from = term.from.max(now.minus(rhythm.reach_s(&term.schedule)));
            if from < until {
                let windows = self.windows_from(from, rhythm).take_while(|w| w.start < until);
                // The bound holds back an unchecked schedule only.
                standing.add(windows.take(2 * LEASES_PER_TURN_MAX), rhythm, now);
            }
        }
        standing
    }
}

impl Standing {
    /// Adds one term's windows up to the first that opens later; within a term those after it open later still.
    fn add(&mut self, windows: impl Iterator<Item = Window>, rhythm: Rhythm, now: UnixTime) {
        for window in windows {
            let lease = window.lease(0);
            let last = rhythm.last(&lease);
            if last <= now {
                continue;
            }
            let later = now < lease.opens();
            let change = if later { lease.opens() } else { last };
            self.due = Some(self.due.map_or(change, |due| due.min(change)));
            if later {
                self.ahead.push(window);
                break;
            }
            self.open.push(window);
        }
    }
}

impl Rhythm {
    fn period_s(self, schedule: &Schedule) -> u64 {
        let period = match self {
            Self::Address => schedule.period_s,
            Self::Label => schedule.label_period_s,
        };
        u64::from(period.max(1))
    }

    fn life_s(self, schedule: &Schedule) -> u64 {
        match self {
            Self::Address => schedule.life_s(),
            Self::Label => schedule.label_life_s(),
        }
    }

    /// How far back windows may still stand: a life, but no more windows than the bound, should a schedule be unchecked.
    fn reach_s(self, schedule: &Schedule) -> u64 {
        self.life_s(schedule).min(self.period_s(schedule).saturating_mul(LEASES_PER_TURN_MAX as u64))
    }

    /// The first second at which a lease may be forgotten: a label has no tombstone.
    fn last(self, lease: &Lease) -> UnixTime {
        match self {
            Self::Address => lease.silent(),
            Self::Label => lease.closes(),
        }
    }
}

fn harder(a: Cut, b: Cut) -> Cut {
    match (a, b) {
        (Cut::Grace, Cut::Grace) => Cut::Grace,
        (Cut::Now, _) | (_, Cut::Now) => Cut::Now,
    }
}

impl Window {
    /// The lease of this window: what edges accept, and until when.
    pub fn lease(&self, grant: GrantNo) -> Lease {
        let schedule = &self.term.schedule;
        let left_s = self.cut_now.map_or(u64::MAX, |cut| cut.since(self.end));
        let grace_s = schedule.grace_s.min(u32::try_from(left_s).unwrap_or(u32::MAX));
        Lease {
            grant,
            window: self.number,
            start: self.start,
            lead_s: schedule.lead_s,
            live_s: u32::try_from(self.end.since(self.start)).unwrap_or(u32::MAX),
            grace_s,
            tombstone_s: schedule.tombstone_s,
            max_session_s: schedule.max_session_s,
            stale: schedule.stale,
        }
    }
}
