//! The verbs of operators: each calls the ops API of a running gateway and tells what came of it.
//!
//! One file per noun; `wandergate run`, `demo`, `check` and `drill` are not here.

mod audit;
mod change;
mod device;
mod draw;
mod explain;
mod exposure;
mod fabric;
mod hub;
mod issue;
mod rotate;
mod schedule;
mod service;
mod status;
mod user;
mod why;
mod window;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::{Client, Failure};
use crate::terminal::{complain, say};
pub use hub::HubVerb;

/// What every verb takes.
#[derive(Clone, Debug, Args)]
pub struct Globals {
    /// The gateway's operators' socket
    #[arg(long, global = true, value_name = "PATH", default_value = "/var/lib/wandergate/ops.sock")]
    pub socket: PathBuf,
    /// Its loopback address instead: http://127.0.0.1:7780
    #[arg(long, global = true, value_name = "URL", requires = "token_file")]
    pub server: Option<String>,
    /// File that holds the token for --server
    #[arg(long, global = true, value_name = "FILE", requires = "server")]
    pub token_file: Option<PathBuf>,
    /// Print documented JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Decide and tell, but change nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// What is going on, and whether all is well
    Status,
    /// Invite, list, revoke and restore users
    #[command(subcommand)]
    User(user::UserVerb),
    /// List, revoke and restore devices
    #[command(subcommand)]
    Device(device::DeviceVerb),
    /// Add, list and remove services
    #[command(subcommand)]
    Service(service::ServiceVerb),
    /// List, show, preview and change schedules
    #[command(subcommand)]
    Schedule(schedule::ScheduleVerb),
    /// List the windows that stand now
    #[command(subcommand)]
    Window(window::WindowVerb),
    /// Move addresses at once
    Rotate(rotate::RotateArgs),
    /// Hubs; reached as `wandergate hub …`
    #[command(skip)]
    Hub(HubVerb),
    /// Why is that refused, or not: an address, source, host name, user, device, request or code
    Why(why::WhyArgs),
    /// How likely strangers' guesses hit
    Exposure(exposure::ExposureArgs),
    /// The wiring file: draw it, make firewalls of it, offline
    #[command(subcommand)]
    Fabric(fabric::FabricVerb),
    /// Read and verify who did what
    #[command(subcommand)]
    Audit(audit::AuditVerb),
    /// Tell more about a code or reason, offline
    Explain(explain::ExplainArgs),
    /// Print the API's OpenAPI document, offline
    Openapi,
}

/// What a verb has to say, in both forms.
pub(crate) struct Told {
    pub(crate) json: Value,
    pub(crate) text: String,
    /// Told, and yet not a success: the exit code says how.
    pub(crate) but: Option<Failure>,
}

impl Told {
    pub(crate) fn new(json: Value, text: String) -> Self {
        Self { json, text, but: None }
    }
}

/// Runs a verb, prints, and answers the exit code of the table in [`Failure::exit`].
pub async fn run(verb: Verb, globals: &Globals) -> ExitCode {
    match told(verb, globals).await {
        Ok(told) => {
            if globals.json {
                say(&format!("{:#}", told.json));
            } else {
                say(&told.text);
            }
            told.but.map_or(ExitCode::SUCCESS, |failure| {
                complain(&failure.to_string());
                failure.exit()
            })
        }
        Err(failure) => {
            if globals.json {
                say(&format!("{:#}", failure.to_json()));
            } else {
                complain(&failure.to_string());
            }
            failure.exit()
        }
    }
}

async fn told(verb: Verb, globals: &Globals) -> Result<Told, Failure> {
    let client = match (&globals.server, &globals.token_file) {
        (Some(url), Some(file)) => Client::loopback(url, file)?,
        (Some(_) | None, _) => Client::socket(&globals.socket),
    };
    let calls = change::Calls { client, dry_run: globals.dry_run };
    match verb {
        Verb::Status => status::run(&calls).await,
        Verb::User(verb) => user::run(verb, &calls).await,
        Verb::Device(verb) => device::run(verb, &calls).await,
        Verb::Service(verb) => service::run(verb, &calls).await,
        Verb::Schedule(verb) => schedule::run(verb, &calls).await,
        Verb::Window(verb) => window::run(verb, &calls).await,
        Verb::Rotate(args) => rotate::run(args, &calls).await,
        Verb::Hub(verb) => hub::run(verb, &calls).await,
        Verb::Why(args) => why::run(args, &calls).await,
        Verb::Exposure(args) => exposure::run(args, &calls).await,
        Verb::Fabric(verb) => fabric::run(&verb),
        Verb::Audit(verb) => audit::run(verb, &calls).await,
        Verb::Explain(args) => explain::run(&args),
        Verb::Openapi => openapi(),
    }
}

fn openapi() -> Result<Told, Failure> {
    let json = serde_json::to_value(ops::http::document()).map_err(|e| Failure::Odd(e.to_string()))?;
    let text = format!("{json:#}");
    Ok(Told::new(json, text))
}
