//! `wandergate hub ls|show|step-down`, and `ca` and `issue`, which make members' credentials offline.

use clap::Subcommand;
use http::Method;
use serde_json::Value;

use super::Told;
use super::change::{Calls, list};
use super::issue::{self, CaArgs, IssueArgs};
use super::why::streams;
use crate::client::{Failure, escaped};
use crate::output::{Table, cell};

#[derive(Clone, Debug, Subcommand)]
pub enum HubVerb {
    /// List the hub instances of all planes, as the asked process sees them
    Ls,
    /// Show one with its links, lane by lane
    Show { name: String },
    /// Make it give its place to another instance; asked where it runs
    StepDown { name: String },
    /// Make the fabric's authority, offline
    Ca(CaArgs),
    /// Make members' credentials, offline
    Issue(IssueArgs),
}

pub(super) async fn run(verb: HubVerb, calls: &Calls) -> Result<Told, Failure> {
    match verb {
        HubVerb::Ls => ls(calls).await,
        HubVerb::Show { name } => show(calls, &name).await,
        HubVerb::StepDown { name } => step_down(calls, &name).await,
        HubVerb::Ca(args) => issue::ca(&args),
        HubVerb::Issue(args) => issue::issue(&args),
    }
}

async fn ls(calls: &Calls) -> Result<Told, Failure> {
    let answer = calls.read("/v1/hubs").await?;
    let mut table = Table::new(&["HUB", "PLANE", "STATE", "TERM", "ADDRESS", "LANES", "STREAMS"]);
    for hub in list(&answer["hubs"]) {
        let [name, plane, state, term, address, streams] =
            ["name", "plane", "state", "term", "address", "streams"].map(|key| cell(&hub[key]));
        let name = if hub["here"] == true { format!("{name} (here)") } else { name };
        table.row([name, plane, state, term, address, lanes(hub), streams]);
    }
    let mut text = table.text("No hub is known here.");
    text.extend(streams(&answer["refusals"]).map(|refused| format!("\n{refused}")));
    Ok(Told::new(answer, text))
}

async fn show(calls: &Calls, name: &str) -> Result<Told, Failure> {
    let answer = calls.read(&format!("/v1/hubs/{}", escaped(name))).await?;
    let of = |key: &str| cell(&answer[key]);
    let mut lines = vec![format!(
        "{}  plane {}  {}  term {}  at {}  {} lanes  {} streams",
        of("name"),
        of("plane"),
        of("state"),
        of("term"),
        of("address"),
        lanes(&answer),
        of("streams")
    )];
    lines.push(format!("services  {}", of("services")));
    let mut table = Table::new(&["LINK", "LANE", "CLASS", "UP", "STREAMS", "RTT", "LAST END"]);
    for link in list(&answer["links"]) {
        for (index, lane) in list(&link["lanes"]).enumerate() {
            let rtt = link["rtt_us"].as_u64().map_or_else(|| "-".to_owned(), |us| format!("{us} us"));
            let up = if lane["up"] == true { "yes" } else { "no" };
            table.row([
                cell(&link["far"]),
                index.to_string(),
                cell(&lane["class"]),
                up.to_owned(),
                cell(&lane["streams"]),
                rtt,
                cell(&link["last_end"]),
            ]);
        }
    }
    lines.push(format!("\n{}", table.text("No link of it is known here.")));
    let mut refused = Table::new(&["REFUSED", "TIMES"]);
    for row in list(&answer["refused"]) {
        refused.row([cell(&row["reason"]), cell(&row["count"])]);
    }
    if !refused.is_empty() {
        lines.push(format!("\n{}", refused.text("")));
    }
    Ok(Told::new(answer, lines.join("\n")))
}

async fn step_down(calls: &Calls, name: &str) -> Result<Told, Failure> {
    let path = format!("/v1/hubs/{}/step-down", escaped(name));
    let answer = calls.change(Method::POST, &path, None, None).await?;
    let text = match answer["dry_run"] == true {
        true => format!("dry run, nothing changed: {name} would step down"),
        false => format!("{name} has stepped down; see who is active now: wandergate hub ls"),
    };
    Ok(Told::new(answer, text))
}

fn lanes(hub: &Value) -> String {
    match hub["lanes"].as_u64() {
        Some(0) | None => "-".to_owned(),
        Some(lanes) => format!("{}/{lanes}", cell(&hub["lanes_up"])),
    }
}
