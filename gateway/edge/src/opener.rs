//! Opens and closes the ports that services ask for, on all cores at once.
//!
//! The kernel spreads a port's datagrams over the sockets that there are: with each one that joins, sources move to another
//! core, and a flow that one core knows begins again on another. So the sockets of a port are bound together, and none
//! hears anything before all are there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use socket2::Type;
use state::Transport;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::bounds::{ORDERS_MAX, UPSTREAM_IDLE_MAX};
use crate::ports::Ports;
use crate::sockets::{Hold, Sockets};
use crate::tcp::listen;
use crate::udp::socket;

/// Where an edge listens.
#[derive(Clone, Debug)]
pub struct Place {
    /// Usually the wildcards.
    pub addresses: Vec<IpAddr>,
    pub device: Option<String>,
    pub cores: usize,
    /// HTTP/3 on the UDP ports of https entries.
    pub http3: bool,
}

/// What one core is to do. Each socket comes with what keeps it among those that a successor gets.
#[derive(Debug)]
pub enum Order {
    Listen {
        port: u16,
        listeners: Vec<(TcpListener, Hold)>,
    },
    Read {
        port: u16,
        sockets: Vec<(UdpSocket, Hold)>,
        has_quic: bool,
    },
    /// TCP connections go on.
    Close {
        transport: Transport,
        port: u16,
    },
}

/// A port that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address} port {port}: {error}")]
pub struct Unbound {
    pub address: IpAddr,
    pub port: u16,
    pub error: io::Error,
}

/// All cores' sockets, as far as they are not the cores' own yet.
#[derive(Debug)]
pub struct Opener {
    place: Place,
    sockets: Arc<Sockets>,
    ports: watch::Receiver<Ports>,
    streams: BTreeSet<u16>,
    /// With the QUIC ones marked.
    datagrams: BTreeMap<u16, bool>,
}

impl Opener {
    /// Nothing is open yet.
    pub fn new(place: Place, sockets: Arc<Sockets>, ports: watch::Receiver<Ports>) -> Self {
        Self { place, sockets, ports, streams: BTreeSet::new(), datagrams: BTreeMap::new() }
    }

    /// Makes what is open what services ask for now. The orders are for each core, in this sequence. What can't be had is
    /// left out, and tried again with the next call.
    pub fn follow(&mut self) -> (Vec<Vec<Order>>, Vec<Unbound>) {
        let (streams, datagrams) = {
            let ports = self.ports.borrow_and_update();
            (ports.on(Transport::Tcp), ports.datagrams(self.place.http3))
        };
        let mut orders: Vec<Vec<Order>> = (0..self.place.cores).map(|_| Vec::new()).collect();
        let mut unbound = Vec::new();
        self.streams.retain(|port| streams.contains(port) || close(&mut orders, Transport::Tcp, *port));
        self.datagrams.retain(|port, has_quic| {
            datagrams.get(port) == Some(has_quic) || close(&mut orders, Transport::Udp, *port)
        });
        for port in streams {
            if !self.streams.contains(&port) {
                match self.listeners(port) {
                    Ok(all) => {
                        give(&mut orders, all, |listeners| Order::Listen { port, listeners });
                        self.streams.insert(port);
                    }
                    Err(error) => unbound.push(error),
                }
            }
        }
        for (port, has_quic) in datagrams {
            if !self.datagrams.contains_key(&port) {
                match self.readers(port) {
                    Ok(all) => {
                        give(&mut orders, all, |sockets| Order::Read { port, sockets, has_quic });
                        self.datagrams.insert(port, has_quic);
                    }
                    Err(error) => unbound.push(error),
                }
            }
        }
        (orders, unbound)
    }

    /// Follows the services until stopped.
    pub async fn run(mut self, cores: Vec<mpsc::Sender<Order>>, stop: CancellationToken) {
        let mut again = tokio::time::interval(UPSTREAM_IDLE_MAX);
        let mut is_whole = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.ports.changed() => if changed.is_err() { return },
                // A port that was taken is tried again.
                _ = again.tick(), if !is_whole => {}
            }
            let (orders, unbound) = self.follow();
            is_whole = unbound.is_empty();
            for error in unbound {
                tracing::error!(event = "edge.listen_failed", port = error.port, %error);
            }
            for (core, order) in
                cores.iter().zip(orders).flat_map(|(core, some)| some.into_iter().map(move |one| (core, one)))
            {
                // A core that is gone has said so; its sockets go with it, and the others get what was for them.
                let _ = core.send(order).await;
            }
        }
    }

    /// A port's listeners, for each core and address.
    fn listeners(&self, port: u16) -> Result<Vec<Vec<(TcpListener, Hold)>>, Unbound> {
        let device = self.place.device.as_deref();
        self.on_every_core(port, |address| {
            let inherited = self.sockets.take(Type::STREAM, address, device);
            let listener = match inherited {
                Some(socket) => socket.into(),
                None => listen::bind(address.ip(), address.port(), device)?,
            };
            let hold = self.sockets.hold(&listener)?;
            Ok((listener, hold))
        })
    }

    /// A port's datagram sockets, for each core and address. They hear from when the last of them is there.
    fn readers(&self, port: u16) -> Result<Vec<Vec<(UdpSocket, Hold)>>, Unbound> {
        let device = self.place.device.as_deref();
        let all = self.on_every_core(port, |address| {
            let socket = match self.sockets.take(Type::DGRAM, address, device) {
                Some(inherited) => inherited.into(),
                None => socket::bind(address.ip(), address.port(), device)?,
            };
            let hold = self.sockets.hold(&socket)?;
            Ok((socket, hold))
        })?;
        for (socket, _) in all.iter().flatten() {
            socket::hear(socket).map_err(|error| {
                let address = socket.local_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |at| at.ip());
                Unbound { address, port, error }
            })?;
        }
        Ok(all)
    }

    fn on_every_core<T>(
        &self,
        port: u16,
        one: impl Fn(SocketAddr) -> io::Result<T>,
    ) -> Result<Vec<Vec<T>>, Unbound> {
        let at = |address: &IpAddr| {
            one((*address, port).into()).map_err(|error| Unbound { address: *address, port, error })
        };
        (0..self.place.cores).map(|_| self.place.addresses.iter().map(at).collect()).collect()
    }
}

/// The channel by which a core gets its orders.
pub fn orders() -> (mpsc::Sender<Order>, mpsc::Receiver<Order>) {
    mpsc::channel(ORDERS_MAX)
}

/// Always false: it is not kept.
fn close(orders: &mut [Vec<Order>], transport: Transport, port: u16) -> bool {
    orders.iter_mut().for_each(|core| core.push(Order::Close { transport, port }));
    false
}

fn give<T>(orders: &mut [Vec<Order>], all: Vec<Vec<T>>, order: impl Fn(Vec<T>) -> Order) {
    for (core, sockets) in orders.iter_mut().zip(all) {
        core.push(order(sockets));
    }
}
