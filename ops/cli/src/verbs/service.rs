//! `wandergate service …`

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Map, Value, json};
use state::listen::Kind;
use state::records::Speaks;

use super::Told;
use super::change::{Calls, list, told};
use super::words::seconds;
use crate::client::{Failure, escaped};
use crate::config::words::size;
use crate::output::{Table, cell, count};

#[derive(Clone, Debug, Subcommand)]
pub enum ServiceVerb {
    /// Add a service while everything runs
    Add(AddArgs),
    /// List services
    Ls,
    /// Show one
    Show { name: String },
    /// Change it; connections that stand go on
    Set {
        name: String,
        /// to=ADDR:PORT, listen=https/443,tcp/22, auth=name|address, schedule=…, pool=…, proxy=true|false,
        /// speaks=http/1.1|h2, maintenance=TEXT, max_body=100M, max_time=1h; nothing behind maintenance=, max_body= and max_time= is the usual
        #[arg(value_name = "KEY=VALUE", required = true)]
        change: Vec<String>,
    },
    /// Remove a service; its users' addresses fall silent
    Rm { name: String },
}

#[derive(Clone, Debug, Args)]
pub struct AddArgs {
    name: String,
    /// Where its own server listens, or `fabric`: where local hubs run elsewhere, they know
    #[arg(long, value_name = "ADDR:PORT")]
    to: String,
    /// What it is; http if not said. For anything else there is --listen
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::as_str)))]
    proto: Option<String>,
    /// At which users reach it; if not said, the usual one
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// All that users reach: https, tls, tcp or udp, with ports, and the service's own port if it is another: tcp/22=2222
    #[arg(long, value_name = "PROTOCOL/PORT[-PORT][=PORT],…", value_delimiter = ',', conflicts_with_all = ["proto", "port"])]
    listen: Vec<String>,
    /// What admits a client: its private name, besides it its device's key, or on IPv6 the address alone; its name, if its
    /// protocols can say one, if not said
    #[arg(long, value_enum)]
    auth: Option<AuthWord>,
    #[arg(long, default_value = "standard")]
    schedule: String,
    /// Pools to draw addresses from; all if not said
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pool: Vec<String>,
    /// Tell it who is at the other end (PROXY protocol, version 2)
    #[arg(long)]
    proxy: bool,
    /// In which HTTP it is asked, whatever its users speak; http/1.1 if not said
    #[arg(long, value_parser = PossibleValuesParser::new(Speaks::ALL.map(Speaks::as_str)))]
    speaks: Option<String>,
    /// Answer requests with this instead of passing them on
    #[arg(long, value_name = "TEXT")]
    maintenance: Option<String>,
    /// Longest request body: 100M
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_body: Option<u64>,
    /// Longest time for one request with its answer: 1h
    #[arg(long, value_name = "SPAN", value_parser = seconds)]
    max_time: Option<u64>,
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
        ServiceVerb::Show { name } => show(calls, &name).await,
        ServiceVerb::Set { name, change } => set(calls, &name, &change).await,
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
    let auth = args.auth.map(|auth| match auth {
        AuthWord::Address => "address",
        AuthWord::Name => "name",
        AuthWord::Key => "key",
    });
    let body = json!({
        "name": args.name, "to": args.to, "listen": listen(&args)?, "auth": auth,
        "schedule": args.schedule, "pools": args.pool, "proxy": args.proxy,
        "speaks": args.speaks, "maintenance": args.maintenance, "max_body": args.max_body, "max_time_s": args.max_time,
    });
    let answer = calls.change(Method::POST, "/v1/services", Some(&body), None).await?;
    let of = |key: &str| cell(&answer[key]);
    let did =
        format!("added {} on {}, from {}, schedule {}", of("name"), of("listen"), of("to"), of("schedule"));
    Ok(told(answer, &did))
}

