//! The main hub: everybody dials it; it joins who may open a service with who may offer it.
//!
//! What wakes it: a connection, a lane's Hello, an offer, a request for a stream, a new wiring, the stop token.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounds::MEMBERS_MAX;
use crate::door::half_open::HalfOpens;
use crate::door::{Admission, Answer, Door, Listener};
use crate::identity::{Identity, Role};
use crate::link::{Link, Seat};
use crate::refusal::Refusal;
use crate::status::{HubStatus, Tally};
use crate::tls::Keyring;
use crate::wire::Hello;
use crate::wiring::Wiring;

mod exchange;
mod notices;

/// A running main hub. Cheap to clone; dropping it does not stop the hub, the token does.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// A hub that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The certificate is not a hub's.
    #[error("the certificate is not for the role hub")]
    WrongRole,
    /// The listener has no address.
    #[error("the listener is not usable: {0}")]
    Listener(#[from] std::io::Error),
}

struct Shared {
    keyring: Arc<Keyring>,
    wiring: ArcSwap<Wiring>,
    links: Mutex<HashMap<Identity, Arc<Link>>>,
    /// Which local hubs offer a service and may: rebuilt when links, offers or the wiring change.
    routes: ArcSwap<BTreeMap<String, Vec<Arc<Link>>>>,
    next: AtomicUsize,
    streams: AtomicUsize,
    opened: AtomicU64,
    half_opens: HalfOpens,
    refused: Tally,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Hub {
    /// Begins to accept links on the current runtime, until `stop`.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn start(
        listener: TcpListener,
        keyring: Arc<Keyring>,
        wiring: Wiring,
        stop: CancellationToken,
    ) -> Result<Self, HubError> {
        if keyring.identity().role() != Role::Hub {
            return Err(HubError::WrongRole);
        }
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            keyring,
            wiring: ArcSwap::from_pointee(wiring),
            links: Mutex::default(),
            routes: ArcSwap::default(),
            next: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            half_opens: HalfOpens::default(),
            refused: Tally::default(),
            stop,
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(shared.clone().keep_door(listener));
        Ok(Self { shared, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the wiring at once: streams that it no longer permits end with [`Refusal::NotPermitted`].
    pub fn set_wiring(&self, wiring: Wiring) {
        let wiring = Arc::new(wiring);
        let before = self.shared.wiring.swap(wiring.clone());
        self.shared.rebuild_routes();
        self.shared.tell_all(&before);
        for link in self.shared.all_links() {
            let far = link.far().clone();
            match far.role() {
                Role::Edge => link.cut(Refusal::NotPermitted, |service| !wiring.may_open(&far, service)),
                Role::LocalHub => link.cut(Refusal::NotPermitted, |service| !wiring.may_offer(&far, service)),
                Role::Hub | Role::Server => {}
            }
        }
    }

    /// Its state now.
    pub fn status(&self) -> HubStatus {
        let shared = &self.shared;
        let mut links: Vec<_> = shared.all_links().iter().map(|link| link.status()).collect();
        links.sort_by(|a, b| a.far.cmp(&b.far));
        let routes = shared.routes.load();
        HubStatus {
            identity: shared.keyring.identity().clone(),
            links,
            services: routes.iter().map(|(service, offering)| (service.clone(), offering.len())).collect(),
            streams: shared.streams.load(Ordering::Relaxed),
            opened: shared.opened.load(Ordering::Relaxed),
            half_open: shared.half_opens.count(),
            refused: shared.refused.all(),
            refused_streams: shared.refused.streams(),
        }
    }

    /// Waits, after the stop token, until every connection is closed.
    pub async fn stopped(&self) {
        self.shared.tasks.wait().await;
    }
}

impl Admission for Shared {
    fn answer(self: &Arc<Self>, who: &Identity, hello: &Hello) -> Answer {
        match who.role() {
            Role::LocalHub | Role::Edge => {}
            Role::Hub | Role::Server => return Answer::Refuse(Refusal::WrongRole),
        }
        match self.join(who, hello.link, usize::from(hello.lane)) {
            Ok(seat) => Answer::Welcome(seat),
            Err(reason) => Answer::Refuse(reason),
        }
    }

    fn lane_ended(&self) {
        self.sweep();
    }
}

impl Shared {
    /// Accepts until the hub stops; then closes every link, saying so.
    async fn keep_door(self: Arc<Self>, listener: TcpListener) {
        let door = Door {
            owner: self.clone(),
            keyring: self.keyring.clone(),
            half_opens: self.half_opens.clone(),
            refused: self.refused.clone(),
            stop: self.stop.clone(),
            tasks: self.tasks.clone(),
        };
        door.keep(Listener::Tcp(listener)).await;
        self.all_links().iter().for_each(|link| link.close(Refusal::ShuttingDown));
        self.tasks.close();
    }

    /// A place in the link of an authenticated member; makes the link with its first lane.
    fn join(self: &Arc<Self>, who: &Identity, id: [u8; 16], lane: usize) -> Result<Seat, Refusal> {
        let mut links = self.links();
        if let Some(link) = links.get(who) {
            if *link.id() == id {
                return link.seat(lane);
            }
            if !link.is_deserted() {
                link.probe();
                return Err(Refusal::IdentityTaken);
            }
            link.over().cancel();
        } else if links.len() >= MEMBERS_MAX {
            return Err(Refusal::HubBusy);
        }
        let (link, events) = Link::new(who.clone(), id, self.stop.child_token());
        let seat = link.seat(lane)?;
        self.tasks.spawn(exchange::serve(self.clone(), link.clone(), events));
        links.insert(who.clone(), link);
        drop(links);
        self.rebuild_routes();
        Ok(seat)
    }

    /// A lane left, or never came up; a link goes with its last.
    fn sweep(&self) {
        let mut links = self.links();
        let before = links.len();
        links.retain(|_, link| {
            if link.is_deserted() {
                link.over().cancel();
            }
            !link.over().is_cancelled()
        });
        let is_changed = links.len() != before;
        drop(links);
        if is_changed {
            self.rebuild_routes();
        }
    }

    fn all_links(&self) -> Vec<Arc<Link>> {
        self.links().values().cloned().collect()
    }

    /// From links, offers and wiring to who serves what. A link serves once all six lanes have been up, and from then on
    /// with those it has.
    fn rebuild_routes(&self) {
        let links = self.links();
        let wiring = self.wiring.load();
        let mut routes: BTreeMap<String, Vec<Arc<Link>>> = BTreeMap::new();
        for link in links.values().filter(|link| link.far().role() == Role::LocalHub && link.is_established())
        {
            for service in link.services().iter().filter(|service| wiring.may_offer(link.far(), service)) {
                routes.entry(service.clone()).or_default().push(link.clone());
            }
        }
        // Stored under the lock, so that an older table never replaces a newer one.
        self.routes.store(Arc::new(routes));
    }

    fn links(&self) -> MutexGuard<'_, HashMap<Identity, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
