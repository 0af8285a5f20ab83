//! What is measured: a front that ends TLS, with all that stands between it and the service.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use tests::fabric::Fabric;
use tests::measure::certificates::Certificates;
use tests::measure::processes::{self, Cores, Process};
use tokio::time::{Instant, sleep};

use crate::load::tls;
use crate::{ours, peers};

/// What every proxy is made from.
pub(crate) struct Site {
    /// For configurations and what the processes say.
    pub(crate) dir: PathBuf,
    pub(crate) certificates: Certificates,
    /// Where the service listens.
    pub(crate) service: SocketAddr,
    pub(crate) cores: Cores,
    /// Addresses that this machine takes for its own, if there are any: bytes without a name need an address that nobody
    /// guesses. All doors are of IPv6 then.
    pub(crate) v6: Option<&'static str>,
}

/// What `tests/bench/run` routes to this machine, in a network of its own.
const ROUTED: &str = "2001:db8:42::/64";

/// [`ROUTED`], if it is.
pub(crate) fn routed() -> Option<&'static str> {
    let one: Ipv6Addr = ROUTED.trim_end_matches("/64").parse().ok()?;
    // Nothing is sent: it tells by which address of ours one would get there.
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((one, 9)).ok()?;
    let here = socket.local_addr().ok()?.ip();
    (here.is_loopback() || here == one).then_some(ROUTED)
}

/// Where clients come in.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) at: SocketAddr,
    pub(crate) name: String,
    /// Who vouches for the certificate.
    pub(crate) authority: PathBuf,
}

/// One that runs.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    /// More than one where each takes a limited number of connections.
    pub(crate) doors: Vec<Door>,
    /// To the service's own bytes.
    pub(crate) raw: Raw,
    pub(crate) own: Own,
}

/// Where bytes go through as they are; empty where a proxy has no such thing.
#[derive(Default)]
pub(crate) struct Raw {
    pub(crate) tcp: Vec<Door>,
    /// Out of TLS.
    pub(crate) tls: Vec<Door>,
    pub(crate) udp: Vec<Door>,
}

/// Its processes.
pub(crate) enum Own {
    /// The front first.
    Programs(Vec<Process>),
    Product(Box<Fabric>),
}

/// How one is started; the error says what is missing.
pub(crate) type Start = fn(&Site) -> Result<Proxy, String>;

/// All that can be measured here, in the order of the tables.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Start)> {
    ALL.into_iter().filter(|(name, _)| *name != "before" || std::env::var_os(ours::BEFORE).is_some())
}

const ALL: [(&str, Start); 5] = [
    ("wandergate", ours::start),
    ("before", ours::before),
    ("nginx", peers::nginx),
    ("nginx-chain", peers::nginx_chain),
    ("haproxy", peers::haproxy),
];

impl Proxy {
    /// CPU time that the front has had.
    pub(crate) fn cpu(&mut self) -> Duration {
        match &mut self.own {
            Own::Programs(processes) => processes[0].cpu(),
            Own::Product(fabric) => processes::cpu(fabric.edge.pid()),
        }
    }

    /// CPU time that all its processes have had.
    pub(crate) fn chain_cpu(&mut self) -> Duration {
        match &mut self.own {
            Own::Programs(processes) => processes.iter_mut().map(Process::cpu).sum(),
            Own::Product(fabric) => ours::members(fabric).map(|member| processes::cpu(member.pid())).sum(),
        }
    }

    /// Resident memory of the front.
    pub(crate) fn rss_kib(&mut self) -> u64 {
        match &mut self.own {
            Own::Programs(processes) => processes[0].rss_kib(),
            Own::Product(fabric) => processes::rss_kib(fabric.edge.pid()),
        }
    }

    /// Waits until a request gets through each door.
    ///
    /// # Panics
    /// With what its process said, when that has ended or never answers.
    pub(crate) async fn ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        for door in self.doors.clone() {
            while let Err(error) = tls::Asker::new(&door).once().await {
                // It makes sure that each process still runs.
                self.chain_cpu();
                let said = || match &self.own {
                    Own::Programs(processes) => {
                        processes.iter().map(Process::last_words).collect::<Vec<_>>().join("\n")
                    }
                    Own::Product(fabric) => fabric.edge.log(),
                };
                assert!(Instant::now() < deadline, "{} carries no request ({error})\n{}", self.name, said());
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
