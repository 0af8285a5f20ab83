//! How an edge begins and ends: it opens when all else works, drains when it is told to, and cuts what stays too long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use defense::Reason;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::bounds::{CUT_WAIT, DRAIN_LOOK};
use crate::connections::Connections;

/// An edge's course. Everything that can begin or end it is a token, so that nobody has to ask again and again.
#[derive(Debug)]
pub struct Drain {
    /// Cancelled when connections may be accepted.
    open: CancellationToken,
    /// Cancelled when the drain begins: no newcomers; who is here finishes what is under way.
    pub begun: CancellationToken,
    /// Cancelled when who is on QUIC has to part: with `begun`, or sooner, for a successor that gets all datagrams.
    pub quic: CancellationToken,
    /// Cancelled when nobody is waited for any longer.
    hurry: CancellationToken,
    /// From the drain's beginning to its hard end.
    pub max: Duration,
    /// Connections that were let in and have no seat yet.
    arriving: AtomicUsize,
    cut: AtomicUsize,
}

/// A connection between its door and its seat.
pub struct Arriving<'d>(&'d Drain);

impl Drain {
    /// `begun` is the caller's own token: cancelling it begins the drain.
    pub fn new(begun: CancellationToken, max: Duration) -> Self {
        let (open, hurry) = (CancellationToken::new(), CancellationToken::new());
        let quic = begun.child_token();
        Self { open, begun, quic, hurry, max, arriving: AtomicUsize::new(0), cut: AtomicUsize::new(0) }
    }

    pub fn open(&self) {
        self.open.cancel();
    }

    pub fn is_open(&self) -> bool {
        self.open.is_cancelled() && !self.begun.is_cancelled()
    }

    /// Until connections may be accepted; false: it ended before it began.
    pub async fn opened(&self) -> bool {
        tokio::select! {
            biased;
            () = self.begun.cancelled() => false,
            () = self.open.cancelled() => true,
        }
    }

    /// Waits for nobody any longer.
    pub fn hasten(&self) {
        self.hurry.cancel();
    }

    /// Counts a connection as on its way to its seat.
    pub fn arrive(&self) -> Arriving<'_> {
        self.arriving.fetch_add(1, Ordering::Relaxed);
        Arriving(self)
    }

    /// Connections that were cut so far.
    pub fn cut(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }

    /// After the drain has begun: until nobody is left, or the limit has passed, or the end was hastened; what is open then
    /// is cut and counted. Any number of tasks may wait.
    pub async fn ended(&self, connections: &Connections) {
        let limit = Instant::now() + self.max;
        while !self.is_over(connections) && Instant::now() < limit && !self.hurry.is_cancelled() {
            sleep(DRAIN_LOOK).await;
        }
        let cut = connections.close_all(Reason::DrainingEdge) + self.arriving.swap(0, Ordering::Relaxed);
        self.cut.fetch_add(cut, Ordering::Relaxed);
        let limit = Instant::now() + CUT_WAIT;
        while !connections.is_empty() && Instant::now() < limit {
            sleep(DRAIN_LOOK).await;
        }
    }

    fn is_over(&self, connections: &Connections) -> bool {
        connections.is_empty() && self.arriving.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        // Not below nothing: those on their way at the end were counted as cut.
        let _ = self.0.arriving.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain() -> Drain {
        Drain::new(CancellationToken::new(), Duration::from_secs(30))
    }

    #[tokio::test]
    async fn an_edge_is_open_only_after_it_was_opened_and_before_it_drains() {
        let drain = drain();
        assert!(!drain.is_open());
        drain.open();
        assert!(drain.opened().await && drain.is_open());
        drain.begun.cancel();
        assert!(!drain.is_open() && !drain.opened().await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_on_the_way_is_waited_for_until_the_limit_and_then_counted_as_cut() {
        let (drain, connections) = (drain(), Connections::new());
        let arriving = drain.arrive();
        let begun = Instant::now();
        drain.ended(&connections).await;
        assert!(begun.elapsed() >= drain.max);
        assert_eq!(drain.cut(), 1);
        drop(arriving);
        drain.ended(&connections).await;
        assert_eq!(drain.cut(), 1, "nobody is cut twice");
        drop(drain.arrive());
        let begun = Instant::now();
        drain.ended(&connections).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "with nobody there, it is over at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hastened_drain_waits_for_nobody() {
        let (drain, connections) = (drain(), Connections::new());
        let _arriving = drain.arrive();
        drain.hasten();
        let begun = Instant::now();
        drain.ended(&connections).await;
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert_eq!(drain.cut(), 1);
    }
}
