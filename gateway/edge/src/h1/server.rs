//! One client's connection: its requests one after the other, each answered before the next is read.
//!
//! It is a state that is polled, with no task of its own: whoever polls it decides when its time is over. Between
//! requests it holds no buffer. What a client sends ahead waits unread in the kernel, but for one read.

mod wire;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use defense::Reason;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Framing;
use super::body::{Decoder, Encoder};
use super::buffers::Joined;
use super::chunks::Writer;
use super::date::Date;
use super::feed::{Feed, Incoming};
use super::head::{self, Scan};
use super::write::{self, Persistence};
use crate::bounds::DISCARD_MAX;
use crate::http::Dropped;
use crate::http::upgrade::CanSwitch;
use crate::pulse::Pulse;
use wire::{Sent, Wire};

/// An answer that is being made.
pub type Answering<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Dropped>> + Send>>;

/// Who answers requests.
pub trait Desk {
    type Body: Body<Data = Bytes> + Unpin;

    fn answer(&self, request: Request<Incoming>) -> Answering<Self::Body>;

    /// An answer to what is no request. The connection ends with it.
    fn refuse(&self, reason: Reason) -> Response<Self::Body>;

    fn date(&self) -> Date;
}

/// A connection.
pub struct Connection<Io, D: Desk> {
    wire: Wire<Io>,
    desk: D,
    scan: Scan,
    stage: Stage<D::Body>,
    /// Takes no further request.
    is_last: bool,
    /// The next answer says that it is the last.
    says_last: bool,
}

enum Stage<B> {
    Head,
    Asking(Asked, Answering<B>),
    Answering(Asked, Sending<B>),
    /// What is left of a request's body after its answer.
    Discarding(Decoder),
    /// The last answer is written, then the client's end is waited for.
    Closing,
    /// The answer was cut short: it goes out as far as it is there, without an orderly end.
    Broken,
    /// The answer is a 101.
    Switching(B),
    Over,
}

/// What is to be known of a request until it is answered.
struct Asked {
    method: Method,
    version: Version,
    keeps: bool,
    takes_trailers: bool,
    upload: Option<Upload>,
}

/// A request's body that is not whole yet.
struct Upload {
    feed: Arc<Feed>,
    decoder: Decoder,
    /// The client waits for a go-ahead.
    expects: bool,
}

/// An answer on its way out.
struct Sending<B> {
    body: B,
    encoder: Encoder,
    persistence: Persistence,
    /// All of it is in the outbox.
    is_taken: bool,
}

impl<Io: AsyncRead + AsyncWrite + Unpin, D: Desk> Connection<Io, D> {
    pub fn new(io: Io, desk: D, pulse: Arc<Pulse>) -> Self {
        Self {
            wire: Wire::new(io, pulse),
            desk,
            scan: Scan::default(),
            stage: Stage::Head,
            is_last: false,
            says_last: false,
        }
    }

    /// Takes no request after the one under way, or begun.
    pub fn graceful_shutdown(&mut self) {
        self.is_last = true;
    }

    /// The next answer is the last one, and says so. Until then a request may come: whoever sends one just now finds nobody gone.
    pub fn drain(&mut self) {
        self.says_last = true;
    }

