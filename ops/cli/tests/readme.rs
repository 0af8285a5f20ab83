//! What the README shows of the configuration is possible.

use wandergate_cli::config;

#[test]
fn the_configuration_in_the_readme_is_good() {
    let readme = include_str!("../../../README.md");
    let toml = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let config = config::parse(toml.expect("a block of TOML"), "README.md").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((config.edge.zone.as_str(), config.services.len()), ("edge.example.net", 1));
}
