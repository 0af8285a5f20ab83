//! The gateway's end: asks for a stream to a service by name, and nothing else. It follows every plane and chooses one for
//! each stream.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounds::OPEN_DEADLINE;
use crate::flow::{Flow, Opener};
use crate::identity::Role;
use crate::lane::Class;
use crate::lane::driver::LinkEvent;
use crate::lane::stream::LaneStream;
use crate::link::dialer::DialerError;
use crate::link::follower::{self, Begun, Follower, PlaneAddress};
use crate::origin::{Asked, Origin};
use crate::refusal::{Refusal, is_name};
use crate::status::{GatewayStatus, PlaneStatus, Tally};
use crate::stream::{Asking, Carried, FabricStream, Home, Resumer, Subject};
use crate::tls::Keyring;
use crate::wire::{Open, Shape};

mod asking;
mod choice;
mod egress;
mod notices;
mod race;

use asking::{Ask, Won};
use notices::Notices;

/// A running gateway end. Cheap to clone, usable from any runtime; dropping it does not stop it, the token does.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    keyring: Arc<Keyring>,
    planes: Vec<Plane>,
    /// The plane that came first in the last choice.
    preferred: AtomicUsize,
    notices: Mutex<Notices>,
    /// Where each way out leads.
    egress: ArcSwap<BTreeMap<String, SocketAddr>>,
    resumer: Resumer,
    opened: AtomicU64,
    refused: Tally,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// One plane, and how it did.
struct Plane {
    follower: Arc<Follower>,
    failed: Mutex<Option<Instant>>,
    chosen: AtomicU64,
    hedges_won: AtomicU64,
    hedges_lost: AtomicU64,
}

/// A stream that is wanted.
#[derive(Clone, Debug)]
pub struct OpenRequest<'a> {
    /// The service.
    pub service: &'a str,
    /// The lanes to carry it.
    pub class: Class,
    /// Which of the service's ports; 0 is its own. Any other has to be permitted where the service is.
    pub port: u16,
    /// Who is at the other end, if that is to be told.
    pub origin: Option<Origin>,
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
        let followed = follower::start(planes, &keyring, Role::Edge, &stop, &tasks)?;
        let (planes, links): (Vec<_>, Vec<_>) =
            followed.into_iter().map(|(follower, links)| (Plane::new(follower), links)).unzip();
        let resumer = Resumer::new(tasks.clone(), stop.clone()).ok_or(DialerError::Randomness)?;
        let shared = Arc::new(Shared {
            keyring,
            planes,
            resumer,
            preferred: AtomicUsize::new(0),
            notices: Mutex::default(),
            egress: ArcSwap::default(),
            opened: AtomicU64::new(0),
            refused: Tally::default(),
            stop,
            tasks: tasks.clone(),
        });
        for (plane, links) in links.into_iter().enumerate() {
            tasks.spawn(hear(shared.clone(), plane, links));
        }
        tasks.close();
        Ok(Self { shared })
    }

    /// A stream to a service, on an interactive lane. Returns when the service is connected.
    ///
    /// # Errors
    /// [`OpenError`], within [`OPEN_DEADLINE`]; with [`Refusal::LinkDown`] when no plane can carry it for [`OPEN_PATIENCE`].
    ///
    /// [`OPEN_PATIENCE`]: crate::bounds::OPEN_PATIENCE
    pub async fn open(&self, service: &str) -> Result<FabricStream, OpenError> {
        self.open_class(service, Class::Interactive).await
    }

    /// As [`Gateway::open`], on a lane of that class.
    ///
    /// # Errors
    /// As [`Gateway::open`]; [`Refusal::NotPermitted`] for [`Class::Control`].
    pub async fn open_class(&self, service: &str, class: Class) -> Result<FabricStream, OpenError> {
        self.open_with(OpenRequest { service, class, port: 0, origin: None }).await
    }

    /// As [`Gateway::open_class`], telling the service who is at the other end.
    ///
    /// # Errors
    /// As [`Gateway::open_class`].
    pub async fn open_with(&self, request: OpenRequest<'_>) -> Result<FabricStream, OpenError> {
        let (stream, opened, session) =
            self.open_counted(&request.to_open(Shape::Bytes), request.class).await?;
        let (service, class) = (request.service.into(), request.class);
        let subject = Subject { service, class, id: session.into(), at: opened.at.into() };
        Ok(FabricStream::new(subject, stream, self.shared.clone()))
    }

    /// A flow of datagrams to a service, on the interactive lanes. Returns when the service has a socket for it. `port` is
    /// as in [`OpenRequest`].
    ///
    /// # Errors
    /// As [`Gateway::open`]; [`Refusal::FlowLimit`] when the local hub carries as many as it may.
    pub async fn open_flow(
        &self,
        service: &str,
        port: u16,
        origin: Option<Origin>,
    ) -> Result<Flow, OpenError> {
        let open = OpenRequest { service, class: Class::Interactive, port, origin }.to_open(Shape::Datagrams);
        let (first, ..) = self.open_counted(&open, Class::Interactive).await?;
        let gateway = self.clone();
        let opener: Opener<LaneStream> = Box::new(move || {
            let (gateway, open) = (gateway.clone(), open.clone());
            Box::pin(async move { Ok(gateway.try_open(&open, Class::Interactive).await?.0) })
        });
        Ok(Flow::start(first, Some(opener), &self.shared.stop, &self.shared.tasks))
    }

    /// The ways out of the inside that this edge is, by name, each to one fixed address; none until this is called. Who may
    /// take them says the wiring at the hub. Streams that run go on.
    pub fn set_egress(&self, ways: BTreeMap<String, SocketAddr>) {
        self.shared.egress.store(Arc::new(ways));
    }

    /// Waits until all six lanes to the active hub of every plane are up.
    pub async fn ready(&self) {
        for plane in &self.shared.planes {
            plane.follower.ready().await;
        }
    }

    /// Its state now.
    pub fn status(&self) -> GatewayStatus {
        GatewayStatus {
            identity: self.shared.keyring.identity().clone(),
            planes: self.shared.planes.iter().map(|plane| plane.status()).collect(),
            notices: self.shared.notices().status(),
            opened: self.shared.opened.load(Ordering::Relaxed),
            sessions: self.shared.resumer.status(),
            refused: self.shared.refused.all(),
            refused_streams: self.shared.refused.streams(),
        }
    }

    /// Waits, after the stop token, until every connection is closed.
    pub async fn stopped(&self) {
        self.shared.tasks.wait().await;
    }

    async fn open_counted(&self, open: &Open, class: Class) -> Result<Won, OpenError> {
        let opened = match timeout(OPEN_DEADLINE, self.try_open(open, class)).await {
            Ok(opened) => opened,
            Err(_) => Err(Refusal::Deadline),
        };
        let counted = match &opened {
            Ok(_) => {
                self.shared.opened.fetch_add(1, Ordering::Relaxed);
                opened
            }
            Err(refusal) => {
                self.shared.refused.add_stream(refusal.code(), &open.service, "");
                opened
            }
        };
        counted.map_err(|refusal| OpenError { service: open.service.clone(), refusal })
    }

    async fn try_open(&self, open: &Open, class: Class) -> Result<Won, Refusal> {
        if !is_name(&open.service) {
            return Err(Refusal::ServiceUnknown);
        }
        let ask = Ask {
            service: open.service.clone(),
            class,
            open: || Open { session: self.shared.resumer.next_id().into(), ..open.clone() },
            may_hedge: true,
            farewell: Refusal::Cancelled,
        };
        self.shared.ask(&ask).await
    }
}

