//! Calls that change something, and what is told about each: who serves it, and how to undo it.

use http::Method;
use serde_json::Value;

use super::Told;
use crate::client::{Client, Failure};
use crate::output::{cell, plain};

/// How the verbs call.
pub(super) struct Calls {
    pub(super) client: Client,
    pub(super) dry_run: bool,
}

impl Calls {
    pub(super) async fn read(&self, path: &str) -> Result<Value, Failure> {
        self.client.read(path).await
    }

    /// Every page of a list, as one answer.
    pub(super) async fn read_all(&self, path: &str, list: &str) -> Result<Value, Failure> {
        let mut whole = self.read(path).await?;
        while let Some(next) = whole.get("next").filter(|next| !next.is_null()).cloned() {
            let joint = if path.contains('?') { '&' } else { '?' };
            let page =
                self.read(&format!("{path}{joint}after={}", crate::client::escaped(&cell(&next)))).await?;
            let (Some(Value::Array(items)), Some(Value::Array(more))) = (whole.get_mut(list), page.get(list))
            else {
                return Err(Failure::Odd(format!("The answer has no list of {list}.")));
            };
            items.extend(more.iter().cloned());
            whole["next"] = page["next"].clone();
        }
        Ok(whole)
    }

    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        tag: Option<&str>,
    ) -> Result<Value, Failure> {
        let path = if self.dry_run { format!("{path}?dry_run=true") } else { path.to_owned() };
        Ok(self.client.call(method, &path, body, tag).await?.body)
    }
}

/// What was done, who serves it, and the undo. `did` is a sentence without its full stop.
pub(super) fn told(answer: Value, did: &str) -> Told {
    let mut text = did.to_owned();
    if answer["dry_run"] == true {
        text = format!("dry run, nothing changed: {text}");
    } else if answer["changed"] == false {
        text.push_str(" (it was so already)");
    } else {
        text.push_str(&served(&answer["acks"]));
    }
    let undo: Vec<String> = list(&answer["undo"]).map(cell).collect();
    if !undo.is_empty() && answer["dry_run"] != true && answer["changed"] != false {
        text.push_str(&format!("\nundo: {}", undo.join(" ")));
    }
    let late = list(&answer["acks"]).any(|ack| ack["ack_ms"].is_null());
    Told { json: answer, text, but: late.then_some(Failure::Partly) }
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// `; served by 2 of 2 in 4 ms`
fn served(acks: &Value) -> String {
    let all = list(acks).count();
    let times: Vec<u64> = list(acks).filter_map(|ack| ack["ack_ms"].as_u64()).collect();
    let late: Vec<String> =
        list(acks).filter(|ack| ack["ack_ms"].is_null()).map(|ack| plain(&cell(&ack["name"]))).collect();
    match (all, times.iter().max()) {
        (0, _) => String::new(),
        (_, Some(most)) if late.is_empty() => format!("; served by {all} of {all} in {most} ms"),
        (_, _) => format!("; served by {} of {all}, not yet by {}", times.len(), late.join(", ")),
    }
}
