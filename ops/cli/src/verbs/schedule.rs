//! `wandergate schedule …`

use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use super::Told;
use super::change::{Calls, list, told};
use super::draw;
use super::words::seconds;
use crate::client::{Failure, escaped};
use crate::output::{Table, cell, span};

#[derive(Clone, Debug, Subcommand)]
pub enum ScheduleVerb {
    /// List schedules
    Ls,
    /// Show one, with what is decided and begins later
    Show { name: String },
    /// Draw what it will do, or would after a change
    Preview {
        name: String,
        /// window=2m, agent.window=30s, grace=…, lead=…, ttl=…, tombstone=…, label=…, max_session=…, stale=reset|drop
        #[arg(value_name = "KEY=VALUE")]
        change: Vec<String>,
        /// How far ahead
        #[arg(long = "for", value_name = "SPAN", value_parser = seconds, default_value = "1h")]
        span: u64,
    },
    /// Change it; keys without a class are of ordinary clients, agent.KEY of agents
    Set {
        name: String,
        #[arg(value_name = "KEY=VALUE", required = true)]
        change: Vec<String>,
    },
}

pub(super) async fn run(verb: ScheduleVerb, calls: &Calls) -> Result<Told, Failure> {
    match verb {
        ScheduleVerb::Ls => ls(calls).await,
        ScheduleVerb::Show { name } => show(calls, &name).await,
        ScheduleVerb::Preview { name, change, span } => {
            let body = json!({ "change": patch(&change)?, "for_s": span });
            let path = format!("/v1/schedules/{}/preview", escaped(&name));
            // A preview changes nothing, whatever else was asked.
            let answer = calls.client.call(Method::POST, &path, Some(&body), None).await?.body;
            let text = draw::preview(&answer);
            Ok(Told::new(answer, text))
        }
        ScheduleVerb::Set { name, change } => set(calls, &name, &change).await,
    }
}

/// Changes what was just read: if somebody else was faster, it is refused (exit 6).
async fn set(calls: &Calls, name: &str, change: &[String]) -> Result<Told, Failure> {
    let body = patch(change)?;
    let path = format!("/v1/schedules/{}", escaped(name));
    let known = calls.client.call(Method::GET, &path, None, None).await?;
    let answer = calls.change(Method::PATCH, &path, Some(&body), known.etag.as_deref()).await?;
    let did = format!("schedule {name}: {} from {}", change.join(" "), cell(&answer["begins_at"]));
    Ok(told(answer, &did))
}

async fn ls(calls: &Calls) -> Result<Told, Failure> {
    let answer = calls.read("/v1/schedules").await?;
    let mut table = Table::new(&[
        "SCHEDULE",
        "NAME WINDOW/GRACE",
        "TTL",
        "AGENT WINDOW/GRACE",
        "SERVICES",
        "PENDING",
        "FROM",
    ]);
    for schedule in list(&answer["schedules"]) {
        let time = |path: &str| short(schedule.pointer(path));
        let pair = |class: &str| {
            format!(
                "{}/{}",
                time(&format!("/current/{class}/window_s")),
                time(&format!("/current/{class}/grace_s"))
            )
        };
        table.row([
            cell(&schedule["name"]),
            pair("name"),
            time("/current/name/ttl_s"),
            pair("agent"),
            cell(&schedule["services"]),
            list(&schedule["pending"]).count().to_string(),
            cell(&schedule["origin"]),
        ]);
    }
    let text = table.text("No schedules.");
    Ok(Told::new(answer, text))
}

async fn show(calls: &Calls, name: &str) -> Result<Told, Failure> {
    let answer = calls.read(&format!("/v1/schedules/{}", escaped(name))).await?;
    let mut text = format!(
        "{}  from {}  services {}",
        cell(&answer["name"]),
        cell(&answer["origin"]),
        cell(&answer["services"])
    );
    let versions = std::iter::once(&answer["current"]).chain(list(&answer["pending"]));
    for (at, version) in versions.enumerate() {
        let state = if at == 0 { "in force since" } else { "begins" };
        let mut table = Table::new(&[
            "CLASS",
            "WINDOW",
            "LEAD",
            "GRACE",
            "TOMBSTONE",
            "TTL",
            "LABEL",
            "MAX SESSION",
            "STALE",
        ]);
        for class in ["name", "agent"] {
            let times = &version[class];
            let keys = ["window_s", "lead_s", "grace_s", "tombstone_s", "ttl_s", "label_s", "max_session_s"];
            let cells = keys.map(|key| short(times.get(key)));
            table.row(std::iter::once(class.to_owned()).chain(cells).chain([cell(&times["stale"])]));
        }
        text.push_str(&format!("\n\n{state} {}\n{}", cell(&version["from"]), table.text("")));
    }
    Ok(Told::new(answer, text))
}

/// `window=2m agent.grace=15s` as the API takes it.
fn patch(words: &[String]) -> Result<Value, Failure> {
    let mut classes = [("name", Map::new()), ("agent", Map::new())];
    for word in words {
        let wrong = |why: &str| Failure::Usage(format!("\"{word}\": {why}."));
        let (key, value) = word.split_once('=').ok_or_else(|| wrong("write KEY=VALUE, as in window=2m"))?;
        let (class, key) = key.split_once('.').unwrap_or(("name", key));
        let Some((_, members)) = classes.iter_mut().find(|(known, _)| *known == class) else {
            return Err(wrong("the classes are name and agent"));
        };
        let (member, value) = match key {
            "window" | "lead" | "grace" | "tombstone" | "ttl" | "label" | "max_session" => {
                let span = seconds(value).ok().and_then(|s| u32::try_from(s).ok());
                let span = span.ok_or_else(|| wrong("a span of time is 90s, 2m, 24h or 7d"))?;
                (format!("{key}_s"), json!(span))
            }
            "stale" => (key.to_owned(), json!(value)),
            _ => {
                return Err(wrong(
                    "the keys are window, lead, grace, tombstone, ttl, label, max_session, stale",
                ));
            }
        };
        if members.insert(member, value).is_some() {
            return Err(wrong("is said twice"));
        }
    }
    let [(_, name), (_, agent)] = classes;
    Ok(json!({ "name": name, "agent": agent }))
}

fn short(seconds: Option<&Value>) -> String {
    seconds.and_then(Value::as_u64).map_or_else(|| "-".to_owned(), span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_become_the_body_of_a_change() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let body = patch(&words("window=2m agent.window=30s agent.stale=drop name.grace=90")).unwrap();
        assert_eq!(
            body,
            json!({ "name": { "window_s": 120, "grace_s": 90 }, "agent": { "window_s": 30, "stale": "drop" } })
        );
        for bad in ["window", "windows=2m", "window=soon", "token.window=2m", "window=1m window=2m"] {
            assert!(matches!(patch(&words(bad)), Err(Failure::Usage(_))), "{bad}");
        }
    }
}
