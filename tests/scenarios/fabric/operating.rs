//! What operators type at hubs, local hubs and an edge, and what is renewed under them.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::bulk::Bulk;
use tests::clients::client;
use tests::fabric::{Fabric, Plan};
use tests::product::{Process, verb};

fn text(process: &Process, args: &[&str]) -> String {
    let output = verb(&[args, &["--socket", &process.text("/ops/socket")][..]].concat());
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn hubs_are_listed_shown_asked_why_and_measured_wherever_somebody_asks() {
    let service = Bulk::start();
    let plan = Plan { planes: vec![("A", 1), ("B", 1)], ..Plan::whole(service.address()) };
    let fabric = Fabric::start(&plan);
    let told = fabric.edge.ops(&["hub", "ls"]);
    let seen: Vec<_> = told["hubs"].as_array().unwrap().iter().map(|h| (&h["name"], &h["state"])).collect();
    assert_eq!(seen, [(&json!("hub-a1"), &json!("active")), (&json!("hub-b1"), &json!("active"))]);
    assert_eq!(fabric.edge.ops(&["hub", "show", "hub-a1"])["links"][0]["lanes"].as_array().unwrap().len(), 6);
    let hub = &fabric.hubs["hub-a1"];
    assert_eq!(hub.ops(&["hub", "ls"])["hubs"][0]["here"], true);
    let links = hub.ops(&["hub", "show", "hub-a1"]);
    let far: Vec<_> = links["links"].as_array().unwrap().iter().map(|link| &link["far"]).collect();
    assert_eq!(far, [&json!("local-hub/app1"), &json!("edge/fra1")]);

    let status = text(&fabric.edge, &["status"]);
    assert!(status.contains("hubs   A active hub-a1") && status.contains("B active hub-b1"), "{status}");
    assert!(status.contains("6/6 lanes"), "{status}");
    for process in [hub, &fabric.local_hubs[0]] {
        let status = text(process, &["status"]);
        assert!(status.contains("health: all good."), "{status}");
    }
    let status = text(&fabric.local_hubs[0], &["status"]);
    assert!(status.contains("offer  web  permitted"), "{status}");

    for process in [hub, &fabric.local_hubs[0]] {
        assert_eq!(process.ops(&["why", "web"])["verdict"], "pass");
    }
    let refused = fabric.edge.ops_output(&["hub", "step-down", "hub-a1"]);
    assert_eq!(refused.status.code(), Some(6), "a hub is commanded where it runs");
    let refused = hub.ops_output(&["hub", "step-down", "hub-a1"]);
    assert_eq!(refused.status.code(), Some(6), "nobody could take over");
    for (process, line) in [
        (
            &fabric.edge,
            "wandergate_fabric_lane_up{plane=\"A\",far=\"hub/hub-a1\",lane=\"5\",class=\"bulk\"} 1",
        ),
        (&fabric.edge, "wandergate_hub_state{plane=\"B\",hub=\"hub-b1\",state=\"active\"} 1"),
        (hub, "wandergate_fabric_lanes_up{plane=\"A\"} 12"),
        (&fabric.local_hubs[0], "wandergate_fabric_plane_active{plane=\"B\"} 1"),
    ] {
        let socket = process.text("/ops/socket");
        let output = client("curl", "curl", &["-sS", "--unix-socket", &socket, "http://localhost/metrics"]);
        let metrics = String::from_utf8(output.stdout).unwrap();
        assert!(metrics.lines().any(|l| l == line), "{line}: {metrics}");
    }
}

#[test]
fn credentials_are_renewed_under_traffic_and_a_broken_wiring_leaves_the_old_one() {
    let service = Bulk::start();
    let plan = Plan { planes: vec![("A", 1)], ..Plan::whole(service.address()) };
    let fabric = Fabric::start(&plan);
    let traffic = fabric.user().ask_on(2);
    let begun = Instant::now();
    let (ca, wiring) = (fabric.files().path("fabric-ca.pem"), fabric.files().wiring());
    let (out, shown) = (wiring.parent().unwrap().display().to_string(), wiring.display().to_string());
    let issued = verb(&["hub", "issue", "--ca", &ca, "--wiring", &shown, "--out", &out, "--for", "7d"]);
    assert!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
    let good = std::fs::read_to_string(&wiring).unwrap();
    std::fs::write(&wiring, good.replace("[edge.fra1]", "[edge.fra1]\nopen = 3")).unwrap();
    let hub = &fabric.hubs["hub-a1"];
    for process in [hub, &fabric.local_hubs[0], &fabric.edge] {
        process.signal("-HUP");
    }
    let logged = |process: &Process, word: &str| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !process.log().contains(word) {
            assert!(Instant::now() < deadline, "no {word} in {}", process.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    for process in [hub, &fabric.local_hubs[0]] {
        logged(process, "tls.renew");
        logged(process, "wiring.reject");
    }
    logged(&fabric.edge, "tls.renew");
    std::fs::write(&wiring, good).unwrap();
    hub.signal("-HUP");
    logged(hub, "wiring.load");
    let window = traffic.finish().since(begun);
    assert_eq!(window.failed, 0, "{window}");
    let told = fabric.edge.ops(&["status"]);
    assert_eq!(told["fabric"]["planes"][0]["lanes_up"], 6, "{told}");
}

#[test]
fn a_wiring_that_takes_a_permission_away_is_obeyed_at_once() {
    let service = Bulk::start();
    let plan = Plan { planes: vec![("A", 1)], ..Plan::whole(service.address()) };
    let fabric = Fabric::start(&plan);
    let wiring = fabric.files().wiring();
    let good = std::fs::read_to_string(&wiring).unwrap();
    std::fs::write(&wiring, good.replace("opens = [\"web\"]", "opens = []")).unwrap();
    let hub = &fabric.hubs["hub-a1"];
    // An empty list is a mistake; a line that is not there grants nothing.
    std::fs::write(&wiring, good.replace("opens = [\"web\"]", "")).unwrap();
    hub.signal("-HUP");
    let deadline = Instant::now() + Duration::from_secs(5);
    let user = fabric.user();
    let refused = loop {
        match user.request("/") {
            Err(error) => break error.to_string(),
            Ok(_) => assert!(Instant::now() < deadline, "the service can still be opened"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(refused.contains("not_permitted") || refused.contains("service_unknown"), "{refused}");
    let why = fabric.edge.ops(&["why", "web"]);
    assert!(!why["fabric"].as_array().unwrap().is_empty(), "{why}");
}
