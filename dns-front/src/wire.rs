//! Bytes to questions and answers to bytes, by hickory's codec. Pure; whatever the bytes, no panic and no more work
//! than one question deserves.

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::RecordType;

use crate::answer::{Answer, Question};
use crate::bounds::{HEADER_BYTES, PLAIN_UDP_BYTES_MAX, QUERY_ADDITIONALS_MAX, UDP_BYTES_MAX};

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// A readable query.
#[derive(Clone, Debug)]
pub struct Inquiry {
    pub question: Question,
    id: u16,
    recursion_desired: bool,
    offer: Option<Offer>,
}

/// The client's EDNS.
#[derive(Clone, Copy, Debug)]
struct Offer {
    version: u8,
    payload: u16,
    dnssec_ok: bool,
}

/// Why a query can't be read; each has a response code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    Malformed,
    OpCode,
}

/// Whether to react at all: anything shorter than a header, and any response, is met with silence. (Answering a
/// response would let two servers be set on each other.)
pub fn is_query(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES && bytes[2] & 0x80 == 0
}

/// Reads a query that [`is_query`] has let through.
///
/// # Errors
/// [`Flaw`], to be answered by [`bare`].
pub fn read(bytes: &[u8]) -> Result<Inquiry, Flaw> {
    if !is_query(bytes) {
        return Err(Flaw::Malformed);
    }
    if OpCode::from_u8(bytes[2] >> 3 & 0x0f) != OpCode::Query {
        return Err(Flaw::OpCode);
    }
    // Counts are looked at before anything is decoded or allocated by them. One authority record: IXFR has it.
    let count = |section: usize| u16::from_be_bytes([bytes[4 + 2 * section], bytes[5 + 2 * section]]);
    if count(0) != 1 || count(1) != 0 || count(2) > 1 || count(3) > QUERY_ADDITIONALS_MAX {
        return Err(Flaw::Malformed);
    }
    let message = Message::from_vec(bytes).map_err(|_| Flaw::Malformed)?;
    let query = message.queries.first().ok_or(Flaw::Malformed)?;
    if !message.authorities.is_empty() && query.query_type() != RecordType::IXFR {
        return Err(Flaw::Malformed);
    }
    let offer = message.edns.as_ref().map(|edns| Offer {
        version: edns.version(),
        payload: edns.max_payload(),
        dnssec_ok: edns.flags().dnssec_ok,
    });
    let (class, kind) = (query.query_class(), query.query_type());
    Ok(Inquiry {
        question: Question { name: query.name().clone(), class, kind },
        id: message.metadata.id,
        recursion_desired: message.metadata.recursion_desired,
        offer,
    })
}

/// A header alone, for what can't be read or needs no more.
pub fn bare(bytes: &[u8], flaw: Flaw) -> Vec<u8> {
    let code = match flaw {
        Flaw::Malformed => ResponseCode::FormErr,
        Flaw::OpCode => ResponseCode::NotImp,
    };
    let mut out = vec![0; HEADER_BYTES];
    if let (Some(from), Some(to)) = (bytes.get(..3), out.get_mut(..4)) {
        // Identifier, opcode and RD are echoed.
        to.copy_from_slice(&[from[0], from[1], 0x80 | from[2] & 0x79, code.low()]);
    }
    out
}

impl Inquiry {
    /// RFC 6891 §6.1.3: a version of EDNS that is not 0 is told so.
    pub fn wrong_edns(&self) -> bool {
        self.offer.is_some_and(|offer| offer.version != 0)
    }

    /// The largest answer in bytes that may go this way.
    pub fn room(&self, transport: Transport) -> usize {
        let udp = self
            .offer
            .map_or(PLAIN_UDP_BYTES_MAX, |offer| offer.payload.clamp(PLAIN_UDP_BYTES_MAX, UDP_BYTES_MAX));
        match transport {
            Transport::Udp => usize::from(udp),
            Transport::Tcp => usize::from(u16::MAX),
        }
    }

    /// The answer's bytes: whole, else without the additional section, else only TC=1. `None` when not even the question
    /// can be spelled out again, which no decoded question brings about.
    pub fn reply(&self, answer: Answer, transport: Transport) -> Option<Vec<u8>> {
        let mut message = self.envelope(answer.code);
        message.metadata.authoritative = answer.authoritative;
        message.answers = answer.answers;
        message.authorities = answer.authority;
        message.additionals = answer.additional;
        let fits = |message: &Message| message.to_vec().ok().filter(|b| b.len() <= self.room(transport));
        fits(&message).or_else(|| {
            message.additionals.clear();
            fits(&message).or_else(|| fits(&message.truncate()))
        })
    }

    /// A code and nothing else.
    pub fn code(&self, code: ResponseCode) -> Option<Vec<u8>> {
        self.envelope(code).to_vec().ok()
    }

    /// "Ask again over TCP": no more bytes than the question had, and a proof of the client's address.
    pub fn slip(&self) -> Option<Vec<u8>> {
        let mut message = self.envelope(ResponseCode::NoError);
        message.metadata.truncation = true;
        message.to_vec().ok()
    }

    fn envelope(&self, code: ResponseCode) -> Message {
        let mut message = Message::response(self.id, OpCode::Query);
        message.metadata.recursion_desired = self.recursion_desired;
        message.metadata.response_code = code;
        let Question { name, class, kind } = &self.question;
        let mut query = Query::query(name.clone(), *kind);
        query.set_query_class(*class);
        message.add_query(query);
        message.edns = self.offer.map(|offer| {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_BYTES_MAX).set_version(0).set_dnssec_ok(offer.dnssec_ok);
            edns
        });
        message
    }
}
