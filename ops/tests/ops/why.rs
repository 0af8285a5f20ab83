//! Why: every kind of target has an answer, or is told to be unknown.

use defense::Reason;
use http::StatusCode;
use serde_json::json;

use crate::fixture::{ALICE, Answer, Api, BOB, alice_laptop, bob_label, lease};

async fn why(api: &Api, target: &str) -> Answer {
    let escaped: String = target.bytes().map(|b| format!("%{b:02X}")).collect();
    api.get(&format!("/v1/why?target={escaped}")).await
}

#[tokio::test]
async fn an_address_is_explained_at_every_stage_of_its_lease() {
    let api = Api::start().await;
    let now = api.clock.now();
    // Live for 60 s, in grace for 15 s, a tombstone for 60 s; margins keep the test's own seconds out.
    for (start, verdict, code) in [
        (now.minus(20), "pass", None),
        (now.minus(65), "pass", None),
        (now.minus(100), "reject", Some("W-3004")),
        (now.minus(400), "drop", Some("W-3003")),
        (now.plus(100), "drop", Some("W-3001")),
    ] {
        let address = "2001:db8:42::1:1".parse().unwrap();
        api.eyes.leases.lock().unwrap().insert(address, vec![lease(ALICE, start)]);
        let answer = why(&api, "2001:db8:42::1:1").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!((&answer.body["verdict"], &answer.body["code"]), (&json!(verdict), &json!(code)));
        assert_eq!(answer.body["owner"], json!({ "user": "alice", "device": "laptop", "service": "web" }));
    }
    let never = why(&api, "[2001:db8:42::2:2]:443").await;
    assert_eq!((&never.body["code"], &never.body["kind"]), (&json!("W-3001"), &json!("address")));
}

#[tokio::test]
async fn a_source_and_its_network_are_explained_by_what_was_refused() {
    let api = Api::start().await;
    let quiet = why(&api, "198.51.100.9").await;
    assert_eq!((&quiet.body["verdict"], &quiet.body["kind"]), (&json!("pass"), &json!("source")));
    api.eyes.refuse("198.51.100.9", Reason::LeaseBudget, Some(ALICE), Some(77));
    for (target, kind) in [("198.51.100.9", "source"), ("198.51.100.0/24", "network")] {
        let answer = why(&api, target).await;
        assert_eq!((&answer.body["kind"], &answer.body["reason"]), (&json!(kind), &json!("lease_budget")));
        assert_eq!(answer.body["seen"][0]["owner"]["user"], "alice");
    }
    for request in ["0000000000000000000000000000004d", "req_0000000000000000000000000000004d"] {
        let answer = why(&api, request).await;
        assert_eq!((&answer.body["kind"], &answer.body["code"]), (&json!("request"), &json!("W-3006")));
    }
    let code = why(&api, "w-3006").await;
    assert_eq!((&code.body["kind"], &code.body["reason"]), (&json!("reason"), &json!("lease_budget")));
    assert!(code.body["why"].as_str().unwrap().contains("1 times"));
    let named = why(&api, "lease_budget").await;
    assert_eq!(named.body["code"], "W-3006");
}

#[tokio::test]
async fn a_name_leads_to_its_owner_and_an_unknown_one_is_a_decoy() {
    let api = Api::start().await;
    for target in [
        format!("{}.edge.test", bob_label()),
        format!("https://{}.edge.test:8443/path?q", bob_label().to_string().to_uppercase()),
        bob_label().to_string(),
    ] {
        let answer = why(&api, &target).await;
        assert_eq!(
            (&answer.body["verdict"], &answer.body["owner"]["user"]),
            (&json!("pass"), &json!("bob")),
            "{target}"
        );
    }
    let decoy = why(&api, &format!("{}.edge.test", rotator::Label::stable([1; 16]))).await;
    assert_eq!((&decoy.body["code"], &decoy.body["verdict"]), (&json!("W-3002"), &json!("drop")));
}

#[tokio::test]
async fn a_revoked_user_and_device_are_told_with_the_operators_words() {
    let api = Api::start().await;
    assert_eq!(why(&api, "alice").await.body["verdict"], "pass");
    assert_eq!(why(&api, "web").await.body["kind"], "service");
    api.post("/v1/users/alice/revoke", json!({ "reason": "left the company" })).await;
    for target in ["alice".to_owned(), "alice/laptop".to_owned(), alice_laptop().to_string()] {
        let answer = why(&api, &target).await;
        assert_eq!(
            (&answer.body["code"], &answer.body["verdict"]),
            (&json!("W-4108"), &json!("drop")),
            "{target}"
        );
        assert!(answer.body["why"].as_str().unwrap().contains("left the company"));
        assert!(answer.body["since"].is_string());
    }
    let bob = why(&api, "bob/browser").await;
    assert_eq!((&bob.body["kind"], &bob.body["connections"]), (&json!("device"), &json!(2)));
    let _ = BOB;
}

#[tokio::test]
async fn what_nobody_knows_is_not_found_and_never_echoed_raw() {
    let api = Api::start().await;
    for target in
        ["carol", "carol/phone", "Not A Name!", "0000000000000000000000000000ffff", "\u{1b}[31m", ""]
    {
        let answer = why(&api, target).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::NOT_FOUND, &json!("W-7104")),
            "{target:?}"
        );
        assert!(!answer.body["detail"].as_str().unwrap().contains('\u{1b}'));
    }
}

#[tokio::test]
async fn an_answer_about_a_user_shows_no_address() {
    let api = Api::start().await;
    let held = lease(BOB, api.clock.now().minus(5));
    api.eyes.leases.lock().unwrap().insert("2001:db8:42::beef:1".parse().unwrap(), vec![held]);
    let answer = why(&api, "bob").await;
    assert_eq!(answer.body["leases"].as_array().map(Vec::len), Some(1));
    assert!(!answer.body.to_string().contains("beef"));
}
