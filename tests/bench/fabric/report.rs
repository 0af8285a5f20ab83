//! The tables, the goals, and the same as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::figures::{Figure, Figures};
use crate::rounds::Run;

/// A table: its title, and the columns with their headings, digits behind the point, and whether the ratio to the first
/// of [`BASE`] that ran is shown beside.
type Table = (&'static str, &'static [(&'static str, Figure, usize, bool)]);

const TABLES: [Table; 3] = [
    (
        "CPU of the chain's processes together",
        &[
            ("small, 32: µs", Figure::SmallCpu, 1, true),
            ("small, 256: µs", Figure::ManyCpu, 1, true),
            ("new stream: µs", Figure::FreshCpu, 1, true),
            ("bulk: s/GB", Figure::BulkCpu, 2, true),
            ("RSS: KiB", Figure::Memory, 0, false),
        ],
    ),
    (
        "Throughput, chain on one core",
        &[
            ("small, 32: /s", Figure::SmallRate, 0, false),
            ("small, 256: /s", Figure::ManyRate, 0, false),
            ("bulk: MB/s", Figure::BulkRate, 0, false),
            ("bulk beside 5 stalled: MB/s", Figure::StalledRate, 0, false),
        ],
    ),
    (
        "Latency, µs, p50 and p99; from the third pair on, of rare requests alone and beside transfers",
        &[
            ("small, 32", Figure::SmallP50, 0, false),
            ("p99", Figure::SmallP99, 0, false),
            ("new stream", Figure::FreshP50, 0, false),
            ("p99", Figure::FreshP99, 0, false),
            ("rare, idle", Figure::IdleP50, 0, false),
            ("p99", Figure::IdleP99, 0, false),
            ("+ bulk", Figure::BesideP50, 0, false),
            ("p99", Figure::BesideP99, 0, false),
            ("+ 5 stalled", Figure::StalledP50, 0, false),
            ("p99", Figure::StalledP99, 0, false),
            ("+ 5, 1 Gbit/s", Figure::GigabitP50, 0, false),
            ("p99", Figure::GigabitP99, 0, false),
        ],
    ),
];

/// Ratios are to the first of these that ran.
const BASE: &str = "nginx-http";

/// What ours has to reach: a figure of the fabric, at most so many times a figure of another chain.
struct Goal {
    text: &'static str,
    ours: Figure,
    most: f64,
    /// The cheapest of these is the one to be compared with.
    others: &'static [&'static str],
    theirs: Figure,
}

const GOALS: [Goal; 6] = [
    Goal {
        text: "CPU of a small request",
        ours: Figure::SmallCpu,
        most: 0.6,
        others: &["nginx-http"],
        theirs: Figure::SmallCpu,
    },
    Goal {
        text: "CPU of bulk",
        ours: Figure::BulkCpu,
        most: 1.0,
        others: &["haproxy-tcp", "haproxy-http"],
        theirs: Figure::BulkCpu,
    },
    Goal {
        text: "CPU of a new stream",
        ours: Figure::FreshCpu,
        most: 0.5,
        others: &["rathole", "rathole-2"],
        theirs: Figure::FreshCpu,
    },
    Goal {
        text: "p99 beside 5 stalled transfers and one that takes all the core has, to its own idle p99",
        ours: Figure::StalledP99,
        most: 2.0,
        others: &["fabric"],
        theirs: Figure::IdleP99,
    },
    Goal {
        text: "p99 beside 5 stalled transfers and one at 1 Gbit/s, to its own idle p99",
        ours: Figure::GigabitP99,
        most: 2.0,
        others: &["fabric"],
        theirs: Figure::IdleP99,
    },
    Goal {
        text: "CPU of a small request, to the reference of the same shape",
        ours: Figure::SmallCpu,
        most: 1.0,
        others: &["h2"],
        theirs: Figure::SmallCpu,
    },
];

/// What a goal came to.
struct Judged {
    other: &'static str,
    ours: f64,
    theirs: f64,
}

impl Goal {
    /// None when one of the chains did not run.
    fn judge(&self, run: &Run) -> Option<Judged> {
        let ours = of(run, "fabric")?.median(self.ours)?;
        let others = self.others.iter().filter_map(|name| Some((of(run, name)?.median(self.theirs)?, *name)));
        let (theirs, other) = others.min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(Judged { other, ours, theirs })
    }

    fn is_reached(&self, judged: &Judged) -> bool {
        judged.ours <= self.most * judged.theirs
    }
}

fn of<'r>(run: &'r Run, chain: &str) -> Option<&'r Figures> {
    run.figures.iter().find(|figures| figures.chain == chain)
}

