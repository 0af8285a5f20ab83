//! One UDP port on one core: its socket, and what stands behind it. Whoever polls it gets QUIC's datagrams and nothing
//! else; the rest is dealt with on the way.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use defense::{Event, HookPoint, Reason, VerdictKind};
use quinn_udp::{RecvMeta, Transmit};
use rotator::{GrantNo, UnixTime};
use state::Transport;
use tokio_util::sync::CancellationToken;

use super::filter::{self, Fate};
use super::flows::{Arrived, Flows, Way};
use super::socket::Socket;
use super::table::Ends;
use crate::bounds::UDP_TURNS;
use crate::gate::Gate;

/// Used on its core only; the lock within is never contended.
pub struct Port {
    gate: Arc<Gate>,
    flows: Arc<Flows>,
    socket: Arc<Socket>,
    /// Cancelled when the port is no longer served: flows through its socket end.
    closed: CancellationToken,
    /// An endpoint polls it: https entries of the port are served over QUIC.
    has_quic: bool,
    /// Addresses at which QUIC connections live, and how many.
    kept: Mutex<HashMap<IpAddr, usize>>,
}

/// A QUIC connection's address goes on to be heard, whatever becomes of its lease, until this is dropped.
#[derive(Debug)]
pub struct Kept {
    port: Arc<Port>,
    address: IpAddr,
}

impl Port {
    /// Without an endpoint that polls it, https entries of the port stay dark on UDP. `closed` says that nobody polls it
    /// any more.
    pub fn new(
        gate: Arc<Gate>,
        flows: Arc<Flows>,
        socket: Socket,
        closed: CancellationToken,
        has_quic: bool,
    ) -> Arc<Self> {
        Arc::new(Self { gate, flows, socket: Arc::new(socket), closed, has_quic, kept: Mutex::default() })
    }

    /// QUIC's datagrams, as many as there are: none to an address that is not leased, unless a connection lives there.
    /// Each buffer should hold 64 KiB, and as many datagrams as [`Socket::max_receive_segments`] says.
    ///
    /// # Errors
    /// Of the socket itself.
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        for _ in 0..UDP_TURNS {
            let received = ready!(self.socket.poll_recv(cx, bufs, metas))?;
            let mine = self.sort(bufs, metas, received);
            if mine > 0 {
                return Poll::Ready(Ok(mine));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// See [`Socket::try_send`]. A datagram without a source address would leave from one that is not private, so there
    /// is none.
    ///
    /// # Errors
    /// As [`Socket::try_send`]; `AddrNotAvailable` without a source address.
    pub fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match transmit.src_ip {
            Some(_) => self.socket.try_send(transmit),
            None => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// The socket, for what it says of itself.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The wildcard and the port.
    pub fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// Call it when a QUIC connection was admitted.
    pub fn keep(self: &Arc<Self>, address: IpAddr) -> Kept {
        let address = address.to_canonical();
        *self.kept().entry(address).or_default() += 1;
        Kept { port: Arc::clone(self), address }
    }

    /// Puts QUIC's datagrams first, and tells how many buffers they fill.
    fn sort(&self, bufs: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta], received: usize) -> usize {
        let (now, mut mine) = (self.gate.clock.now(), 0);
        for at in 0..received {
            let meta = metas[at];
            match self.judge(&meta, &bufs[at][..meta.len], now) {
                Fate::Quic => {
                    bufs.swap(mine, at);
                    metas.swap(mine, at);
                    mine += 1;
                }
                Fate::Flow(candidate) => {
                    let way = Way { socket: Arc::clone(&self.socket), closed: self.closed.clone() };
                    let Some(arrived) = self.arrived(&meta, &bufs[at][..meta.len]) else { continue };
                    if let Err(refused) = self.flows.begin(way, &candidate, arrived) {
                        let grant = Some(candidate.card.grant);
                        self.note(&meta, refused.verdict, refused.reason, grant, now);
                    }
                }
                Fate::Passed => {}
                Fate::Dark(reason, grant) => self.note(&meta, VerdictKind::Drop, reason, grant, now),
            }
        }
        mine
    }

    fn judge(&self, meta: &RecvMeta, bytes: &[u8], now: UnixTime) -> Fate {
        let Some(arrived) = self.arrived(meta, bytes) else { return Fate::Dark(Reason::SourceForged, None) };
        let destination = arrived.ends.destination;
        let first = bytes.first().copied();
        let goes_on = self.has_quic && first.is_some_and(filter::may_go_on);
        if goes_on && self.kept().contains_key(&destination.ip()) {
            return Fate::Quic;
        }
        if self.flows.pass(arrived) {
            return Fate::Passed;
        }
        let door = self.gate.roster.door(destination.ip(), (Transport::Udp, destination.port()), now);
        filter::newcomer(&door, first.is_some() && self.has_quic)
    }

    /// `None`: nobody can be answered there.
    fn arrived<'a>(&self, meta: &RecvMeta, bytes: &'a [u8]) -> Option<Arrived<'a>> {
        let to = meta.dst_ip?.to_canonical();
        let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
        let ends = Ends { source, destination: SocketAddr::new(to, self.local_addr().port()) };
        (source.port() != 0).then_some(Arrived { ends, bytes, stride: meta.stride })
    }

    /// Counts what was dropped; the journal samples it within its bounds.
    fn note(
        &self,
        meta: &RecvMeta,
        verdict: VerdictKind,
        reason: Reason,
        lease: Option<GrantNo>,
        now: UnixTime,
    ) {
        self.gate.journal.record(&Event {
            at_unix_s: now.secs(),
            point: HookPoint::Connection,
            verdict,
            reason,
            source: meta.addr.ip().to_canonical(),
            lease,
            request: None,
            count: datagrams(meta),
        });
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("local", &self.local_addr()).finish_non_exhaustive()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut kept = self.port.kept();
        if let Some(count) = kept.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                kept.remove(&self.address);
            }
        }
    }
}

/// How many datagrams a buffer holds.
fn datagrams(meta: &RecvMeta) -> u32 {
    u32::try_from(meta.len.div_ceil(meta.stride.max(1)).max(1)).unwrap_or(u32::MAX)
}
