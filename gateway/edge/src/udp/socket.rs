//! Wildcard UDP sockets: one per address family, port and core; what is sent leaves from the address that was reached.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use nix::sys::socket::sockopt::Ipv6DontFrag;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use socket2::{Domain, Protocol, SockFilter, SockRef, Type};
use tokio::io::Interest;

use crate::bounds::UDP_BUFFER;

/// A filter that lets nothing through: return 0 bytes.
const NOTHING: SockFilter = SockFilter::new(BPF_RET, 0, 0, 0);
const BPF_RET: u16 = 0x06;

/// Binds one socket that may share its port with those of other cores. The kernel spreads by the four addresses and
/// ports: who keeps to its own stays on one core, once all are there. Until then it is deaf: see [`hear`].
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
    socket.attach_filter(&[NOTHING])?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// From now on it hears what is sent to it. Of one that does already, nothing changes.
///
/// # Errors
/// Of the socket itself.
pub fn hear(socket: &std::net::UdpSocket) -> io::Result<()> {
    match SockRef::from(socket).detach_filter() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        detached => detached,
    }
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

    /// As [`Socket::try_send`], in fragments if it is one datagram that is too long for the link. QUIC must not be cut
    /// (RFC 9000 §14); what services send may be, as it would be without us.
    ///
    /// # Errors
    /// As [`Socket::try_send`].
    pub fn try_send_cut(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.try_send(transmit) {
            Err(error) if is_too_long(&error) && transmit.segment_size.is_none() => {
                self.set_fragments(true)?;
                let sent = self.try_send(transmit);
                self.set_fragments(false)?;
                sent
            }
            sent => sent,
        }
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

    /// Nothing else is sent meanwhile: the socket belongs to one core.
    fn set_fragments(&self, may_cut: bool) -> io::Result<()> {
        match self.local.ip() {
            IpAddr::V4(_) => {
                let (cut, whole) = (Ipv4PathMtuDiscovery::DONT, Ipv4PathMtuDiscovery::PROBE);
                sockopt::set_ip_mtu_discover(&self.io, if may_cut { cut } else { whole })?;
            }
            IpAddr::V6(_) => {
                let (cut, whole) = (Ipv6PathMtuDiscovery::DONT, Ipv6PathMtuDiscovery::PROBE);
                sockopt::set_ipv6_mtu_discover(&self.io, if may_cut { cut } else { whole })?;
                nix::sys::socket::setsockopt(&self.io, Ipv6DontFrag, &!may_cut)?;
            }
        }
        Ok(())
    }
}

/// Longer than the link, or than any datagram.
pub fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}

#[cfg(test)]
mod tests;
