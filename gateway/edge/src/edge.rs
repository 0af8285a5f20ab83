//! Start, status and stop: one thread and one current-thread runtime per core, one follower for all of them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use defense::{Hooks, Journal, Reason};
use rotator::{GrantNo, Keyring};
use socket2::Type;
use state::{Clock, Store, Transport};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::access_log::{AccessLog, LogConfig};
use crate::bounds::{CONNECTIONS_MAX, UPSTREAM_IDLE_MAX};
use crate::budgets::Allowance;
use crate::certificates::Certificates;
use crate::connections::Connections;
use crate::drain::Drain;
use crate::follow::Follower;
use crate::gate::{Gate, Tls};
use crate::ports::Ports;
use crate::pressure::{self, Pressure, PressureStatus, Thresholds};
use crate::quic::endpoint::Quic;
use crate::roster::Roster;
use crate::sockets::{Hold, Sockets};
use crate::tcp::listen;
use crate::udp::{self, Listening};
use crate::upstream::Upstream;

/// What an edge is told at its start.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Its name in acknowledgements.
    pub name: String,
    pub zone: String,
    /// Usually the wildcards.
    pub listen: Vec<IpAddr>,
    pub device: Option<String>,
    pub workers: usize,
    /// Connections of every kind at a time; at most [`CONNECTIONS_MAX`].
    pub places: usize,
    /// From the drain's beginning to its hard end.
    pub drain_max: Duration,
    /// A line for each request, where somebody wants one.
    pub access_log: Option<LogConfig>,
    /// What a lease may take whose service says nothing else.
    pub allowance: Allowance,
    /// When it sheds.
    pub pressure: Thresholds,
    /// Bytes of memory that the process may use, if less than its group or machine has.
    pub memory_max: Option<u64>,
    /// HTTP/3 on the UDP ports of https entries.
    pub http3: bool,
}

/// What an edge works with.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub keys: watch::Receiver<Keyring>,
    pub certificates: Certificates,
    pub fabric: Arc<fabric::Gateway>,
    pub hooks: Arc<dyn Hooks>,
    pub journal: Arc<Journal>,
    pub clock: Clock,
    /// Those of a predecessor are taken; those in use can be handed on.
    pub sockets: Arc<Sockets>,
}

/// A running edge. It listens at once, and accepts from [`Edge::open`] on. Cancel its token to drain it.
pub struct Edge {
    gate: Arc<Gate>,
    ports: watch::Receiver<Ports>,
    workers: Mutex<Vec<std::thread::JoinHandle<()>>>,
    runtimes: Vec<tokio::runtime::Handle>,
    places: usize,
}

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    #[error("can't listen on {address} port {port}: {error}")]
    Listen { address: IpAddr, port: u16, error: io::Error },
    #[error("can't write the access log {path}: {error}")]
    Log { path: PathBuf, error: io::Error },
    /// Want of threads or descriptors.
    #[error("can't make a worker for a core: {0}")]
    Worker(#[from] io::Error),
}

/// Figures of an edge at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeStatus {
    pub grants: usize,
    /// Addresses that are early, live, in grace, or tombstones.
    pub addresses: usize,
    pub connections: usize,
    pub draining: usize,
    /// Connections are accepted.
    pub is_open: bool,
    /// Connections that a drain cut.
    pub cut: usize,
    /// Connections of every kind that may be open at a time, and how many more there could be now.
    pub places: usize,
    pub places_free: usize,
    /// Tasks of all its workers.
    pub tasks: usize,
    /// What is listened on, as `https/443` and `udp/16384-16483`.
    pub ports: Vec<String>,
    /// Addresses by stage.
    pub stages: BTreeMap<&'static str, usize>,
    pub pressure: PressureStatus,
}

