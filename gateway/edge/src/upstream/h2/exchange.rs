//! One request to a service and its answer, as one stream of a connection that others use, too.
//!
//! Whoever waits for the head, and then for the body, drives it, the rest of the request's body included. Dropped before
//! both have ended, it resets the stream: the service learns that nobody waits any more.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use defense::Reason;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::header::{self, HeaderValue};
use http::uri::Scheme;
use http::{Request, Uri, Version, request, response};
use http_body::{Body, Frame};

use super::connection::Seat;
use super::replay::Replay;
use crate::upstream::outgoing::{Boxed, Outgoing};

type Upload = Replay<Outgoing<Boxed>>;

/// A request on its way and its response.
pub(in crate::upstream) struct Exchange {
    stage: Stage,
    /// `None`: all of the request is with the library, or the service wants no more.
    upload: Option<SendStream<Bytes>>,
    /// `None`: the client's body broke.
    body: Option<Upload>,
    /// A piece that waits for the service's window, and whether it is the last.
    piece: Option<(Bytes, bool)>,
    /// Given back last: the stream is gone by then.
    _seat: Seat,
}

enum Stage {
    /// The library took no request; why.
    Refused(Fault),
    Head(ResponseFuture),
    /// The answer's body, and what is left of it where that is known.
    Body(RecvStream, Option<u64>),
    Over,
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::upstream) enum Fault {
    /// The service has surely done nothing with it: it refused the stream, or named an earlier one as its last
    /// (RFC 9113 §8.7).
    #[error("the service did not process the request")]
    Unprocessed,
    #[error("the service closed the stream, or broke the protocol")]
    Service,
    #[error("the request's body broke off")]
    Client,
}

