//! `wandergate status`

use serde_json::Value;

use super::Told;
use super::change::{Calls, list};
use crate::client::Failure;
use crate::output::{cell, plain, span};

pub(super) async fn run(calls: &Calls) -> Result<Told, Failure> {
    let answer = calls.read("/v1/status").await?;
    let well = answer["health"]["state"] == "good";
    let text = text(&answer);
    let but = (!well).then_some(Failure::Unhealthy);
    Ok(Told { json: answer, text, but })
}

fn text(answer: &Value) -> String {
    let at = |path: &str| answer.pointer(path).map_or_else(|| "-".to_owned(), cell);
    let mut lines = vec![
        format!(
            "edge {}  up {}  {}  zone {}  engine {}  revision {}",
            at("/name"),
            span(answer["up_s"].as_u64().unwrap_or(0)),
            at("/version"),
            at("/edge/zone"),
            at("/edge/engine"),
            at("/revision"),
        ),
        format!(
            "now   users {} ({} revoked)   devices {}   services {}   windows {} live, {} in grace, {} tombstones   conns {} ({} draining)",
            at("/counts/users"),
            at("/counts/users_revoked"),
            at("/counts/devices"),
            at("/counts/services"),
            at("/edge/leases/live"),
            at("/edge/leases/grace"),
            at("/edge/leases/tombstone"),
            at("/edge/connections"),
            at("/edge/connections_draining"),
        ),
        format!(
            "since start   connections {}   requests {}   queries {} ({} decoys)   enrolled {} ({} refused)",
            at("/edge/connections_total"),
            at("/edge/requests_total"),
            at("/dns/queries_total"),
            at("/dns/decoys_total"),
            at("/registration/enrolled_total"),
            at("/registration/refused_total"),
        ),
        format!(
            "register   {}   invites open {}   proof of work {} bits without an invite",
            if answer["registration"]["open"] == true { "open" } else { "by invite" },
            at("/counts/invites_pending"),
            at("/registration/pow_bits"),
        ),
    ];
    lines.push(format!("hubs   {}", planes(&answer["fabric"]["planes"])));
    let refused: Vec<String> = list(&answer["verdicts"]).take(5).map(verdict).collect();
    if !refused.is_empty() {
        lines.push(format!("refused   {}", refused.join("   ")));
    }
    let wrong: Vec<String> = list(&answer["health"]["wrong"]).map(cell).collect();
    let health = if wrong.is_empty() { "all good.".to_owned() } else { wrong.join(" ") };
    lines.push(format!("health: {health}"));
    lines.join("\n")
}

fn planes(planes: &Value) -> String {
    let one = |plane: &Value| {
        let of = |key: &str| cell(&plane[key]);
        format!(
            "{} {} {}/{} lanes, {} streams",
            of("plane"),
            of("state"),
            of("lanes_up"),
            of("lanes"),
            of("streams")
        )
    };
    plain(&list(planes).map(one).collect::<Vec<_>>().join("   "))
}

fn verdict(row: &Value) -> String {
    format!("{} {} {}", cell(&row["verdict"]), cell(&row["reason"]), cell(&row["count"]))
}
