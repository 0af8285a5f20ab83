//! `wandergate drill`: strangers with a budget against one's own running edge, and figures of what they got.
//!
//! Loopback and the edge's own pools only; anything else is refused by name. The demo uses the same strangers.
//!
//! In reading order: [`target`] (what may be attacked), [`pace`] (how fast), [`scan`], [`stale`], [`register`] (the
//! strangers), [`site`] (what a running edge tells of itself), [`report`] (the figures).

pub mod pace;
pub mod register;
pub mod report;
pub mod scan;
pub mod site;
pub mod stale;
pub mod target;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::rehearsal::bounds::{
    DEMO_FLOOD_CONCURRENCY, DEMO_SCAN_CONCURRENCY, DRILL_CONCURRENCY_MAX, DRILL_RATE_MAX, DRILL_SECONDS_MAX,
};
use crate::rehearsal::operator::{Denied, Operator};
use crate::rehearsal::resolve::ask;
use crate::terminal::{complain, say};
use pace::Budget;
use register::Flood;
use report::{Report, Users};
use scan::Scan;
use site::Site;
use stale::{Knocker, Targets};

/// Attack your own running edge, and see what it costs your users: nothing.
#[derive(Debug, clap::Args)]
pub struct DrillArgs {
    /// What the strangers try
    #[arg(value_enum)]
    pub kind: Kind,
    /// Attempts a second, at most 5000
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=i64::from(DRILL_RATE_MAX)))]
    pub rate: u32,
    /// How long, such as 10s or 2m
    #[arg(long = "for", value_name = "D", default_value = "10s", value_parser = drill_time)]
    pub span: Duration,
    /// Attempts at once, at most 512
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=DRILL_CONCURRENCY_MAX as i64))]
    pub at_once: Option<u16>,
    /// The gateway's operators' socket
    #[arg(long, value_name = "PATH", default_value = "/var/lib/wandergate/ops.sock")]
    pub socket: PathBuf,
    /// Take the socket from this configuration instead
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    pub config: Option<PathBuf>,
    /// Print documented JSON
    #[arg(long)]
    pub json: bool,
}

/// Kinds of strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Random addresses of the pools, with random names or none
    Scan,
    /// Addresses whose lease has just closed, with the right name
    Stale,
    /// Live addresses, with the name of somebody else
    Replay,
    /// A flood on the public door: wrong invites, wrong proofs, garbage
    Register,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Stale => "stale",
            Self::Replay => "replay",
            Self::Register => "register",
        }
    }
}

/// Exit 0: strangers got nothing; 1: they got something, or the drill could not be held; 2: the configuration; 5: no
/// gateway answers.
pub async fn run(args: DrillArgs) -> ExitCode {
    let socket = match args.config.as_deref().map(config::load) {
        None => args.socket.clone(),
        Some(Ok(config)) => config.ops.socket,
        Some(Err(errors)) => {
            complain(&errors.to_string());
            return ExitCode::from(2);
        }
    };
    match hold(&args, &Operator::new(&socket)).await {
        Ok(report) => {
            say(&if args.json { report.to_json() } else { report.to_text() });
            if report.good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            if args.json {
                say(&json!({ "schema": "wandergate.drill/1", "ok": false, "detail": format!("{error:#}") })
                    .to_string());
            } else {
                complain(&format!("{error:#}"));
            }
            let denied = error.chain().find_map(|cause| cause.downcast_ref::<Denied>());
            denied.map_or(ExitCode::FAILURE, |Denied(failure)| failure.exit())
        }
    }
}

async fn hold(args: &DrillArgs, operator: &Operator) -> Result<Report> {
    let site = Site::learn(operator)
        .await
        .context("a drill needs the running edge's own word on what is its own")?;
    let usual = if args.kind == Kind::Register { DEMO_FLOOD_CONCURRENCY } else { DEMO_SCAN_CONCURRENCY };
    let budget = Budget { rate: args.rate, concurrency: args.at_once.map_or(usual, usize::from) };
    let before = Users::look(operator).await?;
    let stop = CancellationToken::new();
    let limit = tokio::spawn(end(args.span, stop.clone()));
    let mut report = match args.kind {
        Kind::Scan => {
            let scan = Arc::new(Scan::new(site.ranges(), site.ports.clone(), &site.zone)?);
            scan.run(budget, &stop).await;
            Report::of_scan(scan.counts.read(), site.chance_per_guess())
        }
        Kind::Stale | Kind::Replay => {
            let windows = site.windows(operator).await?;
            let targets = if args.kind == Kind::Stale { windows.stale() } else { windows.crossed() };
            let knocker = Arc::new(Knocker::new(Targets::permitted(targets, &site.ranges())?)?);
            knocker.run(budget, &stop).await;
            Report::of_knocks(args.kind.word(), knocker.counts.read())
        }
        Kind::Register => {
            let host = format!("join.{}", site.zone);
            let (address, _) =
                ask(site.dns, &host).await.with_context(|| format!("{host} has no address"))?;
            let at = std::net::SocketAddr::new(address, site.join_port);
            if !is_here(at.ip()) {
                target::permitted(at.ip(), &site.ranges())?;
            }
            let flood = Arc::new(Flood::new(at, &site.zone)?);
            flood.run(budget, &stop).await;
            Report::of_flood(flood.counts.read())
        }
    };
    limit.abort();
    report.seconds = args.span.as_secs();
    report.users = Users::look(operator).await?.since(&before);
    Ok(report)
}

/// Whether an address is this very machine's: whoever can bind it attacks nobody else.
fn is_here(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

/// Ends the drill when its time is over, or somebody has seen enough.
async fn end(span: Duration, stop: CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(span) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    stop.cancel();
}

/// `10s`, `2m`, `1h`, at least a second and at most as long as a drill may last.
fn drill_time(text: &str) -> Result<Duration, String> {
    span(text, DRILL_SECONDS_MAX)
}

/// `30s`, `5m`, `1h`, `1d`; 1 second to `most_s`.
pub(crate) fn span(text: &str, most_s: u64) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let scale = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = scale.zip(digits.parse::<u64>().ok()).and_then(|(scale, n)| n.checked_mul(scale));
    match seconds {
        Some(seconds) if (1..=most_s).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err(format!("from 1s to {most_s}s")),
        None => Err("write a whole number and a unit: 30s, 5m, 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit_and_bounds() {
        assert_eq!(span("30s", 3600), Ok(Duration::from_secs(30)));
        assert_eq!(span("60m", 3600), Ok(Duration::from_secs(3600)));
        for bad in
            ["", "30", "s", "0s", "61m", "-1s", "1.5s", "1w", "99999999999999999999s", "9999999999999999999d"]
        {
            assert!(span(bad, 3600).is_err(), "{bad}");
        }
    }
}
