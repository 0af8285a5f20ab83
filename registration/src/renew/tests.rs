//! Who renews, and what a re-issue changes.

use rotator::Class;
use state::records::Revoked;
use state::txn::Change;

use super::*;
use crate::enrol::{self, Newcomer, Right};
use crate::fixture::{NOW, apply, name, records};

const KEY: PublicKey = PublicKey([7; 32]);

fn fresh(seed: u8) -> Fresh {
    Fresh { user: [seed; 16], device: [seed; 16], labels: [seed; 32] }
}

fn enrolled(class: Class) -> Records {
    let mut records = records();
    let right = Right::Open { user: name("alice"), services: vec![name("web"), name("ssh")] };
    let newcomer = Newcomer { right, device: name("laptop"), class, public_key: Some(KEY) };
    let (txn, _) = enrol::decide(&records, NOW, &newcomer, &fresh(1)).unwrap();
    apply(&mut records, &txn);
    records
}

fn reissued(records: &mut Records, now: UnixTime, seed: u8) {
    let txn = reissue(records, now, &KEY, &fresh(seed)).unwrap();
    apply(records, &txn);
}

#[test]
fn only_a_key_that_is_enrolled_and_not_revoked_renews() {
    let mut records = enrolled(Class::Agent);
    assert_eq!(renewing(&records, &PublicKey([8; 32])).unwrap_err().reason, Reason::DeviceUnknown);
    let device = renewing(&records, &KEY).unwrap().clone();
    let revoked = Some(Revoked { at: NOW, why: "lost".into() });
    records.apply(&[Change::Put(Record::Device(Device { revoked: revoked.clone(), ..device.clone() }))]);
    assert_eq!(renewing(&records, &KEY).unwrap_err().reason, Reason::DeviceRevoked);
    records.apply(&[Change::Put(Record::Device(device.clone()))]);
    let mut user = records.user(device.user).unwrap().clone();
    user.revoked = revoked;
    records.apply(&[Change::Put(Record::User(user))]);
    assert_eq!(renewing(&records, &KEY).unwrap_err().reason, Reason::UserRevoked);
}

#[test]
fn a_reissue_gives_every_grant_a_new_generation_that_ends_the_old_address_at_once() {
    let mut records = enrolled(Class::Agent);
    let later = NOW.plus(100);
    reissued(&mut records, later, 2);
    for (_, grant) in records.grants() {
        let newest = grant.generations.last().unwrap();
        assert_eq!((newest.number, newest.from, newest.leaked), (2, later, true));
        assert_eq!((grant.generations.len(), grant.label), (2, None));
    }
}

#[test]
fn a_reissue_replaces_an_ordinary_clients_name() {
    let mut records = enrolled(Class::Name);
    let before: Vec<_> = records.grants().map(|(_, g)| g.label.unwrap()).collect();
    reissued(&mut records, NOW.plus(100), 2);
    for (old, (no, grant)) in before.into_iter().zip(records.grants()) {
        assert_eq!(records.grant_labeled(old), None);
        assert_eq!(records.grant_labeled(grant.label.unwrap()), Some(no));
    }
}

#[test]
fn reissues_keep_their_pause_and_a_bounded_history() {
    let mut records = enrolled(Class::Agent);
    let mut now = NOW.plus(100);
    reissued(&mut records, now, 2);
    let soon = reissue(&records, now.plus(REISSUE_PAUSE_S - 1), &KEY, &fresh(3));
    assert_eq!(soon.unwrap_err().reason, Reason::RateLease);
    for _ in 0..GENERATIONS_MAX * 2 {
        now = now.plus(REISSUE_PAUSE_S);
        reissued(&mut records, now, 3);
    }
    let (_, grant) = records.grants().next().unwrap();
    assert_eq!(grant.generations.len(), GENERATIONS_MAX);
    assert_eq!(grant.generations.last().unwrap().number, 2 + GENERATIONS_MAX as u32 * 2);
}
