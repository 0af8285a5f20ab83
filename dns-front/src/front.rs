//! The front as the rest of the gateway sees it: start it with sockets, ask it what it does. A shell.

use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use defense::{Hooks, Journal};
use rotator::{GrantNo, Keyring, LeaseTable};
use serde::Serialize;
use state::{Clock, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::decoy::{DecoySecret, Decoys};
use crate::desk::Desk;
use crate::follow::Follower;
use crate::tally::Counts;
use crate::view::{Unknown, View};
use crate::zone::{NameServer, Zone, ZoneError};
use crate::{tcp, udp};

/// What the zone is. Plain words: nobody else knows the DNS library.
#[derive(Clone, Debug)]
pub struct FrontConfig {
    /// The delegated zone: `u.edge.example.net`. Users' labels stand right below it.
    pub zone: String,
    /// The first is the SOA's primary.
    pub nameservers: Vec<NameServer>,
    /// Addresses of `join.<zone>`.
    pub join: Vec<IpAddr>,
    pub unknown: Unknown,
    pub decoy_secret: DecoySecret,
    /// TCP connections at once; at most [`crate::bounds::TCP_CONNECTIONS_MAX`].
    pub tcp_places: usize,
}

/// What the front works with.
pub struct Supplies {
    pub store: Arc<dyn Store>,
    /// The epoch keys now; the sender replaces them as epochs turn.
    pub keys: watch::Receiver<Keyring>,
    pub clock: Clock,
    pub hooks: Arc<dyn Hooks>,
    /// Where refusals are counted for `why`.
    pub journal: Option<Arc<Journal>>,
    /// The edge's table, when one runs in this process: decoys avoid what is leased there. Without it the front keeps a
    /// table of its own, at the same cost.
    pub leases: Option<Arc<LeaseTable>>,
}

/// Bound sockets. An answer leaves by the address that the query came to only if the UDP socket is bound to it: bind one
/// per address, never the wildcard on a machine with several.
#[derive(Debug, Default)]
pub struct Sockets {
    pub udp: Vec<UdpSocket>,
    pub tcp: Vec<TcpListener>,
}

/// Why the front did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Zone(#[from] ZoneError),
    #[error("a DNS socket can't be used: {0}")]
    Socket(#[from] io::Error),
}

/// What the front does now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    pub zone: String,
    /// Queries since the start, by every transport.
    pub queries: u64,
    pub counts: Counts,
    /// Grants that have a label here.
    pub labels: u64,
    /// Shapes that decoys copy; 0 means that unknown labels do not exist.
    pub decoy_shapes: u64,
    pub serial: u32,
}

/// A running front. It serves until its token is cancelled; dropping the handle does not end it.
pub struct Front {
    desk: Arc<Desk>,
    tasks: TaskTracker,
}

impl Front {
    /// Reads the whole state, then serves. It follows the state under the name `dns`. Call it within a runtime: the
    /// sockets and tasks belong to that one.
    ///
    /// # Errors
    /// The zone is impossible, or a socket can't be made asynchronous.
    pub async fn start(
        config: FrontConfig,
        supplies: Supplies,
        sockets: Sockets,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        let Supplies { store, keys, clock, hooks, journal, leases } = supplies;
        let zone = Zone::new(&config.zone, &config.nameservers, &config.join)?;
        let udp = sockets.udp.into_iter().map(udp_socket).collect::<io::Result<Vec<_>>>()?;
        let tcp = sockets.tcp.into_iter().map(tcp_listener).collect::<io::Result<Vec<_>>>()?;

        let own_leases = leases.is_none().then(Arc::<LeaseTable>::default);
        let table = leases.or_else(|| own_leases.clone()).unwrap_or_default();
        let ring = keys.borrow().clone();
        let view = View::new(zone, config.unknown, Decoys::new(&config.decoy_secret), ring, table);
        let desk = Arc::new(Desk::new(view, clock, hooks, journal));
        let mut follower = Follower::new(Arc::clone(&desk), store, keys, own_leases);
        follower.catch_up().await;

        let tasks = TaskTracker::new();
        tasks.spawn(follower.run(stop.clone()));
        for socket in udp {
            tasks.spawn(udp::serve(socket, Arc::clone(&desk), stop.clone()));
        }
        let places = tcp::Places::new(config.tcp_places);
        for listener in tcp {
            let (places, conversations) = (places.clone(), tasks.clone());
            tasks.spawn(tcp::serve(listener, Arc::clone(&desk), places, conversations, stop.clone()));
        }
        tasks.close();
        Ok(Self { desk, tasks })
    }

    pub fn status(&self) -> Status {
        let counts = self.desk.tally.read();
        let view = self.desk.view();
        Status {
            zone: view.zone().name().to_ascii().trim_end_matches('.').to_owned(),
            queries: counts.udp + counts.tcp,
            counts,
            labels: view.len() as u64,
            decoy_shapes: view.decoy_shapes() as u64,
            serial: view.serial(),
        }
    }

    /// The grant that bears this label now: the label alone, or its whole name in the zone.
    pub fn whose_label(&self, text: &str) -> Option<GrantNo> {
        let label = text.split('.').next().unwrap_or(text);
        self.desk.view().find(label.as_bytes(), self.desk.clock.now())
    }

    /// Waits until everything has ended after the token was cancelled.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}

fn udp_socket(socket: UdpSocket) -> io::Result<tokio::net::UdpSocket> {
    socket.set_nonblocking(true)?;
    tokio::net::UdpSocket::from_std(socket)
}

fn tcp_listener(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}