/// For people.
pub(crate) fn tables(run: &Run) -> String {
    let mut text = String::new();
    if run.is_quick {
        text += "A quick run proves that the bench works; its figures mean nothing.\n";
    }
    for (title, columns) in &TABLES {
        write!(text, "\n{title}: median of {} rounds", run.rounds).unwrap();
        if columns.iter().any(|(.., with_ratio)| *with_ratio) {
            write!(text, ", (ratio to {BASE})").unwrap();
        }
        text += if columns.len() > 5 { "\n" } else { ", ± half the spread\n" };
        write!(text, "{:>14}", "").unwrap();
        for (heading, ..) in *columns {
            write!(text, " {heading:>width$}", width = width(columns.len())).unwrap();
        }
        text.push('\n');
        for figures in &run.figures {
            write!(text, "{:>14}", figures.chain).unwrap();
            for (_, figure, digits, with_ratio) in *columns {
                let cell = cell(run, figures, *figure, *digits, *with_ratio, columns.len() > 5);
                write!(text, " {cell:>width$}", width = width(columns.len())).unwrap();
            }
            if figures.errors > 0 {
                write!(text, "  {} errors", figures.errors).unwrap();
            }
            text.push('\n');
        }
    }
    text + &goals(run) + &circumstances(run)
}

fn width(columns: usize) -> usize {
    if columns > 5 { 13 } else { 27 }
}

fn cell(
    run: &Run,
    figures: &Figures,
    figure: Figure,
    digits: usize,
    with_ratio: bool,
    brief: bool,
) -> String {
    let Some(value) = figures.median(figure) else { return "–".to_owned() };
    let mut text = format!("{value:.digits$}");
    if let Some(spread) =
        figures.spread(figure).filter(|spread| spread.is_finite() && run.rounds > 1 && !brief)
    {
        write!(text, " ±{:.0}%", spread * 100.0).unwrap();
    }
    if let Some(base) = of(run, BASE).and_then(|base| base.median(figure)).filter(|_| with_ratio) {
        write!(text, " ({:.2})", value / base).unwrap();
    }
    text
}

fn goals(run: &Run) -> String {
    let mut text = "\nGoals\n".to_owned();
    for goal in &GOALS {
        match goal.judge(run) {
            Some(judged) => writeln!(
                text,
                "  {} {}: {:.2} × {} ({:.1} to {:.1}), at most {:.2}",
                if goal.is_reached(&judged) { "pass" } else { "MISS" },
                goal.text,
                judged.ours / judged.theirs,
                judged.other,
                judged.ours,
                judged.theirs,
                goal.most
            ),
            None => writeln!(text, "  –    {}: {} did not run", goal.text, goal.others.join(" and ")),
        }
        .unwrap();
    }
    text
}

fn circumstances(run: &Run) -> String {
    let mut text = String::new();
    for (chain, why) in &run.missing {
        writeln!(text, "left out: {chain}: {why}").unwrap();
    }
    let cores = run.cores.chain.map_or("one for all".to_owned(), |core| {
        format!("{core} for the chain, {} for client and service", run.cores.load.unwrap_or(core))
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
pub(crate) fn json(run: &Run) -> Value {
    let chains = run.figures.iter().map(|figures| {
        let values = figures.values.iter().map(|(figure, rounds)| {
            (figure.name().to_owned(), json!({ "median": figures.median(*figure), "rounds": rounds }))
        });
        let values: serde_json::Map<String, Value> = values.collect();
        json!({ "chain": figures.chain, "errors": figures.errors, "figures": values })
    });
    let goals = GOALS.iter().map(|goal| {
        let judged = goal.judge(run);
        json!({
            "goal": goal.text,
            "at_most": goal.most,
            "ratio": judged.as_ref().map(|judged| judged.ours / judged.theirs),
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
