//! The keys of an answer reach from the window that is open now to the end of the next epoch.

use rotator::planner::Planner;
use state::txn::Record;

use super::*;
use crate::client::place;
use crate::enrol::{self, Fresh, Newcomer, Right};
use crate::fixture::{apply, name, records, root};

/// An agent enrolled at `now`, and its answer.
fn told(epochs: KeyEpochs, now: UnixTime) -> (Records, Enrolled) {
    let mut records = records();
    let right = Right::Open { user: name("alice"), services: vec![name("web")] };
    let public_key = Some(state::records::PublicKey([7; 32]));
    let newcomer = Newcomer { right, device: name("laptop"), class: Class::Agent, public_key };
    let fresh = Fresh { user: [1; 16], device: [2; 16], labels: [3; 32] };
    let (txn, device) = enrol::decide(&records, now, &newcomer, &fresh).unwrap();
    apply(&mut records, &txn);
    let keys = Keyring::around(&root(), epochs, records.key_life_s(), now);
    let answer = enrolled(&records, records.device(device).unwrap(), "zone", epochs, &keys, now).unwrap();
    (records, answer)
}

#[test]
fn an_agent_that_enrolls_in_an_epochs_first_seconds_can_compute_its_present_address() {
    let epochs = KeyEpochs::every(7200);
    for late_s in 0..90 {
        let now = epochs.start(250_000).plus(late_s);
        let (records, answer) = told(epochs, now);
        let keys = Keyring::around(&root(), epochs, records.key_life_s(), now);
        let mut planner = Planner::new();
        planner.put(1, records.grant_view(1).unwrap().plan, &keys, now);
        let live = planner.leases_of(1).iter().find(|(_, l)| l.start <= now && now < l.ends()).unwrap();
        assert_eq!(place(&answer, "web", now).unwrap().addresses, [live.0], "{late_s} s into the epoch");
    }
}

#[test]
fn keys_reach_to_the_end_of_the_next_epoch_and_no_further() {
    let epochs = KeyEpochs::every(7200);
    let now = epochs.start(250_000).plus(3600);
    let (_, answer) = told(epochs, now);
    assert!(answer.epochs.keys.iter().all(|k| k.epoch <= 250_001));
    let end = epochs.start(250_002);
    assert!(place(&answer, "web", end.minus(1)).is_some());
    assert!(place(&answer, "web", end.plus(3600)).is_none());
}

#[test]
fn late_keys_of_the_rotator_are_found_out_before_anything_is_changed() {
    let epochs = KeyEpochs::every(7200);
    let now = epochs.start(250_000);
    let keys = Keyring::around(&root(), epochs, 0, now);
    assert!(holds_epochs(&keys, now).is_ok());
    assert!(holds_epochs(&keys, now.plus(7199)).is_ok());
    for late in [now.plus(7200), now.minus(1)] {
        assert_eq!(holds_epochs(&keys, late).unwrap_err().reason, Reason::EpochKeyMissing);
    }
}

#[test]
fn a_grant_that_is_not_served_is_not_told_of() {
    let epochs = KeyEpochs::WEEKLY;
    let now = crate::fixture::NOW;
    let (mut records, answer) = told(epochs, now);
    assert_eq!(answer.services.len(), 1);
    let device = records.device(answer.device_id).unwrap().clone();
    let revoked = Some(state::records::Revoked { at: now, why: "lost".into() });
    let gone = Device { revoked, ..device };
    records.apply(&[state::txn::Change::Put(Record::Device(gone.clone()))]);
    let keys = Keyring::around(&root(), epochs, records.key_life_s(), now);
    let told = enrolled(&records, &gone, "zone", epochs, &keys, now).unwrap();
    assert!(told.services.is_empty() && told.epochs.keys.is_empty());
}

#[test]
fn no_debug_shows_a_key_or_a_name() {
    let (_, answer) = told(KeyEpochs::WEEKLY, crate::fixture::NOW);
    let shown = format!("{answer:?} {:?} {:?}", answer.services, answer.epochs);
    assert!(answer.epochs.keys.iter().all(|k| !shown.contains(&k.key)));
}
