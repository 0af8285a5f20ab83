//! A user is enrolled, gets a private address that moves, and reaches a service through the fabric.

use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use serde_json::Value;
use tests::clients::{address, client, curl, fetch, python};
use tests::product::Process;
use tests::tcp::{End, meet};

use crate::demo;

/// The second at which the product's schedule has surely let go of an address seen now.
fn window_and_grace(product: &Process) -> Duration {
    let seconds = |name: &str| product.ready["schedule"][name].as_u64().unwrap();
    Duration::from_secs(seconds("period_s") + seconds("grace_s") + 2)
}

#[test]
fn a_page_is_fetched_by_a_private_name_with_plain_curl() {
    let product = demo();
    for user in ["alice", "bob"] {
        let page = String::from_utf8(fetch(product, product.lease(user), "/")).unwrap();
        assert!(page.contains(user), "the service knows who asks: {page}");
    }
}

#[test]
fn a_python_client_that_resolves_by_itself_fetches_a_page() {
    let product = demo();
    let lease = product.lease("alice");
    let args = [
        &product.text("/dns"),
        lease["name"].as_str().unwrap(),
        &lease["port"].to_string(),
        &product.text("/ca_file"),
    ];
    let args: Vec<&str> = args.iter().map(|a| *a as &str).collect();
    assert_eq!(python(include_str!("client.py"), &args).trim(), "200");
}

#[test]
fn r0_21_a_users_name_on_another_users_address_is_refused_without_a_byte() {
    let product = demo();
    let (alice, bob) = (product.lease("alice"), product.lease("bob"));
    let refused = curl(product, alice, address(product, bob), "/", &[]);
    assert!(!refused.status.success());
    assert!(refused.stdout.is_empty());
    // And the journal can tell why.
    let told = product.ops(&["why", "name_mismatch"]);
    assert_eq!(told["reason"], "name_mismatch", "{told}");
}

#[test]
fn r0_22_after_window_and_grace_the_old_address_is_dead_and_the_name_answers_with_a_new_one() {
    let product = demo();
    let lease = product.lease("alice");
    let old = address(product, lease);
    std::thread::sleep(window_and_grace(product));
    let new = address(product, lease);
    assert_ne!(old, new);
    assert!(curl(product, lease, new, "/", &["--fail"]).status.success());
    let begun = Instant::now();
    let dead = curl(product, lease, old, "/", &[]);
    assert!(!dead.status.success() && dead.stdout.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(2), "a tombstone is told at once, so that clients move on");
}

#[test]
fn a_download_of_a_minute_survives_every_rotation_on_the_way() {
    let product = demo();
    let lease = product.lease("bob");
    let at = address(product, lease);
    let done = curl(
        product,
        lease,
        at,
        "/drip?seconds=60",
        &["--fail", "-w", "%{http_code} %{time_total}", "-o", "/dev/null"],
    );
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let told = String::from_utf8(done.stdout).unwrap();
    let (code, seconds) = told.split_once(' ').unwrap();
    assert_eq!(code, "200");
    assert!(seconds.parse::<f64>().unwrap() >= 55.0, "it did last across rotations: {seconds}");
    assert_ne!(address(product, lease), at);
}

#[test]
fn two_hundred_megabytes_come_through_the_fabric_unchanged() {
    let product = demo();
    let lease = product.lease("alice");
    let expected = String::from_utf8(fetch(product, lease, "/sha256/200000000")).unwrap();
    let body = fetch(product, lease, "/bytes/200000000");
    assert_eq!(body.len(), 200_000_000);
    let hex = data_encoding::HEXLOWER.encode(digest(&SHA256, &body).as_ref());
    assert_eq!(hex, expected.trim());
}

#[test]
fn an_upload_reaches_the_service_unchanged_over_both_protocols() {
    let product = demo();
    let lease = product.lease("alice");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("body");
    let body: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_be_bytes).take(5_000_000).collect();
    std::fs::write(&file, &body).unwrap();
    let data = format!("@{}", file.display());
    for version in ["--http1.1", "--http2"] {
        let more = ["--fail", version, "--data-binary", &data];
        let echoed = curl(product, lease, address(product, lease), "/echo", &more);
        assert!(echoed.status.success(), "{}", String::from_utf8_lossy(&echoed.stderr));
        assert!(echoed.stdout == body, "{version}");
    }
}

