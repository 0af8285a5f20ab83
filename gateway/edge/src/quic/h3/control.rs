//! The client's one-way streams (RFC 9114 §6.2): control, QPACK's two, and whatever else is ignored.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use quinn::{ReadError, RecvStream};

use super::code::{Code, Violation};
use super::frame::{CANCEL_PUSH, FrameReader, GOAWAY, Lane, MAX_PUSH_ID, Piece, SETTINGS, Trouble, varint};
use crate::bounds::{H3_NOISE_MAX, H3_NOISE_PER_REQUEST, H3_READ_MAX};

const CONTROL: u64 = 0;
const PUSH: u64 = 1;
const ENCODER: u64 = 2;
const DECODER: u64 = 3;

/// What is counted of a connection's talk beside its requests, and which streams it has opened.
#[derive(Debug, Default)]
pub struct Talk {
    seen: [AtomicBool; 4],
    noise: AtomicU64,
    requests: AtomicU64,
}

impl Talk {
    /// A request was begun: it may bring some talk with it (priorities, a header table's acknowledgements).
    pub fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Something came that is no request's.
    ///
    /// # Errors
    /// Too much of it (frames that cost us and do nothing).
    pub fn noise(&self) -> Result<(), Violation> {
        let may = H3_NOISE_MAX + H3_NOISE_PER_REQUEST * self.requests.load(Ordering::Relaxed);
        match self.noise.fetch_add(1, Ordering::Relaxed) < may {
            true => Ok(()),
            false => Err(Violation(Code::ExcessiveLoad)),
        }
    }

    /// Each of these streams exists once.
    fn once(&self, kind: u64) -> Result<(), Violation> {
        let seen = usize::try_from(kind).ok().and_then(|kind| self.seen.get(kind));
        match seen.is_some_and(|seen| seen.swap(true, Ordering::Relaxed)) {
            true => Err(Violation(Code::StreamCreation)),
            false => Ok(()),
        }
    }
}

/// Reads one stream that the client opened, to its end.
///
/// # Errors
/// It broke the protocol; what is critical has ended.
pub async fn read(talk: &Talk, mut stream: RecvStream) -> Result<(), Violation> {
    let mut begun = Vec::new();
    let (kind, rest) = loop {
        let mut ahead = &begun[..];
        if let Some(kind) = varint(&mut ahead) {
            break (kind, Bytes::copy_from_slice(ahead));
        }
        match next(&mut stream).await {
            Some(bytes) => begun.extend_from_slice(&bytes),
            // A stream that ends before it says what it is concerns nobody.
            None => return talk.noise(),
        }
    };
    match kind {
        CONTROL => {
            talk.once(kind)?;
            control(talk, stream, rest).await
        }
        ENCODER | DECODER => {
            talk.once(kind)?;
            qpack(talk, kind == ENCODER, stream, rest).await
        }
        // Only servers push.
        PUSH => Err(Violation(Code::StreamCreation)),
        _ => {
            let _ = stream.stop(Code::StreamCreation.wire());
            talk.noise()
        }
    }
}

/// The next bytes; `None` at the end, however it came.
async fn next(stream: &mut RecvStream) -> Option<Bytes> {
    match stream.read_chunk(H3_READ_MAX, true).await {
        Ok(chunk) => chunk.map(|chunk| chunk.bytes),
        Err(
            ReadError::Reset(_)
            | ReadError::ConnectionLost(_)
            | ReadError::ClosedStream
            | ReadError::IllegalOrderedRead
            | ReadError::ZeroRttRejected,
        ) => None,
    }
}

async fn control(talk: &Talk, mut stream: RecvStream, first: Bytes) -> Result<(), Violation> {
    let (mut reader, mut input) = (FrameReader::new(Lane::Control), first);
    let mut control = Control::default();
    loop {
        while let Some(piece) = reader.next(&mut input).map_err(violation_of)? {
            talk.noise()?;
            if let Piece::Whole(kind, payload) = piece {
                control.take(kind, &payload)?;
            }
        }
        // Frames that are skipped are no pieces, but they come in bytes.
        talk.noise()?;
        input = next(&mut stream).await.ok_or(Violation(Code::ClosedCriticalStream))?;
    }
}

fn violation_of(trouble: Trouble) -> Violation {
    match trouble {
        Trouble::Violation(violation) => violation,
        Trouble::HeadTooLarge => Violation(Code::ExcessiveLoad),
    }
}

/// What the control stream has said.
#[derive(Debug, Default)]
struct Control {
    has_settings: bool,
    goaway: Option<u64>,
    max_push: Option<u64>,
}

