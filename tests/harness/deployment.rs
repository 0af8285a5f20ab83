//! A small deployment for `wandergate run`: everything on loopback, on free ports.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use serde_json::{Value, json};

use crate::http::Join;
use crate::product::Process;

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The configuration of a deployment with one service `web`; `edge_port` is where users reach it.
pub fn config(dir: &Path, edge_port: u16, to: SocketAddr) -> String {
    let [dns, join, hub, ops] = std::array::from_fn(|_| free_port());
    format!(
        r#"[edge]
name = "edge1"
zone = "wander.test"
listen = ["0.0.0.0"]
device = "lo"

[pool.v4]
range = "127.84.0.0/16"

[schedule.standard]
name = {{ window = "20s", lead = "3s", grace = "10s", ttl = "2s", tombstone = "30s" }}

[service.web]
to = "{to}"
listen = ["https/{edge_port}"]
auth = "name"

[dns]
listen = ["127.0.0.1:{dns}"]

[join]
listen = "127.0.0.1:{join}"
address = "127.0.0.1"
rate = "100000/min"

[fabric]
hub = "127.0.0.1:{hub}"

[state]
dir = "{dir}"

[ops]
socket = "{dir}/ops.sock"
listen = "127.0.0.1:{ops}"
"#,
        dir = dir.display()
    )
}

/// Invites a user to `web` and redeems the invite from a device; gives the lease as the demo's ready file does.
pub fn enroll(product: &Process, user: &str, device: &str) -> Value {
    enroll_for(product, user, device, &["web"]).remove(0)
}

/// The same for several services: a lease of each, in their order.
pub fn enroll_for(product: &Process, user: &str, device: &str, services: &[&str]) -> Vec<Value> {
    let invite = product.ops(&["user", "invite", user, "--service", &services.join(",")]);
    let body = json!({ "invite": invite["code"], "device": device, "class": "name" });
    let (status, answer) = Join::of(product).ask("POST", "/j/v1/enroll", &body).unwrap();
    assert_eq!(status, 201, "{answer}");
    let given = answer["services"].as_array().unwrap();
    let lease = |service: &&str| {
        let own = given.iter().find(|own| own["service"] == *service).unwrap_or_else(|| panic!("{answer}"));
        json!({ "user": user, "device": device, "service": service, "name": own["name"], "port": own["port"] })
    };
    services.iter().map(lease).collect()
}
