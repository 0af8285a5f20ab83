//! `wandergate rotate …`

use clap::Args;
use http::Method;
use serde_json::json;

use super::Told;
use super::change::{Calls, list, told};
use super::device;
use crate::client::Failure;
use crate::output::{cell, count};

#[derive(Clone, Debug, Args)]
pub struct RotateArgs {
    #[command(flatten)]
    whose: Whose,
    /// That everybody is really meant
    #[arg(long)]
    yes: bool,
    /// The old addresses have leaked: they end at once, without grace
    #[arg(long)]
    leaked: bool,
    /// Replace the private names of ordinary clients, too
    #[arg(long)]
    new_name: bool,
    /// Kept in the audit
    #[arg(long, default_value = "")]
    reason: String,
}

/// Whose addresses: exactly one of these.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// All devices of a user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Everybody's access to one service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// One device: USER/DEVICE, or its number
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Everybody; needs --yes
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: RotateArgs, calls: &Calls) -> Result<Told, Failure> {
    let scope = match (&args.whose.user, &args.whose.service, &args.whose.device) {
        (Some(user), _, _) => format!("user:{user}"),
        (_, Some(service), _) => format!("service:{service}"),
        (_, _, Some(device)) => format!("device:{}", device::number(calls, device).await?),
        (None, None, None) => "all".to_owned(),
    };
    let body = json!({
        "scope": scope, "reason": args.reason, "leaked": args.leaked,
        "new_name": args.new_name, "confirm": args.yes,
    });
    let answer = match calls.change(Method::POST, "/v1/rotations", Some(&body), None).await {
        Err(Failure::Refused(mut problem)) if problem["status"] == 428 => {
            problem["fix"] = json!("Add --yes.");
            return Err(Failure::Refused(problem));
        }
        answered => answered?,
    };
    let of = |key: &str| cell(&answer[key]);
    let old =
        if args.leaked { "the old addresses end then" } else { "the old addresses answer for their grace" };
    let number = |key: &str| answer[key].as_u64().unwrap_or(0);
    let did = format!(
        "{} to move at {}; {old}; agents that follow by themselves: {}, ordinary clients by {}: {}",
        count(number("grants"), "grant"),
        of("begins_at"),
        of("agents"),
        if args.new_name { "their new names" } else { "DNS" },
        of("name_clients"),
    );
    let mut names = String::new();
    for name in list(&answer["names"]) {
        let of = |key: &str| cell(&name[key]);
        names.push_str(&format!(
            "\nnew name for {}/{} to {}: {}",
            of("user"),
            of("device"),
            of("service"),
            of("host")
        ));
    }
    let mut told = told(answer, &did);
    told.text.push_str(&names);
    Ok(told)
}
