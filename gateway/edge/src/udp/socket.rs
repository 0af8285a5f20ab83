//! Wildcard UDP sockets: one per address family, port and core; what is sent leaves from the address that was reached.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;

use crate::bounds::UDP_BUFFER;

/// Binds one socket that may share its port with those of other cores. The kernel spreads by the four addresses and
/// ports: who keeps to its own stays on one core.
///
/// `device` limits it to one interface, as for TCP.
///
/// # Errors
/// The address is taken or not ours, the device unknown, or the port not permitted.
pub fn bind(address: IpAddr, port: u16, device: Option<&str>) -> io::Result<std::net::UdpSocket> {
    let address = SocketAddr::new(address, port);
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // IPv4 has its own socket, so that a lease's address is never seen in its mapped form.
        socket.set_only_v6(true)?;
        // Private addresses are on no interface: without this, answers from them fail in silence. Needs no privilege.
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    socket.set_reuse_port(true)?;
    if let Some(device) = device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    // The system's own limit cuts them down, and may refuse to say so.
    let _ = socket.set_recv_buffer_size(UDP_BUFFER);
    let _ = socket.set_send_buffer_size(UDP_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// A bound socket on the runtime of its core. Batches in with the address that each was sent to, segments out.
#[derive(Debug)]
pub struct Socket {
    io: tokio::net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

impl Socket {
    /// Call it within the runtime of its core.
    ///
    /// # Errors
    /// Want of descriptors; a kernel that can't tell where a datagram was sent.
    pub fn new(bound: std::net::UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&bound).into())?;
        let local = bound.local_addr()?;
        Ok(Self { io: tokio::net::UdpSocket::from_std(bound)?, state, local })
    }

    /// As many datagrams as there are and as fit. Those of one sender may share a buffer: see `RecvMeta::stride`.
    /// Each buffer has to hold [`Socket::max_receive_segments`] of the longest.
    ///
    /// # Errors
    /// Of the socket itself, never of one sender.
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let recv = || self.state.recv((&self.io).into(), bufs, metas);
            match self.io.try_io(Interest::READABLE, recv) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return Poll::Ready(received),
            }
        }
    }

    /// Sends one datagram, or equal segments of several; `src_ip` is the private address that was reached.
    ///
    /// # Errors
    /// `WouldBlock` when the kernel has no room (see [`Socket::writable`]); any other concerns this datagram alone.
    pub fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || self.state.try_send((&self.io).into(), transmit))
    }

    /// Waits until a send should be tried again.
    ///
    /// # Errors
    /// The runtime is going down.
    pub async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    /// The wildcard and the port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How many segments one [`Socket::try_send`] takes; 1 where the kernel or the interface does not cut.
    pub fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// How many datagrams may share a buffer.
    pub fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    /// Could the kernel cut what is too long for the path into fragments?
    pub fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

#[cfg(test)]
mod tests;
