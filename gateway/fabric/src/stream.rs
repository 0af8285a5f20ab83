//! One stream through the fabric, as bytes.

use std::io;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lane::stream::LaneStream;
use crate::lane::{Class, Lane};
use crate::refusal::Refusal;

/// A stream to a service. Works on any runtime.
///
/// `shutdown` ends our direction (Fin) and returns when all bytes before it are with the lane; the other direction lives
/// on. Dropping resets the stream ([`Refusal::Cancelled`] at the far side), but what was shut down before is delivered.
/// Errors carry a [`Refusal`] ([`Refusal::of`]). An end of file is always the far side's Fin: a stream that was cut short
/// ends with an error.
#[derive(Debug)]
pub struct FabricStream {
    lane: LaneStream,
}

impl FabricStream {
    pub(crate) fn new(lane: LaneStream) -> Self {
        Self { lane }
    }

    /// The class of the lane that carries it.
    pub fn class(&self) -> Class {
        self.lane.class()
    }

    /// Has what carries it fallen silent? Then it may still live, but whoever has a choice begins nothing new on it.
    pub fn is_suspect(&self) -> bool {
        self.lane.is_suspect()
    }

    /// The same question for whoever gives the stream away and keeps an eye on it.
    pub fn suspicion(&self) -> Suspicion {
        Suspicion(self.lane.suspicion())
    }

    /// Ends it at once and tells the far side why.
    pub fn reset(self, reason: Refusal) {
        self.lane.reset(reason);
    }
}

/// Tells whether what carries a stream has fallen silent. Cheap, and keeps nothing alive.
#[derive(Clone, Debug)]
pub struct Suspicion(Weak<Lane>);

impl Suspicion {
    /// As [`FabricStream::is_suspect`]; true when the stream is gone with its lane.
    pub fn is_suspect(&self) -> bool {
        self.0.upgrade().is_none_or(|lane| lane.is_suspect())
    }
}

impl AsyncRead for FabricStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lane).poll_read(cx, buf)
    }
}

impl AsyncWrite for FabricStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lane).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lane).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.lane.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lane).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lane).poll_shutdown(cx)
    }
}
