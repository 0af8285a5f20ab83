//! `wandergate check`: is the configuration possible? Touches nothing but the file.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::config::{self, Setup};
use crate::output::count;
use crate::terminal::{complain, say};

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file
    #[arg(value_name = "FILE", default_value = "/etc/wandergate/wandergate.toml")]
    pub config: PathBuf,
}

/// Exit 0: it is possible; 2: it is not, and every mistake was shown.
pub fn run(args: &CheckArgs, json: bool) -> ExitCode {
    match config::load_setup(&args.config, None) {
        Ok(setup) => {
            match json {
                true => say(&json!({
                    "schema": "wandergate.check/1",
                    "file": args.config,
                    "ok": true,
                    "errors": [],
                    "omitted": 0,
                })
                .to_string()),
                false => say(&format!("{} is good: {}", args.config.display(), told(&setup))),
            }
            ExitCode::SUCCESS
        }
        Err(errors) => {
            match json {
                true => say(&errors.to_json().to_string()),
                false => complain(&errors.to_string()),
            }
            ExitCode::from(2)
        }
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
