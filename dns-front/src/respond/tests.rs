//! Envelopes, limits, and whatever bytes may come.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use proptest::prelude::*;

use super::*;
use crate::bounds::UDP_BYTES_MAX;
use crate::fixture::{NOW, STABLE, empty, view};
use crate::view::Unknown;
use crate::zone::{NameServer, Zone};

static VIEW: LazyLock<View> = LazyLock::new(|| view(Unknown::Decoy));

fn query(name: &str, kind: RecordType, edns: Option<u16>) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.edns = edns.map(|payload| {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        edns
    });
    message
}

fn bytes_of(bytes: &[u8], transport: Transport, view: &View) -> Option<Vec<u8>> {
    respond(bytes, transport, Ruling::Answer, view, NOW).bytes
}

fn said(message: &Message) -> Message {
    let bytes = bytes_of(&message.to_vec().unwrap(), Transport::Udp, &VIEW).unwrap();
    Message::from_vec(&bytes).unwrap()
}

#[test]
fn an_answer_echoes_the_question_says_aa_and_never_offers_recursion() {
    let asked = query(&format!("{}.U.eXample.", STABLE.to_string().to_uppercase()), RecordType::AAAA, None);
    let answer = said(&asked);
    assert_eq!((answer.metadata.id, answer.metadata.message_type), (0x1234, MessageType::Response));
    assert!(answer.metadata.authoritative && answer.metadata.recursion_desired);
    assert!(
        !answer.metadata.recursion_available
            && !answer.metadata.truncation
            && !answer.metadata.authentic_data
    );
    assert!(answer.queries[0].name().eq_case(asked.queries[0].name()));
    assert!(answer.answers[0].name.eq_case(asked.queries[0].name()));
    assert!(answer.edns.is_none(), "no EDNS without EDNS");
}

#[test]
fn edns_is_answered_with_our_payload_and_the_clients_do_bit() {
    let mut asked = query("join.u.example.", RecordType::A, Some(4096));
    asked.edns.as_mut().unwrap().set_dnssec_ok(true);
    let edns = said(&asked).edns.unwrap();
    assert_eq!((edns.max_payload(), edns.version(), edns.flags().dnssec_ok), (UDP_BYTES_MAX, 0, true));
    assert!(edns.options().as_ref().is_empty(), "no NSID, no echo of options");
}

#[test]
fn an_unknown_version_of_edns_is_told_which_one_is_spoken() {
    let mut asked = query("join.u.example.", RecordType::A, Some(1232));
    asked.edns.as_mut().unwrap().set_version(1);
    let answer = said(&asked);
    assert_eq!(u16::from(answer.metadata.response_code), 16, "BADVERS");
    assert_eq!(answer.edns.unwrap().version(), 0);
    assert!(answer.answers.is_empty());
}

#[test]
fn a_query_must_have_one_question_and_no_records() {
    let one = query("join.u.example.", RecordType::A, None);
    let mut none = one.clone();
    none.queries.clear();
    let mut two = one.clone();
    two.add_query(one.queries[0].clone());
    let mut answered = one.clone();
    answered.answers = crate::fixture::ask(&VIEW, "join.u.example.", RecordType::A, NOW).answers;
    let mut authority = one.clone();
    authority.authorities.clone_from(&answered.answers);
    let mut crowded = one.clone();
    crowded.additionals = vec![answered.answers[0].clone(); 3];
    for bad in [none, two, answered, authority, crowded] {
        let response = respond(&bad.to_vec().unwrap(), Transport::Udp, Ruling::Answer, &VIEW, NOW);
        assert_eq!((response.came, response.code), (Came::Malformed, 1), "{bad}");
        let reply = Message::from_vec(&response.bytes.unwrap()).unwrap();
        assert_eq!((reply.metadata.id, reply.metadata.response_code), (0x1234, ResponseCode::FormErr));
    }
    assert_eq!(said(&one).metadata.response_code, ResponseCode::NoError);
}

#[test]
fn other_opcodes_are_not_implemented() {
    for code in 1..16 {
        let mut asked = query("u.example.", RecordType::SOA, None);
        asked.metadata.op_code = OpCode::from_u8(code);
        let answer = said(&asked);
        assert_eq!(answer.metadata.response_code, ResponseCode::NotImp);
        assert_eq!(u8::from(answer.metadata.op_code), code);
    }
}

#[test]
fn responses_and_scraps_are_met_with_silence() {
    let mut response = query("u.example.", RecordType::SOA, None).to_vec().unwrap();
    assert!(wire::is_query(&response));
    response[2] |= 0x80;
    assert!(!wire::is_query(&response));
    assert!(!wire::is_query(&response[..11]));
    assert!(wire::is_query(&[0; 12]));
}

