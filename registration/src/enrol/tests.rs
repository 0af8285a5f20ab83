//! Who gets in, with what, and why not.

use state::records::Revoked;
use state::txn::{Change, Key};

use super::*;
use crate::fixture::{NOW, apply, name, records};
use crate::invite::{self, Code, Wanted};

fn fresh(seed: u8) -> Fresh {
    Fresh { user: [seed; 16], device: [seed ^ 0x55; 16], labels: [seed; 32] }
}

fn invited(records: &mut Records, seed: u8) -> Code {
    let wanted = Wanted { user: name("alice"), services: vec![name("web"), name("ssh")], ttl_s: 3600 };
    let (txn, created) = invite::create(records, NOW, &wanted, [seed; 20], "ops:test").unwrap();
    apply(records, &txn);
    created.code
}

fn newcomer(code: Code, device: &str, class: Class, key: Option<u8>) -> Newcomer {
    Newcomer {
        right: Right::Invite { hash: code.hash(), stub: code.stub() },
        device: name(device),
        class,
        public_key: key.map(|k| PublicKey([k; 32])),
    }
}

fn open(user: &str) -> Newcomer {
    Newcomer {
        right: Right::Open { user: name(user), services: vec![name("web")] },
        device: name("phone"),
        class: Class::Name,
        public_key: None,
    }
}

fn reason(result: Result<(Txn, Uuid), Refusal>) -> Reason {
    result.unwrap_err().reason
}

#[test]
fn an_invite_makes_the_user_the_device_and_a_grant_per_service_and_is_used_up() {
    let mut records = records();
    let code = invited(&mut records, 1);
    let (txn, device) =
        decide(&records, NOW, &newcomer(code, "laptop", Class::Name, None), &fresh(1)).unwrap();
    assert_eq!((txn.act.verb.as_str(), txn.act.target.as_str()), ("device.enroll", "alice/laptop"));
    apply(&mut records, &txn);
    let user = records.user_named(&name("alice")).unwrap();
    assert_eq!(records.device(device).unwrap().user, user.id);
    let grants: Vec<_> = records.grants_of(device).collect();
    assert_eq!(grants.len(), 2);
    for (no, grant) in grants {
        assert_eq!(grant.generations, [GenerationRecord { number: 1, from: NOW, leaked: false }]);
        assert_eq!(records.grant_labeled(grant.label.unwrap()), Some(no));
    }
    let used = records.invite(&code.hash()).unwrap().used.clone().unwrap();
    assert_eq!((used.at, used.device), (NOW, device));
}

#[test]
fn labels_of_two_services_and_of_two_enrollments_differ() {
    let labels = [fresh(1).label(&name("web")), fresh(1).label(&name("ssh")), fresh(2).label(&name("web"))];
    assert_eq!(fresh(1).label(&name("web")), labels[0]);
    assert!(labels[0] != labels[1] && labels[0] != labels[2]);
}

#[test]
fn an_agents_grants_have_no_stable_label_and_need_a_key() {
    let mut records = records();
    let code = invited(&mut records, 1);
    let keyless = newcomer(code, "laptop", Class::Agent, None);
    assert_eq!(reason(decide(&records, NOW, &keyless, &fresh(1))), Reason::KeyInvalid);
    let (txn, device) =
        decide(&records, NOW, &newcomer(code, "laptop", Class::Agent, Some(7)), &fresh(1)).unwrap();
    apply(&mut records, &txn);
    assert!(records.grants_of(device).all(|(_, grant)| grant.label.is_none()));
    assert_eq!(records.device_with_key(&PublicKey([7; 32])).map(|d| d.id), Some(device));
}

#[test]
fn r3_21_single_use_a_used_invite_is_refused_and_names_when_and_which_device() {
    let mut records = records();
    let code = invited(&mut records, 1);
    let (txn, _) = decide(&records, NOW, &newcomer(code, "pixel-8", Class::Name, None), &fresh(1)).unwrap();
    apply(&mut records, &txn);
    let again = decide(&records, NOW, &newcomer(code, "other", Class::Name, None), &fresh(2)).unwrap_err();
    assert_eq!(again.reason, Reason::InviteUsed);
    assert!(
        again.detail.contains("2027-01-15 08:00 UTC") && again.detail.contains("pixel-8"),
        "{}",
        again.detail
    );
}

#[test]
fn r3_21_auto_expiring_an_invite_is_good_in_its_last_second_and_not_in_the_next() {
    let mut records = records();
    let code = invited(&mut records, 1);
    let newcomer = newcomer(code, "laptop", Class::Name, None);
    assert!(decide(&records, NOW.plus(3599), &newcomer, &fresh(1)).is_ok());
    assert_eq!(reason(decide(&records, NOW.plus(3600), &newcomer, &fresh(1))), Reason::InviteExpired);
}

#[test]
fn an_invite_that_never_was_is_refused() {
    let newcomer = newcomer(Code::new([9; 20]), "laptop", Class::Name, None);
    assert_eq!(reason(decide(&records(), NOW, &newcomer, &fresh(1))), Reason::InviteUnknown);
}

