//! Every door and every name, from both sides.

use rotator::Stale;

use super::*;
use crate::fixture;

const PORT: u16 = 443;

fn lease(grant: GrantNo, start: u64, stale: Stale) -> Lease {
    Lease { stale, ..fixture::lease(grant, start) }
}

fn card(grant: GrantNo, auth: Auth) -> Arc<Card> {
    Arc::new(fixture::card(grant, auth))
}

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs)
}

fn candidate(grant: GrantNo, auth: Auth) -> Candidate {
    let card = card(grant, auth);
    let reached = card.listen.find(Transport::Tcp, PORT).unwrap();
    Candidate { lease: lease(grant, 1000, Stale::Reset), card, reached }
}

#[test]
fn a_lease_opens_its_door_from_lead_to_the_end_of_grace_and_no_second_more() {
    let found = Found::One(lease(1, 1000, Stale::Reset));
    let door_at = |t| door(&found, (Transport::Tcp, PORT), at(t), |no| Some(card(no, Auth::Name)));
    assert_eq!(door_at(989), Door::Dark(Reason::LeaseExpired, Some(1)));
    assert!(matches!(door_at(990), Door::Open(_)));
    assert!(matches!(door_at(1074), Door::Open(_)));
    assert_eq!(door_at(1075), Door::Reset(1));
    assert_eq!(door_at(1134), Door::Reset(1));
    assert_eq!(door_at(1135), Door::Dark(Reason::LeaseExpired, Some(1)));
}

#[test]
fn a_tombstone_is_silent_where_the_policy_says_drop() {
    let found = Found::One(lease(1, 1000, Stale::Drop));
    assert_eq!(
        door(&found, (Transport::Tcp, PORT), at(1080), |no| Some(card(no, Auth::Name))),
        Door::Dark(Reason::LeaseExpired, Some(1))
    );
}

#[test]
fn another_port_or_a_grant_without_a_card_is_as_dark_as_never() {
    let found = Found::One(lease(1, 1000, Stale::Reset));
    let dark = Door::Dark(Reason::NoWindow, None);
    assert_eq!(door(&found, (Transport::Tcp, 22), at(1010), |no| Some(card(no, Auth::Name))), dark);
    assert_eq!(door(&found, (Transport::Tcp, PORT), at(1010), |_| None), dark);
    assert_eq!(door(&Found::Never, (Transport::Tcp, PORT), at(1010), |no| Some(card(no, Auth::Name))), dark);
}

#[test]
fn a_live_lease_on_a_shared_address_wins_over_another_users_tombstone() {
    let found = Found::Shared(vec![lease(1, 900, Stale::Reset), lease(2, 1000, Stale::Reset)]);
    let Door::Open(candidates) =
        door(&found, (Transport::Tcp, PORT), at(1010), |no| Some(card(no, Auth::Name)))
    else {
        panic!("closed")
    };
    assert_eq!(candidates.iter().map(|c| c.card.grant).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_name_admits_only_the_grant_that_bears_it() {
    let both = [candidate(1, Auth::Name), candidate(2, Auth::Name)];
    assert_eq!(identify(&both, ServerName::Ours(Some(2))).unwrap().card.grant, 2);
    assert_eq!(identify(&both, ServerName::Ours(Some(3))), Err(Reason::NameMismatch));
    assert_eq!(identify(&both, ServerName::Ours(None)), Err(Reason::NameMismatch));
    assert_eq!(identify(&both, ServerName::Foreign), Err(Reason::NameMismatch));
    assert_eq!(identify(&both[..1], ServerName::Missing), Err(Reason::SniMissing));
}

#[test]
fn an_address_alone_admits_where_the_service_says_so_and_nobody_shares_it() {
    let both = [candidate(1, Auth::Address), candidate(2, Auth::Address)];
    assert_eq!(identify(&both[..1], ServerName::Missing).unwrap().card.grant, 1);
    assert_eq!(identify(&both[..1], ServerName::Foreign).unwrap().card.grant, 1);
    assert_eq!(identify(&both, ServerName::Missing), Err(Reason::AmbiguousAddress));
}

#[test]
fn r0_21_an_address_of_one_user_with_the_name_of_another_is_refused_even_where_the_address_would_do() {
    let one = [candidate(1, Auth::Address)];
    assert_eq!(identify(&one, ServerName::Ours(Some(2))), Err(Reason::NameMismatch));
    assert_eq!(identify(&one, ServerName::Ours(None)), Err(Reason::NameMismatch));
}

#[test]
fn a_host_is_read_with_port_final_dot_and_any_case() {
    let label = Label::stable([9; 16]);
    let zone = "edge.example.net";
    for host in [
        format!("{label}.edge.example.net"),
        format!("{label}.EDGE.example.net."),
        format!("{}.edge.example.net:8443", label.to_string().to_uppercase()),
    ] {
        assert_eq!(label_in_zone(&host, zone), Some(Some(label)), "{host}");
    }
    assert_eq!(label_in_zone("edge.example.net", zone), Some(None));
    assert_eq!(label_in_zone("join.edge.example.net", zone), Some(None));
    assert_eq!(label_in_zone(&format!("a.{label}.edge.example.net"), zone), Some(None));
    for foreign in
        ["", "example.net", "xedge.example.net", "127.0.0.1", "[::1]:443", "é.example.net", "a:b:c"]
    {
        assert_eq!(label_in_zone(foreign, zone), None, "{foreign}");
    }
}
