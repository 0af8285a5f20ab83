//! `wandergate why TARGET`

use clap::Args;
use serde_json::Value;

use super::Told;
use super::change::{Calls, list};
use crate::client::{Failure, escaped};
use crate::output::{Table, cell, count, span};

#[derive(Clone, Debug, Args)]
pub struct WhyArgs {
    /// An address, CIDR block, host name or URL, user, USER/DEVICE, service, request id, reason or code
    target: String,
}

pub(super) async fn run(args: WhyArgs, calls: &Calls) -> Result<Told, Failure> {
    let answer = calls.read(&format!("/v1/why?target={}", escaped(&args.target))).await?;
    let text = text(&answer);
    Ok(Told::new(answer, text))
}

fn text(answer: &Value) -> String {
    let of = |key: &str| cell(&answer[key]);
    let mut lines = vec![format!("{}  {}  {}", of("target"), of("verdict"), of("kind"))];
    if let Some(code) = answer["code"].as_str() {
        let until = match answer["expires_in_s"].as_u64() {
            Some(left) => format!("  until {} ({} left)", of("expires_at"), span(left)),
            None => String::new(),
        };
        lines[0].push_str(&format!("  {code} {}  layer: {}{until}", of("reason"), of("layer")));
    }
    for (word, key) in [("what", "what"), ("why", "why"), ("fix", "fix"), ("since", "since")] {
        if !answer[key].is_null() {
            lines.push(format!("  {word:<6} {}", of(key)));
        }
    }
    if let Some(owner) = answer["owner"].as_object() {
        let of = |key: &str| owner.get(key).map_or_else(String::new, cell);
        lines.push(format!("  whose  {}/{} to {}", of("user"), of("device"), of("service")));
    }
    // A reason has no connections; whatever is somebody's or somewhere has.
    if answer["kind"] != "reason" {
        let open = answer["connections"].as_u64().unwrap_or(0);
        lines.push(format!("  open   {}", count(open, "connection")));
    }
    lines.extend(leases(&answer["leases"]));
    lines.extend(refusals(&answer["seen"]));
    lines.extend(streams(&answer["fabric"]));
    lines.join("\n")
}

fn leases(leases: &Value) -> Option<String> {
    let mut table = Table::new(&["WINDOW", "STATE", "CLOSES IN", "USER", "DEVICE", "SERVICE"]);
    for lease in list(leases) {
        let whose = &lease["owner"];
        table.row([
            cell(&lease["window"]),
            cell(&lease["state"]),
            span(lease["closes_in_s"].as_u64().unwrap_or(0)),
            cell(&whose["user"]),
            cell(&whose["device"]),
            cell(&whose["service"]),
        ]);
    }
    (!table.is_empty()).then(|| format!("\n{}", table.text("")))
}

fn refusals(seen: &Value) -> Option<String> {
    let mut table = Table::new(&["AT", "VERDICT", "CODE", "REASON", "SOURCE", "TIMES"]);
    for refusal in list(seen) {
        table.row(["at", "verdict", "code", "reason", "source", "count"].map(|key| cell(&refusal[key])));
    }
    (!table.is_empty()).then(|| format!("\n{}", table.text("")))
}

/// Streams that the fabric refused.
pub(super) fn streams(refused: &Value) -> Option<String> {
    let mut table = Table::new(&["STREAM REFUSED", "SERVICE", "CALLER", "REASON", "TIMES"]);
    for refusal in list(refused) {
        let ago = span(refusal["ago_s"].as_u64().unwrap_or(0));
        let [service, caller, reason, count] =
            ["service", "caller", "reason", "count"].map(|key| cell(&refusal[key]));
        table.row([format!("{ago} ago"), service, caller, reason, count]);
    }
    (!table.is_empty()).then(|| format!("\n{}", table.text("")))
}
