//! One request to a service and its response, on a connection of their own for that time.
//!
//! No task and no channel: whoever waits for the head, and then for the body, drives the exchange, the rest of the
//! request's body included.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header;
use http::{HeaderMap, Method, request, response};
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};

use super::body::{Decoder, Encoder, Piece};
use super::buffers::{Inbox, Joined, Outbox};
use super::chunks::Writer;
use super::head::{self, Scan, has_token};
use super::{Framing, write};
use crate::bounds::{EXPECT_MAX, INTERIMS_MAX, SEND_AHEAD};

/// A request on its way and its response.
pub struct Exchange<Io, B> {
    io: Io,
    method: Method,
    /// What is left of the request's body.
    body: Option<B>,
    encoder: Encoder,
    out: Outbox,
    /// Bytes of the request went out.
    is_begun: bool,
    /// The service reads no more.
    is_deaf: bool,
    /// The body waits for the service's go-ahead, for so long.
    waits: Option<Pin<Box<Sleep>>>,
    inbox: Inbox,
    scan: Scan,
    interims: usize,
    answer: Decoder,
    keeps: bool,
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The connection was gone before a byte of the request went out: it can go out on another.
    #[error("not a byte was sent")]
    Unsent,
    #[error("the service closed the connection, or broke the protocol")]
    Service,
    #[error("the request's body broke off, or is not as long as announced")]
    Client,
}

impl<Io: AsyncRead + AsyncWrite + Unpin, B: Body<Data = Bytes> + Unpin> Exchange<Io, B> {
    /// Nothing is sent before the first poll.
    pub fn new(io: Io, parts: &request::Parts, body: B) -> Self {
        let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        let framing = write::request_framing(parts, length);
        let mut out = Outbox::default();
        write::request(parts, framing, out.flat());
        let body = (!body.is_end_stream()).then_some(body);
        let expects = body.is_some() && has_token(&parts.headers, &header::EXPECT, "100-continue");
        Self {
            io,
            method: parts.method.clone(),
            body,
            encoder: Encoder::new(framing, true),
            out,
            is_begun: false,
            is_deaf: false,
            waits: expects.then(|| Box::pin(sleep(EXPECT_MAX))),
            inbox: Inbox::default(),
            scan: Scan::default(),
            interims: 0,
            answer: Decoder::new(Framing::None, Writer::Service),
            keeps: false,
        }
    }

    /// Takes another connection, after [`Fault::Unsent`].
    pub fn replace(&mut self, io: Io) {
        self.io = io;
        self.is_deaf = false;
    }

