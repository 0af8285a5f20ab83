//! Hubs as the API shows them, on a gateway and on the control socket of a process of the fabric alone.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use defense::Reason;
use http::{Method, StatusCode};
use ops::eyes::{
    FabricEyes, FabricSection, HubSection, LaneSection, LinkSection, PlaneSection, StreamRefusal,
};
use ops::http::{bind_unix, control};
use serde_json::{Value, json};
use state::Clock;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Answer, Api, exchange};

fn plane(name: &str, state: &str, here: bool) -> PlaneSection {
    let hub = |number: usize, state: &str, here| HubSection {
        name: format!("hub-{}{number}", name.to_lowercase()),
        state: state.into(),
        term: Some(7),
        here,
        ..HubSection::default()
    };
    let lane = LaneSection { class: "bulk".into(), up: true, streams: 2, ..LaneSection::default() };
    let far = if here { "edge/edge1".to_owned() } else { format!("hub/hub-{}1", name.to_lowercase()) };
    PlaneSection {
        plane: name.into(),
        state: state.into(),
        active: Some(format!("hub-{}1", name.to_lowercase())),
        term: Some(7),
        lanes_up: 6,
        lanes: 6,
        services: vec!["web".into()],
        hubs: vec![hub(1, "active", here), hub(2, "standby", false)],
        links: vec![LinkSection { far, ready: true, lanes: vec![lane; 6], ..LinkSection::default() }],
        ..PlaneSection::default()
    }
}

fn refusal(service: &str) -> StreamRefusal {
    let reason = "not_permitted".into();
    StreamRefusal { ago_s: 3, service: service.into(), caller: "edge/edge1".into(), reason, count: 2 }
}

