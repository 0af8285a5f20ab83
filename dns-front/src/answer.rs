//! The one question: what is said to this name and type now? Pure.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::HINFO;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use rotator::UnixTime;

use crate::bounds::{ANY_TTL_S, APEX_TTL_S, NEGATIVE_TTL_S};
use crate::view::{Addresses, Bearer, View};
use crate::zone::Place;

/// One entry of a question section, spelled as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub name: Name,
    pub class: DNSClass,
    pub kind: RecordType,
}

/// What an answer is, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A user's address.
    Label,
    /// The address of a label that nobody bears.
    Decoy,
    /// The zone's own records: SOA, NS, name servers, `join`.
    Fixed,
    /// The name is there, the type is not.
    NoData,
    /// RFC 8482's answer to ANY.
    Any,
    /// The name does not exist.
    NxDomain,
    /// Not our zone.
    Foreign,
    /// A type or class that is answered to nobody.
    Closed,
    /// An epoch's key is missing here.
    Failed,
}

/// What is said: codes and records, without the envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub kind: Kind,
    pub code: ResponseCode,
    pub authoritative: bool,
    pub answers: Vec<Record>,
    pub authority: Vec<Record>,
    pub additional: Vec<Record>,
}

/// Answers a question from what is known at `now`.
pub fn answer(question: &Question, view: &View, now: UnixTime) -> Answer {
    if question.class != DNSClass::IN || closed(question.kind) {
        return Answer::refused(Kind::Closed);
    }
    match view.zone().place(&question.name) {
        Place::Outside => Answer::refused(Kind::Foreign),
        Place::Apex => apex(question, view),
        Place::Below => nothing(question, view, Kind::NxDomain, ResponseCode::NXDomain),
        Place::Label(label) => match view.bearer(label, now) {
            Bearer::Fixed(fixed) => records(question, view, Kind::Fixed, &fixed.addresses, fixed.ttl_s),
            Bearer::Grant(Addresses { addresses, ttl_s }) => {
                records(question, view, Kind::Label, &addresses, ttl_s)
            }
            Bearer::Decoy(Addresses { addresses, ttl_s }) => {
                records(question, view, Kind::Decoy, &addresses, ttl_s)
            }
            Bearer::Nobody => nothing(question, view, Kind::NxDomain, ResponseCode::NXDomain),
            Bearer::KeyMissing => Answer::of(Kind::Failed, ResponseCode::ServFail, false),
        },
    }
}

impl Answer {
    fn of(kind: Kind, code: ResponseCode, authoritative: bool) -> Self {
        let (answers, authority, additional) = (Vec::new(), Vec::new(), Vec::new());
        Self { kind, code, authoritative, answers, authority, additional }
    }

    fn refused(kind: Kind) -> Self {
        Self::of(kind, ResponseCode::Refused, false)
    }

    fn said(kind: Kind, answers: Vec<Record>) -> Self {
        Self { answers, ..Self::of(kind, ResponseCode::NoError, true) }
    }
}

/// Transfers and the meta types of RFC 6895 §3.1, but for ANY.
fn closed(kind: RecordType) -> bool {
    kind != RecordType::ANY && (128..=255).contains(&u16::from(kind)) || kind == RecordType::OPT
}

fn apex(question: &Question, view: &View) -> Answer {
    let (zone, name) = (view.zone(), &question.name);
    if question.kind == RecordType::SOA {
        Answer::said(Kind::Fixed, vec![zone.soa(name, view.serial(), APEX_TTL_S)])
    } else if question.kind == RecordType::NS {
        Answer { additional: zone.glue(), ..Answer::said(Kind::Fixed, zone.ns(name)) }
    } else if question.kind == RecordType::ANY {
        minimal(question)
    } else {
        nothing(question, view, Kind::NoData, ResponseCode::NoError)
    }
}

/// The answer of a name that has addresses.
fn records(
    question: &Question,
    view: &View,
    kind: Kind,
    addresses: &[std::net::IpAddr],
    ttl_s: u32,
) -> Answer {
    if question.kind == RecordType::ANY {
        return minimal(question);
    }
    let (four, six) = (question.kind == RecordType::A, question.kind == RecordType::AAAA);
    let asked = addresses.iter().filter(|a| four && a.is_ipv4() || six && a.is_ipv6());
    let record =
        |address: &std::net::IpAddr| Record::from_rdata(question.name.clone(), ttl_s, RData::from(*address));
    let answers: Vec<Record> = asked.map(record).collect();
    match answers.is_empty() {
        true => nothing(question, view, Kind::NoData, ResponseCode::NoError),
        false => Answer::said(kind, answers),
    }
}

/// RFC 8482 §4.2.
fn minimal(question: &Question) -> Answer {
    let hinfo = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
    Answer::said(Kind::Any, vec![Record::from_rdata(question.name.clone(), ANY_TTL_S, hinfo)])
}

/// NODATA or NXDOMAIN, with the SOA that says for how long (RFC 2308 §3).
fn nothing(question: &Question, view: &View, kind: Kind, code: ResponseCode) -> Answer {
    let soa = view.zone().soa(&question.name, view.serial(), NEGATIVE_TTL_S);
    Answer { authority: vec![soa], ..Answer::of(kind, code, true) }
}

#[cfg(test)]
mod tests;