    /// The response's head; its framing decides what [`Exchange::poll_body`] gives. A 101 is a head, other interim
    /// ones are not.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<response::Parts, Fault>> {
        self.send(cx)?;
        if self.is_deaf && !self.is_begun {
            return Poll::Ready(Err(Fault::Unsent));
        }
        loop {
            let read = head::response(&mut self.inbox.unread, &mut self.scan, &self.method);
            match read.map_err(|_| Fault::Service)? {
                Some(head) if head.parts.status.is_informational() && head.parts.status != 101 => {
                    self.interims += 1;
                    if self.interims > INTERIMS_MAX {
                        return Poll::Ready(Err(Fault::Service));
                    }
                    if head.parts.status == 100 && self.waits.take().is_some() {
                        self.send(cx)?;
                    }
                }
                Some(head) => {
                    // Who refuses does not wait for the body. Who agrees may have left out the go-ahead, and does.
                    let refuses = head.parts.status.is_client_error() || head.parts.status.is_server_error();
                    if self.waits.take().is_some() && refuses {
                        self.body = None;
                        self.keeps = false;
                    } else {
                        self.keeps = head.keeps;
                    }
                    self.answer = Decoder::new(head.framing, Writer::Service);
                    return Poll::Ready(Ok(head.parts));
                }
                None => match ready!(self.inbox.poll_read(&mut self.io, cx)) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return Poll::Ready(Err(Fault::Service)),
                },
            }
        }
    }

    /// The response's body.
    ///
    /// # Errors
    /// It broke off, or is none.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if self.answer.is_over() {
            return Poll::Ready(None);
        }
        // A client's body that breaks off now ends the client's connection: the answer needs no other end.
        let _ = self.send(cx);
        loop {
            match self.answer.decode(&mut self.inbox.unread) {
                Err(_) => return Poll::Ready(Some(Err(Fault::Service))),
                Ok(Some(Piece::Bytes(bytes))) => {
                    self.answer.settle(&mut self.inbox.unread);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Ok(Some(Piece::Trailers(map))) => return Poll::Ready(Some(Ok(Frame::trailers(map)))),
                Ok(Some(Piece::End)) => return Poll::Ready(None),
                Ok(None) => match ready!(self.inbox.poll_read(&mut self.io, cx)) {
                    Ok(1..) => {}
                    Ok(0) if self.answer.eof().is_ok() => return Poll::Ready(None),
                    Ok(0) | Err(_) => return Poll::Ready(Some(Err(Fault::Service))),
                },
            }
        }
    }

    /// Bytes of the response's body that are to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        self.answer.left()
    }

    /// The response has ended.
    pub fn is_over(&self) -> bool {
        self.answer.is_over()
    }

    /// The connection, and whether it can carry another exchange: both messages have ended, and nothing else came.
    pub fn into_stream(self) -> (Io, bool) {
        let is_sent = self.body.is_none() && self.out.is_empty() && !self.is_deaf;
        (self.io, self.keeps && is_sent && self.answer.is_over() && self.inbox.unread.is_empty())
    }

    /// The connection's bytes after a 101.
    pub fn into_line(self) -> Joined<Io> {
        Joined::new(self.inbox.unread, self.io)
    }

    /// Sends as much as can be sent now.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        if let Some(waits) = &mut self.waits
            && waits.as_mut().poll(cx).is_ready()
        {
            self.waits = None;
        }
        loop {
            let is_filled = self.fill(cx)?;
            if self.is_deaf || self.out.is_empty() {
                return Ok(());
            }
            let before = self.out.len();
            let polled = self.out.poll_write(&mut self.io, cx);
            self.is_begun |= self.out.len() < before;
            match polled {
                // It may have answered, and hung up because of that.
                Poll::Ready(Err(_)) => self.is_deaf = true,
                Poll::Ready(Ok(())) if !is_filled => {}
                Poll::Ready(Ok(())) | Poll::Pending => return Ok(()),
            }
        }
    }

    /// Takes what the body has. True: nothing more can be had now.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        while self.out.len() < SEND_AHEAD {
            let Some(body) = self.body.as_mut().filter(|_| self.waits.is_none() && !self.is_deaf) else {
                return Ok(true);
            };
            let polled = Pin::new(&mut *body).poll_frame(cx);
            let is_last = body.is_end_stream();
            let trailers = match polled {
                Poll::Pending => return Ok(true),
                Poll::Ready(Some(Err(_))) => return Err(self.broken()),
                Poll::Ready(None) => None,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => {
                        self.encoder.encode(bytes, &mut self.out).map_err(|_| self.broken())?;
                        if !is_last {
                            continue;
                        }
                        None
                    }
                    Err(other) => other.into_trailers().ok(),
                },
            };
            self.end(trailers.as_ref())?;
        }
        Ok(false)
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Fault> {
        self.encoder.end(trailers, &mut self.out).map_err(|_| self.broken())?;
        self.body = None;
        Ok(())
    }

    /// What was announced will never be whole: the service must not take what it has for all.
    fn broken(&mut self) -> Fault {
        self.body = None;
        self.is_deaf = true;
        Fault::Client
    }
}

/// Whether an idle connection can be used: it is open, and says nothing that was not asked for.
pub fn is_quiet<Io: AsyncRead + Unpin>(io: &mut Io) -> bool {
    let mut byte = [0; 1];
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut buffer = tokio::io::ReadBuf::new(&mut byte);
    let polled: Poll<io::Result<()>> = Pin::new(io).poll_read(&mut cx, &mut buffer);
    polled.is_pending()
}
