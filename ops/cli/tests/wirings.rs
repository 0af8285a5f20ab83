//! Wiring files: the examples are good, and every kind of mistake is reported at its place, with a way out.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its own files has to stop")]

use fabric::topology::{Door, Health, Protocol};
use fabric::{Identity, Role};
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