/// A zone whose NS answer with glue is larger than any UDP limit.
fn wide() -> View {
    let address = |i: usize, j: usize| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, i as u16, j as u16 + 1]);
    let server = |i: usize| NameServer {
        name: format!("nameserver-with-a-long-label-number-{i}.of-another-zone-{i}.example"),
        addresses: Vec::new(),
    };
    let glued = |i: usize| NameServer {
        name: format!("ns{i}.u.example"),
        addresses: (0..16).map(|j| address(i, j)).collect(),
    };
    let servers: Vec<_> = (0..7).map(server).chain((0..6).map(glued)).collect();
    let zone = Zone::new("u.example", &servers, &[address(99, 0)]).unwrap();
    empty(zone, Unknown::Decoy, Arc::default())
}

#[test]
fn what_does_not_fit_loses_its_additional_section_and_then_all_but_the_tc_bit() {
    let view = wide();
    let asked = |edns| query("u.example.", RecordType::NS, edns).to_vec().unwrap();
    let got = |edns, transport| {
        let bytes = bytes_of(&asked(edns), transport, &view).unwrap();
        (bytes.len(), Message::from_vec(&bytes).unwrap())
    };
    let (length, plain) = got(None, Transport::Udp);
    assert!(length <= 512 && plain.metadata.truncation && plain.answers.is_empty());
    let (length, small) = got(Some(600), Transport::Udp);
    assert!(length <= 600 && small.metadata.truncation && small.edns.is_some());
    let (length, clamped) = got(Some(65_535), Transport::Udp);
    assert!(length <= usize::from(UDP_BYTES_MAX));
    assert_eq!((clamped.answers.len(), clamped.additionals.len()), (13, 0), "glue is optional");
    assert!(!clamped.metadata.truncation);
    let (length, stream) = got(None, Transport::Tcp);
    assert!(length > usize::from(UDP_BYTES_MAX));
    assert_eq!((stream.answers.len(), stream.additionals.len()), (13, 96));
}

#[test]
fn rulings_are_carried_out_without_an_answer_section() {
    let asked = query("join.u.example.", RecordType::A, Some(1232)).to_vec().unwrap();
    let slip = respond(&asked, Transport::Udp, Ruling::Slip, &VIEW, NOW).bytes.unwrap();
    assert!(slip.len() <= asked.len(), "no amplification");
    let slip = Message::from_vec(&slip).unwrap();
    assert!(slip.metadata.truncation && slip.answers.is_empty());
    let refused = respond(&asked, Transport::Udp, Ruling::Refuse, &VIEW, NOW);
    assert_eq!((refused.came, refused.code), (Came::Refused, 5));
    assert_eq!(
        Message::from_vec(&refused.bytes.unwrap()).unwrap().metadata.response_code,
        ResponseCode::Refused
    );
}

#[test]
fn an_answer_to_a_label_is_little_larger_than_its_question() {
    for (kind, least) in [(RecordType::AAAA, 28), (RecordType::A, 60), (RecordType::TXT, 60)] {
        let asked = query(&format!("{STABLE}.u.example."), kind, Some(1232)).to_vec().unwrap();
        let reply = bytes_of(&asked, Transport::Udp, &VIEW).unwrap();
        assert!(reply.len() <= asked.len() + least, "{kind}: {} to {}", reply.len(), asked.len());
    }
}

fn bounded(bytes: &[u8]) -> Result<(), TestCaseError> {
    for transport in [Transport::Udp, Transport::Tcp] {
        for ruling in [Ruling::Answer, Ruling::Slip, Ruling::Refuse] {
            let Some(reply) = respond(bytes, transport, ruling, &VIEW, NOW).bytes else { continue };
            let room = if transport == Transport::Udp { usize::from(UDP_BYTES_MAX) } else { 65_535 };
            prop_assert!((12..=room).contains(&reply.len()));
            prop_assert!(reply[2] & 0x80 != 0, "a response");
            prop_assert_eq!(reply.get(..2), bytes.get(..2).or(Some(&[0, 0])), "to this query");
            if let Ok(inquiry) = wire::read(bytes) {
                prop_assert!(reply.len() <= inquiry.room(transport));
                prop_assert!(Message::from_vec(&reply).is_ok());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_get_at_most_one_bounded_answer(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        bounded(&bytes)?;
    }

    #[test]
    fn a_damaged_query_gets_at_most_one_bounded_answer(
        kind in any::<u16>(),
        label in prop::collection::vec(any::<u8>(), 1..63),
        payload in any::<u16>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut asked = query("u.example.", RecordType::from(kind), Some(payload));
        let name = Name::from_ascii("u.example.").unwrap().prepend_label(&label[..]).unwrap();
        asked.queries[0].set_name(name);
        let mut bytes = asked.to_vec().unwrap();
        bounded(&bytes)?;
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        bounded(&bytes)?;
        bounded(&bytes[..cut.index(bytes.len())])?;
    }
}
