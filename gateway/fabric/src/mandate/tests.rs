//! Mandates: true ones, forged ones, and every near miss.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::authority::{Authority, Validity};

const NOW: u64 = 1_800_000_000;
const DAY: Validity = Validity { not_before: NOW - 300, not_after: NOW + 24 * 3600 };
const PLANE: &str = "A";
const NAMES: [&str; 3] = ["hub-a1", "hub-a2", "hub-a3"];

struct Plane {
    authority: Authority,
    roster: PlaneRoster,
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW))
}

fn plane() -> Plane {
    let authority = Authority::generate(DAY).unwrap();
    let keyring = keyring_of(&authority, Role::Edge, "e1", DAY);
    let roster = PlaneRoster::new(PLANE, NAMES, &keyring).unwrap();
    Plane { authority, roster }
}

fn keyring_of(authority: &Authority, role: Role, name: &str, validity: Validity) -> Arc<Keyring> {
    Keyring::new(authority.issue(&Identity::new(role, name).unwrap(), validity).unwrap()).unwrap()
}

fn signed(keyring: &Keyring, plane: &str, term: u64, candidate: &str, issued_at: u64) -> Vote {
    let (certificate, signature) = keyring.sign(&vote_text(plane, term, candidate, issued_at)).unwrap();
    Vote { issued_at, certificate: certificate.to_vec().into(), signature: signature.into() }
}

impl Plane {
    fn vote(&self, voter: &str) -> Vote {
        signed(&keyring_of(&self.authority, Role::Hub, voter, DAY), PLANE, 7, "hub-a2", NOW)
    }

    fn mandate(&self, voters: &[&str]) -> Mandate {
        self.mandate_of(voters.iter().map(|voter| self.vote(voter)).collect())
    }

    fn mandate_of(&self, votes: Vec<Vote>) -> Mandate {
        Mandate { plane: PLANE.into(), term: 7, active: "hub-a2".into(), votes }
    }

    fn judge(&self, mandate: &Mandate) -> Result<Proven, MandateError> {
        Mandate::verify(&mandate.encode(), &self.roster, now())
    }

    /// A majority of which one vote is this one.
    fn judge_with(&self, vote: Vote) -> Result<Proven, MandateError> {
        self.judge(&self.mandate_of(vec![self.vote("hub-a2"), vote]))
    }
}

#[test]
fn a_majority_of_good_votes_proves_term_and_hub() {
    let plane = plane();
    let proven = Proven { term: 7, active: "hub-a2".into() };
    assert_eq!(plane.judge(&plane.mandate(&["hub-a2", "hub-a3"])), Ok(proven.clone()));
    assert_eq!(plane.judge(&plane.mandate(&NAMES)), Ok(proven.clone()));
    // The votes need not include the hub's own.
    assert_eq!(plane.judge(&plane.mandate(&["hub-a1", "hub-a3"])), Ok(proven));
}

#[test]
fn half_of_the_votes_or_one_voter_twice_prove_nothing() {
    let plane = plane();
    assert_eq!(plane.judge(&plane.mandate(&[])), Err(MandateError::TooFewVotes));
    assert_eq!(plane.judge(&plane.mandate(&["hub-a2"])), Err(MandateError::TooFewVotes));
    assert_eq!(plane.judge(&plane.mandate(&["hub-a2", "hub-a2"])), Err(MandateError::VoterUnknown));
}

#[test]
fn votes_of_another_term_plane_hub_or_hour_prove_nothing() {
    let plane = plane();
    let voter = keyring_of(&plane.authority, Role::Hub, "hub-a1", DAY);
    for (of_plane, term, hub) in [("B", 7, "hub-a2"), (PLANE, 6, "hub-a2"), (PLANE, 7, "hub-a1")] {
        let vote = signed(&voter, of_plane, term, hub, NOW);
        assert_eq!(plane.judge_with(vote), Err(MandateError::SignatureInvalid));
    }
    let mut redated = signed(&voter, PLANE, 7, "hub-a2", NOW - 10);
    redated.issued_at = NOW;
    assert_eq!(plane.judge_with(redated), Err(MandateError::SignatureInvalid));

    let at = |issued_at| plane.judge_with(signed(&voter, PLANE, 7, "hub-a2", issued_at));
    assert!(at(NOW - VOTE_AGE_MAX_S).is_ok() && at(NOW + VOTE_AHEAD_MAX_S).is_ok());
    assert_eq!(at(NOW - VOTE_AGE_MAX_S - 1), Err(MandateError::VoteStale));
    assert_eq!(at(NOW + VOTE_AHEAD_MAX_S + 1), Err(MandateError::VoteStale));
}

