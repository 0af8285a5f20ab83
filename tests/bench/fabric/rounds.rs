//! The run: every chain does every kind of work in every round.

use std::time::Duration;

use tests::measure::certificates::Certificates;
use tests::measure::figures::{Figures, percentile};
use tests::measure::options::Options;
use tests::measure::processes::{Cores, Process, free_address};
use tests::measure::rounds::{Run, chosen, load_average, take_turns};
use tokio::time::Instant;

use crate::chains::{ALL, Chain, Site};
use crate::figures::Figure;
use crate::load::{self, Beside, Outcome, Pace, Standing};

/// How much of each kind of work.
struct Amount {
    small: usize,
    many: usize,
    fresh: usize,
    bulk: u64,
    rare: usize,
    /// Between two pieces of work, so that the ends of the one are not in the other.
    rest: Duration,
}

impl Amount {
    const FULL: Self = Self {
        small: 32 * 800,
        many: 256 * 100,
        fresh: 3_000,
        bulk: 1_000_000_000,
        rare: 4_000,
        rest: Duration::from_millis(200),
    };
    const QUICK: Self = Self {
        small: 32 * 10,
        many: 256 * 2,
        fresh: 80,
        bulk: 4_000_000,
        rare: 160,
        rest: Duration::from_millis(20),
    };
}

/// Connections that share the rare requests.
const RARE: usize = 16;
/// Runs it all.
///
/// # Panics
/// When a chain does not come up, or a peer is missing and the run is not a quick one.
pub(crate) async fn run(options: &Options) -> Run<Figure> {
    let amount = if options.is_quick { &Amount::QUICK } else { &Amount::FULL };
    let works = chosen(&Work::ALL, &options.work);
    let cores = Cores::choose();
    cores.pin_self();
    let dir = tempfile::tempdir().unwrap();
    let service = free_address();
    let site = Site {
        dir: dir.path().to_owned(),
        certificates: Certificates::make(dir.path()),
        service,
        core: cores.chain,
    };
    let own = std::env::current_exe().unwrap();
    let arguments = ["part".to_owned(), "service".to_owned(), service.to_string()];
    let _service = Process::start("service", cores.load, dir.path(), own, arguments);
    let load_before = load_average();
    let (mut chains, missing) = start(&site, options).await;
    let mut figures: Vec<Figures<Figure>> = chains.iter().map(|chain| Figures::new(chain.name)).collect();
    let measure = async |work: Work, chain: &mut Chain, figures: &mut Figures<Figure>| {
        work.measure(amount, chain, figures).await;
    };
    take_turns(options, &works, amount.rest, &mut chains, &mut figures, measure).await;
    Run {
        figures,
        missing,
        rounds: options.rounds,
        is_quick: options.is_quick,
        cores,
        load_before,
        load_after: load_average(),
    }
}

