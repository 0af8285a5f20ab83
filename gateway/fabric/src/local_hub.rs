//! The local hub: dials the active main hub of each plane, offers its services to all, and connects each stream to a
//! server: an address on loopback, or a native server that joined through the local hub's own door.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ring::rand::{SecureRandom, SystemRandom};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::identity::Role;
use crate::link::dialer::DialerError;
use crate::link::follower::{self, Follower, PlaneAddress};
use crate::socket::DoorAddress;
use crate::status::{LocalHubStatus, Tally};
use crate::tls::Keyring;
use crate::wiring::Wiring;

mod balance;
mod flows;
mod health;
mod join;
mod native;
mod onward;
mod probe;
mod server;
mod services;
mod sessions;
mod shelf;
mod uplink;

use flows::Flows;
pub use health::{Health, Thresholds};
pub use native::DoorError;
use native::Natives;
pub use services::{Ports, Protocol, ProxyProtocol, ServerAddress, Service, Services, ServicesError};
use sessions::Sessions;
use shelf::Shelf;

/// A running local hub. Cheap to clone; dropping it does not stop it, the token does.
#[derive(Clone)]
pub struct LocalHub {
    shared: Arc<Shared>,
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
    planes: Vec<Arc<Follower>>,
    shelf: Arc<Shelf>,
    natives: Arc<Natives>,
    flows: Flows,
    /// Random per start; with it hubs and edges tell our offers from those of a predecessor.
    incarnation: [u8; 16],
    sessions: Arc<Sessions>,
    streams: AtomicUsize,
    /// Each takes a descriptor.
    streams_max: AtomicUsize,
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
        planes: &[PlaneAddress],
        keyring: Arc<Keyring>,
        services: Services,
        stop: CancellationToken,
    ) -> Result<Self, LocalHubError> {
        let mut incarnation = [0; 16];
        SystemRandom::new().fill(&mut incarnation).map_err(|_| DialerError::Randomness)?;
        let tasks = TaskTracker::new();
        let followers = follower::start(planes, &keyring, Role::LocalHub, &stop, &tasks)?;
        let (planes, links): (Vec<_>, Vec<_>) = followers.into_iter().unzip();
        let refused = Tally::default();
        let shelf = Shelf::start(services, &stop, &tasks)?;
        let natives = Natives::new(
            keyring.clone(),
            shelf.clone(),
            planes.clone(),
            refused.clone(),
            stop,
            tasks.clone(),
        );
        let sessions = Sessions::new(keyring.identity().name());
        let shared = Arc::new(Shared {
            keyring,
            planes,
            shelf,
            natives,
            flows: Flows::default(),
            incarnation,
            sessions,
            streams: AtomicUsize::new(0),
            streams_max: AtomicUsize::new(usize::MAX),
            opened: AtomicU64::new(0),
            refused,
            tasks: tasks.clone(),
        });
        for links in links {
            tasks.spawn(uplink::keep(shared.clone(), links));
        }
        tasks.close();
        Ok(Self { shared })
    }

    /// Replaces the services and offers the new ones. Streams to a service or a server that is gone end with
    /// [`crate::Refusal::ServiceNotOffered`]; those of a server that was draining go on.
    ///
    /// # Errors
    /// [`ServicesError`]; the old services stay.
    pub fn set_services(&self, services: Services) -> Result<(), ServicesError> {
        self.shared.shelf.replace(services)
    }

    /// Opens a door for the native servers of this computer, until the local hub stops; says where it is. Who may join,
    /// and serve what, says the wiring: [`LocalHub::set_wiring`].
    ///
    /// # Errors
    /// [`DoorError`].
    pub fn open_door(&self, at: &DoorAddress) -> Result<DoorAddress, DoorError> {
        self.shared.natives.open_door(at)
    }

    /// Replaces the wiring at once, which permits nothing until this is called: what native servers may no longer do ends
    /// with [`crate::Refusal::NotPermitted`].
    pub fn set_wiring(&self, wiring: Wiring) {
        self.shared.natives.set_wiring(wiring);
    }

    /// Streams and flows at a time, from now on: each takes a descriptor. One more is refused as [`crate::Refusal::SessionsFull`].
    pub fn set_streams_max(&self, most: usize) {
        self.shared.streams_max.store(most, Ordering::Relaxed);
    }

    /// Waits until all six lanes to the active hub of every plane are up.
    pub async fn ready(&self) {
        for plane in &self.shared.planes {
            plane.ready().await;
        }
    }

    /// Its state now.
    pub fn status(&self) -> LocalHubStatus {
        let shared = &self.shared;
        let planes: Vec<_> = shared.planes.iter().map(|plane| plane.status()).collect();
        let permitted: BTreeSet<_> =
            planes.iter().filter_map(|plane| plane.link.as_ref()).flat_map(|link| &link.services).collect();
        LocalHubStatus {
            identity: shared.keyring.identity().clone(),
            services: shared.shelf.status(|name| permitted.iter().any(|known| *known == name)),
            natives: shared.natives.status(),
            flows: shared.flows.count(),
            datagrams_dropped: shared.flows.dropped(),
            planes,
            streams: shared.streams.load(Ordering::Relaxed),
            opened: shared.opened.load(Ordering::Relaxed),
            sessions: shared.sessions.status(),
            refused: shared.refused.all(),
            refused_streams: shared.refused.streams(),
        }
    }

    /// Waits, after the stop token, until every connection is closed.
    pub async fn stopped(&self) {
        self.shared.tasks.wait().await;
    }
}
