//! Codes in every spelling; creation and withdrawal from both sides of each bound.

use proptest::prelude::*;
use state::records::{Revoked, Use, User};
use state::txn::Change;
use uuid::Uuid;

use super::*;
use crate::fixture::{NOW, name, records};

fn wanted(services: &[&str], ttl_s: u64) -> Wanted {
    Wanted { user: name("alice"), services: services.iter().map(|s| name(s)).collect(), ttl_s }
}

#[test]
fn a_code_reads_back_in_any_case_with_and_without_separators() {
    let code = Code::new(std::array::from_fn(|i| (i * 37 + 11) as u8));
    let text = code.to_string();
    assert_eq!(text.len(), 39);
    assert!(text.split('-').all(|group| group.len() == 4), "{text}");
    for spelling in [
        text.clone(),
        text.to_lowercase(),
        text.replace('-', ""),
        text.replace('-', " "),
        text.replace('0', "o"),
    ] {
        assert_eq!(spelling.parse(), Ok(code), "{spelling}");
    }
}

#[test]
fn letters_that_look_like_digits_are_read_as_those() {
    let zeros = Code::new([0; CODE_BYTES]);
    assert_eq!("O".repeat(32).parse(), Ok(zeros));
    let one = "I".repeat(16) + &"l".repeat(16);
    assert_eq!(one.parse::<Code>(), "1".repeat(32).parse());
}

#[test]
fn what_is_no_code_is_refused() {
    let sound = Code::new([0xa5; CODE_BYTES]).to_string();
    for bad in [
        "",
        "7QK2",
        &sound[1..],
        &format!("{sound}A"),
        &sound.replace('-', "_"),
        &"U".repeat(32),
        &"-".repeat(65),
    ] {
        assert_eq!(bad.parse::<Code>(), Err(NoCode), "{bad}");
    }
}

#[test]
fn a_code_is_printed_only_where_it_is_meant_to_be() {
    assert_eq!(format!("{:?}", Code::new([7; CODE_BYTES])), "Code(masked)");
}

#[test]
fn r3_16_a_code_has_at_least_128_random_bits_and_only_its_hash_is_kept() {
    const { assert!(CODE_BYTES * 8 >= 128) };
    let (txn, created) =
        create(&records(), NOW, &wanted(&["web"], 3600), [9; CODE_BYTES], "ops:test").unwrap();
    let kept = format!("{:?}", serde_json::to_string(&txn.act).unwrap());
    assert!(!kept.contains(&created.code.to_string()));
    for change in &txn.changes {
        let Change::Put(record) = change else { panic!("{change:?}") };
        let body = String::from_utf8(record.encode().unwrap()).unwrap();
        assert!(!body.contains(&created.code.to_string()) && !body.contains("0909"), "{body}");
        assert_eq!(record.key(), Key::Invite(created.code.hash()));
    }
}

#[test]
fn an_invite_lives_within_its_bounds() {
    let made = |ttl_s| create(&records(), NOW, &wanted(&["web"], ttl_s), [1; CODE_BYTES], "ops:test");
    for ttl_s in [INVITE_TTL_MIN_S, INVITE_TTL_MAX_S] {
        assert_eq!(made(ttl_s).unwrap().1.expires, NOW.plus(ttl_s));
    }
    for ttl_s in [0, INVITE_TTL_MIN_S - 1, INVITE_TTL_MAX_S + 1, u64::MAX] {
        assert_eq!(made(ttl_s).unwrap_err().reason, Reason::BodyInvalid);
    }
}

#[test]
fn an_invite_opens_services_that_exist_each_once() {
    let made =
        |services: &[&str]| create(&records(), NOW, &wanted(services, 60), [1; CODE_BYTES], "ops:test");
    assert_eq!(made(&[]).unwrap_err().reason, Reason::BodyInvalid);
    assert_eq!(made(&["web", "ghost"]).unwrap_err().reason, Reason::UnknownService);
    let (txn, _) = made(&["web", "ssh", "web"]).unwrap();
    let Change::Put(Record::Invite(_, invite)) = &txn.changes[0] else { panic!("{txn:?}") };
    assert_eq!(invite.services, [name("web"), name("ssh")]);
}

#[test]
fn a_revoked_user_gets_no_invite() {
    let mut records = records();
    let revoked = Some(Revoked { at: NOW, why: "left".into() });
    let user = User { id: Uuid::from_u128(1), name: name("alice"), created: NOW, revoked };
    records.apply(&[Change::Put(Record::User(user))]);
    let refusal = create(&records, NOW, &wanted(&["web"], 60), [1; CODE_BYTES], "ops:test").unwrap_err();
    assert_eq!(refusal.reason, Reason::UserRevoked);
}

#[test]
fn an_unused_invite_is_withdrawn_and_a_used_or_unknown_one_is_not() {
    let mut records = records();
    let (txn, created) = create(&records, NOW, &wanted(&["web"], 60), [1; CODE_BYTES], "ops:test").unwrap();
    assert_eq!(withdraw(&records, NOW, &created.hash, "ops:test").unwrap_err().reason, Reason::InviteUnknown);
    records.apply(&txn.changes);
    let gone = withdraw(&records, NOW, &created.hash, "ops:test").unwrap();
    assert_eq!(gone.changes, [Change::Delete(Key::Invite(created.hash))]);

    let used = Some(Use { at: NOW, device: Uuid::from_u128(5), device_name: name("pixel-8") });
    let invite = Invite { used, ..records.invite(&created.hash).unwrap().clone() };
    records.apply(&[Change::Put(Record::Invite(created.hash, invite))]);
    let refusal = withdraw(&records, NOW, &created.hash, "ops:test").unwrap_err();
    assert_eq!(refusal.reason, Reason::InviteUsed);
    assert!(refusal.detail.contains("pixel-8"));
}

proptest! {
    #[test]
    fn any_code_reads_back(bytes in any::<[u8; CODE_BYTES]>()) {
        let code = Code::new(bytes);
        prop_assert_eq!(code.to_string().parse(), Ok(code));
        prop_assert_eq!(code.to_string().to_lowercase().replace('-', "").parse(), Ok(code));
    }

    #[test]
    fn no_text_panics_as_a_code(text in ".{0,80}") {
        let _ = text.parse::<Code>();
    }
}
