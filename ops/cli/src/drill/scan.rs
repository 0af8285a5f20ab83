//! Strangers who guess addresses: any of the pools, each with a random name, none, plain HTTP, or noise.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use rotator::Label;
use rotator::pool::Range;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::pace::{Budget, Pace, crew};
use super::target::source;
use crate::rehearsal::dice::Dice;
use crate::rehearsal::knock::{End, Greeter, knock};

/// What came of knocking, while it goes on.
#[derive(Debug, Default)]
pub struct Counts {
    probes: AtomicU64,
    hits: AtomicU64,
    reset: AtomicU64,
    silent: AtomicU64,
    refused: AtomicU64,
    unsent: AtomicU64,
}

/// [`Counts`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Knocks {
    /// Attempts that left this machine.
    pub probes: u64,
    /// Those that were answered, be it by a single byte.
    pub hits: u64,
    pub reset: u64,
    pub silent: u64,
    pub refused: u64,
    /// Attempts that this machine itself could not make; they are no probes.
    pub unsent: u64,
}

impl Counts {
    pub fn count(&self, end: End) {
        let cell = match end {
            End::Answer => &self.hits,
            End::Reset => &self.reset,
            End::Silence => &self.silent,
            End::Refused => &self.refused,
            End::Unsent => {
                self.unsent.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        cell.fetch_add(1, Ordering::Relaxed);
        self.probes.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> Knocks {
        let of = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Knocks {
            probes: of(&self.probes),
            hits: of(&self.hits),
            reset: of(&self.reset),
            silent: of(&self.silent),
            refused: of(&self.refused),
            unsent: of(&self.unsent),
        }
    }
}

/// Scanners of one edge.
pub struct Scan {
    ranges: Vec<Range>,
    ports: Vec<u16>,
    zone: String,
    greeter: Greeter,
    pub counts: Counts,
}

impl Scan {
    /// # Errors
    /// There is no pool or no port to scan.
    pub fn new(ranges: Vec<Range>, ports: Vec<u16>, zone: &str) -> Result<Self> {
        ensure!(
            !ranges.is_empty() && !ports.is_empty(),
            "the edge has no pool or no service: nothing can be scanned"
        );
        Ok(Self { ranges, ports, zone: zone.to_owned(), greeter: Greeter::new()?, counts: Counts::default() })
    }

    /// Until `stop`.
    pub async fn run(self: &Arc<Self>, budget: Budget, stop: &CancellationToken) {
        crew(budget, stop, |pace| Arc::clone(self).work(pace)).await;
    }

    async fn work(self: Arc<Self>, pace: Arc<Pace>) {
        let Ok(mut dice) = Dice::new() else { return };
        loop {
            pace.turn().await;
            let target = self.target(&mut dice);
            // A name that cannot be said is a mistake of ours, not a probe.
            let Ok(words) = self.words(&mut dice) else { continue };
            let heard = knock(source(target.ip(), &mut dice), target, &words).await;
            self.counts.count(heard.end);
        }
    }

    fn target(&self, dice: &mut Dice) -> SocketAddr {
        let range = &self.ranges[dice.below(self.ranges.len() as u64) as usize];
        let port = self.ports[dice.below(self.ports.len() as u64) as usize];
        SocketAddr::new(dice.address(range), port)
    }

    fn words(&self, dice: &mut Dice) -> Result<Vec<u8>> {
        match dice.below(8) {
            0 => self.greeter.hello(None),
            1 => Ok(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", self.zone).into_bytes()),
            2 => Ok(dice.bytes::<256>().to_vec()),
            _ => self.greeter.hello(Some(&format!("{}.{}", Label::stable(dice.bytes()), self.zone))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_counts_when_it_was_sent_and_a_hit_is_a_probe() {
        let counts = Counts::default();
        for end in [End::Answer, End::Reset, End::Silence, End::Refused, End::Unsent] {
            counts.count(end);
        }
        let read = counts.read();
        assert_eq!((read.probes, read.hits, read.unsent), (4, 1, 1));
        assert_eq!(read.probes, read.hits + read.reset + read.silent + read.refused);
    }

    #[test]
    fn without_a_pool_or_a_port_there_is_no_scan() {
        let range: Range = "127.83.0.0/16".parse().unwrap();
        assert!(Scan::new(vec![], vec![443], "z.test").is_err());
        assert!(Scan::new(vec![range], vec![], "z.test").is_err());
        let scan = Scan::new(vec![range], vec![443], "z.test").unwrap();
        let mut dice = Dice::seeded(1);
        for _ in 0..100 {
            assert!(range.contains(scan.target(&mut dice).ip()));
            assert!(!scan.words(&mut dice).unwrap().is_empty());
        }
    }
}
