//! `wandergate status`

use serde_json::Value;

use super::Told;
use super::change::{Calls, list};
use crate::client::Failure;
use crate::output::{cell, plain, span};

pub(super) async fn run(calls: &Calls) -> Result<Told, Failure> {
    let answer = calls.read("/v1/status").await?;
    let well = answer["health"]["state"] == "good";
    let text = if answer.get("edge").is_some() { text(&answer) } else { inside(&answer) };
    let but = (!well).then_some(Failure::Unhealthy);
    Ok(Told { json: answer, text, but })
}

fn text(answer: &Value) -> String {
    let at = |path: &str| answer.pointer(path).map_or_else(|| "-".to_owned(), cell);
    let mut lines = vec![
        format!(
            "edge {}  up {}  {}  zone {}  engine {}  http3 {}  revision {}",
            at("/name"),
            span(answer["up_s"].as_u64().unwrap_or(0)),
            at("/version"),
            at("/edge/zone"),
            at("/edge/engine"),
            if answer["edge"]["http3"] == true { "on" } else { "off" },
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
    lines.extend(pressure(&answer["edge"]["pressure"]));
    let refused: Vec<String> = list(&answer["verdicts"]).take(5).map(verdict).collect();
    if !refused.is_empty() {
        lines.push(format!("refused   {}", refused.join("   ")));
    }
    let wrong: Vec<String> = list(&answer["health"]["wrong"]).map(cell).collect();
    let health = if wrong.is_empty() { "all good.".to_owned() } else { wrong.join(" ") };
    lines.push(format!("health: {health}"));
    lines.extend(notices(&answer["health"]));
    lines.join("\n")
}

/// The level with what presses, and what was shed; nothing to say while it is calm and was.
fn pressure(section: &Value) -> Option<String> {
    let shed: Vec<String> = list(&section["shed"])
        .filter(|row| row["count"].as_u64().is_some_and(|count| count > 0))
        .map(|row| format!("{} {}", cell(&row["what"]), cell(&row["count"])))
        .collect();
    let is_calm = section["level"].as_str().is_none_or(|level| level == "calm");
    if is_calm && shed.is_empty() {
        return None;
    }
    let by = section["by"].as_str().map(|by| format!(" by {}", plain(by))).unwrap_or_default();
    let shed = if shed.is_empty() { String::new() } else { format!("   shed {}", shed.join(", ")) };
    Some(format!("pressure   {}{by}{shed}", cell(&section["level"])))
}

/// A process of the fabric alone.
fn inside(answer: &Value) -> String {
    let of = |key: &str| cell(&answer[key]);
    let fabric = &answer["fabric"];
    let up = span(answer["up_s"].as_u64().unwrap_or(0));
    let mut lines = vec![format!("{} {}  up {up}  {}", of("role"), of("name"), of("version"))];
    lines.push(format!("hubs   {}", planes(&fabric["planes"])));
    for plane in list(&fabric["planes"]) {
        for link in list(&plane["links"]) {
            let up = list(&link["lanes"]).filter(|lane| lane["up"] == true).count();
            let lanes = list(&link["lanes"]).count();
            let end = link["last_end"].as_str().map(|end| format!(", last end {end}")).unwrap_or_default();
            lines.push(format!(
                "link   {} {}  {up}/{lanes} lanes{end}",
                cell(&plane["plane"]),
                cell(&link["far"])
            ));
        }
    }
    for offer in list(&fabric["offers"]) {
        let permitted = if offer["permitted"] == true { "permitted" } else { "permitted by no hub" };
        let (healthy, all) = (cell(&offer["healthy"]), list(&offer["servers"]).count());
        lines.push(format!(
            "offer  {}  {permitted}, {healthy} of {all} servers serve",
            cell(&offer["service"])
        ));
    }
    let refused = list(&fabric["planes"]).flat_map(|plane| list(&plane["refused"]));
    let refused: Vec<String> =
        refused.map(|row| format!("{} {}", cell(&row["reason"]), cell(&row["count"]))).collect();
    if !refused.is_empty() {
        lines.push(format!("refused   {}", refused.join("   ")));
    }
    let wrong: Vec<String> = list(&answer["health"]["wrong"]).map(cell).collect();
    let health = if wrong.is_empty() { "all good.".to_owned() } else { wrong.join(" ") };
    lines.push(format!("health: {health}"));
    lines.extend(notices(&answer["health"]));
    lines.join("\n")
}

fn notices(health: &Value) -> Vec<String> {
    list(&health["notices"]).map(|notice| format!("notice: {}", cell(notice))).collect()
}

/// `A active hub-a1 term 7 6/6 lanes, 12 streams   B …`
fn planes(planes: &Value) -> String {
    let one = |plane: &Value| {
        let of = |key: &str| cell(&plane[key]);
        let active = plane["active"].as_str().map(|name| format!(" {}", plain(name))).unwrap_or_default();
        let term = plane["term"].as_u64().map(|term| format!(" term {term}")).unwrap_or_default();
        let (up, lanes, streams) = (of("lanes_up"), of("lanes"), of("streams"));
        format!("{} {}{active}{term} {up}/{lanes} lanes, {streams} streams", of("plane"), of("state"))
    };
    plain(&list(planes).map(one).collect::<Vec<_>>().join("   "))
}

fn verdict(row: &Value) -> String {
    format!("{} {} {}", cell(&row["verdict"]), cell(&row["reason"]), cell(&row["count"]))
}
