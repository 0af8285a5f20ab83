//! `wandergate service …`

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::Told;
use super::change::{Calls, list, told};
use crate::client::{Failure, escaped};
use crate::output::{Table, cell, count};

#[derive(Clone, Debug, Subcommand)]
pub enum ServiceVerb {
    /// Add a service while everything runs
    Add(AddArgs),
    /// List services
    Ls,
    /// Remove a service; its users' addresses fall silent
    Rm { name: String },
}

#[derive(Clone, Debug, Args)]
pub struct AddArgs {
    name: String,
    /// Where its own server listens, or `fabric`: where local hubs run elsewhere, they know
    #[arg(long, value_name = "ADDR:PORT")]
    to: String,
    /// At which users reach it; if not said, the port that all other services share, else 443
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// What admits a client: its private name, besides it its device's key, or on IPv6 the address alone
    #[arg(long, value_enum, default_value_t = AuthWord::Name)]
    auth: AuthWord,
    #[arg(long, default_value = "standard")]
    schedule: String,
    /// Pools to draw addresses from; all if not said
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pool: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AuthWord {
    Address,
    Name,
    Key,
}

pub(super) async fn run(verb: ServiceVerb, calls: &Calls) -> Result<Told, Failure> {
    match verb {
        ServiceVerb::Add(args) => add(calls, args).await,
        ServiceVerb::Ls => ls(calls).await,
        ServiceVerb::Rm { name } => {
            let path = format!("/v1/services/{}", escaped(&name));
            let answer = calls.change(Method::DELETE, &path, None, None).await?;
            let number = |key: &str| answer[key].as_u64().unwrap_or(0);
            let did = format!(
                "removed {name}: {} silent, {} closed",
                count(number("grants"), "grant"),
                count(number("closed_connections"), "connection")
            );
            Ok(told(answer, &did))
        }
    }
}

async fn add(calls: &Calls, args: AddArgs) -> Result<Told, Failure> {
    let auth = match args.auth {
        AuthWord::Address => "address",
        AuthWord::Name => "name",
        AuthWord::Key => "key",
    };
    let body = json!({
        "name": args.name, "to": args.to, "port": args.port,
        "auth": auth, "schedule": args.schedule, "pools": args.pool,
    });
    let answer = calls.change(Method::POST, "/v1/services", Some(&body), None).await?;
    let of = |key: &str| cell(&answer[key]);
    let did =
        format!("added {} on {}, from {}, schedule {}", of("name"), of("port"), of("to"), of("schedule"));
    Ok(told(answer, &did))
}

async fn ls(calls: &Calls) -> Result<Told, Failure> {
    let answer = calls.read("/v1/services").await?;
    let mut table = Table::new(&["SERVICE", "TO", "PORT", "AUTH", "SCHEDULE", "POOLS", "GRANTS", "FROM"]);
    for service in list(&answer["services"]) {
        table.row(
            ["name", "to", "port", "auth", "schedule", "pools", "grants", "origin"]
                .map(|key| cell(service.get(key).unwrap_or(&Value::Null))),
        );
    }
    let text = table.text("No services yet: wandergate service add NAME --to 127.0.0.1:3000");
    Ok(Told::new(answer, text))
}
