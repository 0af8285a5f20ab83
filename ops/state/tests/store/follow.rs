//! Followers: what they are told, and how others wait for them.

use std::time::Duration;

use state::bounds::DELTAS_MAX;
use state::txn::{Key, Record};
use state::{Ack, Embedded, Event, Store, Txn};
use uuid::Uuid;

use super::fixture::{act, device, grant, layout, put, put_user, user};

fn ack(name: &str, served: bool, acks: &[Ack]) -> bool {
    acks.iter().any(|a| a.name == name && a.ack_ms.is_some() == served)
}

#[tokio::test]
async fn a_follower_is_told_which_grants_a_change_touches_and_whether_the_layout_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("state.redb")).unwrap();
    let mut watch = store.watch("edge");
    put(&store, layout()).await.unwrap();
    let enrolled = Txn::new(act("device.enroll", "device-2"))
        .put(Record::User(user(1)))
        .put(Record::Device(device(2, 1, rotator::Class::Agent)))
        .put(Record::Grant(9, grant(2, "web", None)));
    put(&store, enrolled).await.unwrap();
    put(&store, put_user(1)).await.unwrap();
    let gone = Txn::new(act("device.remove", "device-2"))
        .delete(Key::Grant(9))
        .delete(Key::Device(Uuid::from_u128(2)));
    put(&store, gone).await.unwrap();
    for (revision, grants, layout) in
        [(1, vec![], true), (2, vec![9], false), (3, vec![9], false), (4, vec![9], false)]
    {
        let Some(Event::Changed(delta)) = watch.next().await else { panic!("no change") };
        assert_eq!((delta.revision, &delta.grants, delta.layout), (revision, &grants, layout));
    }
}

#[tokio::test]
async fn what_a_follower_is_told_it_can_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("state.redb")).unwrap();
    let mut watch = store.watch("dns");
    for n in 1..=50 {
        put(&store, put_user(n)).await.unwrap();
        let Some(Event::Changed(delta)) = watch.next().await else { panic!("no change") };
        assert!(store.read().revision() >= delta.revision);
        assert!(store.read().user(Uuid::from_u128(n)).is_some());
    }
}

#[tokio::test]
async fn a_follower_that_lags_by_more_than_the_bound_is_reset_and_one_at_the_bound_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("state.redb")).unwrap();
    let (mut late, mut punctual) = (store.watch("late"), store.watch("punctual"));
    let commits = DELTAS_MAX as u128 + 1;
    for n in 0..commits {
        put(&store, put_user(n)).await.unwrap();
        if n == 0 {
            assert!(matches!(punctual.next().await, Some(Event::Changed(d)) if d.revision == 1));
        }
    }
    assert_eq!(late.next().await, Some(Event::Reset));
    assert!(matches!(punctual.next().await, Some(Event::Changed(d)) if d.revision == 2));
    // After a reset it goes on with what it can still be told.
    assert!(matches!(late.next().await, Some(Event::Changed(_))));
}

#[tokio::test]
async fn settling_waits_for_every_follower_and_names_the_one_that_is_late() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("state.redb")).unwrap();
    let (edge, dns) = (store.watch("edge"), store.watch("dns"));
    let revision = put(&store, put_user(1)).await.unwrap();
    edge.applied(revision);
    let acks = store.followers().settled(revision, Duration::from_millis(50)).await;
    assert!(ack("edge", true, &acks) && ack("dns", false, &acks), "{acks:?}");
    dns.applied(revision);
    // An older revision that arrives late takes nothing back.
    dns.applied(0);
    let acks = store.followers().settled(revision, Duration::from_secs(5)).await;
    assert!(ack("edge", true, &acks) && ack("dns", true, &acks), "{acks:?}");
}

#[tokio::test]
async fn a_follower_that_left_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("state.redb")).unwrap();
    let gone = store.watch("gone");
    let here = store.watch("here");
    drop(gone);
    here.applied(1);
    let acks = store.followers().settled(1, Duration::from_secs(5)).await;
    assert_eq!(acks.len(), 1);
    assert!(ack("here", true, &acks));
}

#[tokio::test]
async fn the_end_of_the_store_ends_the_following() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("state.redb")).unwrap();
    let mut watch = store.watch("edge");
    drop(store);
    assert_eq!(watch.next().await, None);
}
