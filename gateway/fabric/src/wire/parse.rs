//! From bytes to frames: a header is judged before its payload is there, a payload has one meaning or none. Pure.

use bytes::{Buf, Bytes};

use super::{DATA, Frame, Hello, Offering, Open, Opened, Proof, Resume, Shape};
use crate::bounds::{
    DATA_FRAME_MAX, MANDATE_MAX, NAME_MAX, ORIGIN_MAX, PROOF_CERTIFICATE_MAX, PROOF_SIGNATURE_MAX,
    SERVICES_MAX,
};
use crate::refusal::{Refusal, Violation, is_name};
use crate::session::Position;

/// A name with its length.
const NAME: usize = NAME_MAX + 1;
const OFFERING: usize = 16 + 8 + 1 + SERVICES_MAX * NAME;

/// Longest payload of a Welcome.
pub(super) const WELCOME_MAX: usize = 2 + NAME + MANDATE_MAX;

/// Judges a header before a byte of the payload is there.
pub(super) fn check_header(kind: u8, stream: u32, length: usize, limit: usize) -> Result<(), Violation> {
    let (least, most) = match kind {
        1 => (21, 19 + NAME),
        2 => (4, WELCOME_MAX),
        3 | 9 => (1, 1),
        4 => (2 + 1 + 16 + 1 + 1 + 2, 2 * NAME + 16 + (1 + NAME + 8 + 4) + 1 + 2 + ORIGIN_MAX),
        5 => (9, NAME + 8),
        DATA => (1, DATA_FRAME_MAX),
        7 => (4, 4),
        8 => (0, 0),
        10 | 11 | 16 => (8, 8),
        12 => (25, OFFERING),
        13 => (1, 1 + SERVICES_MAX * NAME),
        14 => (9, 8 + NAME),
        15 => (6, 4 + PROOF_CERTIFICATE_MAX + PROOF_SIGNATURE_MAX),
        17 => (27, NAME + OFFERING),
        _ => return Err(Violation::KindUnknown),
    };
    if length > most.min(limit) {
        return Err(Violation::FrameTooLong);
    }
    let is_streams = matches!(kind, 4..=9 | 16);
    if length < least || is_streams == (stream == 0) { Err(Violation::Malformed) } else { Ok(()) }
}

/// The frame that a payload is.
pub(super) fn frame(kind: u8, stream: u32, payload: Bytes) -> Result<Frame, Violation> {
    if kind == DATA {
        return Ok(Frame::Data { stream, payload });
    }
    let mut rest: &[u8] = &payload;
    let frame = small(kind, stream, &mut rest).ok_or(Violation::Malformed)?;
    if rest.is_empty() { Ok(frame) } else { Err(Violation::Malformed) }
}

fn small(kind: u8, stream: u32, rest: &mut &[u8]) -> Option<Frame> {
    Some(match kind {
        1 => Frame::Hello(Hello {
            version: rest.try_get_u16().ok()?,
            lane: rest.try_get_u8().ok()?,
            link: take_16(rest)?,
            name: take_name(rest)?,
        }),
        2 => Frame::Welcome {
            version: rest.try_get_u16().ok()?,
            name: take_name(rest)?,
            mandate: Bytes::copy_from_slice(std::mem::take(rest)),
        },
        3 => Frame::Refuse(Refusal::from_wire(rest.try_get_u8().ok()?)?),
        4 => Frame::Open { stream, open: Box::new(take_open(rest)?) },
        5 => Frame::Opened {
            stream,
            opened: Opened { at: take_name_or_empty(rest)?, received: take_position(rest)? },
        },
        7 => Frame::Credit { stream, bytes: rest.try_get_u32().ok().filter(|bytes| *bytes > 0)? },
        8 => Frame::Fin { stream },
        9 => Frame::Reset { stream, reason: Refusal::from_wire(rest.try_get_u8().ok()?)? },
        10 => Frame::Ping { nonce: rest.try_get_u64().ok()? },
        11 => Frame::Pong { nonce: rest.try_get_u64().ok()? },
        12 => Frame::Offer(take_offering(rest)?),
        13 => Frame::Accepted { services: take_names(rest)? },
        14 => Frame::Standby { term: rest.try_get_u64().ok()?, active: take_name_or_empty(rest)? },
        15 => Frame::Proof(Box::new(Proof {
            certificate: take_long(rest, 1, PROOF_CERTIFICATE_MAX)?,
            signature: take_long(rest, 1, PROOF_SIGNATURE_MAX)?,
        })),
        16 => Frame::Ack { stream, received: take_position(rest)? },
        17 => Frame::Notice { origin: take_name(rest)?, offering: take_offering(rest)? },
        _ => return None,
    })
}

fn take_open(rest: &mut &[u8]) -> Option<Open> {
    Some(Open {
        service: take_name(rest)?,
        caller: take_caller(rest)?,
        session: take_16(rest)?,
        resume: match rest.try_get_u8().ok()? {
            0 => None,
            1 => Some(Resume {
                at: take_name(rest)?,
                received: take_position(rest)?,
                attempt: rest.try_get_u32().ok()?,
            }),
            _ => return None,
        },
        shape: match rest.try_get_u8().ok()? {
            0 => Shape::Bytes,
            1 => Shape::Datagrams,
            _ => return None,
        },
        origin: take_long(rest, 0, ORIGIN_MAX)?,
    })
}

fn take_offering(rest: &mut &[u8]) -> Option<Offering> {
    Some(Offering {
        incarnation: take_16(rest)?,
        sequence: rest.try_get_u64().ok()?,
        services: take_names(rest)?,
    })
}

fn take_position(rest: &mut &[u8]) -> Option<Position> {
    rest.try_get_u64().ok().map(Position::from_wire)
}

fn take_16(rest: &mut &[u8]) -> Option<[u8; 16]> {
    rest.try_get_u128().ok().map(u128::to_be_bytes)
}

/// Copied, so that what is kept of it pins no read buffer.
fn take_long(rest: &mut &[u8], least: usize, most: usize) -> Option<Bytes> {
    let length = usize::from(rest.try_get_u16().ok()?);
    if length < least || length > most {
        return None;
    }
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(Bytes::copy_from_slice(bytes))
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

fn take_name_or_empty(rest: &mut &[u8]) -> Option<String> {
    take_text(rest).filter(|name| name.is_empty() || is_name(name)).map(str::to_owned)
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
