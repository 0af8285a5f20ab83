//! A TCP stream that feeds its connection's pulse, and ends as the pulse says.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::linger::Linger;
use crate::pulse::Pulse;

/// A socket that can be told to end with a reset when it is dropped.
pub trait Resets {
    fn reset_on_drop(&self);
}

/// The stream with its pulse.
pub struct Metered<S: Resets> {
    inner: S,
    pulse: Arc<Pulse>,
    is_shut: bool,
    linger: Linger,
}

impl<S: Resets> Metered<S> {
    pub fn new(inner: S, pulse: Arc<Pulse>) -> Self {
        Self { inner, pulse, is_shut: false, linger: Linger::default() }
    }
}

impl<S: Resets> Drop for Metered<S> {
    fn drop(&mut self) {
        if self.pulse.is_reset() {
            self.inner.reset_on_drop();
        }
    }
}

impl<S: AsyncRead + Unpin + Resets> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        if read > 0 {
            self.pulse.came(read);
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Resets> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.pulse.went(*written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { inner, is_shut, linger, .. } = &mut *self;
        if !*is_shut {
            ready!(Pin::new(&mut *inner).poll_shutdown(cx))?;
            *is_shut = true;
        }
        linger.poll(inner, cx).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(written)) = &polled {
            self.pulse.went(*written);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
