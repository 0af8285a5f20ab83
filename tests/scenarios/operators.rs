//! What an operator types, and what comes of it for users: the verbs of the real binary against a running process.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::clients::{address, curl, dig};
use tests::deployment::{config, enroll, free_port};
use tests::http::{Join, ops};
use tests::product::{Process, verb};
use tests::service::Hello;

/// A deployment with one service and one enrolled user, `alice`.
struct House {
    product: Process,
    lease: Value,
    service: Hello,
}

fn house() -> House {
    let (service, port) = (Hello::start(), free_port());
    let to = service.address();
    let mut product = Process::run(|dir| config(dir, port, to));
    let lease = enroll(&product, "alice", "laptop");
    product.ready["leases"] = json!([lease]);
    House { product, lease, service }
}

fn reaches(product: &Process, lease: &Value, at: IpAddr) -> bool {
    curl(product, lease, at, "/", &["--fail", "--max-time", "8"]).status.success()
}

#[test]
fn every_verb_answers_in_json_and_in_plain_text_without_a_terminal() {
    let House { product, .. } = house();
    let verbs: &[&[&str]] = &[
        &["status"],
        &["user", "ls"],
        &["user", "show", "alice"],
        &["device", "ls"],
        &["service", "ls"],
        &["schedule", "ls"],
        &["schedule", "show", "standard"],
        &["schedule", "preview", "standard", "window=1m", "grace=30s"],
        &["window", "ls"],
        &["exposure"],
        &["audit", "tail"],
        &["audit", "verify"],
        &["why", "alice"],
        &["explain", "W-4102"],
        &["openapi"],
    ];
    let socket = product.text("/ops/socket");
    for args in verbs {
        let told = product.ops(args);
        assert!(told["schema"].is_string() || args == &["openapi"], "{args:?}: {told}");
        let plain = verb(&[args, &["--socket", &socket][..]].concat());
        assert!(plain.status.success(), "{args:?}");
        let text = String::from_utf8(plain.stdout).unwrap();
        assert!(!text.trim().is_empty() && !text.contains('\u{1b}'), "{args:?}: {text:?}");
    }
}

