//! Start, status and stop: one thread and one current-thread runtime per core, one follower and one opener for all of them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use defense::{Hooks, Journal, Reason};
use rotator::{GrantNo, Keyring};
use state::{Clock, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::access_log::{AccessLog, LogConfig};
use crate::bounds::CONNECTIONS_MAX;
use crate::budgets::Allowance;
use crate::certificates::Certificates;
use crate::connections::Connections;
use crate::drain::Drain;
use crate::follow::Follower;
use crate::gate::{Gate, Tls};
use crate::opener::{self, Opener, Place, Unbound};
use crate::ports::Ports;
use crate::pressure::{Pressure, PressureStatus, Thresholds};
use crate::quic::endpoint::Quic;
use crate::roster::Roster;
use crate::sockets::Sockets;
use crate::tcp::proxied::Balancers;
use crate::worker::{Datagrams, Worker};

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
    /// Whose TCP connections begin with a PROXY header: balancers that leave the private address in it.
    pub balancers: Balancers,
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
    datagrams: Arc<Datagrams>,
    /// Disconnected when no core reads datagrams any more.
    reading: Mutex<mpsc::Receiver<()>>,
    /// There is a predecessor, which still reads datagrams.
    is_heir: bool,
    places: usize,
}

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    #[error(transparent)]
    Listen(#[from] Unbound),
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
    pub http3: bool,
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
        let Parts { store, keys, certificates, fabric, hooks, journal, clock, sockets } = parts;
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
        let (allowance, balancers, http3) = (config.allowance, config.balancers, config.http3);
        let gate = Arc::new(Gate { log, pressure, allowance, balancers, http3, ..gate });
        let (follower, ports) = Follower::new(&config.name, Arc::clone(&gate), store, keys);
        let cores = config.workers.max(1);
        let quic = config.http3.then(|| Quic::new(&certificates, cores)).transpose()?.map(Arc::new);
        let is_heir = sockets.is_inherited();
        let place = Place { addresses: config.listen, device: config.device, cores, http3: config.http3 };
        let mut opener = Opener::new(place, sockets, ports.clone());
        let (first, unbound) = opener.follow();
        if let Some(unbound) = unbound.into_iter().next() {
            return Err(unbound.into());
        }
        // All that can fail comes first: an edge that says it is ready has every worker.
        let runtimes = (0..cores).map(|_| tokio::runtime::Builder::new_current_thread().enable_all().build());
        let runtimes = runtimes.collect::<io::Result<Vec<_>>>()?;
        let handles = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
        tokio::spawn(follower.run(stop.clone()));
        let (datagrams, (nobody, reading)) = (Arc::<Datagrams>::default(), mpsc::sync_channel(0));
        let (mut orders, mut workers) = (Vec::new(), Vec::new());
        for (core, (first, runtime)) in first.into_iter().zip(runtimes).enumerate() {
            let worker = Worker {
                gate: Arc::clone(&gate),
                fabric: Arc::clone(&fabric),
                datagrams: Arc::clone(&datagrams),
                quic: quic.clone(),
                memory_max: config.memory_max,
                core: core as u8,
                cores,
                stop: stop.clone(),
            };
            let (order, ordered) = opener::orders();
            orders.push(order);
            workers.push(worker.spawn(runtime, first, ordered, nobody.clone())?);
        }
        tokio::spawn(opener.run(orders, stop));
        let (workers, reading) = (Mutex::new(workers), Mutex::new(reading));
        Ok(Self { gate, ports, workers, runtimes: handles, datagrams, reading, is_heir, places })
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
            http3: self.gate.http3,
            stages: self.gate.roster.stages(now),
            pressure: self.gate.pressure.status(),
        }
    }

    /// Accepts from now on; until then, connections wait in the kernel. Datagrams wait there until
    /// [`Edge::read_datagrams`] if there is a predecessor.
    pub fn open(&self) {
        self.gate.drain.open();
        if !self.is_heir {
            self.read_datagrams();
        }
    }

    /// The predecessor reads no datagrams any more.
    pub fn read_datagrams(&self) {
        self.datagrams.ours.cancel();
    }

    /// A successor has the same sockets, and shall get all datagrams from when this returns. Who is on HTTP/3 is told to
    /// part; flows end, and begin there with their next datagram. Blocks for at most `limit`.
    pub fn leave_datagrams(&self, limit: Duration) {
        self.datagrams.left.cancel();
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = reading.recv_timeout(limit);
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
