//! A grant's tenure: the terms (schedule and generation) under which it stands, and the windows they cut time into.
//!
//! A change of schedule or generation starts a new term. The window that is open then is cut short at that second; the
//! next term's first window opens in its place, `lead` ahead like any other, so nothing breaks on the way.

use crate::bounds::TERMS_MAX;
use crate::lease::{GrantNo, Lease};
use crate::schedule::Schedule;
use crate::time::UnixTime;

/// What becomes of the lease that a new term cuts short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// It keeps its grace: nobody notices.
    Grace,
    /// It ends at once: the address has leaked. Answers already given outlive it; its owner is reset and resolves again.
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

/// All terms of a grant that still matter, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    phase: u64,
    terms: Vec<Term>,
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
    /// How the window is cut, if the next term cuts it.
    cut: Option<Cut>,
}

impl Tenure {
    /// `phase` is [`crate::GrantId::phase`]. Terms are put in order; of more than [`TERMS_MAX`], the newest stay.
    pub fn new(phase: u64, mut terms: Vec<Term>) -> Self {
        terms.sort_by_key(|t| t.from);
        terms.dedup_by(|later, earlier| {
            let same = later.from == earlier.from;
            if same {
                *earlier = *later;
            }
            same
        });
        let surplus = terms.len().saturating_sub(TERMS_MAX);
        terms.drain(..surplus);
        Self { phase, terms }
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
        let life = |term: &Term| match rhythm {
            Rhythm::Address => term.schedule.life_s(),
            Rhythm::Label => term.schedule.label_life_s(),
        };
        self.terms.iter().map(life).max().unwrap_or(0)
    }

    /// The window in which second `t` falls: `n = floor((unix + phase) / period)`.
    pub fn window_at(&self, t: UnixTime, rhythm: Rhythm) -> Option<Window> {
        let index = self.terms.iter().rposition(|term| term.from <= t)?;
        let term = self.terms[index];
        let next = self.terms.get(index + 1);
        let period = rhythm.period_s(&term.schedule);
        let phase = self.phase % period;
        let number = t.secs().saturating_add(phase) / period;
        let origin = UnixTime::from_secs(number.saturating_mul(period).saturating_sub(phase));
        let natural_end = UnixTime::from_secs((number + 1).saturating_mul(period).saturating_sub(phase));
        let start = origin.max(term.from);
        let (end, cut) = match next {
            Some(next) if next.from <= natural_end => (next.from, Some(next.cut)),
            Some(_) | None => (natural_end, None),
        };
        Some(Window { number, origin, start, end, term, cut })
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
}

impl Rhythm {
    fn period_s(self, schedule: &Schedule) -> u64 {
        let period = match self {
            Self::Address => schedule.period_s,
            Self::Label => schedule.label_period_s,
        };
        u64::from(period.max(1))
    }
}

impl Window {
    /// The lease of this window: what edges accept, and until when.
    pub fn lease(&self, grant: GrantNo) -> Lease {
        let schedule = &self.term.schedule;
        let grace_s = match self.cut {
            Some(Cut::Now) => 0,
            Some(Cut::Grace) | None => schedule.grace_s,
        };
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
