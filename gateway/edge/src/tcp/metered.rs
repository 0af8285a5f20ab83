//! A TCP stream that feeds its connection's pulse, spends its lease's bytes, and ends as the pulse says.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use defense::Moment;
use state::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::linger::Linger;
use crate::budgets::{Direction, Pace, Purse};
use crate::pulse::Pulse;

/// A socket that can be told to end with a reset when it is dropped.
pub trait Resets {
    fn reset_on_drop(&self);
}

/// The stream with its pulse.
pub struct Metered<S: Resets> {
    inner: S,
    pulse: Arc<Pulse>,
    paced: Paced,
    is_shut: bool,
    /// `None`: an end of our direction leaves the other one alone.
    linger: Option<Linger>,
}

impl<S: Resets> Metered<S> {
    /// A stream of which each direction ends by itself.
    pub fn half_closing(inner: S, pulse: Arc<Pulse>, purse: Arc<Purse>, clock: Clock) -> Self {
        Self { inner, pulse, paced: Paced::new(purse, clock), is_shut: false, linger: None }
    }

    pub fn new(inner: S, pulse: Arc<Pulse>, purse: Arc<Purse>, clock: Clock) -> Self {
        Self {
            inner,
            pulse,
            paced: Paced::new(purse, clock),
            is_shut: false,
            linger: Some(Linger::default()),
        }
    }
}

/// A connection's pace with a clock: bytes beyond the lease's budget wait. For whatever moves bytes by polling.
pub struct Paced {
    pace: Pace,
    clock: Clock,
    /// Per direction, while it rests.
    rests: [Option<Pin<Box<Sleep>>>; 2],
}

impl Paced {
    pub fn new(purse: Arc<Purse>, clock: Clock) -> Self {
        Self { pace: Pace::new(purse), clock, rests: [None, None] }
    }

    /// Ready when bytes may move that way.
    pub fn poll_ready(&mut self, direction: Direction, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let rest = self.pace.rest(direction, || Moment::from_nanos(self.clock.monotonic_ns()));
            let sleeping = &mut self.rests[direction as usize];
            let Some(rest) = rest else {
                *sleeping = None;
                return Poll::Ready(());
            };
            ready!(sleeping.get_or_insert_with(|| Box::pin(sleep(rest))).as_mut().poll(cx));
            *sleeping = None;
        }
    }

    /// Bytes have moved that way.
    pub fn moved(&mut self, direction: Direction, bytes: usize) {
        self.pace.moved(direction, bytes, || Moment::from_nanos(self.clock.monotonic_ns()));
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
        ready!(self.paced.poll_ready(Direction::In, cx));
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        if read > 0 {
            self.pulse.came(read);
            self.paced.moved(Direction::In, read);
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Resets> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.paced.poll_ready(Direction::Out, cx));
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.pulse.went(*written);
            self.paced.moved(Direction::Out, *written);
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
        linger.as_mut().map_or(Poll::Ready(()), |linger| linger.poll(inner, cx)).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.paced.poll_ready(Direction::Out, cx));
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(written)) = &polled {
            self.pulse.went(*written);
            self.paced.moved(Direction::Out, *written);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
