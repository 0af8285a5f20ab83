//! A client's connection as the stages of a request use it: bytes in, bytes out, and the pulse that feels both.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answering, Asked, Sending};
use crate::bounds::SEND_AHEAD;
use crate::h1::body::{Decoder, Piece};
use crate::h1::buffers::{Inbox, Joined, Outbox};
use crate::http::Dropped;
use crate::pulse::Pulse;

pub(super) struct Wire<Io> {
    io: Io,
    pulse: Arc<Pulse>,
    pub(super) inbox: Inbox,
    pub(super) out: Outbox,
}

/// How the sending of an answer ended.
pub(super) enum Sent {
    All,
    /// The answer broke off.
    Broken,
    /// The client left.
    Gone,
}

/// What became of a try to get on with a request's body.
enum Fed {
    /// There is more for whoever reads it.
    More,
    Nothing,
    /// The client left.
    Gone,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Wire<Io> {
    pub(super) fn new(io: Io, pulse: Arc<Pulse>) -> Self {
        Self { io, pulse, inbox: Inbox::default(), out: Outbox::default() }
    }

    /// Waits for an answer, and feeds whoever makes it. `None`: the client left.
    pub(super) fn poll_answer<B>(
        &mut self,
        asked: &mut Asked,
        answering: &mut Answering<B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Response<B>, Dropped>>> {
        loop {
            if let Poll::Ready(answered) = answering.as_mut().poll(cx) {
                self.pulse.awaits_body(false);
                return Poll::Ready(Some(answered));
            }
            match self.feed(asked, true, cx) {
                Fed::More => {}
                Fed::Nothing => return Poll::Pending,
                Fed::Gone => return Poll::Ready(None),
            }
        }
    }

    /// Sends an answer, and goes on to feed whoever makes it.
    pub(super) fn poll_send<B: Body<Data = Bytes> + Unpin>(
        &mut self,
        asked: &mut Asked,
        sending: &mut Sending<B>,
        cx: &mut Context<'_>,
    ) -> Poll<Sent> {
        loop {
            let Some(is_starved) = self.take(sending, cx) else { return Poll::Ready(Sent::Broken) };
            let is_blocked = match self.poll_flush(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(Sent::Gone),
                Poll::Ready(Ok(())) if sending.is_taken => return Poll::Ready(Sent::All),
                Poll::Ready(Ok(())) => false,
                Poll::Pending => true,
            };
            match self.feed(asked, false, cx) {
                Fed::More => {}
                Fed::Nothing if is_blocked || is_starved => return Poll::Pending,
                Fed::Nothing => {}
                Fed::Gone => return Poll::Ready(Sent::Gone),
            }
        }
    }

    /// Takes what the answer has, as far as there is room. True: it has no more now. `None`: it broke off.
    fn take<B: Body<Data = Bytes> + Unpin>(
        &mut self,
        sending: &mut Sending<B>,
        cx: &mut Context<'_>,
    ) -> Option<bool> {
        let Sending { body, encoder, is_taken, .. } = sending;
        while !*is_taken && self.out.len() < SEND_AHEAD {
            if body.is_end_stream() {
                encoder.end(None, &mut self.out).ok()?;
                *is_taken = true;
                break;
            }
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Some(true),
                Poll::Ready(Some(Err(_))) => return None,
                Poll::Ready(None) => {
                    encoder.end(None, &mut self.out).ok()?;
                    *is_taken = true;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => encoder.encode(bytes, &mut self.out).ok()?,
                    Err(other) => {
                        encoder.end(other.into_trailers().ok().as_ref(), &mut self.out).ok()?;
                        *is_taken = true;
                    }
                },
            }
        }
        Some(false)
    }

    /// Reads what whoever answers asks for, and otherwise only looks whether the client is still there. `is_paced`: the
    /// answer waits for the body, so the client must not take for ever.
    fn feed(&mut self, asked: &mut Asked, is_paced: bool, cx: &mut Context<'_>) -> Fed {
        let wanted = asked.upload.as_mut().filter(|upload| upload.feed.is_wanted(cx.waker()));
        let Some(upload) = wanted else { return self.watch(cx) };
        loop {
            let decoded = upload.decoder.decode(&mut self.inbox.unread);
            match decoded {
                Ok(Some(Piece::Bytes(bytes))) => {
                    upload.decoder.settle(&mut self.inbox.unread);
                    let is_last = upload.decoder.is_over();
                    upload.feed.put(bytes, is_last, cx.waker());
                    if is_last {
                        asked.upload = None;
                    }
                    return Fed::More;
                }
                Ok(Some(Piece::Trailers(map))) => upload.feed.end(Some(map), cx.waker()),
                Ok(Some(Piece::End)) => upload.feed.end(None, cx.waker()),
                Err(_) => {
                    upload.feed.fail(cx.waker());
                    asked.keeps = false;
                }
                Ok(None) => {
                    // Only who waits in silence is told: a body that has begun needs no go-ahead.
                    if std::mem::take(&mut upload.expects) && self.inbox.unread.is_empty() && is_paced {
                        self.out.copy(b"HTTP/1.1 100 Continue\r\n\r\n");
                    }
                    if let Poll::Ready(Err(_)) = self.out.poll_write(&mut self.io, cx) {
                        return Fed::Gone;
                    }
                    let read = self.inbox.poll_read(&mut self.io, cx);
                    self.pulse.awaits_body(is_paced && read.is_pending());
                    match read {
                        Poll::Pending => return Fed::Nothing,
                        Poll::Ready(Ok(1..)) => continue,
                        Poll::Ready(Ok(0) | Err(_)) => return Fed::Gone,
                    }
                }
            }
            asked.upload = None;
            return Fed::More;
        }
    }

    /// Notices that the client leaves. One that has sent ahead is not listened to before its turn.
    fn watch(&mut self, cx: &mut Context<'_>) -> Fed {
        if !self.inbox.unread.is_empty() {
            return Fed::Nothing;
        }
        match self.inbox.poll_read(&mut self.io, cx) {
            Poll::Pending | Poll::Ready(Ok(1..)) => Fed::Nothing,
            Poll::Ready(Ok(0) | Err(_)) => Fed::Gone,
        }
    }

    /// Reads more of a head.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.inbox.unread.is_empty() {
            // It may wait for long: it waits without memory.
            self.inbox.release();
            self.out.release();
        } else {
            self.pulse.head_began();
        }
        self.inbox.poll_read(&mut self.io, cx)
    }

    /// Reads what is left of a body. False: the connection can't go on after it.
    pub(super) fn poll_discard(&mut self, decoder: &mut Decoder, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            match decoder.decode(&mut self.inbox.unread) {
                Err(_) => return Poll::Ready(false),
                Ok(Some(Piece::Bytes(_))) => {}
                Ok(Some(Piece::Trailers(_) | Piece::End)) => {
                    self.pulse.head_ended();
                    return Poll::Ready(true);
                }
                Ok(None) => match ready!(self.inbox.poll_read(&mut self.io, cx)) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return Poll::Ready(false),
                },
            }
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.out.poll_write(&mut self.io, cx);
        self.pulse.awaits_reader(polled.is_pending());
        polled
    }

    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    pub(super) fn into_joined(self) -> Joined<Io> {
        Joined::new(self.inbox.unread, self.io)
    }
}
