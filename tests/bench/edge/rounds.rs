//! What is done in each round.

use std::path::Path;
use std::time::Duration;

use tests::measure::certificates::Certificates;
use tests::measure::figures::{Figures, percentile};
use tests::measure::options::Options;
use tests::measure::processes::{Cores, Process, free_address};
use tests::measure::rounds::{Run, chosen, load_average, take_turns};
use tokio::time::sleep;

use crate::figures::Figure;
use crate::load::Outcome;
use crate::load::h2load::Press;
use crate::load::{tls, udp};
use crate::proxies::{Door, Proxy, Raw, Site, all, routed};

/// How much of each kind of work.
struct Amount {
    h1: usize,
    h2: usize,
    fresh: usize,
    datagrams: usize,
    /// Bodies on each of eight connections, and bytes of each.
    bulk: (usize, u64),
    /// Bodies of 1 MiB over HTTP/2.
    h2_bulk: usize,
    idle: usize,
    /// Between two pieces of work, so that the ends of the one are not in the other.
    rest: Duration,
}

impl Amount {
    const FULL: Self = Self {
        h1: 64_000,
        h2: 96_000,
        fresh: 3_200,
        datagrams: 64_000,
        bulk: (2, 64 << 20),
        h2_bulk: 800,
        idle: 1000,
        rest: Duration::from_millis(200),
    };
    const QUICK: Self = Self {
        h1: 320,
        h2: 512,
        fresh: 16,
        datagrams: 160,
        bulk: (1, 2 << 20),
        h2_bulk: 4,
        idle: 40,
        rest: Duration::from_millis(20),
    };
}

/// Connections that come before those whose memory is measured, so that what the first ones bring about is not in it.
const FIRST: usize = 20;
/// Until a proxy has put away what making a connection took.
const SETTLED: Duration = Duration::from_secs(1);
const MIB: u64 = 1 << 20;

