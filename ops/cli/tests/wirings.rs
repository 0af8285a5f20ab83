//! Wiring files: the examples are good, and every kind of mistake is reported at its place, with a way out.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its own files has to stop")]

use std::process::Command;

use fabric::topology::nft::parse_nft;
use fabric::topology::{Door, Health, Protocol};
use fabric::{Identity, Role};
use proptest::prelude::*;
use serde_json::Value;
use wandergate_cli::wiring_file::{self, Checked};

const EXAMPLE: &str = include_str!("../../wiring.example.toml");
const SMALL: &str = include_str!("../../wiring.small.example.toml");

fn taken(text: &str) -> Checked {
    wiring_file::parse(text, "wiring.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_examples_are_good_and_give_nothing_to_warn_of() {
    for text in [EXAMPLE, SMALL] {
        let checked = taken(text);
        assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    }
}

#[test]
fn the_example_says_what_it_means() {
    let topology = taken(EXAMPLE).topology;
    let (plane, a3) = topology.hub("a3").unwrap();
    assert_eq!((plane.name.as_str(), a3.members.to_string()), ("A", "10.0.0.13:7000".to_owned()));
    assert_eq!(topology.hub("a1").unwrap().1.between.to_string(), "10.0.0.11:7001");
    let app1 = topology.local_hub("app1").unwrap();
    assert!(matches!(&app1.door, Some(Door::Unix(path)) if path.ends_with("servers.sock")));
    let web = &app1.services[0];
    assert_eq!((web.servers.len(), &web.health, web.proxy), (2, &Health::Http("/health".into()), true));
    let voice = &topology.local_hub("app2").unwrap().services[1];
    assert_eq!((voice.protocol, &voice.health), (Protocol::Udp, &Health::None));
    let dns = &topology.edge("fra1").unwrap().outside[1];
    assert_eq!((dns.name.as_str(), dns.to_string()), ("dns", "53/tcp+udp".to_owned()));
    let wiring = topology.wiring();
    let local = Identity::new(Role::LocalHub, "app2").unwrap();
    let edge = Identity::new(Role::Edge, "fra1").unwrap();
    assert!(wiring.may_offer(&local, "voice") && !wiring.may_offer(&local, "jobs"));
    assert!(wiring.may_open(&edge, "jobs") && !wiring.may_open(&edge, "mail"));
}

fn wandergate(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wandergate")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn example(name: &str) -> String {
    format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn check_tells_a_wiring_from_a_configuration() {
    let (code, said, _) = wandergate(&["check", &example("wiring.example.toml")]);
    assert_eq!(code, 0);
    assert!(said.ends_with("is a good wiring: 2 planes, 4 hubs, 2 local hubs, 1 edge\n"), "{said}");
    let (code, said, _) = wandergate(&["check", &example("wiring.example.toml"), "--json"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &json["ok"], &json["warnings"]), (0, &Value::Bool(true), &serde_json::json!([])));
}

#[test]
fn check_refuses_with_the_line_and_warns_without_refusing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wiring.toml");
    let path = file.display().to_string();
    std::fs::write(&file, SMALL.replace("between = 7001", "between = 7000")).unwrap();
    let (code, said, complained) = wandergate(&["check", &path]);
    assert_eq!((code, said.as_str()), (2, ""));
    assert!(complained.contains("wiring.toml:19:11 W-1313 "), "{complained}");
    assert!(complained.contains("(line 18).") && complained.contains("  fix: "), "{complained}");

    std::fs::write(&file, SMALL.replace("[\"web\"]", "[\"web\", \"wep\"]")).unwrap();
    let (code, said, _) = wandergate(&["check", &path]);
    assert_eq!(code, 0);
    assert!(
        said.contains("wiring.toml:29:19 warning: edge.edge1.opens[1] = \"wep\" is offered by nobody."),
        "{said}"
    );
    let (_, said, _) = wandergate(&["check", &path, "--json"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (json["warnings"][0]["line"].as_u64(), &json["warnings"][0]["suggestion"]),
        (Some(29), &"web".into())
    );
}

#[test]
fn show_draws_the_whole_and_says_what_it_does_not_survive() {
    let (code, said, _) = wandergate(&["fabric", "show", "--wiring", &example("wiring.example.toml")]);
    assert_eq!(code, 0);
    for part in [
        "edge fra1 on fra1",
        "| plane A ",
        "| plane B ",
        "local hub app2 on app2",
        "jobs  tcp server worker1",
        "plane A has three hubs: it survives the death of one, and stops when two die",
        "service voice is on host app2 alone",
        "app1    local-hub  10.0.0.31                  nothing      7000",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let (_, said, _) = wandergate(&["fabric", "show", "--json", "--wiring", &example("wiring.example.toml")]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(json["schema"], "wandergate.fabric.show/1");
    assert_eq!(json["planes"][0]["hubs"][2]["members"], "10.0.0.13:7000");
    assert_eq!(json["local_hubs"][0]["services"][1]["native"][0], "worker1");
}

#[test]
fn the_rules_of_a_host_are_printed_and_compared_with_those_that_stand() {
    let wiring = example("wiring.example.toml");
    let rules =
        |more: &[&str]| wandergate(&[&["fabric", "rules", "app1", "--wiring", &wiring], more].concat());
    let (code, said, _) = rules(&[]);
    assert_eq!((code, Some(said.clone())), (0, taken(EXAMPLE).topology.nft("app1")));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wandergate.nft");
    let path = file.display().to_string();
    std::fs::write(&file, &said).unwrap();
    assert_eq!(rules(&["--against", &path]).0, 0);
    let less: String =
        said.lines().filter(|line| !line.contains("10.0.0.12")).map(|l| format!("{l}\n")).collect();
    std::fs::write(&file, less).unwrap();
    let (code, told, complained) = rules(&["--against", &path]);
    assert_eq!(code, 6);
    assert!(told.contains("  missing  ip daddr 10.0.0.12 tcp dport 7000 accept"), "{told}");
    assert!(complained.contains("W-1314"), "{complained}");
    std::fs::write(&file, said.replace("tcp dport 7000", "tcp dport 22")).unwrap();
    let (_, told, _) = rules(&["--against", &path]);
    assert_eq!((told.matches("  missing  ").count(), told.matches("  extra    ").count()), (4, 4), "{told}");
    std::fs::write(
        &file,
        said.replace("\t}\n\tchain forwards", "\t\ttcp dport 22 accept\n\t}\n\tchain forwards"),
    )
    .unwrap();
    let (code, _, complained) = rules(&["--against", &path]);
    assert_eq!(code, 2);
    assert!(complained.contains("is not one of ours"), "{complained}");
}

#[test]
fn a_host_that_is_not_there_is_named_with_the_one_that_was_meant() {
    let wiring = example("wiring.example.toml");
    let (code, _, complained) = wandergate(&["fabric", "rules", "ap1", "--wiring", &wiring]);
    assert_eq!(code, 3);
    assert!(complained.contains("Did you mean \"app1\"?"), "{complained}");
    let (code, _, complained) = wandergate(&["fabric", "show", "--wiring", "absent.toml"]);
    assert_eq!(code, 2);
    assert!(complained.contains("absent.toml W-1300 cannot be read"), "{complained}");
    let (code, _, complained) = wandergate(&["fabric", "show", "--dry-run", "--wiring", &wiring]);
    assert_eq!(code, 2);
    assert!(complained.contains("--dry-run"), "{complained}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = wiring_file::parse_bytes(&bytes, "w.toml").map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_shuffled_wiring_panics_and_every_refusal_has_a_place_and_a_fix(
        lines in prop::collection::vec(prop::sample::select(EXAMPLE.lines().collect::<Vec<_>>()), 0..40),
    ) {
        if let Err(errors) = wiring_file::parse(&lines.join("\n"), "w.toml") {
            prop_assert!(errors.iter().count() > 0);
            prop_assert!(errors.iter().all(|error| error.fix.len() > 5 && error.at.is_some()), "{}", errors);
        }
    }

    #[test]
    fn no_single_damaged_byte_panics(at in 0..EXAMPLE.len(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        let _ = wiring_file::parse_bytes(&bytes, "w.toml").map_err(|errors| errors.to_string());
    }

    #[test]
    fn a_wiring_that_is_taken_has_rules_for_every_host_which_read_back(
        drop_at in prop::collection::vec(0..EXAMPLE.lines().count(), 0..3),
    ) {
        let kept = EXAMPLE.lines().enumerate().filter(|(i, _)| !drop_at.contains(i));
        let text: String = kept.map(|(_, line)| format!("{line}\n")).collect();
        if let Ok(checked) = wiring_file::parse(&text, "w.toml") {
            for host in &checked.topology.hosts {
                let rules = checked.topology.nft(&host.name).unwrap();
                prop_assert_eq!(parse_nft(&rules).ok(), checked.topology.matrix(&host.name));
            }
        }
    }
}