/// The request's head as HTTP/2 has it. Its length is said where it is known.
///
/// # Errors
/// The head is none that HTTP/2 can carry.
pub(super) fn request(mut parts: request::Parts, body: &Outgoing<Boxed>) -> Result<Request<()>, Reason> {
    let host = parts.headers.remove(header::HOST).ok_or(Reason::RequestMalformed)?;
    let mut uri = parts.uri.into_parts();
    // The way to the service is without TLS; what its users came by, `x-forwarded-proto` says.
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(host.as_bytes().try_into().map_err(|_| Reason::RequestMalformed)?);
    parts.uri = Uri::from_parts(uri).map_err(|_| Reason::RequestMalformed)?;
    parts.version = Version::HTTP_2;
    // Of one connection only. Who waits for a go-ahead has had ours.
    for name in [header::CONNECTION, header::EXPECT] {
        parts.headers.remove(name);
    }
    let said = parts.headers.remove(header::CONTENT_LENGTH).is_some();
    let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    if let Some(length) = length.filter(|length| said || *length > 0) {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(Request::from_parts(parts, ()))
}

impl Exchange {
    /// Sends the head.
    pub(super) fn new(seat: Seat, mut sender: SendRequest<Bytes>, asked: Request<()>, body: Upload) -> Self {
        let is_whole = body.is_end_stream();
        let (stage, upload) = match sender.send_request(asked, is_whole) {
            Ok((response, upload)) => (Stage::Head(response), (!is_whole).then_some(upload)),
            // Its connection was over before it was begun.
            Err(error) if error.is_go_away() || error.is_io() => (Stage::Refused(Fault::Unprocessed), None),
            Err(_) => (Stage::Refused(Fault::Service), None),
        };
        Self { stage, upload, body: Some(body), piece: None, _seat: seat }
    }

    /// The response's head.
    ///
    /// # Errors
    /// See [`Fault`].
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<response::Parts, Fault>> {
        self.send(cx)?;
        let response = match &mut self.stage {
            Stage::Head(response) => ready!(Pin::new(response).poll(cx)),
            Stage::Refused(fault) => return Poll::Ready(Err(*fault)),
            Stage::Body(..) | Stage::Over => return Poll::Ready(Err(Fault::Service)),
        };
        let (parts, body) = response.map_err(|error| fault(&error))?.into_parts();
        let length = parts.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        self.body.iter_mut().for_each(Replay::settle);
        self.stage = if body.is_end_stream() { Stage::Over } else { Stage::Body(body, length) };
        Poll::Ready(Ok(parts))
    }

    /// The response's body.
    ///
    /// # Errors
    /// It broke off.
    pub(in crate::upstream) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        // A client's body that breaks off now ends the client's stream: the answer needs no other end.
        let _ = self.send(cx);
        let Stage::Body(body, left) = &mut self.stage else { return Poll::Ready(None) };
        while let Some(piece) = ready!(body.poll_data(cx)) {
            let piece = piece.map_err(|error| fault(&error))?;
            // Whoever asks for a piece has room for it: the window is what was not asked for.
            let _ = body.flow_control().release_capacity(piece.len());
            if !piece.is_empty() {
                *left = left.map(|left| left.saturating_sub(piece.len() as u64));
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
        let trailers = ready!(body.poll_trailers(cx)).map_err(|error| fault(&error))?;
        self.stage = Stage::Over;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    /// The response has ended.
    pub(in crate::upstream) fn is_over(&self) -> bool {
        match &self.stage {
            Stage::Over => true,
            Stage::Body(body, _) => body.is_end_stream(),
            Stage::Refused(_) | Stage::Head(_) => false,
        }
    }

    /// Bytes of the response's body that are to come, where that is known.
    pub(in crate::upstream) fn left(&self) -> Option<u64> {
        match &self.stage {
            Stage::Body(_, left) => *left,
            Stage::Over => Some(0),
            Stage::Refused(_) | Stage::Head(_) => None,
        }
    }

    /// The request's body, for another try.
    pub(super) fn into_body(self) -> Option<Upload> {
        self.body
    }

    /// Sends as much of the request's body as the service has a window for.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        while let (Some(upload), Some(body)) = (&mut self.upload, &mut self.body) {
            if let Some((piece, is_last)) = &mut self.piece {
                let Some(room) = room(upload, piece.len(), cx) else {
                    // The service wants no more; why, its answer says.
                    self.upload = None;
                    break;
                };
                if room == 0 {
                    break;
                }
                let part = piece.split_to(room.min(piece.len()));
                let ends = piece.is_empty() && *is_last;
                let is_sent = piece.is_empty();
                if upload.send_data(part, ends).is_err() || ends {
                    self.upload = None;
                }
                if is_sent {
                    self.piece = None;
                }
                continue;
            }
            match body.poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Err(_))) => {
                    upload.send_reset(h2::Reason::CANCEL);
                    (self.upload, self.body) = (None, None);
                    return Err(Fault::Client);
                }
                Poll::Ready(None) => self.end(None),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) if bytes.is_empty() => {
                        if body.is_end_stream() {
                            self.end(None);
                        }
                    }
                    Ok(bytes) => self.piece = Some((bytes, body.is_end_stream())),
                    Err(other) => self.end(other.into_trailers().ok()),
                },
            }
        }
        Ok(())
    }

    fn end(&mut self, trailers: Option<http::HeaderMap>) {
        if let Some(mut upload) = self.upload.take() {
            // What can't be ended was ended by the service; why, its answer says.
            let _ = match trailers {
                Some(trailers) => upload.send_trailers(trailers),
                None => upload.send_data(Bytes::new(), true),
            };
        }
    }
}

/// Bytes that may be sent now. `None`: never again.
fn room(upload: &mut SendStream<Bytes>, wanted: usize, cx: &mut Context<'_>) -> Option<usize> {
    upload.reserve_capacity(wanted);
    loop {
        match upload.capacity() {
            0 => match upload.poll_capacity(cx) {
                Poll::Pending => return Some(0),
                Poll::Ready(None | Some(Err(_))) => return None,
                Poll::Ready(Some(Ok(_))) => {}
            },
            room => return Some(room),
        }
    }
}

fn fault(error: &h2::Error) -> Fault {
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    // A GOAWAY is an error of those streams only that come after its last one.
    match error.is_remote() && (is_refused || error.is_go_away()) {
        true => Fault::Unprocessed,
        false => Fault::Service,
    }
}
