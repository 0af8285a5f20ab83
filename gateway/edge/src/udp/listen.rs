//! The UDP sockets of one core: opened and closed as services come and go, each read until its port closes.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};

use quinn_udp::{BATCH_SIZE, RecvMeta};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::flows::Flows;
use super::port::Port;
use super::socket::Socket;
use crate::bounds::{ACCEPT_PAUSE, DATAGRAMS_ROOM, QUIC_LEAVE_MAX, QUIC_PARTING_MAX};
use crate::gate::Gate;
use crate::quic::endpoint::Quic;
use crate::quic::h3::code::Code;
use crate::sockets::Hold;
use crate::upstream::Upstream;

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
    endpoints: Vec<quinn::Endpoint>,
    _closed: DropGuard,
    _holds: Vec<Hold>,
}

/// Where datagrams are put as they come: one for all sockets of a core, used by one at a time.
struct Room(Mutex<Box<[u8]>>);

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
    pub fn open(&mut self, port: u16, sockets: Vec<(UdpSocket, Hold)>, has_quic: bool) -> io::Result<()> {
        let closed = CancellationToken::new();
        let (sockets, holds): (Vec<_>, Vec<_>) = sockets.into_iter().unzip();
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
        self.open.insert(port, Open { endpoints, _closed: closed.drop_guard(), _holds: holds });
        Ok(())
    }

    /// Ends what goes through a port.
    pub fn close(&mut self, port: u16) {
        self.open.remove(&port);
    }

    /// Leaves every port to a successor, which has the same sockets: who is on QUIC is told to part and waited for a moment,
    /// flows go on meanwhile; then nothing more is read here. The next datagram of each flow begins it there.
    pub async fn leave(self) {
        self.gate.drain.quic.cancel();
        let _ = timeout(QUIC_LEAVE_MAX, self.idle()).await;
        self.endpoints().for_each(|endpoint| endpoint.close(Code::NoError.wire(), &[]));
        self.last_words().await;
    }

    /// Waits a moment for what connections that are over have still to say: it is a datagram that is yet to be sent.
    pub async fn last_words(&self) {
        let _ = timeout(QUIC_PARTING_MAX, self.idle()).await;
    }

    /// Until no QUIC connection is left.
    async fn idle(&self) {
        for endpoint in self.endpoints() {
            endpoint.wait_idle().await;
        }
    }

    fn endpoints(&self) -> impl Iterator<Item = &quinn::Endpoint> {
        self.open.values().flat_map(|open| &open.endpoints)
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
