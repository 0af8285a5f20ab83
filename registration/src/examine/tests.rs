//! Every proof is needed, and nothing from outside panics.

use proptest::prelude::*;

use super::*;
use crate::bounds::CHALLENGE_TTL_S;
use crate::challenge::solve;
use crate::client::{DeviceKey, Ticket, enroll_body, plain_body, renew_body};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const ZONE: &str = "edge.example.net";

fn source() -> IpAddr {
    IpAddr::from([192, 0, 2, 1])
}

fn mint() -> Mint {
    Mint::new(&[3; 32], ZONE)
}

fn terms(open: bool) -> Terms {
    Terms { zone: ZONE.into(), open, default_services: vec!["web".parse().unwrap()] }
}

fn key(seed: u8) -> DeviceKey {
    DeviceKey::from_seed(&[seed; 32]).unwrap()
}

fn examined(open: bool, body: &EnrollBody) -> Result<Examined, Reason> {
    enrollment(&terms(open), &mint(), source(), NOW, body).map_err(|refusal| refusal.reason)
}

fn solved() -> (String, u64) {
    let (challenge, _) = mint().challenge(Purpose::Enrollment, 8, source(), NOW, [1; 16]);
    let solution = solve(&challenge, 8, 1 << 20).unwrap();
    (challenge, solution)
}

#[test]
fn an_invite_needs_no_work_and_an_open_door_no_invite() {
    let code = Code::new([5; 20]);
    let by_invite = plain_body(Ticket::Invite(code), "browser", Class::Name);
    assert!(examined(false, &by_invite).is_ok_and(|e| e.sound.is_none()));
    let (challenge, solution) = solved();
    let ticket = Ticket::Open { challenge: &challenge, solution, user: "bob" };
    let by_work = plain_body(ticket, "browser", Class::Name);
    let found = examined(true, &by_work).unwrap();
    assert!(found.sound.is_some_and(|s| s.bits == 8));
    assert!(matches!(found.newcomer.right, Right::Open { user, .. } if user.as_str() == "bob"));
    assert_eq!(examined(false, &by_work), Err(Reason::InviteRequired));
}

#[test]
fn work_that_is_missing_wrong_late_or_done_elsewhere_is_refused() {
    let (challenge, solution) = solved();
    let good =
        plain_body(Ticket::Open { challenge: &challenge, solution, user: "bob" }, "browser", Class::Name);
    let with = |change: &dyn Fn(&mut EnrollBody)| {
        let mut body = good.clone();
        change(&mut body);
        examined(true, &body).unwrap_err()
    };
    let wrong = (0..).find(|n| *n != solution && solve(&challenge, 8, 1 << 20) != Some(*n)).unwrap();
    assert_eq!(with(&|b| b.solution = Some(wrong)), Reason::ProofWrong);
    assert_eq!(with(&|b| b.solution = None), Reason::BodyInvalid);
    assert_eq!(with(&|b| b.challenge = None), Reason::BodyInvalid);
    assert_eq!(with(&|b| b.user = None), Reason::BodyInvalid);
    assert_eq!(with(&|b| b.user = Some("Not A Name".into())), Reason::NameInvalid);
    assert_eq!(with(&|b| b.challenge = Some("x".into())), Reason::ChallengeInvalid);
    let at = |source: IpAddr, now| enrollment(&terms(true), &mint(), source, now, &good).unwrap_err().reason;
    assert_eq!(at(source(), NOW.plus(CHALLENGE_TTL_S)), Reason::ChallengeExpired);
    assert_eq!(at(IpAddr::from([192, 0, 3, 1]), NOW), Reason::ChallengeInvalid);
}