impl Edge {
    /// Binds every port of every service on every core, then serves. Call it within a runtime that stays: its
    /// follower runs there.
    ///
    /// # Errors
    /// A port can't be bound; nothing is left running then.
    pub fn start(config: EdgeConfig, parts: Parts, stop: CancellationToken) -> Result<Self, EdgeError> {
        let roster = Arc::new(Roster::new(&config.zone));
        let Parts { store, keys, certificates, fabric, hooks, journal, clock, sockets: shared } = parts;
        let tls = Tls { plain: certificates.server_config(), keyed: certificates.keyed_config() };
        let log = config.access_log.clone().map(|told| {
            let path = told.path.clone();
            AccessLog::start(told, clock.clone()).map_err(|error| EdgeError::Log { path, error })
        });
        let log = log.transpose()?;
        let places = config.places.min(CONNECTIONS_MAX);
        let drain = Drain::new(stop.clone(), config.drain_max);
        let pressure = Arc::new(Pressure::new(config.pressure));
        let gate = Gate::new(roster, hooks, journal, clock, tls, places, drain);
        let gate = Arc::new(Gate { log, pressure, allowance: config.allowance, ..gate });
        let (follower, ports) = Follower::new(&config.name, Arc::clone(&gate), store, keys);
        let cores = config.workers.max(1);
        let quic = config.http3.then(|| Quic::new(&certificates, cores)).transpose()?.map(Arc::new);
        let (first, datagrams) = (ports.borrow().on(Transport::Tcp), ports.borrow().datagrams(config.http3));
        let mut sockets = Vec::new();
        for _ in 0..cores {
            let bound = first.iter().map(|port| Ok((*port, bind_all(&config, &shared, *port)?)));
            let tcp = bound.collect::<Result<BTreeMap<_, _>, EdgeError>>()?;
            let bound = datagrams.keys().map(|port| Ok((*port, bind_udp(&config, *port)?)));
            sockets.push(First { tcp, udp: bound.collect::<Result<_, EdgeError>>()? });
        }
        // All that can fail comes first: an edge that says it is ready has every worker.
        let runtimes =
            (0..sockets.len()).map(|_| tokio::runtime::Builder::new_current_thread().enable_all().build());
        let runtimes = runtimes.collect::<io::Result<Vec<_>>>()?;
        let handles = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
        tokio::spawn(follower.run(stop.clone()));
        let workers = sockets.into_iter().zip(runtimes).enumerate().map(|(core, (bound, runtime))| {
            let worker = Worker {
                config: config.clone(),
                gate: Arc::clone(&gate),
                fabric: Arc::clone(&fabric),
                ports: ports.clone(),
                sockets: Arc::clone(&shared),
                stop: stop.clone(),
                quic: quic.clone(),
                core: core as u8,
            };
            worker.spawn(core, runtime, bound)
        });
        let workers = Mutex::new(workers.collect::<io::Result<_>>()?);
        Ok(Self { gate, ports, workers, runtimes: handles, places })
    }

    pub fn status(&self) -> EdgeStatus {
        let now = self.gate.clock.now();
        EdgeStatus {
            grants: self.gate.roster.grants(),
            addresses: self.gate.roster.leases().len(),
            connections: self.gate.connections.len(),
            draining: self.gate.connections.draining(now),
            is_open: self.gate.drain.is_open(),
            cut: self.gate.drain.cut(),
            places: self.places,
            places_free: self.gate.places.available_permits(),
            tasks: self.runtimes.iter().map(|runtime| runtime.metrics().num_alive_tasks()).sum(),
            ports: self.ports.borrow().texts(),
            stages: self.gate.roster.stages(now),
            pressure: self.gate.pressure.status(),
        }
    }

    /// Accepts from now on; until then, connections wait in the kernel.
    pub fn open(&self) {
        self.gate.drain.open();
    }

    /// Ends a drain at once, or the next one: nobody is waited for.
    pub fn hasten(&self) {
        self.gate.drain.hasten();
    }

    /// Ends every connection of these grants, and lets nobody in by them any more: they are gone, as another process knows.
    pub fn forget(&self, grants: &[GrantNo]) {
        grants.iter().for_each(|grant| self.gate.roster.remove_card(*grant));
        self.gate.connections.close_grants(grants, Reason::RevokedLive);
    }

    pub fn roster(&self) -> &Arc<Roster> {
        &self.gate.roster
    }

    pub fn pressure(&self) -> &Arc<Pressure> {
        &self.gate.pressure
    }

    pub fn connections(&self) -> &Arc<Connections> {
        &self.gate.connections
    }

    /// Goes on in a new file of the access log's name, after the old one was renamed.
    ///
    /// # Errors
    /// The file can't be opened; the old one stays in use.
    pub fn reopen_log(&self) -> io::Result<()> {
        self.gate.log.as_ref().map_or(Ok(()), AccessLog::reopen)
    }

    /// Blocks until every connection has ended, or the drain's limit has passed, after the stop token was cancelled; tells
    /// how many connections were cut.
    ///
    /// The fabric and the keys must go on until then: requests under way are still carried.
    pub fn join(&self) -> usize {
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            // A worker that panicked has said so; the others still deserve their drain.
            let _ = worker.join();
        }
        self.gate.log.iter().for_each(AccessLog::flush);
        self.gate.drain.cut()
    }
}

/// One core's listeners and connections.
struct Worker {
    config: EdgeConfig,
    gate: Arc<Gate>,
    fabric: Arc<fabric::Gateway>,
    ports: watch::Receiver<Ports>,
    sockets: Arc<Sockets>,
    stop: CancellationToken,
    quic: Option<Arc<Quic>>,
    core: u8,
}

/// One core's sockets, as they were bound at the start.
struct First {
    tcp: BTreeMap<u16, Vec<Bound>>,
    udp: udp::listen::Bound,
}

/// A listening socket, and what keeps it among those that a successor gets.
type Bound = (TcpListener, Hold);

impl Worker {
    fn spawn(
        self,
        core: usize,
        runtime: tokio::runtime::Runtime,
        bound: First,
    ) -> io::Result<std::thread::JoinHandle<()>> {
        let named = std::thread::Builder::new().name(format!("edge-{core}"));
        named.spawn(move || runtime.block_on(self.run(bound)))
    }

