//! A request's body on its way to a service, watched: how far it is, and whose turn it is.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use defense::Reason;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::h1::body::may_trail;
use crate::http::headers::trailing;

/// A request's body, whichever protocol it comes by. Its error is the client's fault; nobody reads which.
pub trait Asked: Body<Data = Bytes, Error: Send> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes, Error: Send> + Send + Unpin + 'static> Asked for B {}

/// A body whose type is forgotten: a pool of connections holds one kind. One that is empty costs nothing.
pub(super) struct Boxed(Option<Pin<Box<dyn Body<Data = Bytes, Error = ClientBroke> + Send>>>);

/// The client's body broke off, or broke its own rules.
#[derive(Debug, thiserror::Error)]
#[error("the client's request broke off")]
pub(super) struct ClientBroke;

impl Boxed {
    pub(super) fn new<B: Asked>(body: B) -> Self {
        Self((!body.is_end_stream()).then(|| Box::pin(body.map_err(|_| ClientBroke)) as _))
    }
}

impl Body for Boxed {
    type Data = Bytes;
    type Error = ClientBroke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBroke>>> {
        match &mut self.0 {
            Some(body) => body.as_mut().poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |body| body.size_hint())
    }
}

/// A body that tells how far it is, and breaks off beyond what its service takes.
pub(super) struct Outgoing<B> {
    body: B,
    /// Bytes.
    max: u64,
    progress: Arc<Progress>,
}

/// How far a body is; shared with whoever waits for the response.
pub(super) struct Progress {
    begun: Instant,
    moved_ms: AtomicU64,
    bytes: AtomicU64,
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
/// It is larger than its service takes.
const TOO_LARGE: u8 = 4;

impl<B: Body<Data = Bytes>> Outgoing<B> {
    pub(super) fn new(body: B, max: u64) -> (Self, Arc<Progress>) {
        let stage = if body.is_end_stream() { DONE } else { WITH_SERVICE };
        let progress = Arc::new(Progress {
            begun: Instant::now(),
            moved_ms: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            stage: AtomicU8::new(stage),
        });
        (Self { body, max, progress: Arc::clone(&progress) }, progress)
    }
}

impl Progress {
    /// When the body last moved.
    pub(super) fn moved(&self) -> Instant {
        self.begun + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed))
    }

    /// How much of it was taken.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    fn is_done(&self) -> bool {
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
            TOO_LARGE => Reason::BodyTooLarge,
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
    type Error = ClientBroke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBroke>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let polled = polled.map_ok(|frame| trailing(frame, |name| !may_trail(name)));
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let piece = frame.data_ref().map_or(0, |piece| piece.len() as u64);
            let taken = self.progress.bytes.fetch_add(piece, Ordering::Relaxed) + piece;
            if taken > self.max {
                self.progress.reach(TOO_LARGE);
                return Poll::Ready(Some(Err(ClientBroke)));
            }
        }
        match &polled {
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.progress.reach(DONE),
            Poll::Ready(Some(Ok(_))) => self.progress.reach(WITH_SERVICE),
            Poll::Ready(Some(Err(_))) => self.progress.reach(BROKEN),
            Poll::Ready(None) => self.progress.reach(DONE),
            Poll::Pending => self.progress.stage.store(WITH_CLIENT, Ordering::Relaxed),
        }
        polled.map_err(|_| ClientBroke)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::time::advance;

    use super::*;

    /// Gives what it holds, then waits; an error where a piece is missing.
    struct Pieces(VecDeque<Result<&'static [u8], ()>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = ();

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
            match self.0.pop_front() {
                Some(piece) => Poll::Ready(Some(piece.map(|bytes| Frame::data(Bytes::from_static(bytes))))),
                None => Poll::Pending,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_late_is_the_client_while_its_body_is_awaited_and_the_service_otherwise() {
        let (mut body, progress) = Outgoing::new(Pieces([Ok(&b"one"[..])].into()), u64::MAX);
        assert_eq!(progress.late(), Reason::ServiceTimeout, "it has not asked for the body yet");
        advance(Duration::from_secs(7)).await;
        body.frame().await.unwrap().unwrap();
        assert_eq!(progress.moved(), Instant::now());
        assert_eq!(progress.late(), Reason::ServiceTimeout);
        assert!(futures_util::FutureExt::now_or_never(body.frame()).is_none());
        assert_eq!((progress.late(), progress.is_done()), (Reason::RequestTimeout, false));
    }

    #[tokio::test]
    async fn a_body_that_breaks_is_its_senders_fault_and_a_service_that_breaks_is_its_own() {
        let (mut body, progress) = Outgoing::new(Pieces([Ok(&b"one"[..]), Err(())].into()), u64::MAX);
        body.frame().await.unwrap().unwrap();
        assert_eq!(progress.fault(Reason::UpstreamClosed), Reason::UpstreamClosed);
        body.frame().await.unwrap().unwrap_err();
        assert_eq!(progress.fault(Reason::UpstreamClosed), Reason::RequestMalformed);
        assert!(!progress.is_done());
    }

    #[tokio::test]
    async fn a_body_is_done_when_its_last_piece_was_taken() {
        let (_, progress) = Outgoing::new(http_body_util::Empty::<Bytes>::new(), 0);
        assert!(progress.is_done());
        let (mut body, progress) = Outgoing::new(http_body_util::Full::new(Bytes::from_static(b"x")), 1);
        assert!(!progress.is_done());
        body.frame().await.unwrap().unwrap();
        assert!(progress.is_done());
    }

    #[tokio::test]
    async fn a_body_of_the_largest_size_passes_and_a_byte_more_is_its_senders_fault() {
        for (max, passes) in [(6, true), (5, false)] {
            let (mut body, progress) = Outgoing::new(Pieces([Ok(&b"one"[..]), Ok(&b"two"[..])].into()), max);
            body.frame().await.unwrap().unwrap();
            assert_eq!(body.frame().await.unwrap().is_ok(), passes);
            let fault = progress.fault(Reason::UpstreamClosed);
            assert_eq!(fault == Reason::BodyTooLarge, !passes);
        }
    }
}