#[tokio::test]
async fn every_instance_is_listed_with_what_this_process_knows_of_it() {
    let api = Api::start().await;
    let planes = vec![plane("A", "active", false), plane("B", "down", false)];
    api.eyes.sections.lock().unwrap().fabric =
        FabricSection { planes, refusals: vec![refusal("web"), refusal("ssh")], ..FabricSection::default() };
    let told = api.get("/v1/hubs").await;
    assert_eq!((told.status, &told.body["schema"]), (StatusCode::OK, &json!("wandergate.hub.list/1")));
    let names: Vec<&Value> = told.body["hubs"].as_array().unwrap().iter().map(|h| &h["name"]).collect();
    assert_eq!(names, ["hub-a1", "hub-a2", "hub-b1", "hub-b2"]);
    assert_eq!(told.body["hubs"][0]["lanes_up"], 6);
    assert_eq!(told.body["hubs"][1]["lanes"], 0, "no lane leads to a standby");
    assert_eq!(told.body["hubs"][0]["streams"], 12);

    let one = api.get("/v1/hubs/hub-a1").await;
    assert_eq!(one.body["links"][0]["lanes"].as_array().unwrap().len(), 6);
    assert_eq!(one.body["services"], json!(["web"]));
    assert_eq!(api.get("/v1/hubs/hub-a9").await.body["reason"], "unknown_hub");

    let health = api.get("/v1/health/ready").await;
    assert_eq!(health.status, StatusCode::OK);
    assert!(health.body["notices"][0].as_str().unwrap().contains("Plane B is down"), "{}", health.body);
    let why = api.get("/v1/why?target=web").await;
    assert_eq!(why.body["fabric"], json!([refusal("web")]), "streams to other services are not its matter");
    let why = api.get("/v1/why?target=not_permitted").await;
    assert_eq!(why.body["fabric"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_hub_steps_down_only_where_it_runs() {
    let api = Api::start().await;
    api.eyes.sections.lock().unwrap().fabric.planes =
        vec![plane("A", "active", true), plane("B", "active", false)];
    let elsewhere = api.post("/v1/hubs/hub-b1:step-down", Value::Null).await;
    assert_eq!((elsewhere.status, &elsewhere.body["code"]), (StatusCode::CONFLICT, &json!("W-7115")));
    let tried = api.post("/v1/hubs/hub-a1:step-down?dry_run=true", Value::Null).await;
    assert_eq!((tried.status, &tried.body["changed"]), (StatusCode::OK, &json!(false)));
    assert!(api.eyes.stepped_down.lock().unwrap().is_empty());
    let done = api.post("/v1/hubs/hub-a1:step-down", Value::Null).await;
    assert_eq!((done.status, &done.body["changed"]), (StatusCode::OK, &json!(true)));
    assert_eq!(*api.eyes.stepped_down.lock().unwrap(), ["hub-a1"]);
}

#[tokio::test]
async fn metrics_are_plain_text_with_lanes_links_and_planes() {
    let api = Api::start().await;
    api.eyes.sections.lock().unwrap().fabric.planes = vec![plane("A", "active", false)];
    let told = api.get("/metrics").await;
    assert_eq!(told.status, StatusCode::OK);
    assert!(told.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
}

/// A hub's process.
struct Alone(FabricSection);

impl FabricEyes for Alone {
    fn fabric(&self) -> FabricSection {
        self.0.clone()
    }

    fn step_down(&self, _: &str) -> Result<(), Reason> {
        Err(Reason::StepDownRefused)
    }
}

struct Control {
    socket: std::path::PathBuf,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Control {
    async fn start(planes: Vec<PlaneSection>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("hub.sock");
        let unix = bind_unix(&socket).await.unwrap();
        let stop = CancellationToken::new();
        let (role, name) = ("hub".into(), "hub-a1".into());
        let eyes = Arc::new(Alone(FabricSection {
            role,
            name,
            planes,
            refusals: vec![refusal("web")],
            ..FabricSection::default()
        }));
        control::start("0.0.0-test", Clock::system(), eyes, unix, &stop).unwrap();
        Self { socket, stop, _folder: folder }
    }

    async fn ask(&self, method: Method, path: &str) -> Answer {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        exchange(stream, method, path, &[], bytes::Bytes::new()).await
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn a_hubs_control_socket_speaks_as_the_ops_api_does() {
    let control = Control::start(vec![plane("A", "active", true)]).await;
    let mode = std::fs::metadata(&control.socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let status = control.ask(Method::GET, "/v1/status").await;
    assert_eq!((&status.body["role"], &status.body["health"]["state"]), (&json!("hub"), &json!("good")));
    assert_eq!(control.ask(Method::GET, "/v1/hubs").await.body["hubs"][0]["here"], true);
    let why = control.ask(Method::GET, "/v1/why?target=web").await;
    assert_eq!((&why.body["schema"], &why.body["verdict"]), (&json!("wandergate.why/1"), &json!("pass")));
    assert_eq!(why.body["fabric"][0]["count"], 2);
    let absent = control.ask(Method::GET, "/v1/why?target=ssh").await;
    assert_eq!(absent.body["code"], "W-7104");
    let metrics = control.ask(Method::GET, "/metrics").await;
    assert_eq!(metrics.status, StatusCode::OK);
    let refused = control.ask(Method::POST, "/v1/hubs/hub-a1/step-down").await;
    assert_eq!((refused.status, &refused.body["code"]), (StatusCode::CONFLICT, &json!("W-7116")));
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    let users = control.ask(Method::GET, "/v1/users").await;
    assert_eq!(users.body["reason"], "not_found", "it has no users to tell of");
    assert_eq!(control.ask(Method::DELETE, "/v1/hubs").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_hub_that_knows_no_active_is_alive_and_not_ready() {
    let control = Control::start(vec![plane("A", "electing", true)]).await;
    assert_eq!(control.ask(Method::GET, "/v1/health/live").await.status, StatusCode::OK);
    assert_eq!(control.ask(Method::GET, "/v1/health/ready").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let standby = Control::start(vec![plane("A", "standby", true)]).await;
    assert_eq!(standby.ask(Method::GET, "/v1/health/ready").await.status, StatusCode::OK);
}
