//! What hubs of a plane say to each other, as bytes. Pure.
//!
//! Inside TLS both sides send frames: length u16 of what follows, kind u8, body. Integers are big-endian; a *name* is a
//! length u8 and so many bytes.
//!
//! | kind | name | body |
//! | --- | --- | --- |
//! | 1 | Hello | version u16, plane name; first and only first, from both sides |
//! | 2 | Alive | –; when there was nothing else to say for [`BETWEEN_PAUSE`](crate::bounds::BETWEEN_PAUSE) |
//! | 3 | PreVote | term u64, round u64 |
//! | 4 | PreGranted | term u64, round u64 |
//! | 5 | VoteRequest | term u64 |
//! | 6 | Granted | term u64, [vote](crate::mandate) |
//! | 7 | Beat | term u64, number u64 |
//! | 8 | Ack | term u64, number u64 |
//! | 9 | Refused | term u64 |
//! | 10 | Release | term u64, name of the heir, or empty |

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::bounds::{BETWEEN_FRAME_MAX, NAME_MAX};
use crate::election::{Instance, Message};
use crate::refusal::is_name;

/// The version of this format.
pub(super) const VERSION: u16 = 1;
const LENGTH: usize = 2;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Hello { version: u16, plane: String },
    Alive,
    Say(Message),
}

impl Frame {
    /// Appends it. `names` are the plane's hubs, by instance.
    pub(super) fn encode(&self, names: &[String], out: &mut BytesMut) {
        let start = out.len();
        out.put_u16(0);
        match self {
            Self::Hello { version, plane } => {
                out.put_u8(1);
                out.put_u16(*version);
                put_text(out, plane);
            }
            Self::Alive => out.put_u8(2),
            Self::Say(message) => put_message(message, names, out),
        }
        let length = (out.len() - start - LENGTH) as u16;
        out[start..start + LENGTH].copy_from_slice(&length.to_be_bytes());
    }

    /// Takes one off the front. `Ok(None)`: not all of it is there yet.
    pub(super) fn decode(buffer: &mut BytesMut, names: &[String]) -> Result<Option<Self>, Malformed> {
        let Some(head) = buffer.first_chunk::<LENGTH>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*head));
        if length > BETWEEN_FRAME_MAX {
            return Err(Malformed);
        }
        if buffer.len() < LENGTH + length {
            return Ok(None);
        }
        buffer.advance(LENGTH);
        let mut rest = buffer.split_to(length).freeze();
        let frame = parse(&mut rest, names).ok_or(Malformed)?;
        if rest.is_empty() { Ok(Some(frame)) } else { Err(Malformed) }
    }
}

/// Bytes that are no frame: the connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

fn put_message(message: &Message, names: &[String], out: &mut BytesMut) {
    let mut pair = |kind: u8, a: u64, b: u64| {
        out.put_u8(kind);
        out.put_u64(a);
        out.put_u64(b);
    };
    match message {
        Message::PreVote { term, round } => pair(3, *term, *round),
        Message::PreGranted { term, round } => pair(4, *term, *round),
        Message::Beat { term, number } => pair(7, *term, *number),
        Message::Ack { term, number } => pair(8, *term, *number),
        Message::VoteRequest { term } => {
            out.put_u8(5);
            out.put_u64(*term);
        }
        Message::Granted { term, vote } => {
            out.put_u8(6);
            out.put_u64(*term);
            out.put_slice(vote);
        }
        Message::Refused { term } => {
            out.put_u8(9);
            out.put_u64(*term);
        }
        Message::Release { term, heir } => {
            out.put_u8(10);
            out.put_u64(*term);
            put_text(out, heir.and_then(|heir| names.get(heir)).map_or("", String::as_str));
        }
    }
}

