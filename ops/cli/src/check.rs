//! `wandergate check`: is the configuration possible? Touches nothing but the file.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::config;
use crate::terminal::{complain, say};

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file
    #[arg(value_name = "FILE", default_value = "/etc/wandergate/wandergate.toml")]
    pub config: PathBuf,
}

/// Exit 0: it is possible; 2: it is not, and every mistake was shown.
pub fn run(args: &CheckArgs, json: bool) -> ExitCode {
    match config::load(&args.config) {
        Ok(config) => {
            match json {
                true => say(&json!({ "schema": "wandergate.check/1", "ok": true, "errors": [] }).to_string()),
                false => say(&format!(
                    "{} is good: zone {}, {} service(s), {} pool(s)",
                    args.config.display(),
                    config.edge.zone,
                    config.services.len(),
                    config.pools.len()
                )),
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
