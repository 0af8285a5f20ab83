//! The UDP sockets of one core: opened and closed as services come and go, each read until its port closes.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use quinn_udp::{BATCH_SIZE, RecvMeta};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::flows::Flows;
use super::port::Port;
use super::socket::{Socket, bind};
use crate::bounds::{ACCEPT_PAUSE, DATAGRAMS_ROOM};
use crate::gate::Gate;

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
    open: BTreeMap<u16, DropGuard>,
    _swept: DropGuard,
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
    pub fn new(gate: Arc<Gate>, fabric: Arc<fabric::Gateway>, cores: usize) -> Self {
        let flows = Flows::new(Arc::clone(&gate), fabric, cores);
        let swept = CancellationToken::new();
        tokio::spawn(Arc::clone(&flows).sweep(swept.clone()));
        Self { gate, flows, room: Room::new(), open: BTreeMap::new(), _swept: swept.drop_guard() }
    }

    /// Reads these sockets of a port from now on.
    ///
    /// # Errors
    /// Want of descriptors; the port is not open then.
    pub fn open(&mut self, port: u16, sockets: Vec<UdpSocket>) -> io::Result<()> {
        let closed = CancellationToken::new();
        let sockets = sockets.into_iter().map(Socket::new).collect::<io::Result<Vec<_>>>()?;
        for socket in sockets {
            let (gate, flows) = (Arc::clone(&self.gate), Arc::clone(&self.flows));
            let port = Port::new(gate, flows, socket, closed.clone(), false);
            tokio::spawn(read(port, Arc::clone(&self.room), closed.clone()));
        }
        self.open.insert(port, closed.drop_guard());
        Ok(())
    }

    /// Closes the ports that are not wanted, and tells which are to be opened.
    pub fn retain(&mut self, wanted: &BTreeSet<u16>) -> Vec<u16> {
        self.open.retain(|port, _| wanted.contains(port));
        wanted.iter().copied().filter(|port| !self.open.contains_key(port)).collect()
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
