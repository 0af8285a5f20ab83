//! Frames (RFC 9114 §7): bytes in, whole small frames or pieces of bodies out. Pure.
//!
//! Nothing is kept beyond its bound: a frame that has to be whole before it is read is small, and what is skipped counts.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::code::{Code, Violation};
use crate::bounds::{H3_CONTROL_FRAME_MAX, H3_SKIPPED_MAX, HEAD_BYTES_MAX};

pub const DATA: u64 = 0;
pub const HEADERS: u64 = 1;
pub const CANCEL_PUSH: u64 = 3;
pub const SETTINGS: u64 = 4;
pub const PUSH_PROMISE: u64 = 5;
pub const GOAWAY: u64 = 7;
pub const MAX_PUSH_ID: u64 = 0xd;
const VARINT_BYTES_MAX: usize = 8;

/// Which stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Request,
    Control,
}

/// What a stream said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A whole frame, never DATA.
    Whole(u64, Bytes),
    /// A piece of a DATA frame.
    Data(Bytes),
}

/// Why reading a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It ends the connection.
    Violation(Violation),
    /// A head, or trailers, beyond [`HEAD_BYTES_MAX`]; the stream alone ends.
    HeadTooLarge,
}

/// Reads one stream's frames.
#[derive(Debug)]
pub struct FrameReader {
    lane: Lane,
    stage: Stage,
    skipped: u64,
}

#[derive(Debug)]
enum Stage {
    /// Of a frame's kind and length, as much as has come.
    Header(BytesMut),
    Collect {
        kind: u64,
        left: usize,
        bytes: BytesMut,
    },
    Data {
        left: u64,
    },
    Skip {
        left: u64,
    },
}

impl FrameReader {
    pub fn new(lane: Lane) -> Self {
        Self { lane, stage: Stage::Header(BytesMut::new()), skipped: 0 }
    }

    /// Takes from `input` until there is something to tell, or nothing left.
    ///
    /// # Errors
    /// The stream can't be read on.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Piece>, Trouble> {
        loop {
            match &mut self.stage {
                Stage::Header(begun) => {
                    let Some((kind, length)) = header(begun, input) else { return Ok(None) };
                    self.stage = self.begin(kind, length)?;
                }
                Stage::Data { left: 0 } | Stage::Skip { left: 0 } => {
                    self.stage = Stage::Header(BytesMut::new());
                    if input.is_empty() {
                        return Ok(None);
                    }
                }
                Stage::Data { left } => {
                    let piece = input.split_to(input.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
                    *left -= piece.len() as u64;
                    return Ok((!piece.is_empty()).then_some(Piece::Data(piece)));
                }
                Stage::Skip { left } => {
                    let skipped = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= skipped as u64;
                    input.advance(skipped);
                    if input.is_empty() {
                        return Ok(None);
                    }
                }
                Stage::Collect { kind, left, bytes } => {
                    let (kind, taken) = (*kind, input.len().min(*left));
                    *left -= taken;
                    let is_done = *left == 0;
                    // Usually it lies there whole: no copy then.
                    let whole = if is_done && bytes.is_empty() {
                        input.split_to(taken)
                    } else {
                        bytes.put(input.split_to(taken));
                        if !is_done {
                            return Ok(None);
                        }
                        std::mem::take(bytes).freeze()
                    };
                    self.stage = Stage::Header(BytesMut::new());
                    return Ok(Some(Piece::Whole(kind, whole)));
                }
            }
        }
    }

    /// May the stream end here? Not within a frame.
    pub fn is_between_frames(&self) -> bool {
        match &self.stage {
            Stage::Header(begun) => begun.is_empty(),
            Stage::Data { left } | Stage::Skip { left } => *left == 0,
            Stage::Collect { .. } => false,
        }
    }

    fn begin(&mut self, kind: u64, length: u64) -> Result<Stage, Trouble> {
        let unexpected = Err(Trouble::Violation(Violation(Code::FrameUnexpected)));
        let collect = |max: usize, or| match usize::try_from(length) {
            Ok(left) if left <= max => Ok(Stage::Collect { kind, left, bytes: BytesMut::new() }),
            Ok(_) | Err(_) => Err(or),
        };
        match (kind, self.lane) {
            (DATA, Lane::Request) => Ok(Stage::Data { left: length }),
            (HEADERS, Lane::Request) => collect(HEAD_BYTES_MAX, Trouble::HeadTooLarge),
            (SETTINGS | GOAWAY | CANCEL_PUSH | MAX_PUSH_ID, Lane::Control) => {
                collect(H3_CONTROL_FRAME_MAX, Trouble::Violation(Violation(Code::ExcessiveLoad)))
            }
            // A client promises nothing; the others belong to the other kind of stream, or to HTTP/2 (§7.2.8).
            (
                DATA | HEADERS | CANCEL_PUSH | SETTINGS | PUSH_PROMISE | GOAWAY | MAX_PUSH_ID | 2 | 6 | 8 | 9,
                _,
            ) => unexpected,
            // Unknown kinds are ignored (§9), but not for ever. Their headers cost, too.
            (_, _) => {
                self.skipped = self.skipped.saturating_add(length).saturating_add(16);
                match (self.lane, self.skipped > H3_SKIPPED_MAX) {
                    (Lane::Request, true) => Err(Trouble::Violation(Violation(Code::ExcessiveLoad))),
                    // A control stream lives as long as its connection, which counts what comes on it.
                    (Lane::Control, true) if length > H3_SKIPPED_MAX => {
                        Err(Trouble::Violation(Violation(Code::ExcessiveLoad)))
                    }
                    (Lane::Control, true) | (_, false) => Ok(Stage::Skip { left: length }),
                }
            }
        }
    }
}

/// A frame's kind and length, when both have come.
fn header(begun: &mut BytesMut, input: &mut Bytes) -> Option<(u64, u64)> {
    if begun.is_empty() {
        // Usually both lie there.
        let mut ahead = &input[..];
        if let (Some(kind), Some(length)) = (varint(&mut ahead), varint(&mut ahead)) {
            let read = input.len() - ahead.len();
            input.advance(read);
            return Some((kind, length));
        }
    }
    while begun.len() < 2 * VARINT_BYTES_MAX && !input.is_empty() {
        begun.put_u8(input.get_u8());
        let mut ahead = &begun[..];
        if let (Some(kind), Some(length)) = (varint(&mut ahead), varint(&mut ahead)) {
            return Some((kind, length));
        }
    }
    None
}

/// RFC 9000 §16; `None` if some of it has not come.
pub fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let first = *bytes.first()?;
    let (taken, rest) = bytes.split_at_checked(1 << (first >> 6))?;
    *bytes = rest;
    Some(taken[1..].iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)))
}

/// Writes a variable-length integer; what is beyond 2^62 can't be written and becomes that.
pub fn put_varint(out: &mut BytesMut, value: u64) {
    match value {
        0..0x40 => out.put_u8(value as u8),
        0x40..0x4000 => out.put_u16(0x4000 | value as u16),
        0x4000..0x4000_0000 => out.put_u32(0x8000_0000 | value as u32),
        _ => out.put_u64(0xc000_0000_0000_0000 | value.min((1 << 62) - 1)),
    }
}

#[cfg(test)]
mod tests;
