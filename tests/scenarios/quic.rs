//! HTTP/3 of the product: on by default, bounded under a flood, off where the configuration says so.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::Value;
use tests::clients::{address, client};
use tests::deployment::{config, free_port};
use tests::product::Process;

use crate::demo;

/// What greetings from invented sources may add: per core and port 1,024 halves of greetings, 64 handshakes, and the
/// queues between; four times that for an allocator that was never asked for it before.
const GROWTH_KIB_MAX: u64 = 96 * 1024;
const GREETINGS: &str = "20000";

/// A client of aioquic, and to whom it goes.
pub(crate) struct Client([String; 3]);

impl Client {
    /// `lease` has a name and a port.
    pub(crate) fn of(product: &Process, lease: &Value) -> Self {
        let at = address(product, lease).to_string();
        Self([at, lease["port"].to_string(), lease["name"].as_str().unwrap().to_owned()])
    }

    /// Asks once, on a connection of its own.
    pub(crate) fn asks(&self) -> Value {
        self.plays(&["get"])
    }

    fn floods(&self) -> Value {
        self.plays(&["flood", GREETINGS])
    }

    fn plays(&self, what: &[&str]) -> Value {
        let mut args = vec!["-c", include_str!("quic.py")];
        args.extend(self.0.iter().map(String::as_str).chain(what.iter().copied()));
        let python = std::env::var("WANDERGATE_PYTHON").unwrap_or_else(|_| "python3".into());
        let output = client(&python, "python3 with aioquic", &args);
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&said)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn alice(product: &Process) -> Client {
    Client::of(product, product.lease("alice"))
}

#[test]
fn an_independent_client_gets_a_page_over_http_3_without_a_word_in_the_configuration() {
    let told = alice(demo()).asks();
    assert_eq!(told["status"], 200, "{told}");
    assert!(told["alt-svc"].as_str().unwrap().starts_with("h3="), "{told}");
    assert_eq!(demo().ops(&["status"])["edge"]["http3"], true);
}

#[test]
fn a_flood_of_greetings_from_invented_sources_takes_a_bounded_amount_of_memory_and_users_are_served() {
    let mut product = Process::demo(&["--for", "200s"]);
    assert_eq!(alice(&product).asks()["status"], 200);
    let before = product.rss_kib();
    // By somebody who knows the address and its name: the worst there is.
    let told = alice(&product).floods();
    assert!(told["sent"].as_u64().unwrap() >= GREETINGS.parse().unwrap(), "{told}");
    let grown = product.rss_kib().saturating_sub(before);
    // Twice as much finds the same room.
    alice(&product).floods();
    let again = product.rss_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX && again < GROWTH_KIB_MAX, "{grown} KiB, then {again} KiB");
    let connections = &product.ops(&["status"])["edge"]["connections"];
    assert!(connections.as_u64().unwrap() <= 512, "no more than one lease may have: {connections}");
    let served = (0..60).any(|_| {
        let is_served = alice(&product).asks()["status"] == 200;
        if !is_served {
            // Whoever holds the lease's budget is that lease's own leak; it comes back with each second.
            std::thread::sleep(Duration::from_millis(500));
        }
        is_served
    });
    assert!(served && product.is_alive(), "{}", product.log());
}

#[test]
fn without_http_3_no_socket_for_it_is_there() {
    let port = free_port();
    let to = ([127, 0, 0, 1], free_port()).into();
    let product = Process::run(|dir| config(dir, port, to).replace("[edge]\n", "[edge]\nhttp3 = false\n"));
    UdpSocket::bind(("0.0.0.0", port)).expect("nobody has the port");
    assert_eq!(product.ops(&["status"])["edge"]["http3"], false);
}
