//! A stream that carries datagrams, owned by one task. Sending never waits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use crate::bounds::{FLOW_LEAVING, SERVICE_READ, SPLICE_BATCH};
use crate::datagrams::{self, Datagrams};

/// Holds no more than [`FLOW_LEAVING`] and one datagram on the way out, and one datagram on the way in.
pub(crate) struct Framed<S> {
    stream: S,
    arrived: Datagrams,
    leaving: BytesMut,
    read_size: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Framed<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, arrived: Datagrams::default(), leaving: BytesMut::new(), read_size: SERVICE_READ }
    }

    /// Takes one datagram; false, and nothing taken, if what came before has not left yet. It leaves with the next
    /// [`Framed::poll_next`].
    pub(crate) fn send(&mut self, datagram: &[u8]) -> bool {
        self.leaving.len() < FLOW_LEAVING && datagrams::encode(datagram, &mut self.leaving)
    }

    /// Sends what has to leave, as far as it goes, and waits for a datagram; `None` is the far side's end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        self.poll_leave(cx)?;
        loop {
            if let Some(datagram) = self.arrived.next_datagram() {
                return Poll::Ready(Ok(Some(datagram)));
            }
            let buffer = self.arrived.buffer();
            buffer.reserve(self.read_size);
            let count = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, buffer))?;
            if count == 0 {
                return Poll::Ready(Ok(None));
            }
            if count >= self.read_size {
                self.read_size = (self.read_size * 2).min(SPLICE_BATCH);
            }
        }
    }

    fn poll_leave(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.leaving.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.leaving) {
                Poll::Ready(Ok(count)) => self.leaving.advance(count),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}
