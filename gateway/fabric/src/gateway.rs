//! The gateway's end: asks for a stream to a service by name, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounds::OPEN_DEADLINE;
use crate::identity::Role;
use crate::lane::Class;
use crate::link::dialer::DialerError;
use crate::link::follower::{self, Follower, PlaneAddress};
use crate::refusal::{Refusal, is_name};
use crate::status::{GatewayStatus, Tally};
use crate::stream::FabricStream;
use crate::tls::Keyring;
use crate::wire::Open;

/// A running gateway end. Cheap to clone, usable from any runtime; dropping it does not stop it, the token does.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    keyring: Arc<Keyring>,
    planes: Vec<Arc<Follower>>,
    opened: AtomicU64,
    refused: Tally,
    tasks: TaskTracker,
}

/// A stream that was not opened. No byte reached the service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no stream to {service}: {refusal}")]
pub struct OpenError {
    /// The service asked for.
    pub service: String,
    /// Why.
    pub refusal: Refusal,
}

impl Gateway {
    /// Begins to dial on the current runtime, until `stop`.
    ///
    /// # Errors
    /// [`DialerError`].
    pub fn start(
        planes: &[PlaneAddress],
        keyring: Arc<Keyring>,
        stop: CancellationToken,
    ) -> Result<Self, DialerError> {
        let tasks = TaskTracker::new();
        let followers = follower::start(planes, &keyring, Role::Edge, &stop, &tasks)?;
        let mut planes = Vec::new();
        for (plane, (_, mut events)) in followers {
            planes.push(plane);
            let stop = stop.clone();
            // Nobody opens streams towards an edge: whatever comes is dropped, which resets it.
            tasks.spawn(
                async move { while let Some(Some(_)) = stop.run_until_cancelled(events.recv()).await {} },
            );
        }
        tasks.close();
        let shared = Shared { keyring, planes, opened: AtomicU64::new(0), refused: Tally::default(), tasks };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A stream to a service, on an interactive lane. Returns when the service is connected.
    ///
    /// # Errors
    /// [`OpenError`], within [`OPEN_DEADLINE`].
    pub async fn open(&self, service: &str) -> Result<FabricStream, OpenError> {
        self.open_class(service, Class::Interactive).await
    }

    /// As [`Gateway::open`], on a lane of that class.
    ///
    /// # Errors
    /// As [`Gateway::open`]; [`Refusal::NotPermitted`] for [`Class::Control`].
    pub async fn open_class(&self, service: &str, class: Class) -> Result<FabricStream, OpenError> {
        let opened = match timeout(OPEN_DEADLINE, self.try_open(service, class)).await {
            Ok(opened) => opened,
            Err(_) => Err(Refusal::Deadline),
        };
        match opened {
            Ok(stream) => {
                self.shared.opened.fetch_add(1, Ordering::Relaxed);
                Ok(stream)
            }
            Err(refusal) => {
                self.shared.refused.add(refusal.code());
                Err(OpenError { service: service.to_owned(), refusal })
            }
        }
    }

    /// Waits until all six lanes to the active hub of every plane are up.
    pub async fn ready(&self) {
        for plane in &self.shared.planes {
            plane.ready().await;
        }
    }

    /// Its state now.
    pub fn status(&self) -> GatewayStatus {
        GatewayStatus {
            identity: self.shared.keyring.identity().clone(),
            planes: self.shared.planes.iter().map(|plane| plane.status()).collect(),
            opened: self.shared.opened.load(Ordering::Relaxed),
            refused: self.shared.refused.all(),
        }
    }

    /// Waits, after the stop token, until every connection is closed.
    pub async fn stopped(&self) {
        self.shared.tasks.wait().await;
    }

    /// A lane that is lost before the stream was opened has carried no byte of it: another may try, once.
    async fn try_open(&self, service: &str, class: Class) -> Result<FabricStream, Refusal> {
        if !is_name(service) {
            return Err(Refusal::ServiceUnknown);
        }
        match self.open_once(service, class).await {
            Err(Refusal::LaneLost) => self.open_once(service, class).await,
            outcome => outcome,
        }
    }

    async fn open_once(&self, service: &str, class: Class) -> Result<FabricStream, Refusal> {
        let open = Open { service: service.to_owned(), ..Open::default() };
        let link =
            self.shared.planes.iter().find_map(|plane| plane.link().filter(|link| link.is_established()));
        let stream = link.ok_or(Refusal::LinkDown)?.open(class, open)?;
        stream.opened().await?;
        Ok(FabricStream::new(stream))
    }
}
