//! A stream of a lane as a hub splices it: bytes and ends pass through, and so do the acknowledgments of the session's ends.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::End;
use crate::bounds::SPLICE_BATCH;
use crate::lane::stream::LaneStream;
use crate::refusal::Refusal;
use crate::session::Position;

/// One side of a stream that passes.
pub(crate) struct Passing {
    stream: LaneStream,
    /// Do its ends acknowledge? Then it is not over before both ends are heard: who has not heard of it resumes.
    is_session: bool,
    /// What other ends are told when this one leaves for good, rather than that we shut down.
    leaves: Refusal,
    acked: Position,
    gone: Option<Refusal>,
}

impl Passing {
    /// The side of whoever asked, who has `received` already.
    pub(crate) fn caller(stream: LaneStream, is_session: bool, received: Position) -> Self {
        Self::new(stream, is_session, Refusal::Cancelled, received)
    }

    /// The side of the local hub, which has `received` already.
    pub(crate) fn service(stream: LaneStream, is_session: bool, received: Position) -> Self {
        Self::new(stream, is_session, Refusal::ServiceReset, received)
    }

    fn new(stream: LaneStream, is_session: bool, leaves: Refusal, acked: Position) -> Self {
        Self { stream, is_session, leaves, acked, gone: None }
    }

    fn told(&self, reason: Refusal) -> Refusal {
        if reason == Refusal::ShuttingDown && self.stream.is_left() { self.leaves } else { reason }
    }
}

impl End for Passing {
    fn attend(&mut self, cx: &mut Context<'_>) -> Result<Option<Position>, Refusal> {
        if !self.is_session {
            return Ok(None);
        }
        let sight = self.stream.watch(cx.waker());
        self.gone = sight.gone;
        let is_new = sight.acked > self.acked;
        self.acked = sight.acked.max(self.acked);
        Ok(is_new.then_some(self.acked))
    }

    fn hand_on(&mut self, received: Position) {
        self.stream.ack(received);
    }

    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Bytes>,
    ) -> Poll<Result<usize, Refusal>> {
        self.stream.poll_take(cx, SPLICE_BATCH, into).map_err(|reason| self.told(reason))
    }

    fn poll_give(&mut self, cx: &mut Context<'_>, slices: &mut VecDeque<Bytes>) -> Poll<Result<(), Refusal>> {
        self.stream.poll_give(cx, slices).map_err(|reason| self.told(reason))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        ready!(self.stream.poll_finish(cx)).map_err(|reason| self.told(reason))?;
        match self.gone {
            _ if self.acked.is_end() || !self.is_session => Poll::Ready(Ok(())),
            Some(reason) => Poll::Ready(Err(self.told(reason))),
            None => Poll::Pending,
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Refusal> {
        self.stream.poll_gone(cx).map(|reason| self.told(reason))
    }

    fn cut(&mut self, reason: Refusal) {
        self.stream.reset(reason);
    }
}
