//! How hard pressed the edge is, in four levels, and what each sheds: the cheapest first, users last. Pure, with hysteresis.
//!
//! | level | sheds | said |
//! | --- | --- | --- |
//! | 0 calm | nothing | |
//! | 1 raised | the pretense at dark addresses (they are reset at once), half of the time to name oneself; QUIC asks every newcomer for a Retry; idle connections end after a sixth of their time | `no_window`, `handshake_timeout` |
//! | 2 high | besides: delays by verdict become refusals; new connections of leases that hold more than half of their share | `overload_delay`, `overload_share` |
//! | 3 severe | besides: new connections of whoever has not used its lease lately, or holds several; idle connections end after a second | `overload_newcomer` |
//!
//! What is under way is never shed: requests on open connections are served at every level.
//!
//! Signals, the worst of which counts: an accept queue that was not once empty for so long (a standing queue, as CoDel
//! measures one: a burst that drains is no overload), timers of a core that are late every time, memory against its limit, places taken.
//! Up at once, since a flood does not wait; down one level at a time, each after [`CALM`] below its mark.

mod memory;
mod sampler;

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use defense::Moment;

use crate::bounds::{CALM, HANDSHAKE_MAX, IDLE_MAX};
pub use sampler::sample;

/// How hard pressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    #[default]
    Calm,
    Raised,
    High,
    Severe,
}

impl Level {
    pub const ALL: [Self; 4] = [Self::Calm, Self::Raised, Self::High, Self::Severe];

    /// The word on the screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Raised => "raised",
            Self::High => "high",
            Self::Severe => "severe",
        }
    }

    const fn below(self) -> Self {
        match self {
            Self::Calm | Self::Raised => Self::Calm,
            Self::High => Self::Raised,
            Self::Severe => Self::High,
        }
    }

    fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Severe)
    }
}

/// What presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// For how long an accept queue has not been empty, in milliseconds.
    Queue,
    /// By how much timers were late, each time, in milliseconds.
    Lag,
    /// Memory in use, in thousandths of its limit.
    Memory,
    /// Places taken, in thousandths.
    Places,
}

impl Signal {
    pub const ALL: [Self; 4] = [Self::Queue, Self::Lag, Self::Memory, Self::Places];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Lag => "lag",
            Self::Memory => "memory",
            Self::Places => "places",
        }
    }
}

/// From which value on a signal means level 1, 2 and 3.
pub type Marks = [u32; 3];

/// The marks of each signal, in the order of [`Signal::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds(pub [Marks; 4]);

impl Default for Thresholds {
    fn default() -> Self {
        Self([[100, 400, 1_500], [150, 600, 3_000], [800, 900, 950], [750, 880, 950]])
    }
}

impl Thresholds {
    /// Whatever happens, it is calm.
    pub const NEVER: Self = Self([[u32::MAX; 3]; 4]);

    fn level(&self, readings: &[u32; 4]) -> (Level, Option<Signal>) {
        let each = Signal::ALL.into_iter().map(|signal| {
            let (marks, reading) = (self.0[signal as usize], readings[signal as usize]);
            (Level::of(marks.iter().filter(|mark| reading >= **mark).count() as u8), signal)
        });
        // Of equals the first.
        let worst = each.fold((Level::Calm, Signal::Queue), |a, b| if b.0 > a.0 { b } else { a });
        (worst.0, (worst.0 > Level::Calm).then_some(worst.1))
    }

    /// The marks below which a level is left: nine tenths of those at which it was reached.
    fn eased(&self) -> Self {
        Self(self.0.map(|marks| marks.map(|mark| mark / 10 * 9 + mark % 10 * 9 / 10)))
    }
}

/// The rule, without the readings' sources.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauge {
    level: Level,
    by: Option<Signal>,
    /// Since when the readings have been those of a lower level.
    calmer_since: Option<Moment>,
}

impl Gauge {
    pub const fn level(&self) -> Level {
        self.level
    }

    /// What raised it to where it is.
    pub const fn by(&self) -> Option<Signal> {
        self.by
    }

    /// The level after these readings.
    pub fn feel(&mut self, thresholds: &Thresholds, readings: &[u32; 4], now: Moment) -> Level {
        let (reached, by) = thresholds.level(readings);
        let (held, _) = thresholds.eased().level(readings);
        if reached > self.level {
            (self.level, self.by, self.calmer_since) = (reached, by, None);
        } else if held >= self.level {
            self.calmer_since = None;
        } else {
            let since = *self.calmer_since.get_or_insert(now);
            if u128::from(now.nanos_since(since)) >= CALM.as_nanos() {
                self.level = self.level.below();
                self.calmer_since = Some(now);
                if self.level == Level::Calm {
                    self.by = None;
                }
            }
        }
        self.level
    }
}