fn parse(rest: &mut Bytes, names: &[String]) -> Option<Frame> {
    let kind = rest.try_get_u8().ok()?;
    match kind {
        1 => {
            let version = rest.try_get_u16().ok()?;
            let plane = take_text(rest).filter(|plane| is_name(plane))?;
            return Some(Frame::Hello { version, plane });
        }
        2 => return Some(Frame::Alive),
        3..=10 => {}
        _ => return None,
    }
    let term = rest.try_get_u64().ok()?;
    Some(Frame::Say(match kind {
        3 => Message::PreVote { term, round: rest.try_get_u64().ok()? },
        4 => Message::PreGranted { term, round: rest.try_get_u64().ok()? },
        5 => Message::VoteRequest { term },
        6 => Message::Granted { term, vote: std::mem::take(rest) },
        7 => Message::Beat { term, number: rest.try_get_u64().ok()? },
        8 => Message::Ack { term, number: rest.try_get_u64().ok()? },
        9 => Message::Refused { term },
        _ => {
            let heir = take_text(rest)?;
            Message::Release { term, heir: instance(names, &heir) }
        }
    }))
}

/// A hub that this one does not know is no heir: the plane is being changed.
fn instance(names: &[String], name: &str) -> Option<Instance> {
    names.iter().position(|known| known == name)
}

fn put_text(out: &mut BytesMut, text: &str) {
    debug_assert!(text.len() <= NAME_MAX);
    out.put_u8(text.len() as u8);
    out.put_slice(text.as_bytes());
}

fn take_text(rest: &mut Bytes) -> Option<String> {
    let length = usize::from(rest.try_get_u8().ok()?);
    if rest.len() < length {
        return None;
    }
    String::from_utf8(rest.split_to(length).to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Vec<String> {
        ["a", "b", "c"].map(str::to_owned).into()
    }

    fn all() -> Vec<Frame> {
        let vote = Bytes::from_static(b"signed");
        let says = [
            Message::PreVote { term: 1, round: 2 },
            Message::PreGranted { term: 3, round: u64::MAX },
            Message::VoteRequest { term: 4 },
            Message::Granted { term: 5, vote },
            Message::Beat { term: 6, number: 7 },
            Message::Ack { term: 8, number: 9 },
            Message::Refused { term: 10 },
            Message::Release { term: 11, heir: Some(2) },
            Message::Release { term: 12, heir: None },
        ];
        let mut all = vec![Frame::Hello { version: VERSION, plane: "A".into() }, Frame::Alive];
        all.extend(says.map(Frame::Say));
        all
    }

    #[test]
    fn every_frame_survives_and_none_is_taken_before_it_is_whole() {
        for frame in all() {
            let mut bytes = BytesMut::new();
            frame.encode(&names(), &mut bytes);
            for cut in 0..bytes.len() {
                let mut part = BytesMut::from(&bytes[..cut]);
                assert_eq!(Frame::decode(&mut part, &names()), Ok(None), "{frame:?}");
            }
            assert_eq!(Frame::decode(&mut bytes, &names()), Ok(Some(frame)));
            assert!(bytes.is_empty());
        }
    }

    #[test]
    fn a_frame_that_claims_too_much_or_is_none_ends_the_connection() {
        let decode = |bytes: &[u8]| Frame::decode(&mut BytesMut::from(bytes), &names());
        let long = (BETWEEN_FRAME_MAX as u16 + 1).to_be_bytes();
        assert_eq!(decode(&long), Err(Malformed), "before the body is there");
        for bad in [&[0, 0][..], &[0, 1, 0], &[0, 1, 11], &[0, 1, 3], &[0, 2, 2, 0], &[0, 4, 1, 0, 1, 9]] {
            assert_eq!(decode(bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn an_heir_that_is_unknown_here_is_nobody() {
        let mut bytes = BytesMut::new();
        Frame::Say(Message::Release { term: 1, heir: Some(2) }).encode(&names(), &mut bytes);
        let fewer = &names()[..2];
        let heard = Frame::decode(&mut bytes, fewer);
        assert_eq!(heard, Ok(Some(Frame::Say(Message::Release { term: 1, heir: None }))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            for _ in 0..100 {
                match Frame::decode(&mut buffer, &names()) {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(Malformed) => break,
                }
            }
        }
    }
}
