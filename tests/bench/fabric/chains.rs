//! What is measured: a row of processes from a front that takes TCP to the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tests::measure::certificates::Certificates;
use tests::measure::processes::{Process, free_address};
use tokio::time::{Instant, sleep};

use crate::load::{KEEP, connect};
use crate::{h2_link, ours, peers};

/// What every chain is made from.
pub(crate) struct Site {
    /// For configurations and what the processes say.
    pub(crate) dir: PathBuf,
    pub(crate) certificates: Certificates,
    /// Where the service listens.
    pub(crate) service: SocketAddr,
    /// The core of the chains.
    pub(crate) core: Option<usize>,
}

/// One that runs.
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    pub(crate) processes: Vec<Process>,
    /// For requests.
    pub(crate) front: SocketAddr,
    /// For long transfers; the same where the chain makes no difference.
    pub(crate) bulk: SocketAddr,
}

/// How one is started; the error says what is missing.
type Start = fn(&Site) -> Result<Chain, String>;

/// In the order of the tables.
pub(crate) const ALL: [(&str, Start); 10] = [
    ("fabric", ours::start),
    ("h2", h2_link::start),
    ("nginx-http", peers::nginx_http),
    ("nginx-tcp", peers::nginx_tcp),
    ("haproxy-http", peers::haproxy_http),
    ("haproxy-tcp", peers::haproxy_tcp),
    ("rathole", peers::rathole),
    ("rathole-2", peers::rathole_twice),
    ("copiers", copiers),
    ("direct", direct),
];

impl Site {
    /// A process of this very program.
    pub(crate) fn part(&self, name: &str, arguments: &[String]) -> Process {
        let own = std::env::current_exe().unwrap();
        let part = name.split_once('.').map_or(name, |(_, part)| part);
        let arguments = ["part".to_owned(), part.to_owned()].into_iter().chain(arguments.iter().cloned());
        Process::start(name, self.core, &self.dir, own, arguments)
    }
}

impl Chain {
    /// CPU time that its processes have had, together.
    pub(crate) fn cpu(&mut self) -> Duration {
        self.processes.iter_mut().map(Process::cpu).sum()
    }

    /// Resident memory of its processes, together.
    pub(crate) fn rss_kib(&mut self) -> u64 {
        self.processes.iter_mut().map(Process::rss_kib).sum()
    }

    /// Waits until a request gets through both fronts.
    ///
    /// # Panics
    /// With what its processes said, when one of them has ended or none answers.
    pub(crate) async fn ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        for front in [self.front, self.bulk] {
            while !answers(front).await {
                // Each of them makes sure that it still runs.
                self.cpu();
                let said = || self.processes.iter().map(Process::last_words).collect::<Vec<_>>().join("\n");
                assert!(Instant::now() < deadline, "{} carries no request\n{}", self.name, said());
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answers(front: SocketAddr) -> bool {
    let ask = async { connect(front).await?.ask(KEEP).await };
    matches!(tokio::time::timeout(Duration::from_secs(1), ask).await, Ok(Ok(_)))
}

fn copiers(site: &Site) -> Result<Chain, String> {
    let mut to = site.service;
    let processes = (1..=3).map(|at| {
        let listen = free_address();
        let part = site.part(&format!("{at}.copier"), &[listen.to_string(), to.to_string()]);
        to = listen;
        part
    });
    let processes = processes.collect();
    Ok(Chain { name: "copiers", processes, front: to, bulk: to })
}

fn direct(site: &Site) -> Result<Chain, String> {
    Ok(Chain { name: "direct", processes: Vec::new(), front: site.service, bulk: site.service })
}
