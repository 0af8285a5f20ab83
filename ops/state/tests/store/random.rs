//! Random histories: what is reopened is what was in memory, and the indices agree with a plain search.

use proptest::prelude::*;
use rotator::{Class, Label};
use state::records::Revoked;
use state::txn::{Change, Key, Record};
use state::{Embedded, Records, Store, Txn};
use uuid::Uuid;

use super::fixture::{START, act, device, grant, name, pool, put, schedule, service, user, whole};
use super::keep::reopened;

fn change() -> impl Strategy<Value = Change> {
    let few = 1u128..6;
    prop_oneof![
        (few.clone(), any::<bool>()).prop_map(|(n, revoked)| {
            let mut user = user(n);
            user.revoked = revoked.then(|| Revoked { at: START, why: "random".into() });
            Change::Put(Record::User(user))
        }),
        (few.clone(), few.clone(), any::<bool>()).prop_map(|(n, user, agent)| {
            let class = if agent { Class::Agent } else { Class::Name };
            Change::Put(Record::Device(device(n, user, class)))
        }),
        (1u32..8, few.clone(), any::<bool>(), proptest::option::of(0u8..4)).prop_map(
            |(no, d, web, label)| {
                let service = if web { "web" } else { "ssh" };
                // A label is one grant's: it carries the grant's number.
                let label =
                    label.map(|l| Label::stable([l, no as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
                Change::Put(Record::Grant(no, grant(d, service, label)))
            }
        ),
        Just(Change::Put(Record::Schedule(schedule()))),
        Just(Change::Put(Record::Pool(pool()))),
        any::<bool>().prop_map(|web| Change::Put(Record::Service(service(if web { "web" } else { "ssh" })))),
        few.clone().prop_map(|n| Change::Delete(Key::User(Uuid::from_u128(n)))),
        few.prop_map(|n| Change::Delete(Key::Device(Uuid::from_u128(n)))),
        (1u32..8).prop_map(|n| Change::Delete(Key::Grant(n))),
        Just(Change::Delete(Key::Service(name("web")))),
    ]
}

/// Every look-up by an index gives what reading everything gives.
fn indices_agree(records: &Records) {
    for n in 1..6 {
        let id = Uuid::from_u128(n);
        let found: Vec<_> = records.devices_of(id).map(|d| d.id).collect();
        let searched: Vec<_> = records.devices().filter(|d| d.user == id).map(|d| d.id).collect();
        assert_eq!(found, searched);
        let found: Vec<_> = records.grants_of(id).map(|(no, _)| no).collect();
        let searched: Vec<_> = records.grants().filter(|(_, g)| g.device == id).map(|(no, _)| no).collect();
        assert_eq!(found, searched);
        let called = user(n).name;
        let searched = records.users().find(|u| u.name == called).map(|u| u.id);
        assert_eq!(records.user_named(&called).map(|u| u.id), searched);
    }
    for called in ["web", "ssh"] {
        let found: Vec<_> = records.grants_for(&name(called)).collect();
        let searched: Vec<_> =
            records.grants().filter(|(_, g)| g.service == name(called)).map(|(no, _)| no).collect();
        assert_eq!(found, searched);
    }
    for (no, grant) in records.grants() {
        assert!(grant.label.is_none_or(|label| records.grant_labeled(label) == Some(no)));
    }
    assert_eq!(
        records.len(),
        records.users().count()
            + records.devices().count()
            + records.grants().count()
            + records.schedules().count()
            + records.pools().count()
            + records.services().count()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_reopened_store_equals_the_records_in_memory(
        history in proptest::collection::vec(proptest::collection::vec(change(), 1..5), 1..12)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.redb");
            let store = Embedded::open(&path).unwrap();
            let mut model = Records::default();
            for changes in history {
                model.apply(&changes);
                put(&store, Txn { act: act("random", "all"), changes }).await.unwrap();
            }
            indices_agree(&model);
            assert_eq!(whole(&store.read()), whole(&model));
            drop(store);
            let store = reopened(&path).await;
            assert_eq!(whole(&store.read()), whole(&model));
            indices_agree(&store.read());
            for no in 1..8 {
                let (a, b) = (store.read().grant_view(no), model.grant_view(no));
                assert_eq!(format!("{a:?}"), format!("{b:?}"));
            }
        });
    }

    #[test]
    fn no_key_or_body_from_a_file_can_panic(key in ".{0,60}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::decode(&key, &body);
        for kind in ["user", "device", "grant", "invite", "schedule", "pool", "service"] {
            let _ = Record::decode(&format!("{kind}/{key}"), &body);
        }
    }
}
