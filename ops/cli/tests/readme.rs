//! What the README shows of the configuration is possible.

use wandergate_cli::config::{self, Fabric, MemberRole, Setup};

#[test]
fn the_configuration_in_the_readme_is_good() {
    let readme = include_str!("../../../README.md");
    let toml = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let config = config::parse(toml.expect("a block of TOML"), "README.md").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((config.edge.zone.as_str(), config.services.len()), ("edge.example.net", 1));
}

#[test]
fn the_files_behind_a_balancer_and_of_several_computers_in_the_readme_are_good() {
    let blocks: Vec<&str> = include_str!("../../../README.md")
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let trusting =
        blocks.iter().find(|block| block.contains("trusted_proxies")).expect("a balancer's networks");
    let trusting = format!("{trusting}[pool.v6]\nrange = \"2001:db8:42::/64\"\n");
    let trusting = config::parse(&trusting, "edge.toml").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(trusting.edge.trusted_proxies.len(), 2);
    let hub = blocks.iter().find(|block| block.contains("[\"hub\"]")).expect("a hub's file");
    let Ok(Setup::Member(hub)) = config::parse_setup(hub, "/etc/hub.toml") else { panic!("no hub") };
    assert_eq!(hub.role, MemberRole::Hub);
    assert_eq!(hub.socket, std::path::Path::new("/var/lib/wandergate/hub/ops.sock"));
    let edge = blocks.iter().find(|block| block.contains("\"register\"")).expect("an edge's file");
    let gateway = "[edge]\nzone = \"edge.example.net\"\n[pool.v6]\nrange = \"2001:db8:42::/64\"\n";
    let edge = config::parse(&format!("{edge}{gateway}"), "edge.toml").unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(edge.fabric, Fabric::Joined(_)) && edge.services.contains_key("web"));
}
