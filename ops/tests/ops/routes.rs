//! Every route answers with a status that its document has, and no document is without a route.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::fixture::{Api, alice_laptop, lease};

struct Documented(Value);

impl Documented {
    fn new() -> Self {
        Self(serde_json::to_value(ops::http::document()).unwrap())
    }

    fn operations(&self) -> BTreeSet<(String, String)> {
        let paths = self.0["paths"].as_object().unwrap();
        let of = |(path, item): (&String, &Value)| {
            let methods =
                item.as_object().unwrap().keys().filter(|k| !["parameters", "summary"].contains(&k.as_str()));
            methods.map(|m| (m.to_uppercase(), path.clone())).collect::<Vec<_>>()
        };
        paths.iter().flat_map(of).collect()
    }

    fn statuses(&self, method: &str, path: &str) -> BTreeSet<u16> {
        let responses = &self.0["paths"][path][method.to_lowercase()]["responses"];
        responses.as_object().unwrap().keys().map(|s| s.parse().unwrap()).collect()
    }
}

/// Method, documented path, the path asked, the body, the status expected.
fn calls() -> Vec<(Method, &'static str, String, Option<Value>, u16)> {
    let device = alice_laptop();
    let put = |window: u32| {
        let times = |window_s: u32| {
            json!({ "window_s": window_s, "lead_s": 1, "grace_s": 60, "tombstone_s": 60, "ttl_s": 5, "label_s": 3600,
                "max_session_s": 3600, "stale": "reset" })
        };
        Some(json!({ "name": times(window), "agent": times(60) }))
    };
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let same = |path: &'static str| (path, path.to_owned());
    let mut list = Vec::new();
    let mut add =
        |method: &Method, (known, asked): (&'static str, String), body: Option<Value>, status: u16| {
            list.push((method.clone(), known, asked, body, status));
        };
    for path in [
        "/v1/status",
        "/v1/health/live",
        "/v1/health/ready",
        "/v1/openapi.json",
        "/v1/users",
        "/v1/invites",
        "/v1/devices",
        "/v1/services",
        "/v1/schedules",
        "/v1/windows",
        "/v1/connections",
        "/v1/exposure",
        "/v1/audit",
    ] {
        add(&get, same(path), None, 200);
        add(&get, (path, format!("{path}?nonsense=1")), None, 422);
    }
    add(&get, ("/v1/why", "/v1/why?target=alice".into()), None, 200);
    add(&get, ("/v1/why", "/v1/why?target=zoe".into()), None, 404);
    add(&get, ("/v1/why", "/v1/why".into()), None, 422);
    add(&get, ("/v1/exposure", "/v1/exposure?rate=-1".into()), None, 422);
    add(&get, ("/v1/windows", "/v1/windows?user=zoe".into()), None, 404);
    add(&get, ("/v1/devices", "/v1/devices?user=zoe".into()), None, 404);
    for (known, there, absent) in [
        ("/v1/users/{name}", "/v1/users/alice", "/v1/users/zoe"),
        ("/v1/services/{name}", "/v1/services/web", "/v1/services/zoe"),
        ("/v1/schedules/{name}", "/v1/schedules/standard", "/v1/schedules/zoe"),
    ] {
        add(&get, (known, there.into()), None, 200);
        add(&get, (known, absent.into()), None, 404);
    }
    for act in ["revoke", "restore"] {
        let user = if act == "revoke" { "/v1/users/{name}/revoke" } else { "/v1/users/{name}/restore" };
        let known = if act == "revoke" { "/v1/devices/{id}/revoke" } else { "/v1/devices/{id}/restore" };
        add(&post, (user, format!("/v1/users/alice/{act}")), Some(json!({})), 200);
        add(&post, (user, format!("/v1/users/zoe/{act}")), Some(json!({})), 404);
        add(&post, (user, format!("/v1/users/alice/{act}")), Some(json!({ "x": 1 })), 422);
        add(&post, (known, format!("/v1/devices/{device}/{act}")), Some(json!({})), 200);
        add(&post, (known, format!("/v1/devices/zoe/{act}")), Some(json!({})), 404);
    }
    let invite = |user: &str, service: &str| Some(json!({ "user": user, "services": [service] }));
    add(&post, same("/v1/invites"), invite("carol", "web"), 201);
    add(&post, same("/v1/invites"), invite("carol", "zoe"), 404);
    add(&post, same("/v1/invites"), invite("Carol!", "web"), 422);
    add(&delete, ("/v1/invites/{id}", "/v1/invites/0123456789abcdef".into()), None, 404);
    let service = |auth: &str, schedule: &str| {
        Some(json!({ "name": "ssh", "to": "127.0.0.1:22", "auth": auth, "schedule": schedule }))
    };
    add(&post, same("/v1/services"), service("address", "standard"), 400);
    add(&post, same("/v1/services"), service("name", "zoe"), 404);
    add(&post, same("/v1/services"), service("name", "standard"), 201);
    add(&post, same("/v1/services"), service("name", "standard"), 409);
    add(&post, same("/v1/services"), Some(json!({ "name": "x", "to": "nowhere" })), 422);
    add(&delete, ("/v1/services/{name}", "/v1/services/ssh".into()), None, 200);
    add(&delete, ("/v1/services/{name}", "/v1/services/ssh".into()), None, 404);
    add(&delete, ("/v1/services/{name}", "/v1/services/web".into()), None, 409);
    let schedule = "/v1/schedules/{name}";
    add(&Method::PUT, (schedule, "/v1/schedules/brisk".into()), put(120), 200);
    add(&Method::PUT, (schedule, "/v1/schedules/brisk".into()), put(4), 422);
    add(&Method::PUT, (schedule, "/v1/schedules/fixed".into()), put(120), 409);
    let window = |s: u32| Some(json!({ "name": { "window_s": s } }));
    add(&patch, (schedule, "/v1/schedules/standard".into()), window(900), 200);
    add(&patch, (schedule, "/v1/schedules/standard".into()), window(9), 422);
    add(&patch, (schedule, "/v1/schedules/zoe".into()), window(900), 404);
    add(&patch, (schedule, "/v1/schedules/fixed".into()), window(900), 409);
    let preview = "/v1/schedules/{name}/preview";
    add(&post, (preview, "/v1/schedules/fixed/preview".into()), Some(json!({})), 200);
    add(&post, (preview, "/v1/schedules/zoe/preview".into()), Some(json!({})), 404);
    add(&post, (preview, "/v1/schedules/fixed/preview".into()), Some(json!({ "for_s": 0 })), 422);
    let scope = |text: &str, confirm: bool| Some(json!({ "scope": text, "confirm": confirm }));
    add(&post, same("/v1/rotations"), scope("all", true), 200);
    add(&post, same("/v1/rotations"), scope("user:zoe", false), 404);
    add(&post, same("/v1/rotations"), scope("zoe", false), 422);
    add(&post, same("/v1/rotations"), scope("all", false), 428);
    list
}

