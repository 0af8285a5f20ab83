//! The inside as it stands on several computers: every member a process of its own, with its sockets and its operators.

mod failures;
mod operating;

use std::net::SocketAddr;

use serde_json::json;
use tests::bulk::Bulk;
use tests::fabric::{Fabric, Plan};
use tests::product::verb;
use tests::sockets::{connections, listeners};

/// Ports of the wiring: for members, between hubs.
fn ports(fabric: &Fabric) -> (u16, u16) {
    let wiring: toml::Table = std::fs::read_to_string(fabric.files().wiring()).unwrap().parse().unwrap();
    let hub = wiring["plane"]["A"]["hub"]["hub-a1"].as_table().unwrap();
    let port = |key: &str| u16::try_from(hub[key].as_integer().unwrap()).unwrap();
    (port("members"), port("between"))
}

#[test]
fn r0_02_r0_03_r0_05_r0_06_r0_08_r0_14_a_whole_fabric_has_the_sockets_of_the_plan_and_no_others() {
    let service = Bulk::start();
    let fabric = Fabric::start(&Plan::whole(service.address()));
    let (members, between) = ports(&fabric);

    let local = fabric.local_hubs[0].pid();
    assert_eq!(
        listeners(local),
        [],
        "a local hub accepts from nowhere but its own computer, and here from nobody"
    );
    for plane in ["A", "B"] {
        let active = fabric.active(plane);
        assert_eq!(fabric.actives(plane), std::slice::from_ref(&active), "three were started, one is active");
        let mut meshed = 0;
        for (name, hub) in fabric.hubs.iter().filter(|(name, _)| name[4..5] == plane.to_lowercase()) {
            let mut accepts: Vec<u16> = listeners(hub.pid()).iter().map(SocketAddr::port).collect();
            accepts.sort_unstable();
            let mut planned = [members, between];
            planned.sort_unstable();
            assert_eq!(accepts, planned, "{name}");
            let ends = connections(hub.pid());
            meshed += ends.iter().filter(|(_, far)| far.port() == between).count();
            let linked = ends.iter().filter(|(own, _)| own.port() == members).count();
            let wanted = if *name == active { 12 } else { 0 };
            assert_eq!(
                linked, wanted,
                "six of the edge and six of the local hub at the active, none at {name}"
            );
        }
        assert_eq!(meshed, 3, "one connection between each pair of three");
    }
    let lanes = connections(local);
    assert_eq!(lanes.iter().filter(|(_, far)| far.port() == members).count(), 12, "six lanes to each plane");
}

#[test]
fn r0_08_a_standby_refuses_a_local_hub_that_knows_nobody_else() {
    let service = Bulk::start();
    let plan = Plan { planes: vec![("A", 3)], local_hubs: 2, ..Plan::whole(service.address()) };
    let fabric = Fabric::start(&plan);
    let (active, standby) = (fabric.active("A"), fabric.standby("A"));
    let text = std::fs::read_to_string(fabric.files().wiring()).unwrap();
    let mut wiring: toml::Table = text.parse().unwrap();
    let hubs = wiring["plane"]["A"]["hub"].as_table_mut().unwrap();
    hubs.retain(|name, _| *name == standby);
    let hosts = wiring["host"].as_table_mut().unwrap();
    hosts.retain(|name, _| !name.starts_with("hub-") || *name == standby);
    let alone = fabric.files().wiring().with_file_name("alone.toml");
    std::fs::write(&alone, toml::to_string(&wiring).unwrap()).unwrap();
    let mut renewed = fabric.member("local-hub", "app1", &alone);
    std::thread::sleep(std::time::Duration::from_secs(1));
    let told = fabric.member_status(&renewed);
    let plane = &told["fabric"]["planes"][0];
    assert_eq!((&plane["lanes_up"], &plane["state"]), (&json!(0), &json!("down")), "{told}");
    assert_ne!(fabric.standby("A"), active);
    assert!(renewed.is_alive(), "it goes on trying");
}

