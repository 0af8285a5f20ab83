//! One stream on one lane, as bytes; it lives and dies with the lane.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Class, Lane, Sight};
use crate::bounds::WRITE_SLICES;
use crate::refusal::Refusal;
use crate::session::Position;
use crate::wire::Opened;

/// A stream of a lane. Works on any runtime.
///
/// Finishing ends our direction (Fin); the other direction lives on. Dropping resets the stream ([`Refusal::Cancelled`] at
/// the far side), but what was finished before is delivered. The end is always the far side's Fin: a stream that was cut
/// short ends with an error.
pub(crate) struct LaneStream {
    lane: Arc<Lane>,
    id: u32,
}

impl LaneStream {
    pub(crate) fn new(lane: Arc<Lane>, id: u32) -> Self {
        Self { lane, id }
    }

    /// The class of the lane that carries it.
    pub(crate) fn class(&self) -> Class {
        self.lane.class()
    }

    /// Does the lane owe a sign of life?
    pub(crate) fn is_suspect(&self) -> bool {
        self.lane.is_suspect()
    }

    /// Ends it at once and tells the far side why.
    pub(crate) fn reset(&self, reason: Refusal) {
        self.lane.reset(self.id, reason);
    }

    /// Says that the service is reached, where, and what of the session is here already.
    pub(crate) fn accept(&self, opened: Opened) {
        self.lane.accept(self.id, opened);
    }

    /// Did the far side of the lane say that it shuts down?
    pub(crate) fn is_left(&self) -> bool {
        self.lane.is_left()
    }

    /// Waits until the service is reached; to be asked once.
    pub(crate) async fn opened(&self) -> Result<Opened, Refusal> {
        poll_fn(|cx| self.poll_opened(cx)).await
    }

    pub(crate) fn poll_opened(&self, cx: &Context<'_>) -> Poll<Result<Opened, Refusal>> {
        self.lane.poll_opened(self.id, cx)
    }

    /// Waits until the far side is gone. Not to be mixed with a read in another task.
    pub(crate) async fn gone(&self) -> Refusal {
        poll_fn(|cx| self.poll_gone(cx)).await
    }

    pub(crate) fn poll_gone(&self, cx: &Context<'_>) -> Poll<Refusal> {
        self.lane.poll_gone(self.id, cx)
    }

    /// Takes received slices; 0 is the end.
    pub(crate) fn poll_take(
        &self,
        cx: &Context<'_>,
        most: usize,
        into: &mut VecDeque<Bytes>,
    ) -> Poll<Result<usize, Refusal>> {
        self.lane.poll_take(self.id, cx, most, into)
    }

    /// Gives slices to be sent, as many as go.
    pub(crate) fn poll_give(
        &self,
        cx: &Context<'_>,
        slices: &mut VecDeque<Bytes>,
    ) -> Poll<Result<(), Refusal>> {
        self.lane.poll_give(self.id, cx, slices)
    }

    pub(crate) fn poll_finish(&self, cx: &Context<'_>) -> Poll<Result<(), Refusal>> {
        self.lane.poll_finish(self.id, cx)
    }

    /// Gives some of these bytes to be sent; ready when at least one went.
    pub(crate) fn poll_give_bytes(
        &self,
        cx: &Context<'_>,
        bytes: &mut Bytes,
    ) -> Poll<Result<usize, Refusal>> {
        self.lane.poll_give_bytes(self.id, cx, bytes)
    }

    /// Copies up to `most` of these bytes to be sent; ready when at least one went.
    pub(crate) fn poll_copy(
        &self,
        cx: &Context<'_>,
        slices: &[&[u8]],
        most: usize,
    ) -> Poll<Result<usize, Refusal>> {
        self.lane.poll_write(self.id, cx, slices, most)
    }

    /// Copies received bytes out; 0 is the end.
    pub(crate) fn poll_copy_out(
        &self,
        cx: &Context<'_>,
        room: &mut impl BufMut,
    ) -> Poll<Result<usize, Refusal>> {
        self.lane.poll_read(self.id, cx, room)
    }

    /// How many bytes would go now.
    pub(crate) fn room(&self) -> usize {
        self.lane.room(self.id)
    }

    /// Here is an end of a session, which has `received`: what is taken from here on is acknowledged.
    pub(crate) fn begin_acks(&self, received: Position) {
        self.lane.begin_acks(self.id, received);
    }

    /// Hands on what the end behind us has of the far side's direction.
    pub(crate) fn ack(&self, received: Position) {
        self.lane.ack(self.id, received);
    }

    /// What there is to see now; wakes the watcher when there is more. It is one for both directions.
    pub(crate) fn watch(&self, watcher: &Waker) -> Sight {
        self.lane.watch(self.id, watcher)
    }
}

impl AsyncRead for LaneStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(self.lane.poll_read(self.id, cx, buf)).map_err(Refusal::into_io)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LaneStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.lane.poll_write(self.id, cx, &[buf], usize::MAX).map_err(Refusal::into_io)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut slices: [&[u8]; WRITE_SLICES] = [&[]; WRITE_SLICES];
        let count = bufs.len().min(WRITE_SLICES);
        for (slot, buf) in slices.iter_mut().zip(bufs) {
            *slot = buf;
        }
        self.lane.poll_write(self.id, cx, &slices[..count], usize::MAX).map_err(Refusal::into_io)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The lane's driver sends by itself.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lane.poll_finish(self.id, cx).map_err(Refusal::into_io)
    }
}

impl fmt::Debug for LaneStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneStream").field("id", &self.id).field("class", &self.class()).finish()
    }
}

impl Drop for LaneStream {
    fn drop(&mut self) {
        self.lane.release(self.id);
    }
}
