//! The UDP sockets of one core: opened and closed as services come and go, each read until its port closes.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use quinn_udp::{BATCH_SIZE, RecvMeta};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::flows::Flows;
use super::port::Port;
use super::socket::{Socket, bind};
use crate::bounds::{ACCEPT_PAUSE, DATAGRAMS_ROOM, QUIC_PARTING_MAX};
use crate::gate::Gate;
use crate::quic::endpoint::Quic;
use crate::upstream::Upstream;

/// Sockets by port, one for each address that is listened on.
pub type Bound = BTreeMap<u16, Vec<UdpSocket>>;

/// A socket that could not be had.
#[derive(Debug)]
pub struct Unbound {
    pub address: IpAddr,
    pub port: u16,
    pub error: io::Error,
}

/// All of one core. Dropping it closes them, and ends what goes through them.
pub struct Listening {
    gate: Arc<Gate>,
    flows: Arc<Flows>,
    room: Arc<Room>,
    front: Option<Front>,
    open: BTreeMap<u16, Open>,
    _swept: DropGuard,
}

/// What serves QUIC on a core: the endpoints' own, where requests go, and which core it is.
pub type Front = (Arc<Quic>, Arc<Upstream>, u8);

/// A port that is served; dropping it closes it.
struct Open {
    has_quic: bool,
    endpoints: Vec<quinn::Endpoint>,
    _closed: DropGuard,
}

/// Where datagrams are put as they come: one for all sockets of a core, used by one at a time.
struct Room(Mutex<Box<[u8]>>);

/// Binds a port at every address.
///
/// # Errors
/// The first that could not be had; none is left open then.
pub fn bind_all(addresses: &[IpAddr], port: u16, device: Option<&str>) -> Result<Vec<UdpSocket>, Unbound> {
    let bind = |address: &IpAddr| {
        bind(*address, port, device).map_err(|error| Unbound { address: *address, port, error })
    };
    addresses.iter().map(bind).collect()
}

impl Listening {
    /// Call it on the core's runtime.
    pub fn new(gate: Arc<Gate>, fabric: Arc<fabric::Gateway>, cores: usize, front: Option<Front>) -> Self {
        let flows = Flows::new(Arc::clone(&gate), fabric, cores);
        let swept = CancellationToken::new();
        tokio::spawn(Arc::clone(&flows).sweep(swept.clone()));
        let _swept = swept.drop_guard();
        Self { gate, flows, room: Room::new(), front, open: BTreeMap::new(), _swept }
    }

    /// Reads these sockets of a port from now on; `has_quic`: for an endpoint, too.
    ///
    /// # Errors
    /// Want of descriptors; the port is not open then.
    pub fn open(&mut self, port: u16, sockets: Vec<UdpSocket>, has_quic: bool) -> io::Result<()> {
        let closed = CancellationToken::new();
        let sockets = sockets.into_iter().map(Socket::new).collect::<io::Result<Vec<_>>>()?;
        let front = self.front.as_ref().filter(|_| has_quic);
        let mut endpoints = Vec::new();
        for socket in sockets {
            let (gate, flows) = (Arc::clone(&self.gate), Arc::clone(&self.flows));
            let port = Port::new(gate, flows, socket, closed.clone(), front.is_some());
            match front {
                Some((quic, upstream, core)) => {
                    endpoints.push(quic.listen(&self.gate, upstream, port, *core, closed.clone())?);
                }
                None => drop(tokio::spawn(read(port, Arc::clone(&self.room), closed.clone()))),
            }
        }
        self.open.insert(port, Open { has_quic, endpoints, _closed: closed.drop_guard() });
        Ok(())
    }

    /// Closes the ports that are not wanted so, and tells which are to be opened, and whether for QUIC.
    pub fn retain(&mut self, wanted: &BTreeMap<u16, bool>) -> Vec<(u16, bool)> {
        self.open.retain(|port, open| wanted.get(port) == Some(&open.has_quic));
        let missing = wanted.iter().filter(|(port, _)| !self.open.contains_key(port));
        missing.map(|(port, has_quic)| (*port, *has_quic)).collect()
    }

    /// Waits a moment for what connections that are over have still to say: it is a datagram that is yet to be sent.
    pub async fn last_words(&self) {
        for endpoint in self.open.values().flat_map(|open| &open.endpoints) {
            let _ = tokio::time::timeout(QUIC_PARTING_MAX, endpoint.wait_idle()).await;
        }
    }
}

impl Room {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(vec![0; BATCH_SIZE * DATAGRAMS_ROOM].into_boxed_slice())))
    }

    fn lend<T>(&self, read: impl FnOnce(&mut [IoSliceMut<'_>], &mut [RecvMeta]) -> T) -> T {
        let mut room = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parts = room.chunks_mut(DATAGRAMS_ROOM);
        let mut bufs: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(parts.next().unwrap_or_default()));
        read(&mut bufs, &mut [RecvMeta::default(); BATCH_SIZE])
    }
}

/// Reads a port for its UDP services until it closes. An error never ends it.
async fn read(port: Arc<Port>, room: Arc<Room>, closed: CancellationToken) {
    let mut failures = 0_u64;
    let reading = async {
        loop {
            // Without an endpoint, no datagram is QUIC's, so only errors come back.
            let polled = poll_fn(|cx| room.lend(|bufs, metas| port.poll_recv(cx, bufs, metas))).await;
            if let Err(error) = polled {
                failures += 1;
                if failures.is_power_of_two() {
                    tracing::warn!(event = "edge.receive_failed", %error, failures);
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    };
    closed.run_until_cancelled(reading).await;
}
