//! An HTTP/2 connection's bytes, with an eye on its frames: a flood of those that do no work ends it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use defense::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::frames::{CALM, Credit, Heads};
use crate::pulse::Pulse;

/// The stream with its guard. From now on, only frames that move a request on keep the pulse from stalling.
pub struct Guarded<S> {
    inner: S,
    pulse: Arc<Pulse>,
    came: Heads,
    went: Heads,
    credit: Credit,
}

impl<S> Guarded<S> {
    pub fn new(inner: S, pulse: Arc<Pulse>) -> Self {
        pulse.stall_without_progress();
        let credit = Credit::new(pulse.now_ms());
        Self { inner, pulse, came: Heads::of_client(), went: Heads::of_server(), credit }
    }

    /// False: it is a flood.
    fn judge(&mut self, bytes: &[u8]) -> bool {
        let now_ms = self.pulse.now_ms();
        let (mut is_paid, credit) = (true, &mut self.credit);
        if self.came.read(bytes, |frame| is_paid &= credit.spend(frame, now_ms)) {
            self.pulse.progress();
        }
        is_paid
    }

    fn credit(&mut self, bytes: &[u8]) {
        let credit = &mut self.credit;
        if self.went.read(bytes, |frame| credit.earn(frame)) {
            self.pulse.progress();
        }
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    /// Says why the end comes, if that cuts no frame of ours in two. It is not waited for: a flood is no reason to hold
    /// anything.
    fn tell(&mut self, cx: &mut Context<'_>) {
        if self.went.is_between() && Pin::new(&mut self.inner).poll_write(cx, &CALM).is_ready() {
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if !self.judge(&buf.filled()[before..]) {
            self.tell(cx);
            self.pulse.end_because(Reason::FrameFlood);
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.credit(&buf[..*written]);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(written)) = &polled {
            let mut left = *written;
            for buf in bufs {
                let taken = left.min(buf.len());
                self.credit(&buf[..taken]);
                left -= taken;
            }
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
