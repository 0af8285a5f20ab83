//! Datagrams to a service and back, with the flow's identity: one socket at the service for each flow.
//!
//! A flow promises what UDP does: datagrams are whole, and may be lost. Nothing that is slow makes anything else wait:
//! what finds no room is dropped and counted. When the fabric loses what carries the flow, the gateway has it carried
//! anew, from a new socket at the service; datagrams between are lost.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::bounds::{FLOW_REOPEN, REDIAL_FIRST};
use crate::refusal::{Fault, Refusal};

pub(crate) mod framed;
mod queue;

use framed::Framed;
use queue::Queue;

/// Datagrams to one service and back. Usable from any runtime; dropping it ends it.
pub struct Flow {
    ends: Arc<Ends>,
    _stop: DropGuard,
}

/// Shared by the owner and the task that carries.
#[derive(Default)]
struct Ends {
    leaving: Queue,
    arrived: Queue,
    dropped: AtomicU64,
    over: OnceLock<Refusal>,
}

/// What asks for a carrier: once when the flow begins, and again when one is lost.
pub(crate) type Opener<S> = Box<dyn Fn() -> BoxFuture<'static, Result<S, Refusal>> + Send + Sync>;

impl Flow {
    /// Begins a flow over its first carrier; a task on the current runtime moves its datagrams.
    pub(crate) fn start<S>(
        first: S,
        opener: Option<Opener<S>>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (ends, stop) = (Arc::<Ends>::default(), stop.child_token());
        let carrying = stop.clone().run_until_cancelled_owned(carry_on(ends.clone(), first, opener));
        let ending = ends.clone();
        tasks.spawn(async move {
            let over = carrying.await.unwrap_or(Refusal::ShuttingDown);
            ending.close(over);
        });
        Self { ends, _stop: stop.drop_guard() }
    }

    /// Sends a datagram if there is room; else it is dropped, counted, and false. Never waits.
    pub fn send(&self, datagram: &[u8]) -> bool {
        let is_sent = datagram.len() <= crate::datagrams::DATAGRAM_MAX
            && self.ends.leaving.push(Bytes::copy_from_slice(datagram));
        self.ends.count_dropped(is_sent);
        is_sent
    }

    /// The next datagram. For one caller at a time; nothing is lost if it is dropped before it is ready.
    ///
    /// # Errors
    /// Why the flow is over: [`Refusal::Deadline`] when nothing passed for long, a refusal of the service or the fabric.
    pub async fn recv(&self) -> Result<Bytes, Refusal> {
        match self.ends.arrived.pop().await {
            Some(datagram) => Ok(datagram),
            None => Err(self.ends.over.get().copied().unwrap_or(Refusal::Cancelled)),
        }
    }

    /// The next datagram if it is there already: with [`Flow::recv`], whoever sends in batches takes them in batches.
    pub fn try_recv(&self) -> Option<Bytes> {
        self.ends.arrived.try_pop()
    }

    /// Datagrams of both directions that found no room at this end.
    pub fn dropped(&self) -> u64 {
        self.ends.dropped.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

impl Ends {
    fn close(&self, over: Refusal) {
        // Set before the queues close: who finds them closed finds the reason.
        let _ = self.over.set(over);
        self.leaving.close();
        self.arrived.close();
    }

    fn count_dropped(&self, is_kept: bool) {
        if !is_kept {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn carry_on<S>(ends: Arc<Ends>, first: S, opener: Option<Opener<S>>) -> Refusal
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut carrier = first;
    loop {
        let reason = carry(&ends, carrier).await;
        match (&opener, reason.fault()) {
            (Some(opener), Fault::Fabric) => match open_again(opener, reason).await {
                Ok(next) => carrier = next,
                Err(reason) => return reason,
            },
            (Some(_) | None, _) => return reason,
        }
    }
}

/// Moves datagrams until the carrier ends; why it did.
async fn carry<S: AsyncRead + AsyncWrite + Unpin>(ends: &Ends, carrier: S) -> Refusal {
    let mut framed = Framed::new(carrier);
    loop {
        tokio::select! {
            next = poll_fn(|cx| framed.poll_next(cx)) => match next {
                Ok(Some(datagram)) => ends.count_dropped(ends.arrived.push(datagram)),
                // The local hub ends a flow in order only when it was idle for long.
                Ok(None) => return Refusal::Deadline,
                Err(error) => return Refusal::of(&error).unwrap_or(Refusal::LaneLost),
            },
            datagram = ends.leaving.pop() => match datagram {
                Some(datagram) => ends.count_dropped(framed.send(&datagram)),
                None => return Refusal::Cancelled,
            },
        }
        tokio::task::consume_budget().await;
    }
}

/// Another carrier within [`FLOW_REOPEN`], unless somebody other than the fabric refuses.
async fn open_again<S>(opener: &Opener<S>, lost: Refusal) -> Result<S, Refusal> {
    let (deadline, mut pause) = (Instant::now() + FLOW_REOPEN, REDIAL_FIRST);
    loop {
        match timeout_at(deadline, opener()).await {
            Ok(Ok(carrier)) => return Ok(carrier),
            Ok(Err(reason)) if !may_pass(reason) || Instant::now() + pause >= deadline => return Err(reason),
            Ok(Err(_)) => sleep(pause).await,
            Err(_) => return Err(lost),
        }
        pause *= 2;
    }
}

/// Can a refusal pass by itself, while hubs change?
fn may_pass(reason: Refusal) -> bool {
    reason.fault() == Fault::Fabric || matches!(reason, Refusal::ServiceNotOffered | Refusal::Deadline)
}
