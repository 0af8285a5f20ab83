//! `wandergate exposure`

use clap::Args;

use super::Told;
use super::change::{Calls, list};
use super::words::rate;
use crate::client::Failure;
use crate::output::{Table, cell, figure, span};

#[derive(Clone, Debug, Args)]
pub struct ExposureArgs {
    /// Guesses a second: 10mpps, 250kpps, 1e6
    #[arg(long, value_parser = rate, default_value = "10mpps")]
    rate: f64,
}

pub(super) async fn run(args: ExposureArgs, calls: &Calls) -> Result<Told, Failure> {
    let answer = calls.read(&format!("/v1/exposure?rate={}", args.rate)).await?;
    let mut table = Table::new(&[
        "POOL",
        "RANGE",
        "GRANTS",
        "SPACE",
        "OPEN",
        "GUESSES TO HIT",
        "TIME TO HIT",
        "PER WINDOW",
        "POSTURE",
    ]);
    for pool in list(&answer["pools"]) {
        let of = |key: &str| cell(&pool[key]);
        let number = |key: &str| pool[key].as_f64().map_or_else(|| "never".to_owned(), figure);
        table.row([
            of("pool"),
            of("range"),
            of("grants"),
            number("space"),
            number("accepted"),
            number("guesses_until_hit"),
            pool["seconds_until_hit"].as_f64().map_or_else(|| "never".to_owned(), lasting),
            number("chance_per_window"),
            of("posture"),
        ]);
    }
    let mut text = table.text("No pools.");
    let weak =
        list(&answer["pools"]).filter(|pool| pool["posture"] == "weak").map(|pool| cell(&pool["pool"]));
    let weak: Vec<String> = weak.collect();
    text.push_str(&format!("\n\nat {} guesses a second, in expectation", figure(args.rate)));
    if !weak.is_empty() {
        text.push_str(&format!(
            "\nweak: {} can be scanned whole; there the private name is what protects",
            weak.join(", ")
        ));
    }
    Ok(Told::new(answer, text))
}

fn lasting(seconds: f64) -> String {
    const YEAR_S: f64 = 365.25 * 86_400.0;
    if seconds < 1.0 {
        format!("{} ms", figure(seconds * 1000.0))
    } else if seconds < YEAR_S {
        span(seconds as u64)
    } else {
        format!("{} years", figure(seconds / YEAR_S))
    }
}