impl OpenRequest<'_> {
    fn to_open(&self, shape: Shape) -> Open {
        let origin = Asked { port: self.port, origin: self.origin.clone() }.encode().into();
        Open { service: self.service.to_owned(), shape, origin, ..Open::default() }
    }
}

impl Home for Shared {
    fn carrier<'a>(
        &'a self,
        subject: &'a Subject,
        asking: &'a Asking,
    ) -> BoxFuture<'a, Result<Carried, Refusal>> {
        let ask = Ask {
            service: subject.service.to_string(),
            class: subject.class,
            open: asking,
            // Two carriers at once would take the session from each other.
            may_hedge: false,
            farewell: Refusal::LaneLost,
        };
        Box::pin(async move { self.ask(&ask).await.map(|(stream, opened, _)| (stream, opened)) })
    }

    fn resumer(&self) -> &Resumer {
        &self.resumer
    }
}

/// Hears what comes on the links to one plane, one after the other.
async fn hear(shared: Arc<Shared>, plane: usize, mut links: mpsc::Receiver<Begun>) {
    while let Some((link, mut events)) = links.recv().await {
        let over = link.over().clone();
        while let Some(Some(event)) = over.run_until_cancelled(events.recv()).await {
            match event {
                LinkEvent::Notice(origin, offering) => {
                    let worth = shared.notices().handle_notice(plane, &origin, offering);
                    tracing::debug!(plane, origin, ?worth, "a local hub's offer");
                }
                LinkEvent::Incoming { stream, open } => {
                    shared.tasks.spawn(egress::lead_out(shared.clone(), stream, *open));
                }
                LinkEvent::Offer(_) | LinkEvent::Accepted(_) => link.close(Refusal::Violation),
            }
        }
        shared.notices().forget_plane(plane);
    }
}

impl Shared {
    fn notices(&self) -> MutexGuard<'_, Notices> {
        // A panic between two changes is impossible in there.
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plane {
    fn new(follower: Arc<Follower>) -> Self {
        Self {
            follower,
            failed: Mutex::default(),
            chosen: AtomicU64::new(0),
            hedges_won: AtomicU64::new(0),
            hedges_lost: AtomicU64::new(0),
        }
    }

    fn note_failure(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn failed_ago(&self) -> Option<Duration> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    fn status(&self) -> PlaneStatus {
        PlaneStatus {
            chosen: self.chosen.load(Ordering::Relaxed),
            hedges_won: self.hedges_won.load(Ordering::Relaxed),
            hedges_lost: self.hedges_lost.load(Ordering::Relaxed),
            ..self.follower.status()
        }
    }
}