#[test]
fn ten_thousand_small_requests_pass_over_keep_alive_and_over_http2() {
    let product = demo();
    let lease = product.lease("bob");
    for protocol in [&["--h1"][..], &[]] {
        let at = address(product, lease);
        let (name, port) = (lease["name"].as_str().unwrap(), &lease["port"]);
        let url = format!("https://{name}:{port}/hello");
        let to = format!("--connect-to={at}:{port}");
        let load = ["-n", "10000", "-c", "8", "-m", "8", &to, &url];
        let output = client("h2load", "nghttp2-client", &[protocol, &load].concat());
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains("10000 succeeded, 0 failed, 0 errored, 0 timeout"), "{protocol:?}: {told}");
        assert!(told.contains("status codes: 10000 2xx"), "{told}");
    }
}

#[test]
fn a_revoked_user_is_refused_within_a_second_and_its_connections_are_closed() {
    let product = Process::demo(&["--for", "120s"]);
    let lease = product.lease("bob").clone();
    let at = address(&product, &lease);
    let mut download = begin_download(&product, &lease, at);
    std::thread::sleep(Duration::from_secs(2));
    assert!(download.try_wait().unwrap().is_none(), "the download is under way");
    let begun = Instant::now();
    let told = product.ops(&["user", "revoke", "bob", "--reason", "left"]);
    assert!(told["closed_connections"].as_u64().unwrap() >= 1, "{told}");
    while download.try_wait().unwrap().is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "an established connection outlived the revocation"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    let refused = curl(&product, &lease, at, "/", &["--max-time", "8"]);
    assert!(!refused.status.success() && refused.stdout.is_empty());
    // The name still answers, as any unknown label does: a stranger can't tell that it once was somebody's.
    let decoy: IpAddr = address(&product, &lease);
    assert!(!curl(&product, &lease, decoy, "/", &["--max-time", "8"]).status.success());
    assert!(
        curl(&product, product.lease("alice"), address(&product, product.lease("alice")), "/", &["--fail"])
            .status
            .success()
    );
    let told = product.ops(&["user", "restore", "bob"]);
    assert_eq!(told["user"], "bob", "{told}");
    assert!(!fetch(&product, &lease, "/").is_empty());
}

fn begin_download(product: &Process, lease: &Value, at: IpAddr) -> std::process::Child {
    let (name, port) = (lease["name"].as_str().unwrap(), &lease["port"]);
    Command::new("curl")
        .args([
            "-sS",
            "--cacert",
            &product.text("/ca_file"),
            "--connect-to",
            &format!("{name}:{port}:{at}:{port}"),
        ])
        .args(["-o", "/dev/null", &format!("https://{name}:{port}/drip?seconds=60")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("curl starts: apt-get install curl")
}

#[test]
fn r0_20_a_stranger_meets_the_same_silence_at_a_dark_address_and_at_a_live_one() {
    let product = demo();
    let lease = product.lease("alice");
    let port = u16::try_from(lease["port"].as_u64().unwrap()).unwrap();
    let (live, dark) = (address(product, lease), IpAddr::from([127, 83, 255, 254]));
    let patience = Duration::from_secs(8);
    for bytes in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0], &[0xff; 20_000]] {
        let met = [live, dark].map(|at| meet((at, port).into(), bytes, patience));
        for met in &met {
            assert!(met.received.is_empty(), "a stranger got {:?}", met.received);
            assert_ne!(met.end, End::Open);
        }
        assert_eq!(met[0].end, met[1].end, "{:?}", bytes.len());
        let apart = met[0].after.abs_diff(met[1].after);
        assert!(apart < Duration::from_millis(500), "they can be told apart by time: {apart:?}");
    }
}