/// What was shed, besides what has a verdict in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// A dark address was reset at once.
    Pretense,
    /// A QUIC newcomer was asked to come again with a token.
    Retry,
    /// An idle connection was ended before its time.
    Idle,
    /// A call that was to be held back was refused.
    Delay,
    /// A new connection of a lease with more than half of its share.
    Share,
    /// A new connection of somebody who was not here lately.
    Newcomer,
}

impl Shed {
    pub const ALL: [Self; 6] =
        [Self::Pretense, Self::Retry, Self::Idle, Self::Delay, Self::Share, Self::Newcomer];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pretense => "pretense",
            Self::Retry => "retry",
            Self::Idle => "idle",
            Self::Delay => "delay",
            Self::Share => "share",
            Self::Newcomer => "newcomer",
        }
    }
}

/// The level in force, for every core to read.
#[derive(Debug)]
pub struct Pressure {
    thresholds: Thresholds,
    gauge: Mutex<Gauge>,
    level: AtomicU8,
    /// The longest that an accept queue has been standing since the last look, in milliseconds.
    queue: AtomicU32,
    /// Thousandths of the limit.
    memory: AtomicU32,
    shed: [AtomicU64; Shed::ALL.len()],
    /// How often a level above 0 was entered.
    raised: AtomicU64,
}

/// The level and its reasons at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PressureStatus {
    pub level: Level,
    pub by: Option<Signal>,
    pub raised_total: u64,
    pub shed: [(Shed, u64); Shed::ALL.len()],
}

impl Pressure {
    pub fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            gauge: Mutex::default(),
            level: AtomicU8::new(0),
            queue: AtomicU32::new(0),
            memory: AtomicU32::new(0),
            shed: Default::default(),
            raised: AtomicU64::new(0),
        }
    }

    pub fn level(&self) -> Level {
        Level::of(self.level.load(Ordering::Relaxed))
    }

    /// An accept queue has not been empty for so many milliseconds.
    pub fn queued(&self, ms: u32) {
        self.queue.fetch_max(ms, Ordering::Relaxed);
    }

    /// Memory in use, in thousandths of its limit.
    pub fn memory(&self, thousandths: u32) {
        self.memory.store(thousandths, Ordering::Relaxed);
    }

    /// Takes one core's readings; the new level, if it is another than before.
    pub fn feel(&self, lag_ms: u32, places: u32, now: Moment) -> Option<(Level, Option<Signal>)> {
        let readings =
            [self.queue.swap(0, Ordering::Relaxed), lag_ms, self.memory.load(Ordering::Relaxed), places];
        let mut gauge = self.lock();
        let (before, level) = (gauge.level(), gauge.feel(&self.thresholds, &readings, now));
        self.level.store(level as u8, Ordering::Relaxed);
        self.raised.fetch_add(u64::from(level > before), Ordering::Relaxed);
        (level != before).then_some((level, gauge.by()))
    }

    /// Is a dark address to pretend that it might be live?
    pub fn pretends(&self) -> bool {
        self.keeps(Level::Raised, Shed::Pretense)
    }

    /// Is a QUIC newcomer without a token to be asked for one?
    pub fn asks_retry(&self) -> bool {
        !self.keeps(Level::Raised, Shed::Retry)
    }

    /// May a verdict hold a call back?
    pub fn delays(&self) -> bool {
        self.keeps(Level::High, Shed::Delay)
    }

    /// How long somebody may take to name itself and finish its handshake.
    pub fn handshake_max(&self) -> Duration {
        match self.level() {
            Level::Calm => HANDSHAKE_MAX,
            Level::Raised | Level::High | Level::Severe => HANDSHAKE_MAX / 2,
        }
    }

    /// How long a connection may be idle.
    pub fn idle_max(&self) -> Duration {
        match self.level() {
            Level::Calm => IDLE_MAX,
            Level::Raised | Level::High => IDLE_MAX / 6,
            Level::Severe => Duration::from_secs(1),
        }
    }

    /// Counts what was shed.
    pub fn shed(&self, what: Shed) {
        self.shed[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn status(&self) -> PressureStatus {
        let gauge = *self.lock();
        PressureStatus {
            level: gauge.level(),
            by: gauge.by(),
            raised_total: self.raised.load(Ordering::Relaxed),
            shed: Shed::ALL.map(|what| (what, self.shed[what as usize].load(Ordering::Relaxed))),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Gauge> {
        // A gauge is as good after a panic as before it.
        self.gauge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False, and counted, from that level on.
    fn keeps(&self, until: Level, what: Shed) -> bool {
        let keeps = self.level() < until;
        if !keeps {
            self.shed(what);
        }
        keeps
    }
}

#[cfg(test)]
mod tests;