/// What was said of it; nothing leaves it to the gateway, which knows the other services.
fn listen(args: &AddArgs) -> Result<Option<Vec<String>>, Failure> {
    if !args.listen.is_empty() {
        return Ok(Some(args.listen.clone()));
    }
    let known = |word: &String| Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
    let kind = match (args.proto.as_ref().and_then(known), args.port) {
        (None | Some(Kind::Http), None) => return Ok(None),
        (kind, _) => kind.unwrap_or(Kind::Http),
    };
    let own = args.to.parse().map_or(0, |to: std::net::SocketAddr| to.port());
    let listen = kind.listen(args.port, own);
    let unsaid = |_| Failure::Usage("Say at which port users reach it: --port 5432.".to_owned());
    Ok(Some(listen.map_err(unsaid)?.texts()))
}

async fn set(calls: &Calls, name: &str, change: &[String]) -> Result<Told, Failure> {
    let path = format!("/v1/services/{}", escaped(name));
    let answer = calls.change(Method::PATCH, &path, Some(&patch(change)?), None).await?;
    Ok(told(answer, &format!("service {name}: {}", change.join(" "))))
}

/// The words as the API takes them; what they mean is checked there.
fn patch(change: &[String]) -> Result<Value, Failure> {
    let mut body = Map::new();
    for pair in change {
        let wrong = |fix: &str| Failure::Usage(format!("\"{pair}\": {fix}"));
        let (key, value) = pair.split_once('=').ok_or_else(|| wrong("Write KEY=VALUE: proxy=true."))?;
        let each = || value.split(',').map(str::trim).collect::<Vec<_>>();
        let (key, value) = match key {
            "to" | "auth" | "schedule" | "speaks" => (key, json!(value)),
            "listen" => (key, json!(each())),
            "pool" => ("pools", json!(each())),
            "proxy" => {
                (key, json!(value.parse::<bool>().map_err(|_| wrong("Write proxy=true or proxy=false."))?))
            }
            "maintenance" | "max_body" if value.is_empty() => (key, Value::Null),
            "max_time" if value.is_empty() => ("max_time_s", Value::Null),
            "maintenance" => (key, json!(value)),
            "max_body" => (key, json!(bytes(value).map_err(|fix| wrong(&fix))?)),
            "max_time" => ("max_time_s", json!(seconds(value).map_err(|fix| wrong(&fix))?)),
            _ => {
                return Err(wrong(
                    "The keys are: to, listen, auth, schedule, pool, proxy, speaks, maintenance, max_body, max_time.",
                ));
            }
        };
        body.insert(key.to_owned(), value);
    }
    Ok(Value::Object(body))
}

fn bytes(text: &str) -> Result<u64, String> {
    size(text).map_err(|bad| bad.fix)
}

async fn ls(calls: &Calls) -> Result<Told, Failure> {
    let answer = calls.read("/v1/services").await?;
    let mut table = Table::new(&["SERVICE", "TO", "LISTEN", "AUTH", "SCHEDULE", "POOLS", "GRANTS", "FROM"]);
    for service in list(&answer["services"]) {
        table.row(
            ["name", "to", "listen", "auth", "schedule", "pools", "grants", "origin"]
                .map(|key| cell(service.get(key).unwrap_or(&Value::Null))),
        );
    }
    let text = table.text("No services yet: wandergate service add NAME --to 127.0.0.1:3000");
    Ok(Told::new(answer, text))
}

async fn show(calls: &Calls, name: &str) -> Result<Told, Failure> {
    let answer = calls.read(&format!("/v1/services/{}", escaped(name))).await?;
    let keys = [
        "name",
        "to",
        "listen",
        "auth",
        "schedule",
        "pools",
        "max_session_s",
        "proxy",
        "speaks",
        "maintenance",
        "max_body",
        "max_time_s",
        "grants",
        "origin",
    ];
    let lines = keys.map(|key| (key, cell(&answer[key])));
    let lines: Vec<String> = lines.iter().map(|(key, value)| format!("{key:<14}{value}")).collect();
    Ok(Told::new(answer, lines.join("\n")))
}
