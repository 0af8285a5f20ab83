//! Access of users and devices: ended at once, given back, twice the same.

use defense::Reason;
use http::StatusCode;
use ops::acts::{device, invite, user};
use registration::invite::Wanted;
use serde_json::json;
use state::records::{PublicKey, Use};
use uuid::Uuid;

use crate::fixture::{ALICE, Api, BOB, NOW, alice_laptop, bob_browser, done, name, order, records};

#[test]
fn a_revoked_user_has_no_grant_and_a_restored_one_has_them_again() {
    let mut all = records();
    let ended = user::revoke(&all, &order(), &name("alice"));
    let ended = done(&mut all, ended);
    assert!(ended.changed && ended.grants == [ALICE]);
    assert_eq!(ended.revoked.map(|r| (r.at, r.why)), Some((NOW, "because".into())));
    assert!(all.grant_view(ALICE).is_none() && all.grant_view(BOB).is_some());
    let back = user::restore(&all, &order(), &name("alice"));
    assert!(done(&mut all, back).revoked.is_none());
    assert!(all.grant_view(ALICE).is_some());
}

#[test]
fn revoking_twice_changes_nothing_and_keeps_the_first_reason() {
    let mut all = records();
    let ended = user::revoke(&all, &order(), &name("alice"));
    done(&mut all, ended);
    let later = ops::acts::Order { now: NOW.plus(60), why: "again".into(), ..order() };
    let (txn, again) = user::revoke(&all, &later, &name("alice")).unwrap();
    assert!(txn.changes.is_empty() && !again.changed);
    assert_eq!(again.revoked.map(|r| (r.at, r.why)), Some((NOW, "because".into())));
    let (txn, _) = user::restore(&records(), &order(), &name("alice")).unwrap();
    assert!(txn.changes.is_empty(), "nothing to restore");
}

#[test]
fn a_device_is_taken_out_without_touching_others_and_its_user_decides_above_it() {
    let mut all = records();
    let ended = device::revoke(&all, &order(), alice_laptop());
    let ended = done(&mut all, ended);
    assert_eq!((ended.user, ended.device, ended.grants), (name("alice"), name("laptop"), vec![ALICE]));
    assert!(all.grant_view(ALICE).is_none() && all.grant_view(BOB).is_some());
    let back = user::restore(&all, &order(), &name("alice"));
    done(&mut all, back);
    assert!(all.grant_view(ALICE).is_none(), "the device stays revoked by itself");
    let back = device::restore(&all, &order(), alice_laptop());
    done(&mut all, back);
    assert!(all.grant_view(ALICE).is_some());
}

#[test]
fn a_device_gets_another_key_once_and_never_one_of_another_device() {
    let mut all = records();
    let key = |byte| Some(PublicKey([byte; 32]));
    let set = device::set_key(&all, &order(), alice_laptop(), key(1));
    assert!(done(&mut all, set).changed);
    assert_eq!(all.device(alice_laptop()).unwrap().public_key, key(1));
    assert_eq!(all.device_with_key(&PublicKey([1; 32])).map(|d| d.id), Some(alice_laptop()));
    let (txn, again) = device::set_key(&all, &order(), alice_laptop(), key(1)).unwrap();
    assert!(txn.changes.is_empty() && !again.changed);
    let stolen = device::set_key(&all, &order(), bob_browser(), key(1)).unwrap_err();
    assert_eq!(stolen.reason, Reason::KeyAlreadyEnrolled);
    let other = device::set_key(&all, &order(), alice_laptop(), key(2));
    done(&mut all, other);
    assert!(all.device_with_key(&PublicKey([1; 32])).is_none(), "the old one stands for nobody");
    let unknown = device::set_key(&all, &order(), Uuid::from_u128(99), key(3)).unwrap_err();
    assert_eq!(unknown.reason, Reason::UnknownTarget);
}

