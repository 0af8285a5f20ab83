//! The tables, the goals, and the same as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::figures::{Figures, Kind};
use super::options::Options;
use super::rounds::Run;

/// How an area tells what it measured.
pub struct Suite<F: 'static> {
    /// The chain that is ours.
    pub ours: &'static str,
    /// Ratios are to this one.
    pub base: &'static str,
    pub tables: &'static [Table<F>],
    pub goals: &'static [Goal<F>],
}

pub struct Table<F: 'static> {
    pub title: &'static str,
    /// Many narrow columns, without spreads.
    pub is_brief: bool,
    pub columns: &'static [Column<F>],
}

pub struct Column<F> {
    pub heading: &'static str,
    pub figure: F,
    /// Behind the point.
    pub digits: usize,
    /// Is the ratio to the base shown beside?
    pub with_ratio: bool,
}

impl<F> Column<F> {
    pub const fn new(heading: &'static str, figure: F, digits: usize) -> Self {
        Self { heading, figure, digits, with_ratio: false }
    }

    pub const fn ratio(heading: &'static str, figure: F, digits: usize) -> Self {
        Self { heading, figure, digits, with_ratio: true }
    }
}

/// What ours has to reach: a figure of it, at most so many times a figure of another chain.
pub struct Goal<F: 'static> {
    pub text: &'static str,
    pub ours: F,
    pub most: f64,
    /// The cheapest of these is the one to be compared with.
    pub others: &'static [&'static str],
    pub theirs: F,
}

/// What a goal came to.
struct Judged {
    other: &'static str,
    ours: f64,
    theirs: f64,
    ratio: f64,
}

impl<F: Kind> Goal<F> {
    /// None when one of the chains did not run.
    fn judge(&self, suite: &Suite<F>, run: &Run<F>) -> Option<Judged> {
        let ours = of(run, suite.ours)?;
        let others = self.others.iter().filter_map(|name| {
            let other = of(run, name)?;
            let (theirs, ratio) = (other.median(self.theirs)?, ours.ratio(self.ours, other, self.theirs)?);
            Some(Judged { other: name, ours: ours.median(self.ours)?, theirs, ratio })
        });
        others.max_by(|a, b| a.ratio.total_cmp(&b.ratio))
    }

    fn is_reached(&self, judged: &Judged) -> bool {
        judged.ratio <= self.most
    }
}

fn of<'r, F>(run: &'r Run<F>, chain: &str) -> Option<&'r Figures<F>> {
    run.figures.iter().find(|figures| figures.chain == chain)
}

/// Prints the tables, and writes the JSON where the options say; standard output then has the JSON alone.
pub fn tell<F: Kind>(suite: &Suite<F>, run: &Run<F>, options: &Options) {
    let json = serde_json::to_string_pretty(&json(suite, run)).unwrap();
    match options.json.as_deref() {
        Some("-") => println!("{json}"),
        other => {
            print!("{}", tables(suite, run));
            if let Some(file) = other {
                std::fs::write(file, json).unwrap();
            }
        }
    }
}

/// For people.
fn tables<F: Kind>(suite: &Suite<F>, run: &Run<F>) -> String {
    let mut text = String::new();
    if run.is_quick {
        text += "A quick run proves that the bench works; its figures mean nothing.\n";
    }
    for table in suite.tables {
        write!(text, "\n{}: median of {} rounds", table.title, run.rounds).unwrap();
        if table.columns.iter().any(|column| column.with_ratio) {
            write!(text, ", (ratio to {})", suite.base).unwrap();
        }
        text += if table.is_brief { "\n" } else { ", ± half the spread\n" };
        let width = if table.is_brief { 13 } else { 27 };
        write!(text, "{:>14}", "").unwrap();
        for column in table.columns {
            write!(text, " {:>width$}", column.heading).unwrap();
        }
        text.push('\n');
        for figures in &run.figures {
            write!(text, "{:>14}", figures.chain).unwrap();
            for column in table.columns {
                write!(text, " {:>width$}", cell(suite, run, figures, column, table.is_brief)).unwrap();
            }
            for (work, errors) in &figures.errors {
                write!(text, "  {errors} errors in {work}").unwrap();
            }
            text.push('\n');
        }
    }
    text + &goals(suite, run) + &circumstances(run)
}

