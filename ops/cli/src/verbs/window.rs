//! `wandergate window ls`

use clap::Subcommand;

use super::Told;
use super::change::{Calls, list};
use crate::client::{Failure, escaped};
use crate::output::{Table, cell, span};

#[derive(Clone, Debug, Subcommand)]
pub enum WindowVerb {
    /// Windows that stand now, tombstones included
    Ls {
        /// Of one user
        #[arg(long)]
        user: Option<String>,
        /// Of one service
        #[arg(long)]
        service: Option<String>,
        /// Show addresses and private names; needs a user or a service, and is audited
        #[arg(long)]
        reveal: bool,
    },
}

pub(super) async fn run(verb: WindowVerb, calls: &Calls) -> Result<Told, Failure> {
    let WindowVerb::Ls { user, service, reveal } = verb;
    let mut path = format!("/v1/windows?reveal={reveal}");
    for (key, value) in [("user", user), ("service", service)] {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={}", escaped(&value)));
        }
    }
    let answer = calls.read_all(&path, "windows").await?;
    let mut table = Table::new(&[
        "USER",
        "DEVICE",
        "SERVICE",
        "CLASS",
        "WINDOW",
        "STATE",
        "CLOSES IN",
        "ADDRESS",
        "NAMES",
    ]);
    for window in list(&answer["windows"]) {
        let of = |key: &str| cell(&window[key]);
        let closes = span(window["closes_in_s"].as_u64().unwrap_or(0));
        let address = if reveal { of("address") } else { "hidden".to_owned() };
        let names = if reveal { of("names") } else { "hidden".to_owned() };
        table.row([
            of("user"),
            of("device"),
            of("service"),
            of("class"),
            of("window"),
            of("state"),
            closes,
            address,
            names,
        ]);
    }
    let mut text = table.text("No windows stand.");
    if !reveal && !table.is_empty() {
        text.push_str("\n\n--reveal shows addresses and names, and is kept in the audit.");
    }
    Ok(Told::new(answer, text))
}