#[test]
fn a_rotation_by_hand_moves_the_address_at_once_and_the_old_one_dies() {
    let House { product, lease, service: _service } = house();
    let old = address(&product, &lease);
    assert!(reaches(&product, &lease, old));
    product.ops(&["rotate", "--user", "alice", "--leaked"]);
    let begun = Instant::now();
    let new = loop {
        let now = address(&product, &lease);
        if now != old {
            break now;
        }
        assert!(begun.elapsed() < Duration::from_secs(4), "the name still answers with the old address");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(reaches(&product, &lease, new));
    assert!(!reaches(&product, &lease, old), "a leaked address must not wait for its grace");
}

#[test]
fn why_answers_for_an_address_a_name_a_user_a_source_a_request_and_a_code() {
    let House { product, lease, service: _service } = house();
    let at = address(&product, &lease);
    let name = lease["name"].as_str().unwrap();
    for target in [at.to_string().as_str(), name, "alice", "127.0.0.1", "W-4102", "tombstone"] {
        let told = product.ops(&["why", target]);
        assert_eq!(told["schema"], "wandergate.why/1", "{told}");
        assert!(told["what"].as_str().is_some_and(|w| !w.is_empty()), "{told}");
    }
    assert_eq!(product.ops(&["why", &at.to_string()])["owner"]["user"], "alice");
    // A request that was refused names itself in its answer.
    let refused = curl(&product, &lease, at, "/", &["-H", "Host: example.org"]);
    let problem: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!((&problem["status"], &problem["reason"]), (&json!(421), &json!("host_mismatch")), "{problem}");
    let told = product.ops(&["why", problem["instance"].as_str().unwrap()]);
    assert_eq!(told["reason"], "host_mismatch", "{told}");
}

#[test]
fn a_service_added_while_running_is_reached_and_one_removed_is_gone() {
    let House { product, service, .. } = house();
    let port = free_port();
    let to = service.address().to_string();
    product.ops(&["service", "add", "second", "--to", &to, "--port", &port.to_string(), "--pool", "v4"]);
    let invite = product.ops(&["user", "invite", "bob", "--service", "second"]);
    let body = json!({ "invite": invite["code"], "device": "phone", "class": "name" });
    let (status, answer) = Join::of(&product).ask("POST", "/j/v1/enroll", &body).unwrap();
    assert_eq!(status, 201, "{answer}");
    let lease = json!({ "name": answer["services"][0]["name"], "port": port });
    let at = address(&product, &lease);
    assert!(reaches(&product, &lease, at));
    product.ops(&["service", "rm", "second"]);
    assert!(!reaches(&product, &lease, at));
}

#[test]
fn a_schedule_set_while_running_moves_users_without_cutting_them() {
    let House { product, lease, service: _service } = house();
    product.ops(&["schedule", "show", "standard"]);
    // The file owns this schedule: the API says so, and changes nothing.
    let refused = product.ops_output(&["schedule", "set", "standard", "window=10s"]);
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(told.contains("owned_by_config"), "{told}");
    let file = product.dir.path().join("wandergate.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("window = \"20s\"", "window = \"9s\"");
    std::fs::write(&file, text).unwrap();
    product.signal("-HUP");
    let begun = Instant::now();
    let mut addresses = std::collections::BTreeSet::new();
    // The change waits until every answer given before has run out, clocks apart included; then windows of 9 s follow.
    while begun.elapsed() < Duration::from_secs(60) {
        let at = address(&product, &lease);
        assert!(reaches(&product, &lease, at), "cut off at {:?} by a change of schedule", begun.elapsed());
        addresses.insert(at);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(addresses.len() >= 5, "windows of 20 s would have given 4: {addresses:?}");
}

#[test]
fn a_process_told_to_end_lets_a_download_finish_turns_newcomers_away_and_ends_by_itself() {
    let House { mut product, lease, service: _service } = house();
    let at = address(&product, &lease);
    let done = std::thread::scope(|scope| {
        let download = scope.spawn(|| curl(&product, &lease, at, "/slow", &["--fail"]));
        std::thread::sleep(Duration::from_millis(1500));
        product.signal("-TERM");
        std::thread::sleep(Duration::from_millis(500));
        assert!(!reaches(&product, &lease, at), "a newcomer was let in during the drain");
        download.join().unwrap()
    });
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.stdout.len(), 50);
    assert_eq!(product.wait(Duration::from_secs(5)), Some(0));
    let log = product.log();
    assert!(!log.contains("\"ERROR\""), "an ordinary end is no error: {log}");
}

#[test]
fn what_strangers_say_gets_into_no_log_and_no_private_name_either() {
    let House { product, lease, service: _service } = house();
    let name = lease["name"].as_str().unwrap();
    let before = product.log().len();
    let (dark, port) = (IpAddr::from([127, 84, 250, 250]), &lease["port"]);
    for _ in 0..20 {
        // A server name that is none: the library reports such hellos, with the name in them.
        let (to, said) = (format!("{dark}:{port}"), format!("{name}:{port}"));
        let args = ["s_client", "-connect", &to, "-servername", &said];
        tests::clients::client("openssl", "openssl", &args);
    }
    let log = product.log();
    assert!(!log.contains(name.split('.').next().unwrap()), "{log}");
    assert_eq!(log.len(), before, "strangers wrote into the log: {}", &log[before..]);
}

#[test]
fn r3_13_r3_21_an_invite_enrolls_one_device_and_then_names_it() {
    let House { product, .. } = house();
    let invite = product.ops(&["user", "invite", "carol", "--service", "web", "--ttl", "1h"]);
    let join = Join::of(&product);
    let body = json!({ "invite": invite["code"], "device": "pixel-8", "class": "name" });
    assert_eq!(join.ask("POST", "/j/v1/enroll", &body).unwrap().0, 201);
    let body = json!({ "invite": invite["code"], "device": "another", "class": "name" });
    let (status, problem) = join.ask("POST", "/j/v1/enroll", &body).unwrap();
    assert_eq!((status, &problem["code"]), (410, &json!("W-4102")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("pixel-8"), "{problem}");
}

#[test]
fn the_openapi_document_that_is_served_is_the_one_that_is_checked_in() {
    let House { product, .. } = house();
    let (status, served) = ops(&product, "GET", "/v1/openapi.json", &Value::Null).unwrap();
    assert_eq!(status, 200);
    let checked_in: Value = serde_json::from_str(include_str!("../../ops/openapi.json")).unwrap();
    // Both are long: a mere comparison says enough.
    assert!(served == checked_in, "the served document differs from ops/openapi.json");
}

#[test]
fn r0_19_dns_names_nobody_and_hands_nothing_over() {
    let House { product, lease, .. } = house();
    let name = lease["name"].as_str().unwrap();
    let dns: SocketAddr = product.text("/dns").parse().unwrap();
    let at = address(&product, &lease);
    for asked in
        [&["-x", &at.to_string()][..], &[&product.text("/zone"), "AXFR"], &[name, "TXT"], &[name, "ANY"]]
    {
        let fixed = [
            format!("@{}", dns.ip()),
            "-p".into(),
            dns.port().to_string(),
            "+tries=1".into(),
            "+time=2".into(),
        ];
        let args: Vec<&str> = fixed.iter().map(String::as_str).chain(asked.iter().copied()).collect();
        let output = tests::clients::client("dig", "bind9-dnsutils", &args);
        let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
        for secret in ["alice", "laptop"] {
            assert!(!text.contains(secret), "{asked:?}: {text}");
        }
    }
    assert!(dig(&product, &product.text("/zone"), "AXFR").is_empty());
}

#[test]
fn a_taken_port_and_an_open_key_file_stop_a_start_with_their_code() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wandergate.toml");
    let port = taken.local_addr().unwrap().port();
    let text = config(dir.path(), free_port(), "127.0.0.1:9".parse().unwrap());
    let at = text.find("[fabric]\nhub = \"127.0.0.1:").unwrap() + "[fabric]\nhub = \"127.0.0.1:".len();
    let end = at + text[at..].find('"').unwrap();
    std::fs::write(&file, format!("{}{port}{}", &text[..at], &text[end..])).unwrap();
    let shown = file.display().to_string();
    let output = verb(&["run", "--config", &shown]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("W-1101"));

    // A port of the edge is found to be taken last, when everything else runs already.
    let held = TcpListener::bind("0.0.0.0:0").unwrap();
    let text_of_taken = config(dir.path(), held.local_addr().unwrap().port(), "127.0.0.1:9".parse().unwrap());
    std::fs::write(&file, text_of_taken).unwrap();
    let output = verb(&["run", "--config", &shown]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("W-1101 edge") && !told.contains("panicked"), "{told}");
    std::fs::remove_file(dir.path().join("root.key")).unwrap();

    std::fs::write(&file, &text).unwrap();
    let key = dir.path().join("root.key");
    std::fs::write(&key, "00".repeat(32)).unwrap();
    let output = verb(&["run", "--config", &shown]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("W-1401"));
}