#[test]
fn nobody_is_revoked_who_does_not_exist() {
    let all = records();
    let refused = user::revoke(&all, &order(), &name("carol")).unwrap_err();
    assert_eq!(refused.reason, Reason::UnknownUser);
    let refused = device::revoke(&all, &order(), Uuid::from_u128(99)).unwrap_err();
    assert_eq!(refused.reason, Reason::UnknownTarget);
}

#[test]
fn an_invite_is_withdrawn_by_its_id_unless_it_was_used() {
    let mut all = records();
    let wanted = Wanted { user: name("carol"), services: vec![name("web")], ttl_s: 3600 };
    let made = invite::create(&all, &order(), &wanted, [5; invite::CODE_BYTES]);
    let made = done(&mut all, made);
    let id = invite::id(&made.hash);
    assert_eq!(id.len(), invite::ID_CHARS);
    let mut used = all.clone();
    let record = state::records::Invite {
        used: Some(Use { at: NOW, device: bob_browser(), device_name: name("browser") }),
        ..all.invite(&made.hash).unwrap().clone()
    };
    used.apply(&[state::txn::Change::Put(state::txn::Record::Invite(made.hash, record))]);
    assert_eq!(invite::withdraw(&used, &order(), &id).unwrap_err().reason, Reason::InviteUsed);
    let gone = invite::withdraw(&all, &order(), &id);
    done(&mut all, gone);
    assert_eq!(invite::withdraw(&all, &order(), &id).unwrap_err().reason, Reason::UnknownTarget);
}

#[tokio::test]
async fn a_revocation_closes_what_is_open_and_tells_the_way_back() {
    let api = Api::start().await;
    let answer = api.post("/v1/users/alice/revoke", json!({ "reason": "left" })).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body["schema"], "wandergate.user.access/1");
    assert_eq!((&answer.body["state"], &answer.body["closed_connections"]), (&json!("revoked"), &json!(3)));
    assert_eq!(answer.body["undo"], json!(["wandergate", "user", "restore", "alice"]));
    assert_eq!(*api.eyes.closed.lock().unwrap(), [(vec![ALICE], Reason::RevokedLive)]);
    let shown = api.get("/v1/users/alice").await;
    assert_eq!((&shown.body["state"], &shown.body["revoked"]["why"]), (&json!("revoked"), &json!("left")));
    let again = api.post("/v1/users/alice/revoke", json!({})).await;
    assert_eq!((again.status, &again.body["changed"]), (StatusCode::OK, &json!(false)));
    let back = api.post("/v1/users/alice/restore", json!({})).await;
    assert_eq!((back.status, &back.body["state"]), (StatusCode::OK, &json!("active")));
}

#[tokio::test]
async fn an_answer_to_a_revocation_waits_for_who_serves_it_and_names_who_does_not() {
    let api = Api::start().await;
    let mut quick = api.store.watch("edge");
    let _late = api.store.watch("dns");
    tokio::spawn(async move {
        while let Some(state::Event::Changed(delta)) = quick.next().await {
            quick.applied(delta.revision);
        }
    });
    let answer = api.post("/v1/users/bob/revoke", json!({})).await;
    let acks = answer.body["acks"].as_array().unwrap();
    assert_eq!(acks.iter().map(|a| a["name"].as_str().unwrap()).collect::<Vec<_>>(), ["dns", "edge"]);
    assert!(acks[0]["ack_ms"].is_null() && acks[1]["ack_ms"].is_u64());
}

#[tokio::test]
async fn an_invite_shows_its_code_once_and_the_list_never() {
    let api = Api::start().await;
    let body = json!({ "user": "carol", "services": ["web"], "ttl_s": 3600 });
    let made = api.post("/v1/invites", body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let code = made.body["code"].as_str().unwrap();
    assert_eq!(made.body["url"], format!("https://join.edge.test/i/{code}"));
    let listed = api.get("/v1/invites").await;
    assert_eq!(listed.body["invites"][0]["state"], "pending");
    assert!(!listed.body.to_string().contains(code));
}
