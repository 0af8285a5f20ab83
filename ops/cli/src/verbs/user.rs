//! `wandergate user …`

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::Told;
use super::change::{Calls, list, told};
use super::words::seconds;
use crate::client::{Failure, escaped};
use crate::output::{Table, cell, count, span};

#[derive(Clone, Debug, Subcommand)]
pub enum UserVerb {
    /// Make a single-use invite for one device
    Invite {
        name: String,
        /// What it opens
        #[arg(long, value_name = "NAME,…", value_delimiter = ',', required = true)]
        service: Vec<String>,
        /// How long it may be used; a day if not said
        #[arg(long, value_name = "SPAN", value_parser = seconds)]
        ttl: Option<u64>,
    },
    /// Withdraw an invite that nobody has used
    Uninvite { id: String },
    /// List users; with --pending the invites that wait for theirs
    Ls {
        #[arg(long)]
        pending: bool,
    },
    /// Show a user with devices and invites
    Show { name: String },
    /// End a user's access everywhere, and close what is open
    Revoke {
        name: String,
        /// Kept in the audit, and shown to who asks why
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Give a revoked user access again
    Restore {
        name: String,
        #[arg(long, default_value = "")]
        reason: String,
    },
}

pub(super) async fn run(verb: UserVerb, calls: &Calls) -> Result<Told, Failure> {
    match verb {
        UserVerb::Invite { name, service, ttl } => invite(calls, &name, &service, ttl).await,
        UserVerb::Uninvite { id } => {
            let path = format!("/v1/invites/{}", escaped(&id));
            let answer = calls.change(Method::DELETE, &path, None, None).await?;
            Ok(told(answer, &format!("withdrew the invite {id}")))
        }
        UserVerb::Ls { pending: true } => invites(calls).await,
        UserVerb::Ls { pending: false } => ls(calls).await,
        UserVerb::Show { name } => show(calls, &name).await,
        UserVerb::Revoke { name, reason } => access(calls, &name, "revoke", &reason).await,
        UserVerb::Restore { name, reason } => access(calls, &name, "restore", &reason).await,
    }
}

async fn invite(calls: &Calls, name: &str, services: &[String], ttl: Option<u64>) -> Result<Told, Failure> {
    let body = json!({ "user": name, "services": services, "ttl_s": ttl });
    let answer = calls.change(Method::POST, "/v1/invites", Some(&body), None).await?;
    let what = match (&answer["url"], &answer["code"]) {
        (serde_json::Value::String(url), _) => url.clone(),
        (_, serde_json::Value::String(code)) => code.clone(),
        (_, _) => format!("an invite for {name}"),
    };
    let left = span(answer["expires_in_s"].as_u64().unwrap_or(0));
    let line = format!(
        "{what}\none use, for {name} to {}, expires in {left}; shown here only",
        cell(&answer["services"])
    );
    Ok(told(answer, &line))
}

async fn ls(calls: &Calls) -> Result<Told, Failure> {
    let answer = calls.read_all("/v1/users", "users").await?;
    let mut table = Table::new(&["USER", "DEVICES", "CLASS", "SERVICES", "POSTURE", "CONNS", "STATE"]);
    for user in list(&answer["users"]) {
        let state = match user["revoked"]["at"].as_str() {
            Some(at) => format!("revoked {at}"),
            None => cell(&user["state"]),
        };
        let of = |key: &str| cell(&user[key]);
        table.row([
            of("name"),
            of("devices_count"),
            of("classes"),
            of("services"),
            of("posture"),
            of("connections"),
            state,
        ]);
    }
    let text = table.text("No users yet: wandergate user invite NAME --service SERVICE");
    Ok(Told::new(answer, text))
}

async fn invites(calls: &Calls) -> Result<Told, Failure> {
    let mut answer = calls.read("/v1/invites").await?;
    if let Some(invites) = answer["invites"].as_array_mut() {
        invites.retain(|invite| invite["state"] == "pending");
    }
    let text = invite_table(&answer["invites"]).text("No invites are open.");
    Ok(Told::new(answer, text))
}

fn invite_table(invites: &serde_json::Value) -> Table {
    let mut table = Table::new(&["INVITE", "USER", "SERVICES", "STATE", "LEFT", "DEVICE"]);
    for invite in list(invites) {
        let of = |key: &str| cell(&invite[key]);
        let left = span(invite["expires_in_s"].as_u64().unwrap_or(0));
        table.row([of("id"), of("user"), of("services"), of("state"), left, of("device")]);
    }
    table
}

async fn show(calls: &Calls, name: &str) -> Result<Told, Failure> {
    let answer = calls.read(&format!("/v1/users/{}", escaped(name))).await?;
    let of = |key: &str| cell(&answer[key]);
    let mut text =
        format!("{}  {}  since {}  posture {}", of("name"), of("state"), of("created_at"), of("posture"));
    if let Some(at) = answer["revoked"]["at"].as_str() {
        text.push_str(&format!("\nrevoked {at}: {}", cell(&answer["revoked"]["why"])));
    }
    let mut devices = Table::new(&["DEVICE", "CLASS", "SERVICES", "KEY", "CONNS", "STATE"]);
    for device in list(&answer["devices"]) {
        let of = |key: &str| cell(&device[key]);
        devices.row([of("name"), of("class"), of("services"), of("key"), of("connections"), of("state")]);
    }
    text.push_str(&format!("\n\n{}", devices.text("No devices.")));
    let invites = invite_table(&answer["invites"]);
    if !invites.is_empty() {
        text.push_str(&format!("\n\n{}", invites.text("")));
    }
    Ok(Told::new(answer, text))
}

async fn access(calls: &Calls, name: &str, act: &str, reason: &str) -> Result<Told, Failure> {
    let path = format!("/v1/users/{}/{act}", escaped(name));
    let answer = calls.change(Method::POST, &path, Some(&json!({ "reason": reason })), None).await?;
    let number = |key: &str| answer[key].as_u64().unwrap_or(0);
    let closed = count(number("closed_connections"), "connection");
    let grants = count(number("grants"), "grant");
    let did = match act {
        "revoke" => format!("revoked {name}: {grants} silent, {closed} closed"),
        _ => format!("restored {name}: {grants} answering again"),
    };
    Ok(told(answer, &did))
}
