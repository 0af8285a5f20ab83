//! A stream after an extended CONNECT: bytes both ways, each way in DATA frames and nothing else (RFC 9114 §4.4).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use quinn::SendStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::body::{Inflow, Stopped};
use super::code::{Code, Violation};
use super::frame::{DATA, Piece, Trouble, put_varint};
use crate::bounds::UPGRADED_BUFFER;
use crate::budgets::Direction;
use crate::http::Visit;

/// What a WebSocket's bridge reads and writes.
pub struct Duplex {
    visit: Arc<Visit>,
    inflow: Inflow,
    /// What came and is not read yet.
    unread: Bytes,
    send: SendStream,
    /// What is yet to go out: the answer's head, then one frame at most.
    unsent: BytesMut,
    /// Told when the client breaks the protocol, which ends the connection.
    breaks: Option<oneshot::Sender<Violation>>,
}

impl Duplex {
    /// `head` goes out at once, before any frame.
    pub fn new(
        visit: Arc<Visit>,
        inflow: Inflow,
        send: SendStream,
        head: BytesMut,
        breaks: oneshot::Sender<Violation>,
    ) -> Self {
        Self { visit, inflow, unread: Bytes::new(), send, unsent: head, breaks: Some(breaks) }
    }

    fn stopped(&mut self, stopped: &Stopped) -> io::Error {
        let violation = match stopped {
            Stopped::Gone => return io::ErrorKind::ConnectionReset.into(),
            Stopped::Trouble(Trouble::Violation(violation)) => *violation,
            // It is a head, whatever its size.
            Stopped::Trouble(Trouble::HeadTooLarge) => Violation(Code::FrameUnexpected),
        };
        // Nobody listens any more only where the stream is being dropped.
        let _ = self.breaks.take().map(|breaks| breaks.send(violation));
        io::ErrorKind::InvalidData.into()
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            ready!(self.inflow.paced.poll_ready(Direction::Out, cx));
            let went = ready!(Pin::new(&mut self.send).poll_write(cx, &self.unsent))?;
            self.unsent.advance(went);
            self.inflow.paced.moved(Direction::Out, went);
            self.visit.pulse.went(went);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Duplex {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A service that speaks second waits for a client that waits for the answer.
        if let Poll::Ready(Err(error)) = this.poll_unsent(cx) {
            return Poll::Ready(Err(error));
        }
        while this.unread.is_empty() {
            match ready!(this.inflow.poll_piece(cx)) {
                Ok(Some(Piece::Data(bytes))) => this.unread = bytes,
                Ok(None) => return Poll::Ready(Ok(())),
                Ok(Some(Piece::Whole(..))) => {
                    let unexpected = Trouble::Violation(Violation(Code::FrameUnexpected));
                    return Poll::Ready(Err(this.stopped(&Stopped::Trouble(unexpected))));
                }
                Err(stopped) => return Poll::Ready(Err(this.stopped(&stopped))),
            }
        }
        let taken = this.unread.split_to(this.unread.len().min(buf.remaining()));
        buf.put_slice(&taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(cx))?;
        let taken = bytes.len().min(UPGRADED_BUFFER);
        put_varint(&mut this.unsent, DATA);
        put_varint(&mut this.unsent, taken as u64);
        this.unsent.extend_from_slice(&bytes[..taken]);
        match this.poll_unsent(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_unsent(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(cx))?;
        // The client may want no more of it.
        let _ = this.send.finish();
        Poll::Ready(Ok(()))
    }
}