impl Control {
    fn take(&mut self, kind: u64, payload: &[u8]) -> Result<(), Violation> {
        let mut payload = payload;
        if !self.has_settings {
            if kind != SETTINGS {
                return Err(Violation(Code::MissingSettings));
            }
            self.has_settings = true;
            return settings(payload);
        }
        if kind == SETTINGS {
            return Err(Violation(Code::FrameUnexpected));
        }
        let id = varint(&mut payload).filter(|_| payload.is_empty()).ok_or(Violation(Code::Frame))?;
        let is_wrong = match kind {
            GOAWAY => self.goaway.replace(id).is_some_and(|before| before < id),
            MAX_PUSH_ID => self.max_push.replace(id).is_some_and(|before| before > id),
            // Nothing was promised that could be cancelled.
            CANCEL_PUSH => true,
            _ => return Err(Violation(Code::FrameUnexpected)),
        };
        if is_wrong { Err(Violation(Code::Id)) } else { Ok(()) }
    }
}

/// RFC 9114 §7.2.4: each once, none of HTTP/2's. What they say concerns tables and pushes that we do without.
fn settings(payload: &[u8]) -> Result<(), Violation> {
    let (mut payload, mut seen) = (payload, Vec::new());
    while !payload.is_empty() {
        let setting = varint(&mut payload).zip(varint(&mut payload));
        let (id, _) = setting.ok_or(Violation(Code::Frame))?;
        if matches!(id, 0 | 2..=5) || seen.contains(&id) || seen.len() >= SETTINGS_SEEN_MAX {
            return Err(Violation(Code::Settings));
        }
        seen.push(id);
    }
    Ok(())
}

const SETTINGS_SEEN_MAX: usize = 64;

/// QPACK's instructions, of which few make sense without a dynamic table (RFC 9204 §4.3, §4.4).
async fn qpack(talk: &Talk, is_encoder: bool, mut stream: RecvStream, first: Bytes) -> Result<(), Violation> {
    let broken = Violation(if is_encoder { Code::EncoderStream } else { Code::DecoderStream });
    let (mut input, mut is_within) = (first, false);
    loop {
        while input.has_remaining() {
            let byte = input.get_u8();
            is_within = match (is_within, is_encoder) {
                (true, _) => byte & 0x80 != 0,
                // A table of no bytes is what there is.
                (false, true) if byte == 0x20 => false,
                // A stream that the client read no more of: nothing was counted on its behalf.
                (false, false) if byte & 0xc0 == 0x40 => {
                    talk.noise()?;
                    byte == 0x7f
                }
                (false, _) => return Err(broken),
            };
        }
        talk.noise()?;
        input = next(&mut stream).await.ok_or(Violation(Code::ClosedCriticalStream))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_first_and_once_and_are_not_those_of_http2() {
        let wrong = |code| Err(Violation(code));
        assert_eq!(Control::default().take(GOAWAY, &[0]), wrong(Code::MissingSettings));
        let mut control = Control::default();
        // A table, blocked streams, and one that nobody knows.
        assert_eq!(control.take(SETTINGS, &[1, 0x40, 0x64, 7, 16, 0x21, 9]), Ok(()));
        assert_eq!(control.take(SETTINGS, &[]), wrong(Code::FrameUnexpected));
        for (payload, code) in [
            (&[2, 0][..], Code::Settings),
            (&[5, 1], Code::Settings),
            (&[7, 1, 7, 1], Code::Settings),
            (&[7], Code::Frame),
            (&[0x40], Code::Frame),
        ] {
            assert_eq!(Control::default().take(SETTINGS, payload), wrong(code), "{payload:?}");
        }
    }

    #[test]
    fn what_was_promised_is_not_taken_back() {
        let mut control = Control { has_settings: true, ..Control::default() };
        assert_eq!(control.take(GOAWAY, &[8]), Ok(()));
        assert_eq!(control.take(GOAWAY, &[4]), Ok(()));
        assert_eq!(control.take(GOAWAY, &[5]), Err(Violation(Code::Id)));
        assert_eq!(control.take(MAX_PUSH_ID, &[4]), Ok(()));
        assert_eq!(control.take(MAX_PUSH_ID, &[3]), Err(Violation(Code::Id)));
        assert_eq!(control.take(CANCEL_PUSH, &[0]), Err(Violation(Code::Id)));
        assert_eq!(control.take(GOAWAY, &[0, 0]), Err(Violation(Code::Frame)));
        assert_eq!(control.take(GOAWAY, &[]), Err(Violation(Code::Frame)));
    }

    #[test]
    fn talk_without_requests_comes_to_an_end() {
        let talk = Talk::default();
        assert!((0..H3_NOISE_MAX).all(|_| talk.noise().is_ok()));
        assert_eq!(talk.noise(), Err(Violation(Code::ExcessiveLoad)));
        talk.request();
        talk.request();
        assert_eq!(talk.noise(), Ok(()));
    }
}
