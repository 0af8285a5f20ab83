//! What is answered, row by row.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{A, AAAA, ANY, AXFR, HTTPS, IXFR, MX, NS, OPT, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, RData};
use proptest::prelude::*;
use rotator::label_book::Naming;
use rotator::tenure::Rhythm;
use rotator::{Label, LeaseTable, Newcomer, Planner, Schedule, announce};

use super::*;
use crate::decoy::Shape;
use crate::fixture::{
    AGENT, NAMED, NOW, STABLE, addresses, ask, empty, keys, plan, pool, question, rotating, shapes, terms,
    view, zone,
};
use crate::view::Unknown;

fn below(label: impl std::fmt::Display) -> String {
    format!("{label}.u.example.")
}

#[test]
fn a_name_answers_with_the_address_of_its_live_lease_and_the_ttl_of_its_schedule() {
    let view = view(Unknown::Decoy);
    for (grant, name) in [(NAMED, below(STABLE)), (AGENT, below(rotating(NOW)))] {
        let plan = plan(grant);
        let said = announce(&plan.id, &plan.tenure, &plan.pools, &keys(NOW), NOW).unwrap().unwrap();
        let six = ask(&view, &name, AAAA, NOW);
        assert_eq!((six.kind, six.code, six.authoritative), (Kind::Label, ResponseCode::NoError, true));
        let four = ask(&view, &name, A, NOW);
        let both: Vec<_> = [addresses(&six.answers), addresses(&four.answers)].concat();
        assert_eq!(both, said.addresses);
        assert_eq!(six.answers[0].ttl, said.ttl_s);
    }
    assert_eq!(ask(&view, &below(STABLE), AAAA, NOW).answers[0].ttl, Schedule::NAME.ttl_s);
    assert_eq!(ask(&view, &below(STABLE), A, NOW).kind, Kind::NoData, "its pools are IPv6 only");
}

#[test]
fn letters_case_does_not_matter_and_comes_back_as_it_was() {
    let view = view(Unknown::Decoy);
    let lower = below(STABLE);
    let mixed: String =
        lower.chars().enumerate().map(|(i, c)| if i % 2 == 0 { c.to_ascii_uppercase() } else { c }).collect();
    let (plain, odd) = (ask(&view, &lower, AAAA, NOW), ask(&view, &mixed, AAAA, NOW));
    assert_eq!(addresses(&plain.answers), addresses(&odd.answers));
    assert!(odd.answers[0].name.eq_case(&question(&mixed, AAAA).name));
    let none = ask(&view, &mixed, TXT, NOW);
    assert!(question(&mixed, TXT).name.to_ascii().ends_with(&none.authority[0].name.to_ascii()));
}

#[test]
fn a_rotating_label_is_borne_from_its_lead_to_its_grace_and_is_unknown_after() {
    let mut view = view(Unknown::NxDomain);
    let label = rotating(NOW);
    let later = NOW.plus(u64::from(Schedule::AGENT.label_period_s));
    let lease = plan(AGENT).tenure.window_at(NOW, Rhythm::Label).unwrap().lease(AGENT);
    assert_eq!(ask(&view, &below(rotating(later)), AAAA, NOW).kind, Kind::NxDomain, "not yet");
    let last = lease.closes().minus(1);
    view.advance(last);
    assert_eq!(ask(&view, &below(label), AAAA, last).kind, Kind::Label);
    assert_eq!(ask(&view, &below(rotating(last)), AAAA, last).kind, Kind::Label);
    view.advance(lease.closes());
    assert_eq!(ask(&view, &below(label), AAAA, lease.closes()).kind, Kind::NxDomain);
}

#[test]
fn the_zones_own_records_are_answered() {
    let view = view(Unknown::Decoy);
    let soa = ask(&view, "u.example.", SOA, NOW);
    let RData::SOA(data) = &soa.answers[0].data else { panic!("{soa:?}") };
    assert_eq!(
        (data.mname.to_ascii(), data.rname.to_ascii()),
        ("ns1.u.example.".into(), "hostmaster.u.example.".into())
    );
    assert_eq!((u64::from(data.serial), data.minimum), (NOW.secs(), NEGATIVE_TTL_S));
    let ns = ask(&view, "U.example.", NS, NOW);
    assert_eq!((ns.answers.len(), ns.answers[0].record_type()), (1, NS));
    assert_eq!(addresses(&ns.additional).len(), 2, "glue");
    for (name, four, six) in [("join", "192.0.2.2", "2001:db8::2"), ("NS1", "192.0.2.1", "2001:db8::1")] {
        let said = ask(&view, &below(name), A, NOW);
        assert_eq!((said.kind, addresses(&said.answers)), (Kind::Fixed, vec![four.parse().unwrap()]));
        assert_eq!(
            addresses(&ask(&view, &below(name), AAAA, NOW).answers),
            vec![six.parse::<std::net::IpAddr>().unwrap()]
        );
    }
}

