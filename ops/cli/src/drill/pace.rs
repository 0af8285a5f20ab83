//! How fast strangers work: attempts a second, whatever their number.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What a kind of strangers may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Attempts a second.
    pub rate: u32,
    /// Attempts at once.
    pub concurrency: usize,
}

/// Hands out the moments at which attempts may begin.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

/// Whoever is late may catch up on so much and no more: a stall must not become a burst.
const CATCH_UP: Duration = Duration::from_millis(100);

impl Pace {
    pub fn new(rate: u32) -> Self {
        Self { interval: Duration::from_secs(1) / rate.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Waits for the caller's turn.
    pub async fn turn(&self) {
        let at = self.reserve(Instant::now());
        sleep_until(at).await;
    }

    fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = now.checked_sub(CATCH_UP).map_or(*next, |earliest| (*next).max(earliest));
        *next = at + self.interval;
        at
    }
}

/// Runs `budget.concurrency` workers at one pace until `stop`; what they have under way then is given up.
pub async fn crew<F, W>(budget: Budget, stop: &CancellationToken, worker: F)
where
    F: Fn(Arc<Pace>) -> W,
    W: Future<Output = ()> + Send + 'static,
{
    let pace = Arc::new(Pace::new(budget.rate));
    let mut workers = JoinSet::new();
    for _ in 0..budget.concurrency {
        workers.spawn(worker(Arc::clone(&pace)));
    }
    stop.cancelled().await;
    workers.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_one_interval_apart_and_a_stall_is_caught_up_within_its_bound() {
        let pace = Pace::new(100);
        let start = Instant::now();
        let (first, second) = (pace.reserve(start), pace.reserve(start));
        assert_eq!(second - first, Duration::from_millis(10));
        let late = start + Duration::from_secs(60);
        let turns: Vec<Instant> = (0..100).map(|_| pace.reserve(late)).collect();
        let at_once = turns.iter().filter(|at| **at <= late).count();
        assert_eq!(at_once, 11, "a tenth of a second's worth, and the one that is due");
    }

    #[tokio::test]
    async fn a_crew_stops_when_it_is_told() {
        let stop = CancellationToken::new();
        stop.cancel();
        crew(Budget { rate: 1, concurrency: 4 }, &stop, |_| std::future::pending()).await;
    }
}
