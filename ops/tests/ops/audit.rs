//! The audit: who, when and why of every change, and a chain that can be computed anew from the API alone.

use http::Method;
use rotator::UnixTime;
use serde_json::json;
use state::Act;
use state::audit::{Entry, verify};

use crate::fixture::Api;

#[tokio::test]
async fn r3_22_who_when_and_why_are_recorded_for_each_change() {
    let api = Api::start().await;
    let before = api.revision();
    let at = api.clock.now();
    let calls = [
        (
            Method::POST,
            "/v1/users/alice/revoke",
            json!({ "reason": "left" }),
            "user.revoke",
            "user/alice",
            "left",
        ),
        (
            Method::POST,
            "/v1/users/alice/restore",
            json!({ "reason": "came back" }),
            "user.restore",
            "user/alice",
            "came back",
        ),
        (
            Method::POST,
            "/v1/services",
            json!({ "name": "ssh", "to": "127.0.0.1:22" }),
            "service.add",
            "service/ssh",
            "",
        ),
        (Method::DELETE, "/v1/services/ssh", json!({}), "service.rm", "service/ssh", ""),
        (
            Method::PATCH,
            "/v1/schedules/standard",
            json!({ "name": { "window_s": 900 } }),
            "schedule.set",
            "schedule/standard",
            "",
        ),
        (
            Method::POST,
            "/v1/rotations",
            json!({ "scope": "user:bob", "leaked": true, "reason": "chat" }),
            "rotate.leaked",
            "user/bob",
            "chat",
        ),
    ];
    let uid = api_uid(&api);
    for (n, (method, path, body, verb, target, why)) in calls.into_iter().enumerate() {
        let answer = api.ask(method, path, &[], Some(body)).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
        let seq = before + 1 + n as u64;
        let listed = api.get(&format!("/v1/audit?from={seq}")).await;
        let entry = &listed.body["entries"][0];
        assert_eq!((&entry["seq"], &entry["verb"]), (&json!(seq), &json!(verb)));
        assert_eq!((&entry["target"], &entry["why"]), (&json!(target), &json!(why)));
        assert_eq!(entry["actor"], format!("ops:uid-{uid}"));
        assert!(entry["at_unix"].as_u64().unwrap() >= at.secs());
    }
}

#[tokio::test]
async fn r3_22_what_the_file_declares_is_recorded_as_the_files() {
    let api = Api::start().await;
    let listed = api.get("/v1/audit?from=1&limit=1").await;
    let first = &listed.body["entries"][0];
    assert_eq!((&first["actor"], &first["verb"]), (&json!("config"), &json!("config.apply")));
}

#[tokio::test]
async fn the_chain_verifies_from_the_pages_of_the_api_alone() {
    let api = Api::start().await;
    for n in 0..7 {
        let act = if n % 2 == 0 { "revoke" } else { "restore" };
        api.post(&format!("/v1/users/alice/{act}"), json!({})).await;
    }
    let (mut entries, mut from) = (Vec::new(), Some(1));
    while let Some(seq) = from {
        let page = api.get(&format!("/v1/audit?from={seq}&limit=3")).await.body;
        let shown = page["entries"].as_array().unwrap();
        assert!(shown.len() <= 3);
        entries.extend(shown.iter().map(|e| {
            let text = |key: &str| e[key].as_str().unwrap().to_owned();
            Entry {
                seq: e["seq"].as_u64().unwrap(),
                act: Act {
                    at: UnixTime::from_secs(e["at_unix"].as_u64().unwrap()),
                    actor: text("actor"),
                    verb: text("verb"),
                    target: text("target"),
                    why: text("why"),
                },
                changes: text("changes"),
                before: text("before"),
                hash: text("hash"),
            }
        }));
        from = page["next"].as_u64();
    }
    assert_eq!(entries.len(), 8);
    assert_eq!(verify(&entries).unwrap(), entries[7].hash);
    entries[3].act.why = "altered".into();
    assert_eq!(verify(&entries).unwrap_err().seq, 4);
}

fn api_uid(api: &Api) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(&api.socket).unwrap().uid()
}