#[test]
fn a_name_without_the_type_is_nodata_and_a_name_that_cannot_be_is_nxdomain_both_with_a_short_soa() {
    let view = view(Unknown::Decoy);
    let negative = |name: &str, kind, code| {
        let said = ask(&view, name, kind, NOW);
        assert_eq!((said.code, said.authoritative, said.answers.len()), (code, true, 0), "{name} {kind}");
        assert_eq!((said.authority.len(), said.authority[0].ttl), (1, NEGATIVE_TTL_S));
        let RData::SOA(soa) = &said.authority[0].data else { panic!("{said:?}") };
        assert_eq!(soa.minimum, NEGATIVE_TTL_S);
    };
    let (real, unknown) = (below(STABLE), below(Label::stable([1; 16])));
    for kind in [TXT, MX, HTTPS, SRV, PTR, NS, SOA] {
        for name in [&*real, &*unknown, "join.u.example.", "www.u.example."] {
            negative(name, kind, ResponseCode::NoError);
        }
    }
    negative("u.example.", A, ResponseCode::NoError);
    negative("u.example.", TXT, ResponseCode::NoError);
    for deeper in
        [format!("x.{real}"), format!("x.{unknown}"), "a.join.u.example.".into(), "*.*.u.example.".into()]
    {
        for kind in [A, AAAA, TXT, ANY] {
            negative(&deeper, kind, ResponseCode::NXDomain);
        }
    }
}

#[test]
fn an_unknown_label_is_a_decoy_or_does_not_exist_as_the_policy_says() {
    let decoys = view(Unknown::Decoy);
    for name in ["www", "*", "_dmarc", "xn--a", &Label::stable([2; 16]).to_string()] {
        let said = ask(&decoys, &below(name), AAAA, NOW);
        assert_eq!((said.kind, said.code), (Kind::Decoy, ResponseCode::NoError), "{name}");
    }
    let plain = view(Unknown::NxDomain);
    assert_eq!(ask(&plain, &below("www"), AAAA, NOW).code, ResponseCode::NXDomain);
    assert_eq!(ask(&plain, &below(STABLE), AAAA, NOW).kind, Kind::Label);
    let mut bare = view(Unknown::Decoy);
    bare.set_shapes(Vec::new());
    assert_eq!(ask(&bare, &below("www"), AAAA, NOW).code, ResponseCode::NXDomain, "no service to look like");
}

type Records = Vec<(RecordType, u32)>;

/// Everything that a client sees of an answer but the address itself.
fn looks(answer: &Answer) -> (ResponseCode, bool, Records, Records) {
    let list = |records: &[Record]| records.iter().map(|r| (r.record_type(), r.ttl)).collect();
    (answer.code, answer.authoritative, list(&answer.answers), list(&answer.authority))
}

#[test]
fn a_revoked_label_looks_as_one_that_never_was() {
    let mut view = view(Unknown::Decoy);
    view.set_shapes(shapes()[..1].to_vec());
    let before = ask(&view, &below(STABLE), AAAA, NOW);
    view.remove(NAMED);
    assert_eq!(view.find(STABLE.to_string().as_bytes(), NOW), None);
    let never = Label::stable([3; 16]);
    for kind in [A, AAAA, TXT, HTTPS, ANY] {
        let (revoked, unknown) =
            (ask(&view, &below(STABLE), kind, NOW), ask(&view, &below(never), kind, NOW));
        assert_eq!((looks(&revoked), revoked.kind), (looks(&unknown), unknown.kind));
    }
    let after = ask(&view, &below(STABLE), AAAA, NOW);
    assert_eq!(looks(&before), looks(&after), "a decoy has the form of the real answer");
    assert_ne!(addresses(&before.answers), addresses(&after.answers));
}

#[test]
fn decoys_move_as_leases_do_each_at_its_own_second_and_hold_still_between() {
    let mut view = view(Unknown::Decoy);
    view.set_shapes(vec![shapes()[1].clone()]);
    let period = u64::from(Schedule::AGENT.period_s);
    let mut turns = std::collections::BTreeSet::new();
    for i in 0..40_u8 {
        let name = below(Label::stable([i; 16]));
        let at = |s: u64| addresses(&ask(&view, &name, AAAA, NOW.plus(s)).answers);
        let moves: Vec<u64> = (1..=2 * period).filter(|s| at(*s) != at(s - 1)).collect();
        assert_eq!(moves.len(), 2, "once per window: {moves:?}");
        assert_eq!(moves[1] - moves[0], period);
        turns.insert(moves[0]);
    }
    assert!(turns.len() > 15, "phases are spread: {turns:?}");
}

#[test]
fn decoys_cannot_be_computed_without_the_secret() {
    let mut other = crate::decoy::Decoys::new(&crate::DecoySecret([8; 32]));
    other.set_shapes(shapes());
    let view = view(Unknown::Decoy);
    for i in 0..50_u8 {
        let label = Label::stable([i; 16]).to_string();
        let guessed = other.of(label.as_bytes(), |_| false, NOW).unwrap().addresses;
        let said = addresses(&ask(&view, &below(&label), AAAA, NOW).answers);
        assert!(said.iter().all(|address| !guessed.contains(address)));
    }
    assert!(!format!("{:?}", crate::DecoySecret([0xab; 32])).contains("171"), "masked");
}

