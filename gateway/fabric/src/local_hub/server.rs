//! One server of one service: where it is, what is thought of it, and how a stream gets there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::balance::Candidate;
use super::health::{Health, Judgement};
use super::services::{ProxyProtocol, Service};
use crate::bounds::SERVICE_DEADLINE;
use crate::lane::Class;
use crate::lane::stream::LaneStream;
use crate::link::Link;
use crate::origin::Asked;
use crate::proxy::{self, Transport};
use crate::refusal::Refusal;
use crate::status::{ServerPlace, ServerState, ServerStatus};
use crate::wire::{Open, Shape};

/// A server, shared by the table and the streams that it runs.
pub(super) struct Server {
    place: Place,
    judgement: Mutex<Judgement>,
    is_draining: AtomicBool,
    running: AtomicUsize,
    /// Cancelled when the server is no longer one of this service: its streams end.
    gone: CancellationToken,
    why_gone: OnceLock<Refusal>,
}

/// How a server is reached.
#[derive(Clone)]
pub(super) enum Place {
    /// It listens there.
    Address(SocketAddr),
    /// It joined by itself.
    Native(Arc<Link>),
}

/// A stream that a server runs; counted until dropped.
pub(super) struct Running(Arc<Server>);

/// The way to a server, open.
pub(super) enum Way {
    Tcp(TcpStream),
    Udp(UdpSocket),
    Native(LaneStream),
}

impl Server {
    pub(super) fn new(place: Place, health: &Health) -> Arc<Self> {
        let judgement = match &place {
            Place::Address(_) => Judgement::first(health),
            // Six lanes with a sign of life each say more than a probe.
            Place::Native(_) => Judgement::first(&Health::Unasked),
        };
        Arc::new(Self {
            place,
            judgement: Mutex::new(judgement),
            is_draining: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            gone: CancellationToken::new(),
            why_gone: OnceLock::new(),
        })
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.place {
            Place::Address(address) => Some(*address),
            Place::Native(_) => None,
        }
    }

    /// Is it the native server at the far side of this link?
    pub(super) fn is_on(&self, link: &Arc<Link>) -> bool {
        match &self.place {
            Place::Address(_) => false,
            Place::Native(own) => Arc::ptr_eq(own, link),
        }
    }

    /// Is it the same native server over a link that was before?
    pub(super) fn is_other_link_of(&self, link: &Arc<Link>) -> bool {
        match &self.place {
            Place::Address(_) => false,
            Place::Native(old) => old.far() == link.far() && !Arc::ptr_eq(old, link),
        }
    }

    pub(super) fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// It is no longer one of this service: its streams end, and its probes.
    pub(super) fn take_away(&self, why: Refusal) {
        let _ = self.why_gone.set(why);
        self.gone.cancel();
    }

    pub(super) fn set_draining(&self, is_draining: bool) {
        self.is_draining.store(is_draining, Ordering::Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// One more probe, or a stream that got there or did not; true if the judgement turned.
    pub(super) fn handle_probe(&self, is_good: bool, health: &Health) -> bool {
        let (Some(thresholds), Place::Address(_)) = (health.thresholds(), &self.place) else { return false };
        let mut judgement = self.judgement();
        let before = judgement.is_well();
        *judgement = judgement.handle_probe(is_good, &thresholds);
        judgement.is_well() != before
    }

    pub(super) fn candidate(&self) -> Candidate {
        Candidate { load: self.running.load(Ordering::Relaxed), is_usable: self.is_usable() }
    }

    pub(super) fn is_usable(&self) -> bool {
        let is_up = match &self.place {
            Place::Address(_) => true,
            Place::Native(link) => link.is_established(),
        };
        is_up && !self.is_draining() && self.judgement().is_well()
    }

    pub(super) fn status(&self) -> ServerStatus {
        let state = match *self.judgement() {
            _ if self.is_draining() => ServerState::Draining,
            Judgement::Well { .. } => ServerState::Well,
            Judgement::Ill { .. } => ServerState::Ill,
            Judgement::Unproven => ServerState::Unproven,
        };
        let place = match &self.place {
            Place::Address(address) => ServerPlace::Address(*address),
            Place::Native(link) => ServerPlace::Native(link.far().clone()),
        };
        ServerStatus { place, state, running: self.running.load(Ordering::Relaxed) }
    }

    /// Makes the way for one stream, to the server's own port or to another that the service lists.
    pub(super) async fn connect(&self, service: &Service, class: Class, open: &Open) -> Result<Way, Refusal> {
        let asked = Asked::decode(&open.origin).unwrap_or_default();
        let own = self.address().map_or(0, |address| address.port());
        let port = if asked.port == 0 { own } else { asked.port };
        if !service.permits(open.shape, port, own) {
            return Err(Refusal::NotPermitted);
        }
        match &self.place {
            Place::Native(link) => {
                let stream = link.open(class, Open { resume: None, ..open.clone() })?;
                stream.opened().await?;
                Ok(Way::Native(stream))
            }
            Place::Address(address) => {
                let address = SocketAddr::new(address.ip(), port);
                let connected = timeout(SERVICE_DEADLINE, connect(address, service, open)).await;
                connected.map_err(|_| Refusal::ServiceUnreachable)?.map_err(|_| Refusal::ServiceUnreachable)
            }
        }
    }

    fn judgement(&self) -> MutexGuard<'_, Judgement> {
        self.judgement.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(address: SocketAddr, service: &Service, open: &Open) -> std::io::Result<Way> {
    match open.shape {
        Shape::Bytes => {
            let mut tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            if let Some(header) = header(service, open) {
                tcp.write_all(&header).await?;
            }
            Ok(Way::Tcp(tcp))
        }
        Shape::Datagrams => {
            let here: IpAddr = match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            let udp = UdpSocket::bind((here, 0)).await?;
            udp.connect(address).await?;
            Ok(Way::Udp(udp))
        }
    }
}

/// What a server wants to hear in front of a stream's bytes, or of each datagram.
pub(super) fn header(service: &Service, open: &Open) -> Option<Vec<u8>> {
    let transport = match (service.proxy, open.shape) {
        (ProxyProtocol::Off, _) => return None,
        (ProxyProtocol::V2, Shape::Bytes) => Transport::Stream,
        (ProxyProtocol::V2, Shape::Datagrams) => Transport::Datagram,
    };
    let origin = Asked::decode(&open.origin).unwrap_or_default().origin;
    Some(proxy::proxied(transport, origin.as_ref(), &open.session, &open.caller))
}

impl Running {
    /// Counts from before the way is made, so that streams that begin at once spread.
    pub(super) fn begin(server: &Arc<Server>) -> Self {
        server.running.fetch_add(1, Ordering::Relaxed);
        Self(server.clone())
    }

    /// Cancelled when the server is taken from its service.
    pub(super) fn gone(&self) -> &CancellationToken {
        &self.0.gone
    }

    pub(super) fn why_gone(&self) -> Refusal {
        self.0.why_gone.get().copied().unwrap_or(Refusal::ServiceNotOffered)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