#[test]
fn r0_03_a_second_process_under_one_identity_gets_no_lane_and_takes_none() {
    let service = Bulk::start();
    let plan = Plan { planes: vec![("A", 1)], ..Plan::whole(service.address()) };
    let fabric = Fabric::start(&plan);
    let traffic = fabric.user().ask_on(2);
    let begun = std::time::Instant::now();
    let twin = fabric.member("local-hub", "app1", &fabric.files().wiring());
    std::thread::sleep(std::time::Duration::from_secs(2));
    let told = fabric.member_status(&twin);
    let plane = &told["fabric"]["planes"][0];
    assert_eq!(plane["lanes_up"], 0, "{told}");
    assert_eq!(told["health"]["state"], "unhealthy", "{told}");
    let hub = fabric.member_status(&fabric.hubs["hub-a1"]);
    let refused = hub["fabric"]["planes"][0]["refused"].as_array().unwrap();
    assert!(refused.iter().any(|row| row["reason"] == "identity_taken"), "{hub}");
    let window = traffic.finish().since(begun);
    assert_eq!(window.failed, 0, "{window}");
}

#[test]
fn r0_10_an_edge_reaches_no_service_of_operators_and_its_refusal_is_answerable() {
    let service = Bulk::start();
    let plan = Plan { planes: vec![("A", 1)], ..Plan::whole(service.address()) };
    let fabric = Fabric::start(&plan);
    // The wiring can't even say it.
    let text = std::fs::read_to_string(fabric.files().wiring()).unwrap();
    let greedy = fabric.files().wiring().with_file_name("greedy.toml");
    std::fs::write(&greedy, text.replace("opens = [\"web\"]", "opens = [\"web\", \"ops\"]")).unwrap();
    let refused = verb(&["check", &greedy.display().to_string()]);
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stdout));

    // An edge that tries is told so, and so is whoever asks why.
    let port = fabric.lease["port"].to_string();
    fabric.edge.ops(&["service", "add", "ops", "--to", "fabric", "--port", &port]);
    let invite = fabric.edge.ops(&["user", "invite", "mallory", "--service", "ops"]);
    let body = json!({ "invite": invite["code"], "device": "laptop", "class": "name" });
    let (status, answer) = tests::http::Join::of(&fabric.edge).ask("POST", "/j/v1/enroll", &body).unwrap();
    assert_eq!(status, 201, "{answer}");
    let lease = &answer["services"][0];
    let at = tests::clients::address(&fabric.edge, lease);
    let met = tests::traffic::User::new(&fabric.edge, lease, at).request("/v1/status");
    let met = met.unwrap_err().to_string();
    assert!(met.contains("not_permitted") || met.contains("service_unknown"), "{met}");
    let why = fabric.edge.ops(&["why", "ops"]);
    let caller = &why["fabric"][0]["caller"];
    assert_eq!((&why["fabric"][0]["service"], caller), (&json!("ops"), &json!("edge/fra1")), "{why}");
}

#[test]
fn r0_18_a_local_hub_that_is_somebody_elses_gets_nothing_out_of_a_hub() {
    let service = Bulk::start();
    let plan = Plan { planes: vec![("A", 1)], ..Plan::whole(service.address()) };
    let fabric = Fabric::start(&plan);
    let hub = &fabric.hubs["hub-a1"];
    let at = hub.text("/address");
    let credentials = fabric.files().path("app1.pem");
    // With its own key it gets through TLS; nothing that the outside world speaks gets further.
    for asked in ["CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let program = format!(
            "printf '{asked}' | timeout 8 openssl s_client -quiet -connect {at} -tls1_3 -cert {credentials} -key {credentials} 2>/dev/null"
        );
        let output = tests::clients::client("sh", "dash", &["-c", &program]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains("HTTP/"), "{text}");
    }
    // Nor is its key an edge's: no gateway starts with it.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edge.toml");
    let text = std::fs::read_to_string(fabric.edge.dir.path().join("wandergate.toml")).unwrap();
    let state = dir.path().display().to_string();
    let own = fabric.edge.dir.path().display().to_string();
    let text = text.replace("fra1.pem", "app1.pem").replace(&own, &state);
    let text = text.replace("dns]\nlisten = [\"127.0.0.1", "dns]\nlisten = [\"127.0.0.2");
    std::fs::write(&file, text.replace("listen = \"127.0.0.1", "listen = \"127.0.0.2")).unwrap();
    let output = verb(&["run", "--config", &file.display().to_string()]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("local-hub/app1"), "{told}");
}
