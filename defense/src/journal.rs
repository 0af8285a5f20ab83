//! What was refused lately and why, in fixed memory: exact counters, and samples for `wandergate why`.
//!
//! Every event is counted. An event reaches the ring of samples only when it is the first, second, fourth, eighth …
//! of its kind (reason, hook point, network, lease) within one second, and only [`SAMPLES_PER_REASON_S`] times per
//! second and reason: a flood costs O(reasons), not O(packets), and a rare refusal beside it is still found.

mod counters;
mod gather;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

use crate::bounds::{GATHER_SLOTS, SAMPLES_MAX, SAMPLES_PER_REASON_S};
use crate::facts::HookPoint;
use crate::prefix::{Level, Seed, network_of};
use crate::reason::Reason;
use crate::verdict::VerdictKind;

pub use counters::Counter;
use counters::Counters;
use gather::{Gather, Meter};

/// One refusal, or a batch of alike ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Wall clock, whole seconds since 1970.
    pub at_unix_s: u64,
    pub point: HookPoint,
    pub verdict: VerdictKind,
    pub reason: Reason,
    pub source: IpAddr,
    /// The grant's number.
    pub lease: Option<u32>,
    /// The request's id, where the client was told one.
    pub request: Option<u128>,
    /// How many alike: 1, unless a lower layer counted.
    pub count: u32,
}

/// A remembered refusal. Alike ones of the same second are gathered into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The first of those gathered (its `count` is that event's own).
    pub first: Event,
    /// IPv4 /32 or IPv6 /64 of the source.
    pub network: IpNet,
    /// How many within that second: at least so many, and less than twice as many unless the reason was flooded
    /// from many networks. Exact figures are in [`Journal::counters`].
    pub at_least: u64,
}

/// See the module's head. All of its memory is taken by [`Journal::new`].
#[derive(Debug)]
pub struct Journal {
    counters: Counters,
    gather: Gather,
    /// Per reason: those with a request id, and those without.
    meters: Vec<[Meter; 2]>,
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    /// Number of the oldest sample held.
    oldest: u64,
    samples: VecDeque<Sample>,
    /// By slot of [`Gather`]: number of the sample made last for it.
    newest_of: Vec<u64>,
}

impl Journal {
    /// `seed`: 128 random bits, so that no source can choose to share a slot with another.
    pub fn new(seed: [u8; 16]) -> Self {
        Self {
            counters: Counters::new(),
            gather: Gather::new(Seed::new(seed)),
            meters: Reason::ALL.iter().map(|_| [Meter::default(), Meter::default()]).collect(),
            ring: Mutex::new(Ring {
                oldest: 0,
                samples: VecDeque::with_capacity(SAMPLES_MAX),
                newest_of: vec![u64::MAX; GATHER_SLOTS],
            }),
        }
    }

    /// Counts an event, and samples it if it is telling. Lock-free unless sampled.
    pub fn record(&self, event: &Event) {
        self.counters.add(event);
        let Some(network) = network_of(event.source, Level::Host) else { return };
        let place = self.gather.place(event, network);
        let Some(in_second) = self.gather.telling(place, event) else { return };
        let meter = &self.meters[event.reason.index()][usize::from(event.request.is_none())];
        if meter.admits(event.at_unix_s, SAMPLES_PER_REASON_S) {
            self.lock().remember(event, network, place.slot, in_second);
        }
    }

    /// Exact counts since the start, those that are not 0.
    pub fn counters(&self) -> Vec<Counter> {
        self.counters.read()
    }

    /// Exact count of one reason, at all points.
    pub fn total(&self, reason: Reason) -> u64 {
        self.counters.total(reason)
    }

    /// Samples whose network (IPv4 /32, IPv6 /64) holds `source`, newest first.
    pub fn about_source(&self, source: IpAddr) -> Vec<Sample> {
        let source = source.to_canonical();
        self.newest_first(SAMPLES_MAX, |s| s.network.contains(&source))
    }

    /// Samples from within `network`, newest first.
    pub fn about_network(&self, network: IpNet) -> Vec<Sample> {
        self.newest_first(SAMPLES_MAX, |s| network.contains(&s.first.source.to_canonical()))
    }

    /// Samples of the lease with this number, newest first.
    pub fn about_lease(&self, number: u32) -> Vec<Sample> {
        self.newest_first(SAMPLES_MAX, |s| s.first.lease == Some(number))
    }

    /// Samples of the request with this id, newest first.
    pub fn about_request(&self, id: u128) -> Vec<Sample> {
        self.newest_first(SAMPLES_MAX, |s| s.first.request == Some(id))
    }

    /// Samples of one reason, newest first.
    pub fn about_reason(&self, reason: Reason) -> Vec<Sample> {
        self.newest_first(SAMPLES_MAX, |s| s.first.reason == reason)
    }

    /// The last `n` samples, newest first.
    pub fn recent(&self, n: usize) -> Vec<Sample> {
        self.newest_first(n, |_| true)
    }

    fn newest_first(&self, n: usize, wanted: impl Fn(&Sample) -> bool) -> Vec<Sample> {
        self.lock().samples.iter().rev().filter(|s| wanted(s)).take(n).copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Nothing between lock and unlock leaves the ring in a state that a panic would make worse.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn remember(&mut self, event: &Event, network: IpNet, slot: usize, in_second: u32) {
        if let Some(sample) = self.newest_of_slot(slot)
            && sample.network == network
            && alike(&sample.first, event)
        {
            sample.at_least = sample.at_least.max(u64::from(in_second));
            return;
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
            self.oldest += 1;
        }
        self.newest_of[slot] = self.oldest + self.samples.len() as u64;
        self.samples.push_back(Sample { first: *event, network, at_least: u64::from(event.count) });
    }

    fn newest_of_slot(&mut self, slot: usize) -> Option<&mut Sample> {
        let behind = self.newest_of[slot].checked_sub(self.oldest)?;
        self.samples.get_mut(usize::try_from(behind).ok()?)
    }
}

fn alike(a: &Event, b: &Event) -> bool {
    (a.at_unix_s, a.point, a.verdict, a.reason, a.lease, a.request)
        == (b.at_unix_s, b.point, b.verdict, b.reason, b.lease, b.request)
}