#[tokio::test]
async fn every_route_answers_as_its_document_says() {
    let api = Api::start().await;
    api.eyes
        .leases
        .lock()
        .unwrap()
        .insert("2001:db8:42::7".parse().unwrap(), vec![lease(1, api.clock.now())]);
    let documented = Documented::new();
    let mut asked = BTreeSet::new();
    for (method, known, path, body, expected) in calls() {
        let answer = api.ask(method.clone(), &path, &[], body).await;
        let status = answer.status.as_u16();
        assert_eq!(status, expected, "{method} {path}: {}", answer.body);
        assert!(documented.statuses(method.as_str(), known).contains(&status), "{method} {known}: {status}");
        let kind = answer.header("content-type");
        assert_eq!(kind == "application/problem+json", status >= 400, "{method} {path}: {kind}");
        asked.insert((method.to_string(), known.to_owned()));
    }
    assert_eq!(asked, documented.operations(), "each operation is asked, and each asked one is documented");
}

#[tokio::test]
async fn readiness_follows_every_part() {
    let api = Api::start().await;
    assert_eq!(api.get("/v1/health/ready").await.status, 200);
    let well = api.eyes.sections.lock().unwrap().clone();
    let breaks: [fn(&mut ops::eyes::Sections); 5] = [
        |s| s.edge.serving = false,
        |s| s.dns.serving = false,
        |s| s.registration.serving = false,
        |s| s.fabric.planes[0].lanes_up = 5,
        |s| s.fabric.planes.clear(),
    ];
    for broken in breaks {
        let mut sections = well.clone();
        broken(&mut sections);
        *api.eyes.sections.lock().unwrap() = sections;
        let answer = api.get("/v1/health/ready").await;
        assert_eq!((answer.status.as_u16(), answer.body["wrong"].as_array().map(Vec::len)), (503, Some(1)));
        assert_eq!(api.get("/v1/health/live").await.status, 200, "alive all the same");
        assert_eq!(api.get("/v1/status").await.body["health"]["state"], "unhealthy");
    }
}

#[tokio::test]
async fn lists_come_in_pages_in_order() {
    let api = Api::start().await;
    let first = api.get("/v1/users?limit=1").await.body;
    assert_eq!((&first["users"][0]["name"], &first["next"]), (&json!("alice"), &json!("alice")));
    let second = api.get("/v1/users?limit=1&after=alice").await.body;
    assert_eq!((&second["users"][0]["name"], &second["next"]), (&json!("bob"), &Value::Null));
    let devices = api.get("/v1/devices?limit=1").await.body;
    let next = devices["next"].as_str().unwrap().replace('/', "%2F");
    let more = api.get(&format!("/v1/devices?limit=1&after={next}")).await.body;
    assert_eq!((&more["devices"][0]["user"], &more["next"]), (&json!("bob"), &Value::Null));
    let empty = api.get("/v1/invites").await.body;
    assert_eq!(empty["invites"], json!([]), "never null");
}