#[test]
fn a_device_name_is_one_living_device_of_a_user() {
    let mut records = records();
    let (first, second) = (invited(&mut records, 1), invited(&mut records, 2));
    let (txn, device) =
        decide(&records, NOW, &newcomer(first, "laptop", Class::Name, None), &fresh(1)).unwrap();
    apply(&mut records, &txn);
    let again = newcomer(second, "laptop", Class::Name, None);
    assert_eq!(reason(decide(&records, NOW, &again, &fresh(2))), Reason::DeviceNameTaken);
    let mut lost = records.device(device).unwrap().clone();
    lost.revoked = Some(Revoked { at: NOW, why: "lost".into() });
    records.apply(&[Change::Put(Record::Device(lost))]);
    assert!(decide(&records, NOW, &again, &fresh(2)).is_ok(), "a lost device's name is free again");
}

#[test]
fn a_user_has_at_most_so_many_living_devices() {
    let mut records = records();
    let mut last = Ok(());
    for n in 0..=DEVICES_PER_USER_MAX as u8 {
        let code = invited(&mut records, n);
        let newcomer = newcomer(code, &format!("d{n}"), Class::Name, None);
        last = decide(&records, NOW, &newcomer, &fresh(n)).map(|(txn, _)| apply(&mut records, &txn));
        assert_eq!(last.is_ok(), usize::from(n) < DEVICES_PER_USER_MAX, "device {n}");
    }
    assert_eq!(last.unwrap_err().reason, Reason::DeviceLimit);
}

#[test]
fn one_key_is_one_device_even_after_it_was_revoked() {
    let mut records = records();
    let (first, second) = (invited(&mut records, 1), invited(&mut records, 2));
    let (txn, device) =
        decide(&records, NOW, &newcomer(first, "a", Class::Agent, Some(7)), &fresh(1)).unwrap();
    apply(&mut records, &txn);
    let mut device = records.device(device).unwrap().clone();
    device.revoked = Some(Revoked { at: NOW, why: "stolen".into() });
    records.apply(&[Change::Put(Record::Device(device))]);
    let again = newcomer(second, "b", Class::Agent, Some(7));
    assert_eq!(reason(decide(&records, NOW, &again, &fresh(2))), Reason::KeyAlreadyEnrolled);
}

#[test]
fn a_revoked_user_gets_no_new_device_by_an_old_invite() {
    let mut records = records();
    let code = invited(&mut records, 1);
    let revoked = Some(Revoked { at: NOW, why: "left".into() });
    let user = User { id: Uuid::from_u128(3), name: name("alice"), created: NOW, revoked };
    records.apply(&[Change::Put(Record::User(user))]);
    let newcomer = newcomer(code, "laptop", Class::Name, None);
    assert_eq!(reason(decide(&records, NOW, &newcomer, &fresh(1))), Reason::UserRevoked);
}

#[test]
fn open_registration_makes_new_users_only() {
    let mut records = records();
    let (txn, device) = decide(&records, NOW, &open("bob"), &fresh(1)).unwrap();
    apply(&mut records, &txn);
    let services: Vec<&Name> = records.grants_of(device).map(|(_, g)| &g.service).collect();
    assert_eq!(services, [&name("web")]);
    assert_eq!(reason(decide(&records, NOW, &open("bob"), &fresh(2))), Reason::UserNameTaken);
}

#[test]
fn a_service_that_is_gone_is_left_out_and_without_any_the_invite_stays_whole() {
    let mut records = records();
    let code = invited(&mut records, 1);
    records.apply(&[Change::Delete(Key::Service(name("ssh")))]);
    let newcomer = newcomer(code, "laptop", Class::Name, None);
    let (txn, _) = decide(&records, NOW, &newcomer, &fresh(1)).unwrap();
    assert_eq!(txn.changes.iter().filter(|c| matches!(c.key(), Key::Grant(_))).count(), 1);
    records.apply(&[Change::Delete(Key::Service(name("web")))]);
    assert_eq!(reason(decide(&records, NOW, &newcomer, &fresh(1))), Reason::UnknownService);
    assert!(records.invite(&code.hash()).unwrap().used.is_none());
}

#[test]
fn r3_13_what_is_kept_of_a_device_is_its_public_key() {
    let mut records = records();
    let code = invited(&mut records, 1);
    let key = crate::client::DeviceKey::from_seed(&[9; 32]).unwrap();
    let newcomer = Newcomer { public_key: Some(key.public()), ..newcomer(code, "a", Class::Agent, None) };
    let (txn, device) = decide(&records, NOW, &newcomer, &fresh(1)).unwrap();
    apply(&mut records, &txn);
    assert_eq!(records.device(device).unwrap().public_key, Some(key.public()));
    for change in &txn.changes {
        let Change::Put(record) = change else { panic!("{change:?}") };
        let body = String::from_utf8(record.encode().unwrap()).unwrap();
        assert!(!body.contains(&"09".repeat(32)), "{body}");
    }
}
