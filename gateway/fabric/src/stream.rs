//! One stream through the fabric, as bytes.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::bounds::WRITE_SLICES;
use crate::lane::{Class, Lane};
use crate::refusal::Refusal;

/// A stream to a service. Works on any runtime.
///
/// `shutdown` ends our direction (Fin) and returns when all bytes before it are with the lane; the other direction lives
/// on. Dropping resets the stream ([`Refusal::Cancelled`] at the far side), but what was shut down before is delivered.
/// Errors carry a [`Refusal`] ([`Refusal::of`]). An end of file is always the far side's Fin: a stream that was cut short
/// ends with an error.
pub struct FabricStream {
    lane: Arc<Lane>,
    id: u32,
}

impl FabricStream {
    pub(crate) fn new(lane: Arc<Lane>, id: u32) -> Self {
        Self { lane, id }
    }

    /// The class of the lane that carries it.
    pub fn class(&self) -> Class {
        self.lane.class()
    }

    /// Ends it at once and tells the far side why.
    pub fn reset(self, reason: Refusal) {
        self.lane.reset(self.id, reason);
    }

    pub(crate) fn tell_reset(&self, reason: Refusal) {
        self.lane.reset(self.id, reason);
    }

    pub(crate) fn accept(&self) {
        self.lane.accept(self.id);
    }

    /// Waits until the service is reached.
    pub(crate) async fn opened(&self) -> Result<(), Refusal> {
        poll_fn(|cx| self.lane.poll_opened(self.id, cx)).await
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
}

impl AsyncRead for FabricStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(self.lane.poll_read(self.id, cx, buf)).map_err(Refusal::into_io)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FabricStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.lane.poll_write(self.id, cx, &[buf]).map_err(Refusal::into_io)
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
        self.lane.poll_write(self.id, cx, &slices[..count]).map_err(Refusal::into_io)
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

impl fmt::Debug for FabricStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FabricStream").field("id", &self.id).field("class", &self.class()).finish()
    }
}

impl Drop for FabricStream {
    fn drop(&mut self) {
        self.lane.release(self.id);
    }
}
