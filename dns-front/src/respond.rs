//! From a query's bytes and a ruling to at most one answer's bytes. Pure: what every transport asks.

use hickory_proto::op::ResponseCode;
use rotator::UnixTime;

use crate::answer::{self, Kind};
use crate::view::View;
use crate::wire::{self, Flaw, Transport};

/// What the defense has said of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    Answer,
    /// Told to come back over TCP (UDP only).
    Slip,
    Refuse,
}

/// What came of a query, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    Said(Kind),
    Slipped,
    Refused,
    /// FORMERR.
    Malformed,
    /// NOTIMP.
    OpCode,
    /// BADVERS.
    EdnsVersion,
    /// No query at all.
    Ignored,
}

/// An answer's bytes (`None` is silence), its response code, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub came: Came,
    pub code: u16,
    pub bytes: Option<Vec<u8>>,
}

/// Answers the bytes of one query.
pub fn respond(bytes: &[u8], transport: Transport, ruling: Ruling, view: &View, now: UnixTime) -> Response {
    if !wire::is_query(bytes) {
        return Response { came: Came::Ignored, code: 0, bytes: None };
    }
    let inquiry = match wire::read(bytes) {
        Ok(inquiry) => inquiry,
        Err(flaw) => return flawed(bytes, flaw),
    };
    let plain = |came, code: ResponseCode| Response { came, code: code.into(), bytes: inquiry.code(code) };
    match ruling {
        Ruling::Refuse => plain(Came::Refused, ResponseCode::Refused),
        Ruling::Slip => Response { came: Came::Slipped, code: 0, bytes: inquiry.slip() },
        Ruling::Answer if inquiry.wrong_edns() => plain(Came::EdnsVersion, ResponseCode::BADVERS),
        Ruling::Answer => {
            let answer = answer::answer(&inquiry.question, view, now);
            let (came, code) = (Came::Said(answer.kind), answer.code.into());
            Response { came, code, bytes: inquiry.reply(answer, transport) }
        }
    }
}

fn flawed(bytes: &[u8], flaw: Flaw) -> Response {
    let (came, code) = match flaw {
        Flaw::Malformed => (Came::Malformed, ResponseCode::FormErr),
        Flaw::OpCode => (Came::OpCode, ResponseCode::NotImp),
    };
    Response { came, code: code.into(), bytes: Some(wire::bare(bytes, flaw)) }
}

#[cfg(test)]
mod tests;
