//! `wandergate explain CODE`, offline: the closed vocabulary of reasons.

use clap::Args;
use defense::{Fault, Reason};
use serde_json::json;

use super::Told;
use crate::client::Failure;
use crate::output::Table;

#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// W-4102 or invite_used; all of them if not said
    code: Option<String>,
}

pub(super) fn run(args: &ExplainArgs) -> Result<Told, Failure> {
    match &args.code {
        None => Ok(all()),
        Some(code) => {
            let reason = Reason::from_code(code).or_else(|| Reason::from_name(code));
            let unknown =
                || Failure::refused(Reason::UnknownTarget, &format!("There is no code \"{code}\"."));
            Ok(one(reason.ok_or_else(unknown)?))
        }
    }
}

fn one(reason: Reason) -> Told {
    let text = format!(
        "{} {}  (layer: {}; to be mended by: {})\n  what  {}\n  why   {}\n  fix   {}",
        reason.code(),
        reason.name(),
        layer(reason),
        fault(reason),
        reason.what(),
        reason.why(),
        reason.fix(),
    );
    Told::new(object(reason, true), text)
}

fn all() -> Told {
    let mut table = Table::new(&["CODE", "REASON", "WHAT"]);
    for reason in Reason::ALL {
        table.row([reason.code().to_owned(), reason.name().to_owned(), reason.what().to_owned()]);
    }
    let reasons: Vec<_> = Reason::ALL.iter().map(|reason| object(*reason, false)).collect();
    Told::new(json!({ "schema": "wandergate.explain.list/1", "reasons": reasons }), table.text(""))
}

fn object(reason: Reason, alone: bool) -> serde_json::Value {
    let mut object = json!({
        "code": reason.code(),
        "reason": reason.name(),
        "layer": layer(reason),
        "fault": fault(reason),
        "http_status": reason.http_status(),
        "what": reason.what(),
        "why": reason.why(),
        "fix": reason.fix(),
    });
    if alone {
        object["schema"] = json!("wandergate.explain/1");
    }
    object
}

fn layer(reason: Reason) -> String {
    let word = serde_json::to_value(reason.layer());
    word.ok().and_then(|w| w.as_str().map(str::to_owned)).unwrap_or_default()
}

const fn fault(reason: Reason) -> &'static str {
    match reason.fault() {
        Fault::Client => "client",
        Fault::Upstream => "service",
        Fault::Ours => "gateway",
        Fault::Operator => "operator",
    }
}
