//! The bytes on a lane: frames, their encoder and their incremental decoder. Pure.
//!
//! Inside one TLS 1.3 connection each side sends a sequence of frames. All integers are big-endian.
//!
//! ```text
//! offset  size  field
//!      0     4  length   bytes of payload that follow the header
//!      4     1  kind     see the table
//!      5     4  stream   stream id; 0 for frames that concern the lane
//!      9     …  payload
//! ```
//!
//! | kind | name | stream | payload | meaning |
//! | --- | --- | --- | --- | --- |
//! | 1 | Hello | 0 | version u16, lane u8, link id 16 bytes, name | the dialer's first and only frame before Welcome |
//! | 2 | Welcome | 0 | version u16, name | the listener accepts; name is its own |
//! | 3 | Refuse | 0 | reason u8 | the sender ends (or never begins) the lane, and why; nothing follows |
//! | 4 | Open | new | service name, caller text | asks for a stream; caller is filled in by the hub |
//! | 5 | Opened | id | – | the stream reaches its service |
//! | 6 | Data | id | 1 to 65,536 bytes | bytes of the stream, within credit |
//! | 7 | Credit | id | u32, not 0 | so many more bytes may be sent |
//! | 8 | Fin | id | – | the sender's last byte went before; the other direction lives on |
//! | 9 | Reset | id | reason u8 | the stream ends at once; after the sender's Fin: only "send me no more" |
//! | 10 | Ping | 0 | u64 | answer with Pong |
//! | 11 | Pong | 0 | u64 of the Ping | |
//! | 12 | Offer | 0 | count u8, names | control lane, local hub to hub: all services offered, replacing the last Offer |
//! | 13 | Accepted | 0 | count u8, names | control lane, the answer: those that the wiring permits |
//!
//! A *name* is a length u8 and so many bytes that [`is_name`] allows; *caller text* is the same but may be empty and may
//! hold one `/`. Reasons are [`Refusal`]s, in their order from 1. Stream ids: the dialer's are odd, the listener's even,
//! each new one ahead of the last (differences taken modulo 2^32, so that ids may wrap around). Every stream begins with
//! [`WINDOW_INITIAL`](crate::bounds::WINDOW_INITIAL) bytes of credit in each direction.
//!
//! The version is that of the whole format. A listener that does not speak the Hello's version answers Refuse
//! (`version_unsupported`); the layouts of Hello and Refuse are the same in all versions.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::bounds::{DATA_FRAME_MAX, HELLO_MAX, NAME_MAX, SERVICES_MAX};
use crate::refusal::{Refusal, Violation, is_name};

#[cfg(test)]
mod tests;

/// Bytes of a frame's header.
pub const HEADER: usize = 9;
/// The version spoken here.
pub const VERSION: u16 = 1;

/// The dialer's introduction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Format version.
    pub version: u16,
    /// Which of the link's lanes this connection is, from 0.
    pub lane: u8,
    /// Random per start of the dialer; lanes with the same one form a link.
    pub link: [u8; 16],
    /// The dialer's name, equal to that of its certificate.
    pub name: String,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table in the module's text says it")]
pub enum Frame {
    Hello(Hello),
    Welcome { version: u16, name: String },
    Refuse(Refusal),
    Open { stream: u32, service: String, caller: String },
    Opened { stream: u32 },
    Data { stream: u32, payload: Bytes },
    Credit { stream: u32, bytes: u32 },
    Fin { stream: u32 },
    Reset { stream: u32, reason: Refusal },
    Ping { nonce: u64 },
    Pong { nonce: u64 },
    Offer { services: Vec<String> },
    Accepted { services: Vec<String> },
}

impl Frame {
    /// Appends the frame. The caller has bounded names and payload.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        header(out, 0, self.kind(), self.stream());
        match self {
            Self::Hello(hello) => {
                out.put_u16(hello.version);
                out.put_u8(hello.lane);
                out.put_slice(&hello.link);
                put_text(out, &hello.name);
            }
            Self::Welcome { version, name } => {
                out.put_u16(*version);
                put_text(out, name);
            }
            Self::Refuse(reason) | Self::Reset { reason, .. } => out.put_u8(reason.to_wire()),
            Self::Open { service, caller, .. } => {
                put_text(out, service);
                put_text(out, caller);
            }
            Self::Opened { .. } | Self::Fin { .. } => {}
            Self::Data { payload, .. } => out.put_slice(payload),
            Self::Credit { bytes, .. } => out.put_u32(*bytes),
            Self::Ping { nonce } | Self::Pong { nonce } => out.put_u64(*nonce),
            Self::Offer { services } | Self::Accepted { services } => {
                out.put_u8(services.len() as u8);
                services.iter().for_each(|service| put_text(out, service));
            }
        }
        let length = (out.len() - start - HEADER) as u32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => 1,
            Self::Welcome { .. } => 2,
            Self::Refuse(_) => 3,
            Self::Open { .. } => 4,
            Self::Opened { .. } => 5,
            Self::Data { .. } => DATA,
            Self::Credit { .. } => 7,
            Self::Fin { .. } => 8,
            Self::Reset { .. } => 9,
            Self::Ping { .. } => 10,
            Self::Pong { .. } => 11,
            Self::Offer { .. } => 12,
            Self::Accepted { .. } => 13,
        }
    }

    fn stream(&self) -> u32 {
        match self {
            Self::Open { stream, .. }
            | Self::Opened { stream }
            | Self::Data { stream, .. }
            | Self::Credit { stream, .. }
            | Self::Fin { stream }
            | Self::Reset { stream, .. } => *stream,
            Self::Hello(_)
            | Self::Welcome { .. }
            | Self::Refuse(_)
            | Self::Ping { .. }
            | Self::Pong { .. }
            | Self::Offer { .. }
            | Self::Accepted { .. } => 0,
        }
    }
}

