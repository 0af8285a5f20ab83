//! Commits, batches, reopening, the audit.

use std::collections::BTreeSet;
use std::sync::Arc;

use defense::Reason;
use state::bounds::CHANGES_PER_TXN_MAX;
use state::txn::Record;
use state::{CommitError, Embedded, Refusal, Store, Txn, audit};

use super::fixture::{act, layout, put, put_user, user, whole};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_commits_at_once_are_all_durable_with_revisions_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let store = Arc::new(Embedded::open(&path).unwrap());
    let mut under_way = tokio::task::JoinSet::new();
    for n in 0..1000u128 {
        let store = Arc::clone(&store);
        under_way.spawn(async move { put(&*store, put_user(n)).await.unwrap() });
    }
    let revisions: BTreeSet<u64> = under_way.join_all().await.into_iter().collect();
    assert_eq!(revisions, (1..=1000).collect());
    drop(store);
    let store = reopened(&path).await;
    assert_eq!(store.read().users().count(), 1000);
    assert_eq!(store.read().revision(), 1000);
}

#[tokio::test]
async fn a_reopened_store_holds_the_same_records_and_goes_on_counting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let store = Embedded::open(&path).unwrap();
    put(&store, layout()).await.unwrap();
    put(&store, put_user(1)).await.unwrap();
    let before = whole(&store.read());
    drop(store);
    let store = reopened(&path).await;
    assert_eq!(whole(&store.read()), before);
    assert_eq!(put(&store, put_user(2)).await, Ok(3));
}

#[tokio::test]
async fn a_refused_decision_leaves_no_trace_and_an_empty_one_no_entry() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("state.redb")).unwrap();
    put(&store, put_user(1)).await.unwrap();
    let before = whole(&store.read());
    let refused = store.commit(Box::new(|_| Err(Refusal::from(Reason::InviteUsed)))).await;
    assert_eq!(refused, Err(CommitError::Refused(Refusal::from(Reason::InviteUsed))));
    assert_eq!(put(&store, Txn::new(act("nothing", "at all"))).await, Ok(1));
    assert_eq!(whole(&store.read()), before);
    assert_eq!(store.audit(1, 10).unwrap().len(), 1);
}

#[tokio::test]
async fn a_transaction_of_too_many_changes_is_refused_and_one_of_the_most_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("state.redb")).unwrap();
    let of = |n: usize| {
        let same = std::iter::repeat_with(|| Record::User(user(7)));
        same.take(n).fold(Txn::new(act("many", "user-7")), Txn::put)
    };
    let refused = put(&store, of(CHANGES_PER_TXN_MAX + 1)).await;
    assert_eq!(refused, Err(CommitError::Refused(Refusal::from(Reason::StoreFull))));
    assert_eq!(store.read().revision(), 0);
    assert_eq!(put(&store, of(CHANGES_PER_TXN_MAX)).await, Ok(1));
}

#[tokio::test]
async fn every_commit_is_one_entry_of_a_chain_that_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("state.redb")).unwrap();
    for n in 0..20 {
        put(&store, put_user(n)).await.unwrap();
    }
    let entries = store.audit(1, usize::MAX).unwrap();
    assert_eq!(entries.len(), 20);
    assert_eq!(audit::verify(&entries).unwrap(), entries[19].hash);
    assert_eq!(entries[4].act.target, "4");
    assert_eq!(store.audit(5, 2).unwrap(), &entries[4..6]);
    assert_eq!(store.audit(21, 2).unwrap(), &[]);
}

#[tokio::test]
async fn a_second_process_can_not_open_a_store_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let store = Embedded::open(&path).unwrap();
    assert!(Embedded::open(&path).is_err());
    assert_eq!(put(&store, put_user(1)).await, Ok(1));
}

/// The writer of the store before lets go of the file shortly after its last handle.
pub(crate) async fn reopened(path: &std::path::Path) -> Embedded {
    for _ in 0..500 {
        match Embedded::open(path) {
            Ok(store) => return store,
            Err(state::store::StoreError::Open { why, .. }) if why.contains("already open") => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the store was never let go of");
}