#[test]
fn votes_by_anybody_else_prove_nothing() {
    let plane = plane();
    let judge = |keyring: Arc<Keyring>| plane.judge_with(signed(&keyring, PLANE, 7, "hub-a2", NOW));
    let of = |role, name, validity| keyring_of(&plane.authority, role, name, validity);
    assert_eq!(judge(of(Role::Hub, "hub-b1", DAY)), Err(MandateError::VoterUnknown), "not of the plane");
    assert_eq!(judge(of(Role::Edge, "hub-a1", DAY)), Err(MandateError::CertificateInvalid), "an edge");
    assert_eq!(judge(of(Role::LocalHub, "hub-a1", DAY)), Err(MandateError::CertificateInvalid));
    let expired = Validity { not_before: NOW - 20, not_after: NOW - 1 };
    assert_eq!(judge(of(Role::Hub, "hub-a1", expired)), Err(MandateError::CertificateInvalid), "expired");
    let early = Validity { not_before: NOW + 1, not_after: NOW + 20 };
    assert_eq!(judge(of(Role::Hub, "hub-a1", early)), Err(MandateError::CertificateInvalid), "not yet");
    let foreign = Authority::generate(DAY).unwrap();
    let foreign = keyring_of(&foreign, Role::Hub, "hub-a1", DAY);
    assert_eq!(judge(foreign), Err(MandateError::CertificateInvalid), "a foreign authority");
}

#[test]
fn a_true_mandate_proves_nothing_for_another_plane_or_for_a_hub_that_it_does_not_have() {
    let plane = plane();
    let true_one = plane.mandate(&NAMES);
    let mut other = true_one.clone();
    other.plane = "B".into();
    assert_eq!(plane.judge(&other), Err(MandateError::OtherPlane));
    let mut other = true_one.clone();
    other.active = "hub-b1".into();
    assert_eq!(plane.judge(&other), Err(MandateError::OtherHub));
    let mut other = true_one.clone();
    other.active = "hub-a1".into();
    assert_eq!(plane.judge(&other), Err(MandateError::SignatureInvalid));
    for term in [0, 6, 8, u64::MAX] {
        let forged = Mandate { term, ..true_one.clone() };
        assert!(plane.judge(&forged).is_err(), "{term}");
    }
}

#[test]
fn every_changed_byte_and_every_cut_is_refused() {
    let plane = plane();
    let good = plane.mandate(&["hub-a1", "hub-a3"]).encode();
    for at in 0..good.len() {
        for flip in [1, 0x80] {
            let mut bad = good.to_vec();
            bad[at] ^= flip;
            assert!(Mandate::verify(&bad, &plane.roster, now()).is_err(), "byte {at}");
        }
        assert_eq!(Mandate::decode(&good[..at]), Err(MandateError::Malformed), "cut at {at}");
    }
    let longer = [&good[..], &[0]].concat();
    assert_eq!(Mandate::decode(&longer), Err(MandateError::Malformed));
}

#[test]
fn a_mandate_is_bounded_and_the_longest_fits() {
    let name = "n".repeat(NAME_MAX);
    let vote = Vote {
        issued_at: NOW,
        certificate: vec![1; CERTIFICATE_MAX].into(),
        signature: vec![2; SIGNATURE_MAX].into(),
    };
    let longest =
        Mandate { plane: name.clone(), term: u64::MAX, active: name, votes: vec![vote; INSTANCES_MAX] };
    let bytes = longest.encode();
    assert!(bytes.len() <= MANDATE_MAX, "{}", bytes.len());
    assert_eq!(Mandate::decode(&bytes), Ok(longest));
    assert_eq!(Mandate::decode(&vec![FORMAT; MANDATE_MAX + 1]), Err(MandateError::Malformed));
    // And the longest name leaves room in a certificate of ours.
    let authority = Authority::generate(DAY).unwrap();
    let keyring = keyring_of(&authority, Role::Hub, &"n".repeat(NAME_MAX), DAY);
    let vote = signed(&keyring, PLANE, 1, "hub-a1", NOW);
    assert!(vote.certificate.len() <= CERTIFICATE_MAX && vote.signature.len() <= SIGNATURE_MAX);
}

#[test]
fn a_roster_has_one_to_nine_hubs_of_different_names() {
    let keyring = keyring_of(&Authority::generate(DAY).unwrap(), Role::Edge, "e1", DAY);
    let roster = |plane, names: &[&str]| PlaneRoster::new(plane, names.iter().copied(), &keyring).map(|_| ());
    assert_eq!(roster(PLANE, &[]), Err(RosterError::Size));
    assert_eq!(roster(PLANE, &["a"]), Ok(()));
    assert_eq!(roster(PLANE, &["a", "b", "a"]), Err(RosterError::Doubled));
    assert_eq!(roster(PLANE, &["a", ""]), Err(RosterError::NotAName));
    assert_eq!(roster("a b", &["a"]), Err(RosterError::NotAName));
    let many: Vec<String> = (0..=INSTANCES_MAX).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(roster(PLANE, &many[1..]), Ok(()));
    assert_eq!(roster(PLANE, &many), Err(RosterError::Size));
    let majority =
        |n: usize| PlaneRoster::new(PLANE, many[..n].iter().copied(), &keyring).unwrap().majority();
    assert_eq!([1, 2, 3, 4, 5, 9].map(majority), [1, 2, 2, 3, 3, 5]);
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic_or_come_out_otherwise_than_they_went_in(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut text = vec![FORMAT, 1, b'A'];
        text.extend(bytes);
        if let Ok(mandate) = Mandate::decode(&text) {
            prop_assert_eq!(&mandate.encode()[..], &text[..]);
        }
    }
}