#[test]
fn r3_13_an_agent_proves_that_it_holds_its_key() {
    let ticket = Ticket::Invite(Code::new([5; 20]));
    let good = enroll_body(ZONE, ticket, "thinkpad", Class::Agent, &key(1));
    assert_eq!(examined(false, &good).unwrap().newcomer.public_key, Some(key(1).public()));
    let with = |change: &dyn Fn(&mut EnrollBody)| {
        let mut body = good.clone();
        change(&mut body);
        examined(false, &body).unwrap_err()
    };
    assert_eq!(with(&|b| b.public_key = Some(key(2).public().to_string())), Reason::KeyProofWrong);
    assert_eq!(with(&|b| b.device = "desktop".into()), Reason::KeyProofWrong);
    assert_eq!(with(&|b| b.class = "name".into()), Reason::KeyProofWrong);
    assert_eq!(with(&|b| b.invite = Some(Code::new([6; 20]).to_string())), Reason::KeyProofWrong);
    assert_eq!(with(&|b| b.proof = None), Reason::BodyInvalid);
    assert_eq!(with(&|b| b.public_key = None), Reason::BodyInvalid);
    assert_eq!(with(&|b| (b.public_key, b.proof) = (None, None)), Reason::KeyInvalid);
    let elsewhere = enroll_body("edge.example.org", ticket, "thinkpad", Class::Agent, &key(1));
    assert_eq!(examined(false, &elsewhere), Err(Reason::KeyProofWrong));
}

#[test]
fn a_renewal_is_signed_over_its_own_challenge() {
    let (challenge, _) = mint().challenge(Purpose::Renewal, 0, source(), NOW, [2; 16]);
    let body = renew_body(ZONE, &challenge, &key(1), false);
    let examined =
        |body: &RenewBody| renewal(&terms(false), &mint(), source(), NOW, body).map_err(|r| r.reason);
    assert_eq!(examined(&body).unwrap().0, key(1).public());
    assert_eq!(examined(&RenewBody { reissue: true, ..body.clone() }), Err(Reason::KeyProofWrong));
    let (other, _) = mint().challenge(Purpose::Renewal, 0, source(), NOW, [3; 16]);
    assert_eq!(examined(&RenewBody { challenge: other, ..body }), Err(Reason::KeyProofWrong));
    let (enrollment, _) = mint().challenge(Purpose::Enrollment, 0, source(), NOW, [3; 16]);
    assert_eq!(examined(&renew_body(ZONE, &enrollment, &key(1), false)), Err(Reason::ChallengeInvalid));
}

#[test]
fn names_of_devices_are_tidied_in_forms_only() {
    for (typed, tidy) in
        [("My Phone", "my-phone"), (" a__b ", "a-b"), ("ÄÖ", ""), ("--x--", "x"), ("😀1", "1")]
    {
        assert_eq!(tidied(typed), tidy);
    }
    assert_eq!(form(Code::new([1; 20]), "ÄÖ").unwrap_err().reason, Reason::NameInvalid);
    let typed = plain_body(Ticket::Invite(Code::new([5; 20])), "My Phone", Class::Name);
    assert_eq!(examined(false, &typed), Err(Reason::NameInvalid));
}

proptest! {
    #[test]
    fn whatever_a_form_says_is_a_name_or_a_refusal(text in ".{0,200}") {
        match form(Code::new([1; 20]), &text) {
            Ok(newcomer) => prop_assert_eq!(newcomer.device.as_str(), tidied(&text)),
            Err(refusal) => prop_assert_eq!(refusal.reason, Reason::NameInvalid),
        }
    }

    #[test]
    fn no_bytes_panic_as_a_body(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(body) = serde_json::from_slice::<EnrollBody>(&bytes) {
            let _ = examined(true, &body);
        }
        let _ = serde_json::from_slice::<RenewBody>(&bytes);
    }

    #[test]
    fn no_members_panic_and_none_gets_in_by_luck(
        invite in proptest::option::of(".{0,70}"), challenge in proptest::option::of(".{0,90}"),
        solution in any::<Option<u64>>(), user in proptest::option::of(".{0,50}"), device in ".{0,50}",
        class in "name|agent|.{0,9}", public_key in proptest::option::of("[0-9a-fx]{60,66}"),
        proof in proptest::option::of("[0-9a-fx]{126,130}"),
    ) {
        let body = EnrollBody { invite, challenge, solution, user, device, class, public_key, proof };
        prop_assert!(examined(true, &body).is_err());
    }

    #[test]
    fn deep_json_is_an_error(depth in 1usize..5000) {
        let text = format!("{{\"device\":{}", "[".repeat(depth));
        prop_assert!(serde_json::from_str::<EnrollBody>(&text).is_err());
    }
}
