//! What is refused whatever it says: too much, unknown, malformed; and what a dry run leaves.

use bytes::Bytes;
use http::{Method, StatusCode};
use ops::bounds::BODY_BYTES_MAX;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::fixture::{Api, exchange};

async fn raw(api: &Api, kind: &str, body: Bytes) -> crate::fixture::Answer {
    let stream = UnixStream::connect(&api.socket).await.unwrap();
    exchange(stream, Method::POST, "/v1/users/alice/revoke", &[("content-type", kind)], body).await
}

#[tokio::test]
async fn a_body_at_the_limit_is_read_and_one_byte_more_is_not() {
    let api = Api::start().await;
    let padded = |size: usize| Bytes::from(format!("{{{}}}", " ".repeat(size - 2)));
    assert_eq!(raw(&api, "application/json", padded(BODY_BYTES_MAX)).await.status, StatusCode::OK);
    let over = raw(&api, "application/json", padded(BODY_BYTES_MAX + 1)).await;
    assert_eq!((over.status, &over.body["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("W-6104")));
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_as_well() {
    let api = Api::start().await;
    let mut stream = UnixStream::connect(&api.socket).await.unwrap();
    stream
        .write_all(b"POST /v1/users/alice/revoke HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    for _ in 0..5 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = vec![0; 32];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 413"), "{:?}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test]
async fn unknown_fields_wrong_types_and_foreign_kinds_of_body_are_refused_with_their_place() {
    let api = Api::start().await;
    for body in [r#"{"reasons":"x"}"#, r#"{"reason":1}"#, "[]x", "nonsense", r#"{"reason":"a","reason":"b"}"#]
    {
        let answer = raw(&api, "application/json", Bytes::copy_from_slice(body.as_bytes())).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("W-7110")),
            "{body}"
        );
        assert!(answer.body["detail"].as_str().unwrap().contains("line 1"), "{}", answer.body["detail"]);
    }
    let form = raw(&api, "application/x-www-form-urlencoded", Bytes::from_static(b"{}")).await;
    assert_eq!(form.status, StatusCode::UNPROCESSABLE_ENTITY);
    let query = api.get("/v1/status?verbose=1").await;
    assert_eq!((query.status, &query.body["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("W-7110")));
    let long = api.post("/v1/users/alice/revoke", json!({ "reason": "x".repeat(401) })).await;
    assert_eq!(long.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_refusal_says_code_what_why_and_fix_and_its_request() {
    let api = Api::start().await;
    let answer = api.ask(Method::GET, "/v1/users/nobody", &[("x-request-id", "abc-1")], None).await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!((answer.header("x-request-id"), answer.header("cache-control")), ("abc-1", "no-store"));
    for (key, value) in [
        ("type", json!("https://docs.wandergate.dev/e/W-7101")),
        ("title", json!("There is no such user.")),
        ("status", json!(404)),
        ("code", json!("W-7101")),
        ("reason", json!("unknown_user")),
        ("detail", json!("There is no user \"nobody\".")),
        ("instance", json!("abc-1")),
        ("retryable", json!(false)),
    ] {
        assert_eq!(answer.body[key], value, "{key}");
    }
    assert!(answer.body["fix"].as_str().is_some_and(|fix| fix.contains("user ls")));
    let fresh = api.get("/v1/status").await;
    assert!(fresh.header("x-request-id").starts_with("req_"));
    assert_eq!(fresh.header("cache-control"), "no-store");
}

#[tokio::test]
async fn changes_are_made_by_post_only_and_unknown_paths_are_nothing() {
    let api = Api::start().await;
    let revision = api.revision();
    for path in ["/v1/users/alice/revoke", "/v1/rotations"] {
        let answer = api.get(path).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::METHOD_NOT_ALLOWED, &json!("W-7111")),
            "{path}"
        );
        assert_eq!(answer.header("allow"), "POST");
    }
    let nothing = api.get("/v2/status").await;
    assert_eq!((nothing.status, &nothing.body["code"]), (StatusCode::NOT_FOUND, &json!("W-7112")));
    assert_eq!(api.revision(), revision);
}

#[tokio::test]
async fn a_dry_run_answers_as_the_act_would_and_changes_nothing() {
    let api = Api::start().await;
    let revision = api.revision();
    let calls = [
        (Method::POST, "/v1/users/alice/revoke", json!({})),
        (Method::POST, "/v1/devices/00000000-0000-0000-0000-00000000000b/revoke", json!({})),
        (Method::POST, "/v1/invites", json!({ "user": "carol", "services": ["web"] })),
        (Method::POST, "/v1/services", json!({ "name": "ssh", "to": "127.0.0.1:22" })),
        (Method::PATCH, "/v1/schedules/standard", json!({ "name": { "window_s": 900 } })),
        (Method::POST, "/v1/rotations", json!({ "scope": "all", "confirm": true, "new_name": true })),
    ];
    for (method, path, body) in calls {
        let answer = api.ask(method, &format!("{path}?dry_run=true"), &[], Some(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        assert_eq!(
            (&answer.body["dry_run"], &answer.body["changed"]),
            (&json!(true), &json!(true)),
            "{path}"
        );
        assert!(answer.body["code"].is_null() && answer.body["revision"].is_null(), "{path}");
    }
    let refused = api.post("/v1/rotations?dry_run=true", json!({ "scope": "all" })).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_REQUIRED, "as the act would");
    assert_eq!(api.revision(), revision);
    assert!(api.eyes.closed.lock().unwrap().is_empty());
    assert!(api.store.read().user_named(&crate::fixture::name("alice")).unwrap().revoked.is_none());
}