    /// Ready when nothing more is to be done; then [`Connection::into_switched`] may have something.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.stage = match &mut self.stage {
                Stage::Head => ready!(self.poll_head(cx)),
                Stage::Asking(asked, answering) => {
                    let answered = ready!(self.wire.poll_answer(asked, answering, cx));
                    match (answered, std::mem::replace(&mut self.stage, Stage::Over)) {
                        (Some(Ok(response)), Stage::Asking(asked, _)) => self.begin(asked, response),
                        _ => Stage::Over,
                    }
                }
                Stage::Answering(asked, sending) => match ready!(self.wire.poll_send(asked, sending, cx)) {
                    Sent::All => after(asked, sending.persistence),
                    Sent::Broken => Stage::Broken,
                    Sent::Gone => Stage::Over,
                },
                Stage::Discarding(decoder) => match ready!(self.wire.poll_discard(decoder, cx)) {
                    true => Stage::Head,
                    false => Stage::Closing,
                },
                Stage::Closing => {
                    // What can't be written or closed is over, too.
                    let _ = ready!(self.wire.poll_close(cx));
                    Stage::Over
                }
                Stage::Broken => {
                    let _ = ready!(self.wire.poll_flush(cx));
                    Stage::Over
                }
                Stage::Switching(_) => match ready!(self.wire.poll_flush(cx)) {
                    Ok(()) => return Poll::Ready(()),
                    Err(_) => Stage::Over,
                },
                Stage::Over => return Poll::Ready(()),
            };
        }
    }

    /// After a 101 was written: the connection's bytes from then on, and the answer's body, which knows what to do with
    /// them.
    pub fn into_switched(self) -> Option<(Joined<Io>, D::Body)> {
        match self.stage {
            Stage::Switching(body) => Some((self.wire.into_joined(), body)),
            _ => None,
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Stage<D::Body>> {
        loop {
            match head::request(&mut self.wire.inbox.unread, &mut self.scan) {
                Ok(Some(head)) => return Poll::Ready(self.ask(head)),
                Err(reason) => {
                    let response = self.desk.refuse(reason);
                    return Poll::Ready(self.begin(Asked::nothing(), response));
                }
                Ok(None) => {}
            }
            if self.is_last && self.wire.inbox.unread.is_empty() {
                return Poll::Ready(Stage::Closing);
            }
            match ready!(self.wire.poll_more(cx)) {
                Ok(1..) => {}
                Ok(0) => return Poll::Ready(Stage::Closing),
                Err(_) => return Poll::Ready(Stage::Over),
            }
        }
    }

    fn ask(&mut self, head: head::Asked) -> Stage<D::Body> {
        let head::Asked { mut parts, framing, keeps, expects, takes_trailers } = head;
        let decoder = Decoder::new(framing, Writer::Client);
        let (body, upload) = match decoder.left().and_then(|left| usize::try_from(left).ok()) {
            Some(length) if length <= self.wire.inbox.unread.len() => {
                (Incoming::whole(self.wire.inbox.unread.split_to(length).freeze()), None)
            }
            _ => {
                let (body, feed) = Incoming::coming(decoder.left());
                (body, Some(Upload { feed, decoder, expects }))
            }
        };
        if parts.headers.contains_key(header::UPGRADE) {
            parts.extensions.insert(CanSwitch);
        }
        let asked =
            Asked { method: parts.method.clone(), version: parts.version, keeps, takes_trailers, upload };
        Stage::Asking(asked, self.desk.answer(Request::from_parts(parts, body)))
    }

    /// Writes an answer's head.
    fn begin(&mut self, mut asked: Asked, response: Response<D::Body>) -> Stage<D::Body> {
        let (parts, body) = response.into_parts();
        let is_switched = parts.status == StatusCode::SWITCHING_PROTOCOLS;
        // Who was not told to go on may send its body or not: nobody can tell what comes next.
        let waits = asked.upload.as_mut().is_some_and(|upload| std::mem::take(&mut upload.expects));
        asked.keeps &= !waits && !self.is_last && !self.says_last;
        let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        let is_bodiless = asked.method == Method::HEAD
            || parts.status.is_informational()
            || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let framing = match length {
            _ if is_bodiless => Framing::None,
            Some(length) => Framing::Length(length),
            None if asked.version == Version::HTTP_11 => Framing::Chunked,
            None => Framing::UntilClose,
        };
        let announced = || announced(&parts.headers).or(length.filter(|length| *length > 0));
        let may_announce = asked.method == Method::HEAD || parts.status == StatusCode::NOT_MODIFIED;
        let announced = may_announce.then(announced).flatten();
        let persistence = match (asked.keeps && framing != Framing::UntilClose, asked.version) {
            _ if is_switched => Persistence::Switches,
            (false, _) => Persistence::Closes,
            (true, Version::HTTP_10) => Persistence::KeepsOld,
            (true, _) => Persistence::Keeps,
        };
        let date = self.desk.date();
        let out = self.wire.out.flat();
        write::response(parts.status, &parts.headers, framing, announced, persistence, &date, out);
        if is_switched {
            return Stage::Switching(body);
        }
        let encoder = Encoder::new(framing, asked.takes_trailers);
        let is_taken = framing == Framing::None;
        Stage::Answering(asked, Sending { body, encoder, persistence, is_taken })
    }
}

impl Asked {
    /// What could not be read was no request.
    fn nothing() -> Self {
        Self {
            method: Method::GET,
            version: Version::HTTP_11,
            keeps: false,
            takes_trailers: false,
            upload: None,
        }
    }
}

/// The length that the service says its body would have had.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH).and_then(|length| HeaderValue::to_str(length).ok()?.parse().ok())
}

/// What comes after an answer.
fn after<B>(asked: &mut Asked, persistence: Persistence) -> Stage<B> {
    let closes = persistence == Persistence::Closes || !asked.keeps;
    match asked.upload.take().map(|upload| upload.decoder) {
        _ if closes => Stage::Closing,
        None => Stage::Head,
        Some(decoder) if decoder.left().is_some_and(|left| left <= DISCARD_MAX) => Stage::Discarding(decoder),
        Some(_) => Stage::Closing,
    }
}
