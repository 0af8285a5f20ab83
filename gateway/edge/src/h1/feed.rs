//! A request's body on its way from its connection to whoever answers: one piece at a time, and only when asked for.
//!
//! The connection that reads it also polls the answer, so both ends mostly run in one task and wake nobody.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// A request's body.
#[derive(Debug)]
pub struct Incoming(Kind);

#[derive(Debug)]
enum Kind {
    Empty,
    /// It came with its head.
    Whole(Bytes),
    /// It comes; so much of it is left, where that is known.
    Coming {
        feed: Arc<Feed>,
        left: Option<u64>,
    },
}

/// The client's body broke off, or broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request's body broke off")]
pub struct BrokenOff;

/// Where the connection puts pieces.
#[derive(Debug, Default)]
pub struct Feed(Mutex<Slot>);

#[derive(Debug, Default)]
struct Slot {
    frame: Option<Frame<Bytes>>,
    stage: Stage,
    /// Who waits for a piece.
    reader: Option<Waker>,
    /// The connection.
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nobody asks for a piece now.
    #[default]
    Unasked,
    Wanted,
    Ended,
    Broken,
    /// Nobody ever will.
    Unwanted,
}

impl Incoming {
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    pub fn whole(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Kind::Empty } else { Kind::Whole(bytes) })
    }

    pub fn coming(left: Option<u64>) -> (Self, Arc<Feed>) {
        let feed = Arc::new(Feed::default());
        (Self(Kind::Coming { feed: Arc::clone(&feed), left }), feed)
    }
}

impl Feed {
    /// Whether a piece is asked for; `connection` is woken when one is.
    pub fn is_wanted(&self, connection: &Waker) -> bool {
        let mut slot = self.slot();
        let is_known = slot.writer.as_ref().is_some_and(|known| known.will_wake(connection));
        if !is_known {
            slot.writer = Some(connection.clone());
        }
        slot.stage == Stage::Wanted
    }

    pub fn put(&self, bytes: Bytes, is_last: bool, connection: &Waker) {
        let stage = if is_last { Stage::Ended } else { Stage::Unasked };
        self.reach(Some(Frame::data(bytes)), stage, connection);
    }

    pub fn end(&self, trailers: Option<HeaderMap>, connection: &Waker) {
        self.reach(trailers.map(Frame::trailers), Stage::Ended, connection);
    }

    pub fn fail(&self, connection: &Waker) {
        self.reach(None, Stage::Broken, connection);
    }

    fn reach(&self, frame: Option<Frame<Bytes>>, stage: Stage, connection: &Waker) {
        let mut slot = self.slot();
        slot.frame = frame;
        slot.stage = stage;
        // Whoever shares the connection's task is polled next anyway.
        if let Some(reader) = slot.reader.take().filter(|reader| !reader.will_wake(connection)) {
            reader.wake();
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Kind::Coming { feed, .. } = &self.0 {
            feed.slot().stage = Stage::Unwanted;
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let (feed, left) = match &mut self.0 {
            Kind::Empty => return Poll::Ready(None),
            Kind::Whole(bytes) => {
                let frame = Frame::data(std::mem::take(bytes));
                self.0 = Kind::Empty;
                return Poll::Ready(Some(Ok(frame)));
            }
            Kind::Coming { feed, left } => (feed, left),
        };
        let mut slot = feed.slot();
        if let Some(frame) = slot.frame.take() {
            let taken = frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
            *left = left.map(|left| left.saturating_sub(taken));
            return Poll::Ready(Some(Ok(frame)));
        }
        match slot.stage {
            Stage::Ended => Poll::Ready(None),
            Stage::Broken | Stage::Unwanted => Poll::Ready(Some(Err(BrokenOff))),
            Stage::Unasked | Stage::Wanted => {
                slot.stage = Stage::Wanted;
                slot.reader = Some(cx.waker().clone());
                if let Some(writer) = slot.writer.take_if(|writer| !writer.will_wake(cx.waker())) {
                    writer.wake();
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Whole(_) => false,
            Kind::Coming { feed, .. } => {
                let slot = feed.slot();
                slot.frame.is_none() && slot.stage == Stage::Ended
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Coming { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
