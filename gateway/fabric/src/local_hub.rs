//! The local hub: dials the main hub, offers its services, and connects each stream to a service on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounds::{SERVICE_DEADLINE, SERVICES_MAX};
use crate::identity::Role;
use crate::lane::driver::LinkEvent;
use crate::link::Link;
use crate::link::dialer::{self, DialerError, HubAddress};
use crate::refusal::{Refusal, is_name};
use crate::splice::{Service, splice};
use crate::status::{LocalHubStatus, ServiceStatus, Tally};
use crate::stream::FabricStream;
use crate::tls::Keyring;
use crate::wire::Frame;

/// Services by name, with the loopback address of each.
pub type Services = BTreeMap<String, SocketAddr>;

/// A running local hub. Cheap to clone; dropping it does not stop it, the token does.
#[derive(Clone)]
pub struct LocalHub {
    shared: Arc<Shared>,
}

/// A table of services that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServicesError {
    /// The name breaks the rules of names.
    #[error("{0:?} is no service name: 1 to 255 ASCII letters, digits, and . _ - :")]
    NotAName(String),
    /// The address leads off this computer; the fabric gives nobody a way out.
    #[error("{0}: the address {1} is not on loopback")]
    NotLoopback(String, SocketAddr),
    /// More than [`SERVICES_MAX`].
    #[error("more than {SERVICES_MAX} services")]
    TooMany,
}

/// A local hub that cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocalHubError {
    /// The dialing side.
    #[error(transparent)]
    Dialer(#[from] DialerError),
    /// The services.
    #[error(transparent)]
    Services(#[from] ServicesError),
}

struct Shared {
    keyring: Arc<Keyring>,
    link: Arc<Link>,
    services: ArcSwap<Services>,
    changed: watch::Sender<()>,
    streams: AtomicUsize,
    opened: AtomicU64,
    refused: Tally,
    tasks: TaskTracker,
}

impl LocalHub {
    /// Begins to dial on the current runtime, until `stop`.
    ///
    /// # Errors
    /// [`LocalHubError`].
    pub fn start(
        hub: &HubAddress,
        keyring: Arc<Keyring>,
        services: Services,
        stop: CancellationToken,
    ) -> Result<Self, LocalHubError> {
        check(&services)?;
        let tasks = TaskTracker::new();
        let (link, events) = dialer::start(hub, &keyring, Role::LocalHub, &stop, &tasks)?;
        let shared = Arc::new(Shared {
            keyring,
            link,
            services: ArcSwap::from_pointee(services),
            changed: watch::Sender::new(()),
            streams: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            refused: Tally::default(),
            tasks: tasks.clone(),
        });
        tasks.spawn(serve(shared.clone(), events));
        tasks.spawn(offer(shared.clone()));
        tasks.close();
        Ok(Self { shared })
    }

    /// Replaces the services and offers the new ones. Streams to a service that is gone or moved end with
    /// [`Refusal::ServiceNotOffered`].
    ///
    /// # Errors
    /// [`ServicesError`]; the old services stay.
    pub fn set_services(&self, services: Services) -> Result<(), ServicesError> {
        check(&services)?;
        let old = self.shared.services.swap(Arc::new(services));
        let new = self.shared.services.load_full();
        self.shared.link.cut(Refusal::ServiceNotOffered, |service| old.get(service) != new.get(service));
        self.shared.changed.send_replace(());
        Ok(())
    }

    /// Waits until all six lanes are up.
    pub async fn ready(&self) {
        self.shared.link.ready().await;
    }

    /// Its state now.
    pub fn status(&self) -> LocalHubStatus {
        let shared = &self.shared;
        let permitted = shared.link.services();
        let services = shared.services.load();
        LocalHubStatus {
            identity: shared.keyring.identity().clone(),
            link: shared.link.status(),
            services: services
                .iter()
                .map(|(name, address)| ServiceStatus {
                    name: name.clone(),
                    address: *address,
                    is_permitted: permitted.contains(name),
                })
                .collect(),
            streams: shared.streams.load(Ordering::Relaxed),
            opened: shared.opened.load(Ordering::Relaxed),
            refused: shared.refused.all(),
        }
    }

    /// Waits, after the stop token, until every connection is closed.
    pub async fn stopped(&self) {
        self.shared.tasks.wait().await;
    }
}

fn check(services: &Services) -> Result<(), ServicesError> {
    if services.len() > SERVICES_MAX {
        return Err(ServicesError::TooMany);
    }
    for (name, address) in services {
        if !is_name(name) {
            return Err(ServicesError::NotAName(name.clone()));
        }
        if !address.ip().to_canonical().is_loopback() {
            return Err(ServicesError::NotLoopback(name.clone(), *address));
        }
    }
    Ok(())
}

/// Says what is offered, whenever that or the control lane changes.
async fn offer(shared: Arc<Shared>) {
    let (mut lanes, mut changes) = (shared.link.changes(), shared.changed.subscribe());
    let (mut was_up, mut is_new) = (false, true);
    while !shared.link.over().is_cancelled() {
        let is_up = shared.link.has_control();
        if is_up && (is_new || !was_up) {
            let services = shared.services.load().keys().cloned().collect();
            shared.link.announce(Frame::Offer { services });
        }
        if !is_up {
            shared.link.set_services(BTreeSet::new());
        }
        was_up = is_up;
        tokio::select! {
            _ = lanes.changed() => is_new = false,
            _ = changes.changed() => is_new = true,
            () = shared.link.over().cancelled() => {}
        }
    }
}

async fn serve(shared: Arc<Shared>, mut events: mpsc::Receiver<LinkEvent>) {
    let over = shared.link.over().clone();
    while let Some(Some(event)) = over.run_until_cancelled(events.recv()).await {
        match event {
            LinkEvent::Incoming { stream, service, caller } => {
                shared.tasks.spawn(join(shared.clone(), stream, service, caller));
            }
            LinkEvent::Accepted(services) => shared.link.set_services(services.into_iter().collect()),
            // A hub offers nothing.
            LinkEvent::Offer(_) => shared.link.close(Refusal::Violation),
        }
    }
}

/// One stream, from the request to its end.
async fn join(shared: Arc<Shared>, stream: FabricStream, service: String, caller: String) {
    let reached = tokio::select! {
        reached = reach(&shared, &service) => reached,
        reason = stream.gone() => Err(reason),
    };
    let tcp = match reached {
        Ok(tcp) => tcp,
        Err(reason) => {
            tracing::debug!(service, caller, reason = reason.code(), "stream refused");
            shared.refused.add(reason.code());
            return stream.reset(reason);
        }
    };
    stream.accept();
    shared.opened.fetch_add(1, Ordering::Relaxed);
    shared.streams.fetch_add(1, Ordering::Relaxed);
    let ended = splice(stream, Service::new(tcp)).await;
    shared.streams.fetch_sub(1, Ordering::Relaxed);
    if let Err(reason) = ended {
        shared.refused.add(reason.code());
    }
}

async fn reach(shared: &Shared, service: &str) -> Result<TcpStream, Refusal> {
    let address = *shared.services.load().get(service).ok_or(Refusal::ServiceNotOffered)?;
    let connected = timeout(SERVICE_DEADLINE, TcpStream::connect(address)).await;
    let tcp = connected.map_err(|_| Refusal::ServiceUnreachable)?.map_err(|_| Refusal::ServiceUnreachable)?;
    tcp.set_nodelay(true).map_err(|_| Refusal::ServiceUnreachable)?;
    Ok(tcp)
}