async fn start(site: &Site, options: &Options) -> (Vec<Chain>, Vec<(&'static str, String)>) {
    let unknown = options.only.iter().find(|name| !ALL.iter().any(|(known, _)| known == name));
    assert!(unknown.is_none(), "no such chain: {unknown:?}");
    let (mut chains, mut missing) = (Vec::new(), Vec::new());
    for (name, start) in ALL {
        if !options.wants(name) {
            continue;
        }
        match start(site) {
            Ok(chain) => chains.push(chain),
            Err(what) => missing.push((name, what)),
        }
    }
    assert!(
        missing.is_empty() || options.is_quick,
        "{missing:?}; `tests/bench/run fabric` installs what it needs"
    );
    for chain in &mut chains {
        chain.ready().await;
    }
    (chains, missing)
}

/// A kind of work.
#[derive(Clone, Copy, Debug)]
enum Work {
    Small,
    Many,
    Fresh,
    Bulk,
    Idle,
    Beside,
    Stalled,
    Gigabit,
    /// After the others of a round.
    Memory,
}

impl Work {
    const ALL: [Self; 9] = [
        Self::Small,
        Self::Many,
        Self::Fresh,
        Self::Bulk,
        Self::Idle,
        Self::Beside,
        Self::Stalled,
        Self::Gigabit,
        Self::Memory,
    ];

    async fn measure(self, amount: &Amount, chain: &mut Chain, figures: &mut Figures<Figure>) {
        let (front, bulk) = (chain.front, chain.bulk);
        match self {
            Self::Small => {
                let (cpu, mut done) =
                    with_cpu(chain, Standing::start(front, 32).await.press(amount.small)).await;
                per_request(figures, Figure::SmallCpu, cpu, &done);
                rate(figures, Figure::SmallRate, &done);
                figures.wrong(self, done.errors);
                latencies(figures, [Figure::SmallP50, Figure::SmallP99], &mut done);
            }
            Self::Many => {
                let (cpu, done) = with_cpu(chain, Standing::start(front, 256).await.press(amount.many)).await;
                per_request(figures, Figure::ManyCpu, cpu, &done);
                rate(figures, Figure::ManyRate, &done);
                figures.wrong(self, done.errors);
            }
            Self::Fresh => {
                let (cpu, mut done) = with_cpu(chain, load::fresh(front, amount.fresh)).await;
                per_request(figures, Figure::FreshCpu, cpu, &done);
                figures.wrong(self, done.errors);
                latencies(figures, [Figure::FreshP50, Figure::FreshP99], &mut done);
            }
            Self::Bulk => {
                let (cpu, done) = with_cpu(chain, load::bulk(bulk, amount.bulk)).await;
                figures.add(Figure::BulkCpu, cpu.as_secs_f64() / (done.bytes as f64 / 1e9));
                figures.add(Figure::BulkRate, done.bytes as f64 / 1e6 / done.elapsed.as_secs_f64());
                figures.wrong(self, done.errors);
            }
            Self::Idle => {
                let mut done = Standing::start(front, RARE).await.rarely(amount.rare).await;
                figures.wrong(self, done.errors);
                latencies(figures, [Figure::IdleP50, Figure::IdleP99], &mut done);
            }
            Self::Beside => {
                let (mut done, _) = beside(chain, 0, Pace::Full, amount).await;
                figures.wrong(self, done.errors);
                latencies(figures, [Figure::BesideP50, Figure::BesideP99], &mut done);
            }
            Self::Stalled => {
                let (mut done, rate) = beside(chain, 5, Pace::Full, amount).await;
                figures.wrong(self, done.errors);
                latencies(figures, [Figure::StalledP50, Figure::StalledP99], &mut done);
                figures.add(Figure::StalledRate, rate);
            }
            Self::Gigabit => {
                let (mut done, _) = beside(chain, 5, Pace::Gigabit, amount).await;
                figures.wrong(self, done.errors);
                latencies(figures, [Figure::GigabitP50, Figure::GigabitP99], &mut done);
            }
            Self::Memory => figures.add(Figure::Memory, chain.rss_kib() as f64),
        }
    }
}

async fn with_cpu(chain: &mut Chain, work: impl Future<Output = Outcome>) -> (Duration, Outcome) {
    let before = chain.cpu();
    let done = work.await;
    (chain.cpu() - before, done)
}

/// Rare requests with transfers beside, and how fast the one that runs did, 10^6 bytes a second.
async fn beside(chain: &Chain, stalled: usize, pace: Pace, amount: &Amount) -> (Outcome, f64) {
    let standing = Standing::start(chain.front, RARE).await;
    let beside = Beside::start(chain.bulk, stalled, pace).await;
    let (begun, before) = (Instant::now(), beside.moved());
    let done = standing.rarely(amount.rare).await;
    let moved = beside.moved() - before;
    (done, moved as f64 / 1e6 / begun.elapsed().as_secs_f64())
}

fn per_request(figures: &mut Figures<Figure>, figure: Figure, cpu: Duration, done: &Outcome) {
    figures.add(figure, cpu.as_secs_f64() * 1e6 / done.latencies.len() as f64);
}

fn rate(figures: &mut Figures<Figure>, figure: Figure, done: &Outcome) {
    figures.add(figure, done.latencies.len() as f64 / done.elapsed.as_secs_f64());
}

fn latencies(figures: &mut Figures<Figure>, [p50, p99]: [Figure; 2], done: &mut Outcome) {
    for (figure, part) in [(p50, 0.5), (p99, 0.99)] {
        if let Some(value) = percentile(&mut done.latencies, part) {
            figures.add(figure, value);
        }
    }
}