/// Runs it all.
///
/// # Panics
/// When a proxy does not come up, or a peer is missing and the run is not a quick one.
pub(crate) async fn run(options: &Options) -> Run<Figure> {
    let amount = if options.is_quick { &Amount::QUICK } else { &Amount::FULL };
    let works = chosen(&Work::ALL, &options.work);
    let cores = Cores::choose();
    cores.pin_self();
    let dir = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(dir.path());
    let site =
        Site { dir: dir.path().to_owned(), certificates, service: free_address(), cores, v6: routed() };
    let own = std::env::current_exe().unwrap();
    let arguments = ["part".to_owned(), site.service.to_string()];
    let _service = Process::start("service", cores.load, dir.path(), own, arguments);
    let load_before = load_average();
    let (mut proxies, missing) = start(&site, options).await;
    let mut figures: Vec<Figures<Figure>> = proxies.iter().map(|proxy| Figures::new(proxy.name)).collect();
    let measure = async |work: Work, proxy: &mut Proxy, figures: &mut Figures<Figure>| {
        work.measure(amount, &site, proxy, figures).await;
    };
    take_turns(options, &works, amount.rest, &mut proxies, &mut figures, measure).await;
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

async fn start(site: &Site, options: &Options) -> (Vec<Proxy>, Vec<(&'static str, String)>) {
    let unknown = options.only.iter().find(|name| !all().any(|(known, _)| known == name.as_str()));
    assert!(unknown.is_none(), "no such proxy: {unknown:?}");
    let (mut proxies, mut missing) = (Vec::new(), Vec::new());
    for (name, start) in all().filter(|(name, _)| options.wants(name)) {
        match start(site) {
            // Without addresses for ours, theirs are compared with nothing.
            Ok(proxy) if site.v6.is_none() => proxies.push(Proxy { raw: Raw::default(), ..proxy }),
            Ok(proxy) => proxies.push(proxy),
            Err(what) => missing.push((name, what)),
        }
    }
    assert!(
        missing.is_empty() || options.is_quick,
        "{missing:?}; `tests/bench/run edge` installs what it needs"
    );
    for proxy in &mut proxies {
        proxy.ready().await;
    }
    (proxies, missing)
}

/// A kind of work.
#[derive(Clone, Copy, Debug)]
enum Work {
    H1,
    H2,
    Fresh,
    /// With a ticket of the connection before.
    Again,
    Tcp,
    Tls,
    Udp,
    Down,
    Up,
    H2Down,
    Idle,
    /// After the others of a round.
    Memory,
}

impl Work {
    const ALL: [Self; 12] = [
        Self::H1,
        Self::H2,
        Self::Fresh,
        Self::Again,
        Self::Tcp,
        Self::Tls,
        Self::Udp,
        Self::Down,
        Self::Up,
        Self::H2Down,
        Self::Idle,
        Self::Memory,
    ];

    async fn measure(self, amount: &Amount, site: &Site, proxy: &mut Proxy, figures: &mut Figures<Figure>) {
        let (doors, dir) = (proxy.doors.clone(), site.dir.as_path());
        let (times, bytes) = amount.bulk;
        let errors = match self {
            Self::H1 => {
                let press = h2load(true, 32, 1, amount.h1);
                small(proxy, figures, H1, async { press.run(&doors, dir) }).await
            }
            Self::H2 => {
                let press = h2load(false, 8, 32, amount.h2);
                small(proxy, figures, H2, async { press.run(&doors, dir) }).await
            }
            Self::Fresh => small(proxy, figures, FRESH, tls::fresh(&doors, amount.fresh, false)).await,
            Self::Again => small(proxy, figures, AGAIN, tls::fresh(&doors, amount.fresh, true)).await,
            Self::Tcp => {
                let press = Press { is_clear: true, ..h2load(true, 32, 1, amount.h1) };
                let doors = proxy.raw.tcp.clone();
                through(proxy, figures, TCP, &doors, async { press.run(&doors, dir) }).await
            }
            Self::Tls => {
                let press = h2load(true, 32, 1, amount.h1);
                let doors = proxy.raw.tls.clone();
                through(proxy, figures, TLS, &doors, async { press.run(&doors, dir) }).await
            }
            Self::Udp => {
                let doors = proxy.raw.udp.clone();
                through(proxy, figures, UDP, &doors, udp::echo(&doors, amount.datagrams)).await
            }
            Self::Down => long(proxy, figures, DOWN, tls::download(&doors, times, bytes)).await,
            Self::Up => long(proxy, figures, UP, tls::upload(&doors, times, bytes)).await,
            Self::H2Down => long(proxy, figures, H2_DOWN, h2_bulk(&doors, dir, amount.h2_bulk)).await,
            Self::Idle => idle(amount, site, proxy, figures).await,
            Self::Memory => {
                figures.add(Figure::Memory, proxy.rss_kib() as f64);
                0
            }
        };
        figures.wrong(self, errors);
    }
}

/// Bytes that go through as they are, where the proxy has such a way.
async fn through(
    proxy: &mut Proxy,
    figures: &mut Figures<Figure>,
    which: Small,
    doors: &[Door],
    work: impl Future<Output = Outcome>,
) -> u64 {
    if doors.is_empty() { 0 } else { small(proxy, figures, which, work).await }
}

fn h2load(is_h1: bool, connections: usize, streams: usize, requests: usize) -> Press<'static> {
    Press { is_h1, is_clear: false, processes: 8, connections, streams, requests, path: "/small" }
}

async fn h2_bulk(doors: &[Door], dir: &Path, requests: usize) -> Outcome {
    let path = format!("/bulk/{MIB}");
    let small = h2load(false, 4, 2, requests);
    let press = Press { processes: 4, path: &path, ..small };
    let done = press.run(doors, dir);
    Outcome { bytes: done.latencies.len() as u64 * MIB, ..done }
}

/// Front, chain, rate, p50, p99 of small requests.
type Small = [Figure; 5];
const H1: Small = [Figure::H1Cpu, Figure::H1Chain, Figure::H1Rate, Figure::H1P50, Figure::H1P99];
const H2: Small = [Figure::H2Cpu, Figure::H2Chain, Figure::H2Rate, Figure::H2P50, Figure::H2P99];
const FRESH: Small =
    [Figure::FreshCpu, Figure::FreshChain, Figure::FreshRate, Figure::FreshP50, Figure::FreshP99];

const AGAIN: Small =
    [Figure::AgainCpu, Figure::AgainChain, Figure::AgainRate, Figure::AgainP50, Figure::AgainP99];
const TCP: Small = [Figure::TcpCpu, Figure::TcpChain, Figure::TcpRate, Figure::TcpP50, Figure::TcpP99];
const TLS: Small = [Figure::TlsCpu, Figure::TlsChain, Figure::TlsRate, Figure::TlsP50, Figure::TlsP99];
const UDP: Small = [Figure::UdpCpu, Figure::UdpChain, Figure::UdpRate, Figure::UdpP50, Figure::UdpP99];

/// Front, chain, rate of long bodies.
type Long = [Figure; 3];
const DOWN: Long = [Figure::DownCpu, Figure::DownChain, Figure::DownRate];
const UP: Long = [Figure::UpCpu, Figure::UpChain, Figure::UpRate];
const H2_DOWN: Long = [Figure::H2DownCpu, Figure::H2DownChain, Figure::H2DownRate];

/// CPU time of the front, and of all.
async fn with_cpu(proxy: &mut Proxy, work: impl Future<Output = Outcome>) -> ([f64; 2], Outcome) {
    let before = [proxy.cpu(), proxy.chain_cpu()];
    let done = work.await;
    let after = [proxy.cpu(), proxy.chain_cpu()];
    ([0, 1].map(|at| (after[at] - before[at]).as_secs_f64()), done)
}

async fn small(
    proxy: &mut Proxy,
    figures: &mut Figures<Figure>,
    [front, chain, rate, p50, p99]: Small,
    work: impl Future<Output = Outcome>,
) -> u64 {
    let (cpu, mut done) = with_cpu(proxy, work).await;
    let answered = done.latencies.len() as f64;
    figures.add(front, cpu[0] * 1e6 / answered);
    figures.add(chain, cpu[1] * 1e6 / answered);
    figures.add(rate, answered / done.elapsed.as_secs_f64());
    for (figure, part) in [(p50, 0.5), (p99, 0.99)] {
        if let Some(value) = percentile(&mut done.latencies, part) {
            figures.add(figure, value);
        }
    }
    done.errors
}

async fn long(
    proxy: &mut Proxy,
    figures: &mut Figures<Figure>,
    [front, chain, rate]: Long,
    work: impl Future<Output = Outcome>,
) -> u64 {
    let (cpu, done) = with_cpu(proxy, work).await;
    figures.add(front, cpu[0] / (done.bytes as f64 / 1e9));
    figures.add(chain, cpu[1] / (done.bytes as f64 / 1e9));
    figures.add(rate, done.bytes as f64 / 1e6 / done.elapsed.as_secs_f64());
    done.errors
}

/// On a proxy that was started for this alone: memory that other work has left behind would be taken again.
async fn idle(amount: &Amount, site: &Site, proxy: &Proxy, figures: &mut Figures<Figure>) -> u64 {
    let (_, start) = all().find(|(name, _)| *name == proxy.name).unwrap();
    let mut fresh = start(site).unwrap();
    fresh.ready().await;
    let (_first, missed) = tls::idle(&fresh.doors, FIRST).await;
    sleep(SETTLED).await;
    let before = fresh.rss_kib();
    let (standing, errors) = tls::idle(&fresh.doors, amount.idle).await;
    sleep(SETTLED).await;
    let grown = fresh.rss_kib().saturating_sub(before);
    figures.add(Figure::IdleMemory, grown as f64 / standing.len() as f64);
    missed + errors
}
