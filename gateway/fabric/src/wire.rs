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
//! | 2 | Welcome | 0 | version u16, name, mandate | the listener accepts; name is its own |
//! | 3 | Refuse | 0 | reason u8 | the sender ends (or never begins) the lane, and why; nothing follows |
//! | 4 | Open | new | service name, caller text, session 16 bytes, resume, shape u8, origin | asks for a stream; caller is filled in by the hub |
//! | 5 | Opened | id | name or empty, position | the stream reaches its service, at the local hub of that name |
//! | 6 | Data | id | 1 to 65,536 bytes | bytes of the stream, within credit |
//! | 7 | Credit | id | u32, not 0 | so many more bytes may be sent |
//! | 8 | Fin | id | – | the sender's last byte went before; the other direction lives on |
//! | 9 | Reset | id | reason u8 | the stream ends at once; after the sender's Fin: only "send me no more" |
//! | 10 | Ping | 0 | u64 | answer with Pong |
//! | 11 | Pong | 0 | u64 of the Ping | |
//! | 12 | Offer | 0 | incarnation 16 bytes, sequence u64, count u8, names | control lane, local hub to hub: all services offered, replacing the last Offer |
//! | 13 | Accepted | 0 | count u8, names | control lane, the answer: those that the wiring permits |
//! | 14 | Standby | 0 | term u64, name or empty | in place of Welcome, before Refuse: this hub is not active; who is, in which term |
//! | 15 | Proof | 0 | certificate, signature, each u16 length and bytes | the sender's renewed certificate, proved in this lane |
//! | 16 | Ack | id | position | what the end behind the sender of this frame has of the direction towards it |
//! | 17 | Notice | 0 | name, then as Offer | control lane, hub to edge: what the local hub of that name offers now |
//!
//! * A *name* is a length u8 and so many bytes that [`is_name`](crate::refusal::is_name) allows; *name or empty* may have length 0; *caller text* is
//!   the same but may hold one `/`. Reasons are [`Refusal`]s, in their order from 1.
//! * The *mandate* is the rest of the payload, at most [`MANDATE_MAX`](crate::bounds::MANDATE_MAX) bytes, empty where no hub speaks; the *origin* is a
//!   length u16 and at most [`ORIGIN_MAX`](crate::bounds::ORIGIN_MAX) bytes. Both mean nothing here, nor to the mux.
//! * A *position* is a u64: so many bytes from the beginning of the session ([`crate::session`]), resumed or not, and in the
//!   highest bit whether the end was had behind them.
//! * *resume* is 0 for a new stream; or 1, a name, a position and a u32: go on with this session at the local hub of that name,
//!   of whose bytes the opener has so much, at the opener's so-manieth attempt, from 1. The position in Opened is the same
//!   for the other direction, 0 for a new stream. *shape* is 0 for bytes, 1 for datagrams.
//! * An Ack never exceeds what was sent to its sender, and may overtake, and be overtaken by, anything.
//! * *incarnation* is random per start of the local hub, *sequence* counts its offers: the same offer may come over several
//!   ways, and the newest sequence of an incarnation is the one that holds.
//! * Stream ids: the dialer's are odd, the listener's even, each new one ahead of the last (differences taken modulo 2^32, so
//!   that ids may wrap around). Every stream begins with [`WINDOW_INITIAL`](crate::bounds::WINDOW_INITIAL) bytes of credit in
//!   each direction.
//! * The signature of a Proof is made with the certificate's key (ECDSA P-256 with SHA-256, DER) over the text
//!   `wandergate fabric lane proof 1` and a zero byte, 32 bytes of the TLS exporter (RFC 8446, section 7.5) of label
//!   `EXPORTER-wandergate-lane-proof` without context, one byte that is 0 from the dialer and 1 from the listener, and the
//!   SHA-256 of the certificate.
//!
//! The version is that of the whole format. A listener that does not speak the Hello's version answers Refuse
//! (`version_unsupported`); the layouts of Hello and Refuse are the same in all versions.

use bytes::{Buf, Bytes, BytesMut};

use crate::bounds::HELLO_MAX;
use crate::refusal::{Refusal, Violation};
use crate::session::Position;

mod encode;
mod parse;
#[cfg(test)]
mod tests;

pub use encode::data_header;

/// Bytes of a frame's header.
pub const HEADER: usize = 9;
/// The version spoken here.
pub const VERSION: u16 = 2;

/// The kind of a data frame.
const DATA: u8 = 6;

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

/// What a stream carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Bytes in order.
    #[default]
    Bytes,
    /// Datagrams, each with its length in front.
    Datagrams,
}

/// A stream that was carried before and goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The name of the local hub that holds the far end.
    pub at: String,
    /// What the opener has from it.
    pub received: Position,
    /// Counts the opener's attempts for this session, from 1; the latest is the one that holds.
    pub attempt: u32,
}

/// What an Open asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// The service.
    pub service: String,
    /// Who asks, as the hub says; empty before the hub.
    pub caller: String,
    /// Random per session; the same in each Open that resumes it.
    pub session: [u8; 16],
    /// To go on with a session instead of beginning one.
    pub resume: Option<Resume>,
    /// What the stream carries.
    pub shape: Shape,
    /// Who is at the outer end; opaque here.
    pub origin: Bytes,
}

/// Where a stream was opened, and what its far end has of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The name of the local hub, or empty.
    pub at: String,
    /// What the far end has from the opener.
    pub received: Position,
}

/// Everything that a local hub offers, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offering {
    /// Random per start of the local hub.
    pub incarnation: [u8; 16],
    /// Counts up with each change.
    pub sequence: u64,
    /// The names of the services.
    pub services: Vec<String>,
}

/// A renewed certificate, and the proof that the sender of the lane holds its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The leaf, DER.
    pub certificate: Bytes,
    /// By the leaf's key, bound to the lane.
    pub signature: Bytes,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table in the module's text says it")]
pub enum Frame {
    Hello(Hello),
    Welcome { version: u16, name: String, mandate: Bytes },
    Refuse(Refusal),
    Open { stream: u32, open: Box<Open> },
    Opened { stream: u32, opened: Opened },
    Data { stream: u32, payload: Bytes },
    Credit { stream: u32, bytes: u32 },
    Fin { stream: u32 },
    Reset { stream: u32, reason: Refusal },
    Ping { nonce: u64 },
    Pong { nonce: u64 },
    Offer(Offering),
    Accepted { services: Vec<String> },
    Standby { term: u64, active: String },
    Proof(Box<Proof>),
    Ack { stream: u32, received: Position },
    Notice { origin: String, offering: Offering },
}

/// Turns received bytes into frames. Its buffer grows only by what was read, never by what a header claims.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    /// Longest payload that is accepted now.
    limit: usize,
}

impl Decoder {
    /// A listener's: no frame longer than [`HELLO_MAX`] until [`Decoder::greeted`].
    pub fn new() -> Self {
        Self { buffer: BytesMut::new(), limit: HELLO_MAX }
    }

    /// A dialer's: no frame longer than a Welcome until [`Decoder::greeted`].
    pub fn dialing() -> Self {
        Self { buffer: BytesMut::new(), limit: parse::WELCOME_MAX }
    }

    /// The introduction is over.
    pub fn greeted(&mut self) {
        self.limit = usize::MAX;
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
        parse::check_header(kind, stream, length, self.limit)?;
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let payload = self.buffer.split_to(length);
        parse::frame(kind, stream, payload.freeze()).map(Some)
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}
