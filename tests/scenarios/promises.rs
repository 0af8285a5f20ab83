//! What the README promises, measured by the command that the README names.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::clients::client;
use tests::product::verb;

use crate::demo;

#[test]
fn r0_24_a_demo_under_attack_ends_with_no_user_error_no_stranger_hit_and_registrations_shed() {
    let output = verb(&["demo", "--for", "40s", "--attack", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(output.status.success(), "{last}\n{}", String::from_utf8_lossy(&output.stderr));
    let number = |pointer: &str| {
        last.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {last}"))
    };
    assert!(number("/rotations") >= 2.0);
    assert!(number("/users/requests") >= 100.0);
    assert_eq!(number("/users/errors"), 0.0);
    assert!(number("/users/p99_quiet_ms") > 0.0 && number("/users/p99_attack_ms") > 0.0);
    assert!(number("/strangers/probes") >= 100.0);
    assert_eq!(number("/strangers/hits"), 0.0);
    assert!(number("/registration/shed") >= 1.0);
}

#[test]
fn r2_11_r2_16_nothing_listens_but_what_the_ready_file_names_and_ops_only_on_loopback() {
    let product = demo();
    let output = client("ss", "iproute2", &["-Hlntup"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let pid = format!("pid={},", product.pid());
    let port = |address: &str| address.rsplit_once(':').map(|(_, p)| p.parse::<u16>().unwrap()).unwrap();
    let found: BTreeSet<(String, u16)> = text
        .lines()
        .filter(|line| line.contains(&pid))
        .map(|line| {
            let local = line.split_whitespace().nth(4).unwrap();
            (local.rsplit_once(':').unwrap().0.to_owned(), port(local))
        })
        .collect();
    let edge = u16::try_from(product.lease("alice")["port"].as_u64().unwrap()).unwrap();
    let ops = port(product.text("/ops/url").trim_end_matches('/'));
    assert!(found.contains(&("127.0.0.1".into(), ops)), "{found:?}");
    for (address, at) in &found {
        // Wildcards are the edge's alone, and bound to the loopback device in a demo.
        let wildcard = address == "0.0.0.0%lo" || address == "0.0.0.0";
        assert!(address == "127.0.0.1" || (wildcard && *at == edge), "an extra listener: {address}:{at}");
    }
}

#[test]
fn a_demo_leaves_nothing_behind() {
    let kept = || -> BTreeSet<_> {
        let all = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten().map(|e| e.file_name());
        all.filter(|name| name.to_string_lossy().starts_with("wandergate-demo-")).collect()
    };
    let product = tests::product::Process::demo(&["--for", "60s"]);
    let during = kept();
    let dir = product.text("/ops/socket");
    drop(product);
    assert!(!std::path::Path::new(&dir).exists());
    assert!(kept().len() < during.len(), "{during:?}");
}
