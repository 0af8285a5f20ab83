//! Every listening socket but the edge's and the operators' own: bound first, so that a taken port is known before anything runs.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use defense::Reason;
use edge::sockets::{Hold, Sockets as Inheritance};
use socket2::{Socket, Type};

use crate::config::{Config, Fabric};
use crate::whereabouts::Whereabouts;
use crate::zone_certificate;

/// Sockets by role.
#[derive(Debug)]
pub struct Sockets {
    pub dns_udp: Vec<UdpSocket>,
    pub dns_tcp: Vec<TcpListener>,
    pub join: TcpListener,
    /// Of a hub in this process, if there is one.
    pub hub: Option<TcpListener>,
    pub ops_tcp: TcpListener,
    /// The predecessor's, if there is one that has not been taken as another.
    pub ops_unix: Option<UnixListener>,
    /// All sockets that a successor gets, the edge's too.
    pub shared: Arc<Inheritance>,
    /// Keeps those that are bound here among them.
    pub holds: Vec<Hold>,
}

impl Sockets {
    /// Binds them as the configuration says; port 0 takes a free one.
    ///
    /// # Errors
    /// `W-1101`: which address is taken.
    pub fn bind(config: &Config) -> Result<Self> {
        Self::inherit(config, Inheritance::default())
    }

    /// As [`Sockets::bind`]; what a predecessor had at the same place is taken over from it.
    ///
    /// # Errors
    /// As [`Sockets::bind`].
    pub fn inherit(config: &Config, of: Inheritance) -> Result<Self> {
        let mut dns_udp = Vec::new();
        let mut dns_tcp = Vec::new();
        for address in &config.dns.listen {
            let udp = match of.take(Type::DGRAM, *address, None) {
                Some(socket) => socket.into(),
                None => UdpSocket::bind(address).map_err(|e| taken("dns", *address, &e))?,
            };
            // TCP at the very port that UDP got.
            let same = udp.local_addr()?;
            dns_tcp.push(tcp("dns", same, &of)?);
            dns_udp.push(udp);
        }
        let mut sockets = Self {
            dns_udp,
            dns_tcp,
            join: join(config.join.listen, &of)?,
            hub: match config.fabric {
                Fabric::Own { hub } => Some(own_hub(hub, of.is_inherited())?),
                Fabric::Joined(_) => None,
            },
            ops_tcp: tcp("ops", config.ops.listen, &of)?,
            ops_unix: unix(&config.ops.socket, &of),
            shared: Arc::new(of),
            holds: Vec::new(),
        };
        sockets.hold()?;
        Ok(sockets)
    }

    fn hold(&mut self) -> Result<()> {
        let shared = &self.shared;
        let tcp = self.dns_tcp.iter().chain([&self.join, &self.ops_tcp]).map(|one| shared.hold(one));
        let udp = self.dns_udp.iter().map(|one| shared.hold(one));
        let unix = self.ops_unix.iter().map(|one| shared.hold(one));
        self.holds = tcp.chain(udp).chain(unix).collect::<std::io::Result<_>>()?;
        Ok(())
    }

    /// Where the sockets really are.
    pub(super) fn whereabouts(&self, config: &Config) -> Result<Whereabouts> {
        let dir = &config.state.dir;
        let dns = self.dns_udp.first().context("dns listens nowhere")?;
        Ok(Whereabouts {
            zone: config.edge.zone.clone(),
            dns: dns.local_addr()?,
            join: self.join.local_addr()?,
            ops: self.ops_tcp.local_addr()?,
            ca_file: config
                .tls
                .as_ref()
                .map_or_else(|| zone_certificate::ca_file(dir), |tls| tls.cert.clone()),
            ops_socket: config.ops.socket.clone(),
            ops_token_file: dir.join("ops.token"),
        })
    }
}

/// Registration may have its own address on a port where the edge has the wildcard: both must share the port.
fn join(address: SocketAddr, of: &Inheritance) -> Result<TcpListener> {
    if let Some(socket) = of.take(Type::STREAM, address, None) {
        return Ok(socket.into());
    }
    edge::tcp::listen::bind(address.ip(), address.port(), None).map_err(|e| taken("join", address, &e))
}

/// The hub of a single box is known to nobody outside of the process. While a predecessor's still carries what it has under way
/// on that port, the successor's takes another.
fn own_hub(address: SocketAddr, is_heir: bool) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).or_else(|error| match error.kind() {
        ErrorKind::AddrInUse if is_heir => TcpListener::bind((address.ip(), 0)),
        _ => Err(error),
    });
    let listener = bound.map_err(|e| taken("fabric", address, &e))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn unix(path: &Path, of: &Inheritance) -> Option<UnixListener> {
    let here = |socket: &Socket| socket.local_addr().is_ok_and(|at| at.as_pathname() == Some(path));
    of.take_where(Type::STREAM, here).map(UnixListener::from)
}

fn tcp(role: &str, address: SocketAddr, of: &Inheritance) -> Result<TcpListener> {
    if let Some(socket) = of.take(Type::STREAM, address, None) {
        return Ok(socket.into());
    }
    let listener = TcpListener::bind(address).map_err(|e| taken(role, address, &e))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Which address can't be listened on, why, and what to do about that very cause.
pub(super) fn taken(role: &str, address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    let (reason, fix) = match error.kind() {
        ErrorKind::AddrNotAvailable => (
            Reason::ConfigInvalidValue,
            "Give that address to an interface, or name one that this machine has.",
        ),
        ErrorKind::PermissionDenied => {
            (Reason::PortInUse, "Ports below 1024 need CAP_NET_BIND_SERVICE: grant it, or name another port.")
        }
        _ => (Reason::PortInUse, Reason::PortInUse.fix()),
    };
    anyhow::anyhow!("{} {role} can't listen on {address}: {error}. {fix}", reason.code())
}
