//! A request's body as it comes on its stream, and its trailers.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use quinn::{ReadError, RecvStream};

use super::code::{Code, Violation};
use super::frame::{FrameReader, HEADERS, Lane, Piece, Trouble};
use super::head::{self, Refused};
use crate::bounds::H3_READ_MAX;
use crate::budgets::Direction;
use crate::http::Visit;
use crate::pulse::Pulse;
use crate::tcp::metered::Paced;

/// The client's body broke off, or broke its own rules.
#[derive(Debug, thiserror::Error)]
#[error("the client's body broke off")]
pub struct Broken;

/// A stream's bytes with what is read of them.
pub struct Inflow {
    pub stream: RecvStream,
    pub reader: FrameReader,
    pub input: Bytes,
    pub pulse: Arc<Pulse>,
    pub paced: Paced,
}

/// Why nothing more is read of a stream.
#[derive(Debug)]
pub enum Stopped {
    /// The client withdrew it, or the connection is gone.
    Gone,
    Trouble(Trouble),
}

impl Inflow {
    pub fn new(visit: &Visit, stream: RecvStream) -> Self {
        let paced = Paced::new(Arc::clone(&visit.purse), visit.gate.clock.clone());
        let (reader, pulse) = (FrameReader::new(Lane::Request), Arc::clone(&visit.pulse));
        Self { stream, reader, input: Bytes::new(), pulse, paced }
    }

    fn came(&mut self, bytes: Bytes) {
        self.pulse.came(bytes.len());
        self.paced.moved(Direction::In, bytes.len());
        self.input = bytes;
    }

    /// The next piece; `None` at an end where there may be one.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, Stopped>> {
        loop {
            if let Some(piece) = self.reader.next(&mut self.input).map_err(Stopped::Trouble)? {
                return Poll::Ready(Ok(Some(piece)));
            }
            ready!(self.paced.poll_ready(Direction::In, cx));
            // It keeps nothing between polls but its place in the connection.
            let chunk = pin!(self.stream.read_chunk(H3_READ_MAX, true)).poll(cx);
            match ready!(chunk) {
                Ok(Some(chunk)) => {
                    self.came(chunk.bytes);
                }
                Ok(None) if self.reader.is_between_frames() => return Poll::Ready(Ok(None)),
                Ok(None) => {
                    let cut = Trouble::Violation(Violation(Code::Frame));
                    return Poll::Ready(Err(Stopped::Trouble(cut)));
                }
                Err(
                    ReadError::Reset(_)
                    | ReadError::ConnectionLost(_)
                    | ReadError::ClosedStream
                    | ReadError::IllegalOrderedRead
                    | ReadError::ZeroRttRejected,
                ) => return Poll::Ready(Err(Stopped::Gone)),
            }
        }
    }
}

/// The rest of a request's stream after its head.
pub struct Incoming {
    inflow: Inflow,
    /// Bytes that the head's length still promises.
    left: Option<u64>,
    stage: Stage,
    /// Told to the stream's task: what ends the connection.
    violation: Arc<OnceLock<Violation>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Body,
    /// After trailers nothing may come.
    Trailed,
    Done,
}

impl Incoming {
    pub fn new(inflow: Inflow, length: Option<u64>, violation: Arc<OnceLock<Violation>>) -> Self {
        Self { inflow, left: length, stage: Stage::Body, violation }
    }

    /// Is that the end already? A request without a body usually says so in the same packet.
    ///
    /// # Errors
    /// It ends otherwise than it may.
    pub fn peek_end(&mut self) -> Result<(), Broken> {
        if !self.inflow.input.is_empty() {
            return self.check_empty();
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let chunk = pin!(self.inflow.stream.read_chunk(H3_READ_MAX, true)).poll(&mut cx);
        match chunk {
            Poll::Ready(Ok(Some(chunk))) => {
                self.inflow.came(chunk.bytes);
                self.check_empty()
            }
            Poll::Ready(Ok(None)) => self.end(),
            Poll::Ready(Err(_)) => Err(self.broken(Code::RequestCancelled)),
            Poll::Pending => Ok(()),
        }
    }

    /// A body that was said to be empty is looked at before the service hears of it, which would not wait for it.
    fn check_empty(&mut self) -> Result<(), Broken> {
        if self.left == Some(0) {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            if let Poll::Ready(Some(Err(broken))) = Pin::new(self).poll_frame(&mut cx) {
                return Err(broken);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Broken> {
        if self.left.is_some_and(|left| left > 0) || !self.inflow.reader.is_between_frames() {
            return Err(self.broken(Code::Message));
        }
        self.stage = Stage::Done;
        Ok(())
    }

    fn broken(&mut self, code: Code) -> Broken {
        self.stage = Stage::Done;
        // It may be over already: then there is nobody to tell.
        let _ = self.inflow.stream.stop(code.wire());
        Broken
    }

    fn violated(&mut self, violation: Violation) -> Broken {
        self.violation.get_or_init(|| violation);
        self.broken(violation.0)
    }

    fn take(&mut self, piece: Piece) -> Result<Frame<Bytes>, Broken> {
        match (piece, self.stage) {
            (Piece::Data(bytes), Stage::Body) => {
                if let Some(left) = self.left {
                    let after = left.checked_sub(bytes.len() as u64);
                    self.left = Some(after.ok_or_else(|| self.broken(Code::Message))?);
                }
                Ok(Frame::data(bytes))
            }
            (Piece::Whole(HEADERS, section), Stage::Body) => match head::trailers(&section) {
                Ok(trailers) => {
                    self.stage = Stage::Trailed;
                    Ok(Frame::trailers(trailers))
                }
                Err(Refused::Malformed) => Err(self.broken(Code::Message)),
                Err(Refused::TooLarge) => Err(self.broken(Code::ExcessiveLoad)),
                Err(Refused::Unreadable) => Err(self.violated(Violation(Code::Decompression))),
            },
            (Piece::Data(_) | Piece::Whole(..), _) => Err(self.violated(Violation(Code::FrameUnexpected))),
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if this.stage == Stage::Done {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(this.inflow.poll_piece(cx)) {
            Ok(Some(piece)) => Some(this.take(piece)),
            Ok(None) => this.end().err().map(Err),
            Err(Stopped::Gone) => Some(Err(this.broken(Code::RequestCancelled))),
            Err(Stopped::Trouble(Trouble::HeadTooLarge)) => Some(Err(this.broken(Code::ExcessiveLoad))),
            Err(Stopped::Trouble(Trouble::Violation(violation))) => Some(Err(this.violated(violation))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stage == Stage::Done
    }

    fn size_hint(&self) -> SizeHint {
        match (self.stage, self.left) {
            (Stage::Done, _) => SizeHint::with_exact(0),
            (_, Some(left)) => SizeHint::with_exact(left),
            (_, None) => SizeHint::default(),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Nobody wants the rest, which is no fault of the client's (RFC 9114 §4.1).
        if self.stage != Stage::Done {
            let _ = self.inflow.stream.stop(Code::NoError.wire());
        }
    }
}
