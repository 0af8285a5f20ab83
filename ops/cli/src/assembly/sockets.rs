//! Every listening socket but the edge's and the operators' own: bound first, so that a taken port is known before anything runs.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context, Result};
use defense::Reason;

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
}

impl Sockets {
    /// Binds them as the configuration says; port 0 takes a free one.
    ///
    /// # Errors
    /// `W-1101`: which address is taken.
    pub fn bind(config: &Config) -> Result<Self> {
        let mut dns_udp = Vec::new();
        let mut dns_tcp = Vec::new();
        for address in &config.dns.listen {
            let udp = UdpSocket::bind(address).map_err(|e| taken("dns", *address, &e))?;
            // TCP at the very port that UDP got.
            let same = udp.local_addr()?;
            dns_tcp.push(tcp("dns", same)?);
            dns_udp.push(udp);
        }
        Ok(Self {
            dns_udp,
            dns_tcp,
            join: join(config.join.listen)?,
            hub: match config.fabric {
                Fabric::Own { hub } => Some(tcp("fabric", hub)?),
                Fabric::Joined(_) => None,
            },
            ops_tcp: tcp("ops", config.ops.listen)?,
        })
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
fn join(address: SocketAddr) -> Result<TcpListener> {
    edge::tcp::listen::bind(address.ip(), address.port(), None).map_err(|e| taken("join", address, &e))
}

fn tcp(role: &str, address: SocketAddr) -> Result<TcpListener> {
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