    /// Listens on the ports that services have now, until stopped; then waits for the drain.
    async fn run(mut self, bound: First) {
        if !self.gate.drain.opened().await {
            return;
        }
        let upstream = Upstream::new(Arc::clone(&self.fabric));
        tokio::spawn(pressure::sample(Arc::clone(&self.gate), self.config.memory_max, self.stop.clone()));
        let mut open: BTreeMap<u16, CancellationToken> = BTreeMap::new();
        for (port, listeners) in bound.tcp {
            open.insert(port, self.listen(&upstream, listeners));
        }
        let front = self.quic.as_ref().map(|quic| (Arc::clone(quic), Arc::clone(&upstream), self.core));
        let cores = self.config.workers.max(1);
        let mut datagrams = Listening::new(Arc::clone(&self.gate), Arc::clone(&self.fabric), cores, front);
        let wanted = self.ports.borrow().datagrams(self.config.http3);
        for (port, sockets) in bound.udp {
            opened(port, datagrams.open(port, sockets, wanted.get(&port).copied().unwrap_or_default()));
        }
        let mut sweep = tokio::time::interval(UPSTREAM_IDLE_MAX);
        let mut is_whole = true;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                changed = self.ports.changed() => if changed.is_err() { break },
                _ = sweep.tick() => {
                    upstream.sweep();
                    // A port that was taken is tried again.
                    if is_whole {
                        continue;
                    }
                }
            }
            is_whole = self.follow_ports(&upstream, &mut open) & self.follow_datagrams(&mut datagrams);
        }
        // The follower is gone without a stop: serve what is known until there is one.
        self.stop.cancelled().await;
        self.gate.drain.ended(&self.gate.connections).await;
        datagrams.last_words().await;
    }

    /// Opens and closes listeners. False: a port could not be had, and should be tried again.
    fn follow_ports(
        &mut self,
        upstream: &Arc<Upstream>,
        open: &mut BTreeMap<u16, CancellationToken>,
    ) -> bool {
        let wanted = self.ports.borrow_and_update().on(Transport::Tcp);
        open.retain(|port, stop| {
            let keep = wanted.contains(port);
            if !keep {
                stop.cancel();
            }
            keep
        });
        let mut is_whole = true;
        for port in wanted {
            if open.contains_key(&port) {
                continue;
            }
            match bind_all(&self.config, &self.sockets, port) {
                Ok(listeners) => drop(open.insert(port, self.listen(upstream, listeners))),
                Err(error) => {
                    is_whole = false;
                    tracing::error!(event = "edge.listen_failed", port, %error);
                }
            }
        }
        is_whole
    }

    /// As [`Worker::follow_ports`], for UDP services and QUIC.
    fn follow_datagrams(&self, datagrams: &mut Listening) -> bool {
        let wanted = self.ports.borrow().datagrams(self.config.http3);
        let mut is_whole = true;
        for (port, has_quic) in datagrams.retain(&wanted) {
            let bound = bind_udp(&self.config, port).map_err(|error| error.to_string());
            is_whole &= opened(
                port,
                bound.and_then(|sockets| {
                    datagrams.open(port, sockets, has_quic).map_err(|error| error.to_string())
                }),
            );
        }
        is_whole
    }

    fn listen(&self, upstream: &Arc<Upstream>, listeners: Vec<Bound>) -> CancellationToken {
        let stop = self.stop.child_token();
        for (listener, hold) in listeners {
            tokio::spawn(listen::accept(
                Arc::clone(&self.gate),
                Arc::clone(upstream),
                listener,
                hold,
                stop.clone(),
            ));
        }
        stop
    }
}

/// Says so if a port could not be opened.
fn opened(port: u16, outcome: Result<(), impl std::fmt::Display>) -> bool {
    if let Err(error) = &outcome {
        tracing::error!(event = "edge.listen_failed", port, %error);
    }
    outcome.is_ok()
}

fn bind_udp(config: &EdgeConfig, port: u16) -> Result<Vec<std::net::UdpSocket>, EdgeError> {
    udp::listen::bind_all(&config.listen, port, config.device.as_deref())
        .map_err(|udp::listen::Unbound { address, port, error }| EdgeError::Listen { address, port, error })
}

fn bind_all(config: &EdgeConfig, sockets: &Sockets, port: u16) -> Result<Vec<Bound>, EdgeError> {
    let device = config.device.as_deref();
    let bind = |address: &IpAddr| {
        let inherited = sockets.take(Type::STREAM, (*address, port).into(), device);
        let bound =
            inherited.map_or_else(|| listen::bind(*address, port, device), |socket| Ok(socket.into()));
        let held = bound.and_then(|listener| sockets.hold(&listener).map(|hold| (listener, hold)));
        held.map_err(|error| EdgeError::Listen { address: *address, port, error })
    };
    config.listen.iter().map(bind).collect()
}