const DATA: u8 = 6;

/// Appends the header of a data frame whose payload the caller sends by itself.
pub fn data_header(out: &mut BytesMut, stream: u32, length: usize) {
    header(out, length as u32, DATA, stream);
}

fn header(out: &mut BytesMut, length: u32, kind: u8, stream: u32) {
    out.put_u32(length);
    out.put_u8(kind);
    out.put_u32(stream);
}

fn put_text(out: &mut BytesMut, text: &str) {
    debug_assert!(text.len() <= NAME_MAX);
    out.put_u8(text.len() as u8);
    out.put_slice(text.as_bytes());
}

/// Turns received bytes into frames. Its buffer grows only by what was read, never by what a header claims.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    greeted: bool,
}

impl Decoder {
    /// A decoder for the beginning of a lane: no frame longer than [`HELLO_MAX`] until [`Decoder::greeted`].
    pub fn new() -> Self {
        Self::default()
    }

    /// The introduction is over.
    pub fn greeted(&mut self) {
        self.greeted = true;
    }

    /// Where the shell appends what it reads.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame, or `None` until more bytes are there. After an error the lane is over.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Violation> {
        let Some(head) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = head[4];
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        check_length(kind, length, if self.greeted { usize::MAX } else { HELLO_MAX })?;
        if (4..=9).contains(&kind) == (stream == 0) {
            return Err(Violation::Malformed);
        }
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let payload = self.buffer.split_to(length);
        parse(kind, stream, payload.freeze()).map(Some)
    }
}

/// Judges a claimed length by the kind, before a byte of the payload is there.
fn check_length(kind: u8, length: usize, limit: usize) -> Result<(), Violation> {
    const NAME: usize = NAME_MAX + 1;
    let (least, most) = match kind {
        1 => (21, 19 + NAME),
        2 => (4, 2 + NAME),
        3 | 9 => (1, 1),
        4 => (3, 2 * NAME),
        5 | 8 => (0, 0),
        DATA => (1, DATA_FRAME_MAX),
        7 => (4, 4),
        10 | 11 => (8, 8),
        12 | 13 => (1, 1 + SERVICES_MAX * NAME),
        _ => return Err(Violation::KindUnknown),
    };
    if length > most.min(limit) {
        return Err(Violation::FrameTooLong);
    }
    if length < least { Err(Violation::Malformed) } else { Ok(()) }
}

fn parse(kind: u8, stream: u32, payload: Bytes) -> Result<Frame, Violation> {
    if kind == DATA {
        return Ok(Frame::Data { stream, payload });
    }
    let mut rest: &[u8] = &payload;
    let frame = parse_small(kind, stream, &mut rest).ok_or(Violation::Malformed)?;
    if rest.is_empty() { Ok(frame) } else { Err(Violation::Malformed) }
}

fn parse_small(kind: u8, stream: u32, rest: &mut &[u8]) -> Option<Frame> {
    Some(match kind {
        1 => Frame::Hello(Hello {
            version: rest.try_get_u16().ok()?,
            lane: rest.try_get_u8().ok()?,
            link: rest.try_get_u128().ok()?.to_be_bytes(),
            name: take_name(rest)?,
        }),
        2 => Frame::Welcome { version: rest.try_get_u16().ok()?, name: take_name(rest)? },
        3 => Frame::Refuse(Refusal::from_wire(rest.try_get_u8().ok()?)?),
        4 => Frame::Open { stream, service: take_name(rest)?, caller: take_caller(rest)? },
        5 => Frame::Opened { stream },
        7 => Frame::Credit { stream, bytes: rest.try_get_u32().ok().filter(|bytes| *bytes > 0)? },
        8 => Frame::Fin { stream },
        9 => Frame::Reset { stream, reason: Refusal::from_wire(rest.try_get_u8().ok()?)? },
        10 => Frame::Ping { nonce: rest.try_get_u64().ok()? },
        11 => Frame::Pong { nonce: rest.try_get_u64().ok()? },
        12 => Frame::Offer { services: take_names(rest)? },
        13 => Frame::Accepted { services: take_names(rest)? },
        _ => return None,
    })
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::from(rest.try_get_u8().ok()?);
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

fn take_name(rest: &mut &[u8]) -> Option<String> {
    take_text(rest).filter(|name| is_name(name)).map(str::to_owned)
}

fn take_caller(rest: &mut &[u8]) -> Option<String> {
    let text = take_text(rest)?;
    let fits = match text.split_once('/') {
        Some((role, name)) => is_name(role) && is_name(name),
        None => text.is_empty() || is_name(text),
    };
    fits.then(|| text.to_owned())
}

fn take_names(rest: &mut &[u8]) -> Option<Vec<String>> {
    let count = usize::from(rest.try_get_u8().ok()?);
    if count > SERVICES_MAX {
        return None;
    }
    (0..count).map(|_| take_name(rest)).collect()
}