#[test]
fn a_decoy_is_never_an_address_that_is_leased() {
    let table = Arc::new(LeaseTable::new());
    let small = pool("small", "203.0.113.0-203.0.113.15");
    let shape = Shape { terms: terms(Schedule::NAME), pools: [small].into() };
    let mut planner = Planner::new();
    let mut view = empty(zone(), Unknown::Decoy, Arc::clone(&table));
    view.set_shapes(vec![shape.clone()]);
    let mut avoided = 0;
    for grant in 1..=60 {
        let free = (0..64_u8).flat_map(|i| {
            let said = ask(&view, &below(Label::stable([i; 16])), A, NOW);
            addresses(&said.answers)
        });
        for address in free {
            assert_eq!(table.find(address), rotator::Found::Never);
        }
        avoided += usize::from(table.len() < 16);
        let plan = rotator::Plan { pools: Arc::clone(&shape.pools), ..plan(NAMED) };
        let id = rotator::GrantId { device: [grant as u8; 16], service: "web".into() };
        table.apply(&planner.put(grant, rotator::Plan { id, ..plan }, &keys(NOW), NOW));
    }
    assert!(avoided > 3);
    assert_eq!(table.len(), 16, "the pool is full");
    assert_eq!(ask(&view, &below("x"), A, NOW).kind, Kind::NoData, "no address is better than a user's");
}

#[test]
fn whatever_is_not_ours_or_nobodys_business_is_refused() {
    let view = view(Unknown::Decoy);
    for name in [".", "example.", "www.example.com.", "u.example.com.", "1.2.0.192.in-addr.arpa."] {
        let said = ask(&view, name, A, NOW);
        assert_eq!((said.kind, said.code, said.authoritative), (Kind::Foreign, ResponseCode::Refused, false));
        assert!(said.answers.is_empty() && said.authority.is_empty());
    }
    for name in ["u.example.", "join.u.example.", &below(STABLE)] {
        for kind in [AXFR, IXFR, OPT, RecordType::Unknown(253), RecordType::Unknown(249)] {
            let said = ask(&view, name, kind, NOW);
            assert_eq!((said.kind, said.code), (Kind::Closed, ResponseCode::Refused), "{name} {kind}");
        }
    }
    for class in [DNSClass::CH, DNSClass::HS, DNSClass::ANY, DNSClass::NONE] {
        let asked = Question { class, ..question("u.example.", SOA) };
        assert_eq!(answer(&asked, &view, NOW).code, ResponseCode::Refused);
    }
}

#[test]
fn any_is_answered_minimally_and_alike_for_real_labels_and_decoys() {
    let view = view(Unknown::Decoy);
    let real = ask(&view, &below(STABLE), ANY, NOW);
    let decoy = ask(&view, &below(Label::stable([1; 16])), ANY, NOW);
    assert_eq!(looks(&real), looks(&decoy));
    for said in [real, decoy, ask(&view, "u.example.", ANY, NOW), ask(&view, "join.u.example.", ANY, NOW)] {
        assert_eq!((said.answers.len(), said.answers[0].record_type()), (1, RecordType::HINFO));
    }
}

#[test]
fn a_missing_key_is_our_failure_and_never_a_decoy() {
    let mut view = view(Unknown::Decoy);
    view.set_keys(keys(NOW.plus(10 * 7 * 24 * 3600)));
    let said = ask(&view, &below(STABLE), AAAA, NOW);
    assert_eq!((said.kind, said.code), (Kind::Failed, ResponseCode::ServFail));
}

#[test]
fn the_serial_never_goes_back() {
    let mut view = view(Unknown::Decoy);
    view.advance(NOW.minus(100));
    assert_eq!(u64::from(view.serial()), NOW.secs());
    view.advance(NOW.plus(1));
    assert_eq!(u64::from(view.serial()), NOW.secs() + 1);
}

proptest! {
    #[test]
    fn no_answer_outlives_the_lease_of_its_address(offset in 0_u64..30_000_000, agent: bool) {
        let now = NOW.plus(offset);
        let (grant, schedule) = if agent { (AGENT, Schedule::AGENT) } else { (NAMED, Schedule::NAME) };
        let mut view = empty(zone(), Unknown::Decoy, Arc::default());
        view.set_keys(keys(now));
        view.put(grant, plan(grant), Naming::Stable(STABLE), now);
        let said = ask(&view, &below(STABLE), AAAA, now);
        let window = plan(grant).tenure.window_at(now, Rhythm::Address).unwrap();
        let last = now.plus(u64::from(said.answers[0].ttl));
        for skew in [0, u64::from(schedule.lead_s)] {
            prop_assert_eq!(window.lease(grant).newcomer(last.plus(skew)), Newcomer::Accept);
            prop_assert_eq!(window.lease(grant).newcomer(now.minus(skew)), Newcomer::Accept);
        }
    }
}
