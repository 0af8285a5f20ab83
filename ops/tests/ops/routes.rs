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
type Call = (Method, &'static str, String, Option<Value>, u16);

const LISTS: [&str; 15] = [
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
    "/v1/hubs",
    "/metrics",
];

fn call(method: &Method, known: &'static str, asked: &str, body: Option<Value>, status: u16) -> Call {
    (method.clone(), known, asked.to_owned(), body, status)
}

fn reads() -> Vec<Call> {
    let get = |known: &'static str, asked: &str, status| call(&Method::GET, known, asked, None, status);
    let mut list = Vec::new();
    for path in LISTS {
        list.extend([get(path, path, 200), get(path, &format!("{path}?nonsense=1"), 422)]);
    }
    list.extend([
        get("/v1/why", "/v1/why?target=alice", 200),
        get("/v1/why", "/v1/why?target=zoe", 404),
        get("/v1/why", "/v1/why", 422),
        get("/v1/exposure", "/v1/exposure?rate=-1", 422),
        get("/v1/windows", "/v1/windows?user=zoe", 404),
        get("/v1/devices", "/v1/devices?user=zoe", 404),
        get("/v1/users/{name}", "/v1/users/alice", 200),
        get("/v1/users/{name}", "/v1/users/zoe", 404),
        get("/v1/services/{name}", "/v1/services/web", 200),
        get("/v1/services/{name}", "/v1/services/zoe", 404),
        get("/v1/schedules/{name}", "/v1/schedules/standard", 200),
        get("/v1/schedules/{name}", "/v1/schedules/zoe", 404),
    ]);
    list
}

fn people() -> Vec<Call> {
    let post = |known, asked: &str, body, status| call(&Method::POST, known, asked, Some(body), status);
    let device = alice_laptop();
    let mut list = Vec::new();
    for (act, user, known) in [
        ("revoke", "/v1/users/{name}/revoke", "/v1/devices/{id}/revoke"),
        ("restore", "/v1/users/{name}/restore", "/v1/devices/{id}/restore"),
    ] {
        list.extend([
            post(user, &format!("/v1/users/alice/{act}"), json!({}), 200),
            post(user, &format!("/v1/users/zoe/{act}"), json!({}), 404),
            post(user, &format!("/v1/users/alice/{act}"), json!({ "x": 1 }), 422),
            post(known, &format!("/v1/devices/{device}/{act}"), json!({}), 200),
            post(known, &format!("/v1/devices/zoe/{act}"), json!({}), 404),
        ]);
    }
    let keyed = |asked: &str, key: &str, status| {
        call(&Method::PUT, "/v1/devices/{id}/key", asked, Some(json!({ "public_key": key })), status)
    };
    let (path, good) = (format!("/v1/devices/{device}/key"), "7a".repeat(32));
    list.extend([
        keyed(&path, &good, 200),
        keyed(&path, "7a", 400),
        keyed("/v1/devices/zoe/key", &good, 404),
    ]);
    let invites = "/v1/invites";
    let invite = |user: &str, service: &str| json!({ "user": user, "services": [service] });
    list.extend([
        post(invites, invites, invite("carol", "web"), 201),
        post(invites, invites, invite("carol", "zoe"), 404),
        post(invites, invites, invite("Carol!", "web"), 422),
        call(&Method::DELETE, "/v1/invites/{id}", "/v1/invites/0123456789abcdef", None, 404),
    ]);
    list
}

fn services() -> Vec<Call> {
    let services = "/v1/services";
    let post = |body, status| call(&Method::POST, services, services, Some(body), status);
    let delete = |asked: &str, status| call(&Method::DELETE, "/v1/services/{name}", asked, None, status);
    let patch =
        |asked: &str, body, status| call(&Method::PATCH, "/v1/services/{name}", asked, Some(body), status);
    let service = |auth: &str, schedule: &str| json!({ "name": "ssh", "to": "127.0.0.1:22", "auth": auth, "schedule": schedule });
    vec![
        post(service("address", "standard"), 400),
        post(service("name", "zoe"), 404),
        post(service("name", "standard"), 201),
        post(service("name", "standard"), 409),
        post(json!({ "name": "x", "to": "nowhere" }), 422),
        patch("/v1/services/ssh", json!({ "proxy": true }), 200),
        patch("/v1/services/ssh", json!({ "auth": "address" }), 400),
        patch("/v1/services/ssh", json!({ "port": 22 }), 422),
        patch("/v1/services/zoe", json!({ "proxy": true }), 404),
        patch("/v1/services/web", json!({ "proxy": true }), 409),
        delete("/v1/services/ssh", 200),
        delete("/v1/services/ssh", 404),
        delete("/v1/services/web", 409),
    ]
}

fn schedules() -> Vec<Call> {
    let times = |window_s: u32| {
        json!({ "window_s": window_s, "lead_s": 1, "grace_s": 60, "tombstone_s": 60, "ttl_s": 5, "label_s": 3600,
            "max_session_s": 3600, "stale": "reset" })
    };
    let whole = |window_s| Some(json!({ "name": times(window_s), "agent": times(60) }));
    let window = |s: u32| Some(json!({ "name": { "window_s": s } }));
    let path = "/v1/schedules/{name}";
    let put = |asked: &str, body, status| call(&Method::PUT, path, asked, body, status);
    let patch = |asked: &str, body, status| call(&Method::PATCH, path, asked, body, status);
    let preview = |asked: &str, body, status| {
        call(&Method::POST, "/v1/schedules/{name}/preview", asked, Some(body), status)
    };
    vec![
        put("/v1/schedules/brisk", whole(120), 200),
        put("/v1/schedules/brisk", whole(4), 422),
        put("/v1/schedules/fixed", whole(120), 409),
        patch("/v1/schedules/standard", window(900), 200),
        patch("/v1/schedules/standard", window(9), 422),
        patch("/v1/schedules/zoe", window(900), 404),
        patch("/v1/schedules/fixed", window(900), 409),
        preview("/v1/schedules/fixed/preview", json!({}), 200),
        preview("/v1/schedules/zoe/preview", json!({}), 404),
        preview("/v1/schedules/fixed/preview", json!({ "for_s": 0 }), 422),
    ]
}

fn rotations() -> Vec<Call> {
    let post = |scope: &str, confirm: bool, status| {
        let body = json!({ "scope": scope, "confirm": confirm });
        call(&Method::POST, "/v1/rotations", "/v1/rotations", Some(body), status)
    };
    vec![
        post("all", true, 200),
        post("user:zoe", false, 404),
        post("zoe", false, 422),
        post("all", false, 428),
    ]
}

fn hubs() -> Vec<Call> {
    let path = "/v1/hubs/{name}";
    let step_down =
        |asked: &str, status| call(&Method::POST, "/v1/hubs/{name}/step-down", asked, None, status);
    vec![
        call(&Method::GET, path, "/v1/hubs/hub-a1", None, 200),
        call(&Method::GET, path, "/v1/hubs/hub-a1?x=1", None, 422),
        call(&Method::GET, path, "/v1/hubs/zoe", None, 404),
        step_down("/v1/hubs/hub-a1/step-down", 200),
        step_down("/v1/hubs/hub-a2/step-down", 409),
        step_down("/v1/hubs/zoe/step-down", 404),
    ]
}

fn calls() -> Vec<Call> {
    [reads(), hubs(), people(), services(), schedules(), rotations()].concat()
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

#[tokio::test]
async fn an_act_may_be_written_with_a_colon() {
    let api = Api::start().await;
    let told = api.post("/v1/users/bob:revoke", json!({ "reason": "left" })).await;
    assert_eq!(
        (told.status.as_u16(), told.body["state"].as_str()),
        (200, Some("revoked")),
        "{:?}",
        told.body
    );
    let told = api.post("/v1/users/bob:restore?dry_run=true", json!({ "reason": "back" })).await;
    assert_eq!((told.status.as_u16(), told.body["dry_run"].as_bool()), (200, Some(true)), "{:?}", told.body);
    assert_eq!(api.post("/v1/users/bob:nothing", json!({})).await.status, 404);
}
