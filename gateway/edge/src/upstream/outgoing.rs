//! A request's body on its way to a service, watched: how far it is, and whose turn it is.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use defense::Reason;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// A body that tells how far it is.
pub(super) struct Outgoing<B> {
    body: B,
    progress: Arc<Progress>,
}

/// How far a body is; shared with whoever waits for the response.
pub(super) struct Progress {
    begun: Instant,
    moved_ms: AtomicU64,
    stage: AtomicU8,
}

/// The service has what came so far and may take its time.
const WITH_SERVICE: u8 = 0;
/// The next piece has to come from the client.
const WITH_CLIENT: u8 = 1;
/// The client's body broke its own rules, or the client left.
const BROKEN: u8 = 2;
/// All of it was taken.
const DONE: u8 = 3;

impl<B: Body<Data = Bytes>> Outgoing<B> {
    pub(super) fn new(body: B) -> (Self, Arc<Progress>) {
        let stage = if body.is_end_stream() { DONE } else { WITH_SERVICE };
        let progress = Arc::new(Progress {
            begun: Instant::now(),
            moved_ms: AtomicU64::new(0),
            stage: AtomicU8::new(stage),
        });
        (Self { body, progress: Arc::clone(&progress) }, progress)
    }
}

impl Progress {
    /// When the body last moved.
    pub(super) fn moved(&self) -> Instant {
        self.begun + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed))
    }

    pub(super) fn is_done(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == DONE
    }

    /// Whose fault it is that there was no answer in time.
    pub(super) fn late(&self) -> Reason {
        match self.stage.load(Ordering::Relaxed) {
            WITH_CLIENT => Reason::RequestTimeout,
            _ => Reason::ServiceTimeout,
        }
    }

    /// Whose fault a failure is that the service seems to have caused.
    pub(super) fn fault(&self, reason: Reason) -> Reason {
        match self.stage.load(Ordering::Relaxed) {
            BROKEN => Reason::RequestMalformed,
            _ => reason,
        }
    }

    fn reach(&self, stage: u8) {
        self.stage.store(stage, Ordering::Relaxed);
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(ms, Ordering::Relaxed);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.progress.reach(DONE),
            Poll::Ready(Some(Ok(_))) => self.progress.reach(WITH_SERVICE),
            Poll::Ready(Some(Err(_))) => self.progress.reach(BROKEN),
            Poll::Ready(None) => self.progress.reach(DONE),
            Poll::Pending => self.progress.stage.store(WITH_CLIENT, Ordering::Relaxed),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