fn cell<F: Kind>(
    suite: &Suite<F>,
    run: &Run<F>,
    figures: &Figures<F>,
    column: &Column<F>,
    is_brief: bool,
) -> String {
    let (figure, digits) = (column.figure, column.digits);
    let Some(value) = figures.median(figure) else { return "–".to_owned() };
    let mut text = format!("{value:.digits$}");
    let spread = figures.spread(figure).filter(|spread| spread.is_finite() && run.rounds > 1 && !is_brief);
    if let Some(spread) = spread {
        write!(text, " ±{:.0}%", spread * 100.0).unwrap();
    }
    let base = of(run, suite.base).filter(|_| column.with_ratio);
    if let Some(ratio) = base.and_then(|base| figures.ratio(figure, base, figure)) {
        write!(text, " ({ratio:.2})").unwrap();
    }
    text
}

fn goals<F: Kind>(suite: &Suite<F>, run: &Run<F>) -> String {
    let mut text = "\nGoals\n".to_owned();
    for goal in suite.goals {
        match goal.judge(suite, run) {
            Some(judged) => writeln!(
                text,
                "  {} {}: {:.2} × {} ({:.1} to {:.1}), at most {:.2}",
                if goal.is_reached(&judged) { "pass" } else { "MISS" },
                goal.text,
                judged.ratio,
                judged.other,
                judged.ours,
                judged.theirs,
                goal.most
            ),
            None => writeln!(text, "  –    {}: not measured", goal.text),
        }
        .unwrap();
    }
    text
}

fn circumstances<F>(run: &Run<F>) -> String {
    let mut text = String::new();
    for (chain, why) in &run.missing {
        writeln!(text, "left out: {chain}: {why}").unwrap();
    }
    let cores = run.cores.chain.map_or("one for all".to_owned(), |core| {
        format!("{core} for what is measured, {} for the load", run.cores.load.unwrap_or(core))
    });
    writeln!(text, "\ncores: {cores}; processor: {}; kernel: {}", processor(), kernel()).unwrap();
    if is_busy(&run.load_before) {
        text += "The machine had other work when this began: its latencies, and goals that compare them, mean little.\n";
    }
    writeln!(text, "load average before: {}; after: {}", run.load_before, run.load_after).unwrap();
    text
}

/// More work waited in the last minute than half a processor's.
fn is_busy(load_average: &str) -> bool {
    load_average.split(' ').next().and_then(|minute| minute.parse::<f64>().ok()).is_none_or(|load| load > 0.5)
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or("unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// For programs.
fn json<F: Kind>(suite: &Suite<F>, run: &Run<F>) -> Value {
    let chains = run.figures.iter().map(|figures| {
        let values = figures.values.iter().map(|(figure, rounds)| {
            (figure.name().to_owned(), json!({ "median": figures.median(*figure), "rounds": rounds }))
        });
        let values: serde_json::Map<String, Value> = values.collect();
        json!({ "chain": figures.chain, "errors": figures.errors(), "errors_by_work": figures.errors, "figures": values })
    });
    let goals = suite.goals.iter().map(|goal| {
        let judged = goal.judge(suite, run);
        json!({
            "goal": goal.text,
            "at_most": goal.most,
            "ratio": judged.as_ref().map(|judged| judged.ratio),
            "to": judged.as_ref().map(|judged| judged.other),
            "reached": judged.as_ref().map(|judged| goal.is_reached(judged)),
        })
    });
    let missing = run.missing.iter().map(|(chain, why)| json!({ "chain": chain, "why": why }));
    json!({
        "quick": run.is_quick,
        "rounds": run.rounds,
        "chains": chains.collect::<Vec<_>>(),
        "goals": goals.collect::<Vec<_>>(),
        "left_out": missing.collect::<Vec<_>>(),
        "processor": processor(),
        "kernel": kernel(),
        "machine_was_busy": is_busy(&run.load_before),
        "load_average": { "before": run.load_before, "after": run.load_after },
    })
}
