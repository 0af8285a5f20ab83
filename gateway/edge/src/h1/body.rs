//! Bodies of HTTP/1.1 messages: bytes to pieces by their framing, and pieces to bytes. Pure.

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName};

use super::buffers::Outbox;
pub use super::chunks::Piece;
use super::chunks::{Chunks, Writer};
use super::{Framing, Malformed};

/// Takes a body off the bytes of a connection.
#[derive(Clone, Debug)]
pub struct Decoder(State);

#[derive(Clone, Debug)]
enum State {
    Length(u64),
    Chunked(Chunks),
    UntilClose,
    Over,
}

impl Decoder {
    pub fn new(framing: Framing, writer: Writer) -> Self {
        Self(match framing {
            Framing::None | Framing::Length(0) => State::Over,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunks::new(writer)),
            Framing::UntilClose => State::UntilClose,
        })
    }

    /// Takes the next piece off `unread`. `None`: it takes more bytes. After [`Piece::End`] or [`Piece::Trailers`] no
    /// byte is taken: what follows is the next message.
    ///
    /// # Errors
    /// The bytes are no body of this framing.
    pub fn decode(&mut self, unread: &mut BytesMut) -> Result<Option<Piece>, Malformed> {
        match &mut self.0 {
            State::Over => Ok(Some(Piece::End)),
            State::Chunked(chunks) => chunks.decode(unread),
            State::Length(_) | State::UntilClose if unread.is_empty() => Ok(None),
            State::UntilClose => Ok(Some(Piece::Bytes(unread.split().freeze()))),
            State::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(unread.len());
                *left -= length as u64;
                if *left == 0 {
                    self.0 = State::Over;
                }
                Ok(Some(Piece::Bytes(unread.split_to(length).freeze())))
            }
        }
    }

    /// Takes the end of the chunks off, if it is all that is left: whoever got the last piece then knows that it was.
    pub fn settle(&mut self, unread: &mut BytesMut) {
        if let State::Chunked(chunks) = &mut self.0
            && unread[..] == b"\r\n0\r\n\r\n"[..]
            && chunks.is_after_bytes()
        {
            // These very bytes end the chunks.
            let _ = chunks.decode(unread);
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// The body had not.
    pub fn eof(&mut self) -> Result<(), Malformed> {
        match &self.0 {
            State::Over => Ok(()),
            State::Chunked(chunks) if chunks.is_over() => Ok(()),
            State::UntilClose => {
                self.0 = State::Over;
                Ok(())
            }
            State::Length(_) | State::Chunked(_) => Err(Malformed),
        }
    }

    /// Nothing of the body is to come.
    pub fn is_over(&self) -> bool {
        match &self.0 {
            State::Over => true,
            State::Chunked(chunks) => chunks.is_over(),
            State::Length(_) | State::UntilClose => false,
        }
    }

    /// Bytes that are to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match &self.0 {
            State::Over => Some(0),
            State::Length(left) => Some(*left),
            State::Chunked(_) | State::UntilClose => None,
        }
    }
}

/// Writes a body as its head has announced it.
#[derive(Clone, Debug)]
pub struct Encoder {
    framing: Framing,
    takes_trailers: bool,
}

/// A body is longer or shorter than its head has announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not as long as announced")]
pub struct WrongLength;

impl Encoder {
    /// With [`Framing::None`] nothing is written: the answer to a HEAD has its body's head only.
    pub fn new(framing: Framing, takes_trailers: bool) -> Self {
        Self { framing, takes_trailers }
    }

    /// # Errors
    /// The body is longer than announced.
    pub fn encode(&mut self, bytes: Bytes, out: &mut Outbox) -> Result<(), WrongLength> {
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::None => {}
            Framing::UntilClose => out.push(bytes),
            Framing::Length(left) => {
                *left = left.checked_sub(bytes.len() as u64).ok_or(WrongLength)?;
                out.push(bytes);
            }
            Framing::Chunked => {
                out.copy_hex(bytes.len());
                out.copy(b"\r\n");
                out.push(bytes);
                out.copy(b"\r\n");
            }
        }
        Ok(())
    }

    /// # Errors
    /// The body is shorter than announced.
    pub fn end(&mut self, trailers: Option<&HeaderMap>, out: &mut Outbox) -> Result<(), WrongLength> {
        match self.framing {
            Framing::None | Framing::UntilClose | Framing::Length(0) => Ok(()),
            Framing::Length(_) => Err(WrongLength),
            Framing::Chunked => {
                out.copy(b"0\r\n");
                if let (true, Some(trailers)) = (self.takes_trailers, trailers) {
                    for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name)) {
                        super::write::field(name.as_str().as_bytes(), value.as_bytes(), out.flat());
                    }
                }
                out.copy(b"\r\n");
                Ok(())
            }
        }
    }
}

/// Whether a field may follow a request's body: neither one that never may, nor one that a service could take for ours.
pub fn may_trail(name: &HeaderName) -> bool {
    !never_trails(name) && !name.as_str().contains('_') && !crate::http::headers::is_ours(name)
}

/// Fields that decide before a body is read, and so must not come after it (RFC 9110 §6.5.1): a reader that merges
/// trailers into the head would take them for true.
pub fn never_trails(name: &HeaderName) -> bool {
    const NEVER: [HeaderName; 33] = [
        header::AGE,
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONNECTION,
        header::CONTENT_DISPOSITION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_LOCATION,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::COOKIE,
        header::DATE,
        header::EXPECT,
        header::EXPIRES,
        header::HOST,
        header::IF_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
        header::IF_UNMODIFIED_SINCE,
        header::LOCATION,
        header::MAX_FORWARDS,
        header::PRAGMA,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::RANGE,
        header::RETRY_AFTER,
        header::SET_COOKIE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::WWW_AUTHENTICATE,
    ];
    NEVER.contains(name) || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

#[cfg(test)]
mod tests;
