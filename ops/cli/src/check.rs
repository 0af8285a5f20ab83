//! `wandergate check`: is the configuration, or the wiring, possible? Touches nothing but the file.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::config::{self, Setup};
use crate::output::count;
use crate::terminal::{complain, say};
use crate::wiring_file;

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file, or a wiring file
    #[arg(value_name = "FILE", default_value = "/etc/wandergate/wandergate.toml")]
    pub config: PathBuf,
}

/// A wiring file, told from a configuration by its sections.
fn wiring(args: &CheckArgs, json: bool) -> Option<ExitCode> {
    let bytes = config::bytes_of(&args.config).ok()?;
    if !std::str::from_utf8(&bytes).is_ok_and(wiring_file::is_one) {
        return None;
    }
    let file = args.config.display().to_string();
    let checked = match wiring_file::parse_bytes(&bytes, &file) {
        Ok(checked) => checked,
        Err(errors) => return Some(refused(&errors, json)),
    };
    let topology = &checked.topology;
    let told = format!(
        "a good wiring: {}, {}, {}, {}",
        count(topology.planes.len() as u64, "plane"),
        count(topology.hubs().count() as u64, "hub"),
        count(topology.local_hubs.len() as u64, "local hub"),
        count(topology.edges.len() as u64, "edge")
    );
    Some(good(args, json, &checked.warnings, &told))
}

/// What it is, after what is worth knowing about it nevertheless.
fn good(args: &CheckArgs, json: bool, warnings: &config::ConfigErrors, told: &str) -> ExitCode {
    let file = args.config.display();
    if json {
        say(&json!({
            "schema": "wandergate.check/1",
            "file": args.config,
            "ok": true,
            "errors": [],
            "omitted": 0,
            "warnings": warnings.to_json()["errors"].take(),
        })
        .to_string());
        return ExitCode::SUCCESS;
    }
    for warning in warnings.iter() {
        let line = warning.at.map_or(String::new(), |at| format!(":{}:{}", at.line, at.column));
        say(&format!("{file}{line} warning: {} {}", warning.message, warning.fix));
    }
    say(&format!("{file} is {told}"));
    ExitCode::SUCCESS
}

fn refused(errors: &config::ConfigErrors, json: bool) -> ExitCode {
    match json {
        true => say(&errors.to_json().to_string()),
        false => complain(&errors.to_string()),
    }
    ExitCode::from(2)
}

/// Exit 0: it is possible; 2: it is not, and every mistake was shown.
pub fn run(args: &CheckArgs, json: bool) -> ExitCode {
    if let Some(code) = wiring(args, json) {
        return code;
    }
    match config::load_checked(&args.config) {
        Ok((setup, warnings)) => good(args, json, &warnings, &format!("good: {}", told(&setup))),
        Err(errors) => refused(&errors, json),
    }
}

fn told(setup: &Setup) -> String {
    match setup {
        Setup::Gateway(config) => format!(
            "zone {}, {}, {}",
            config.edge.zone,
            count(config.services.len() as u64, "service"),
            count(config.pools.len() as u64, "pool")
        ),
        Setup::Member(member) => {
            format!("role {}, wiring {}", member.role.as_str(), member.joined.wiring.display())
        }
    }
}
