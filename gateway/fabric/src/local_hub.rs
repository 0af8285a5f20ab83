//! The local hub: dials the active main hub of each plane, offers its services to all, and connects each stream to a
//! service on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ring::rand::{SecureRandom, SystemRandom};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::identity::Role;
use crate::link::dialer::DialerError;
use crate::link::follower::{self, Follower, PlaneAddress};
use crate::refusal::Refusal;
use crate::status::{LocalHubStatus, ServiceStatus, Tally};
use crate::tls::Keyring;

mod join;
mod services;
mod uplink;

use services::Shelf;
pub use services::{Services, ServicesError};

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
    shelf: Shelf,
    /// Random per start; with it hubs and edges tell our offers from those of a predecessor.
    incarnation: [u8; 16],
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
        planes: &[PlaneAddress],
        keyring: Arc<Keyring>,
        services: Services,
        stop: CancellationToken,
    ) -> Result<Self, LocalHubError> {
        let shelf = Shelf::new(services)?;
        let mut incarnation = [0; 16];
        SystemRandom::new().fill(&mut incarnation).map_err(|_| DialerError::Randomness)?;
        let tasks = TaskTracker::new();
        let followers = follower::start(planes, &keyring, Role::LocalHub, &stop, &tasks)?;
        let (planes, links): (Vec<_>, Vec<_>) = followers.into_iter().unzip();
        let shared = Arc::new(Shared {
            keyring,
            planes,
            shelf,
            incarnation,
            streams: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            refused: Tally::default(),
            tasks: tasks.clone(),
        });
        for links in links {
            tasks.spawn(uplink::keep(shared.clone(), links));
        }
        tasks.close();
        Ok(Self { shared })
    }

    /// Replaces the services and offers the new ones. Streams to a service that is gone or moved end with
    /// [`Refusal::ServiceNotOffered`].
    ///
    /// # Errors
    /// [`ServicesError`]; the old services stay.
    pub fn set_services(&self, services: Services) -> Result<(), ServicesError> {
        let (old, new) = self.shared.shelf.replace(services)?;
        for link in self.shared.planes.iter().filter_map(|plane| plane.link()) {
            link.cut(Refusal::ServiceNotOffered, |service| old.get(service) != new.get(service));
        }
        Ok(())
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
        let is_permitted = |name| {
            planes.iter().filter_map(|plane| plane.link.as_ref()).any(|link| link.services.contains(name))
        };
        let services = shared.shelf.all();
        LocalHubStatus {
            identity: shared.keyring.identity().clone(),
            services: services
                .iter()
                .map(|(name, address)| ServiceStatus {
                    name: name.clone(),
                    address: *address,
                    is_permitted: is_permitted(name),
                })
                .collect(),
            planes,
            streams: shared.streams.load(Ordering::Relaxed),
            opened: shared.opened.load(Ordering::Relaxed),
            refused: shared.refused.all(),
            refused_streams: shared.refused.streams(),
        }
    }

    /// Waits, after the stop token, until every connection is closed.
    pub async fn stopped(&self) {
        self.shared.tasks.wait().await;
    }
}
