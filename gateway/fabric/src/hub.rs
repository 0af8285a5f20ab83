//! The main hub: everybody dials it; it joins who may open a service with who may offer it.
//!
//! A plane has one hub or several; one of them is active ([`crate::election`]), the others say who. Each hub listens for
//! members on one port and for the other hubs on another. `council` runs the election, `between` are the connections to the
//! other hubs, `config` is what it starts with, `terms` is what is kept on disk, `office` is what the hub is at the moment, `exchange` joins streams.
//!
//! What wakes it: a connection, a lane's Hello, an offer, a request for a stream, a new wiring, the election, the stop token.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounds::MEMBERS_MAX;
use crate::door::half_open::HalfOpens;
use crate::door::members::Members;
use crate::door::{Admission, Answer, Door, Listener};
use crate::election::Reason;
use crate::fence::Fence;
use crate::identity::{Identity, Role};
use crate::link::{Link, Seat};
use crate::refusal::Refusal;
use crate::status::{HubStatus, Tally};
use crate::tls::Keyring;
use crate::wire::Hello;
use crate::wiring::Wiring;

mod between;
mod config;
mod council;
mod exchange;
mod exit;
mod notices;
mod office;
mod terms;

use between::{Between, Board};
use config::seats;
pub use config::{HubConfig, HubError, HubInstance, StepDownError};
use council::{Council, Event};
use office::{Chair, Office};
pub use terms::TermsError;

/// A running main hub. Cheap to clone; dropping it does not stop the hub, the token does.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    config: HubConfig,
    keyring: Arc<Keyring>,
    office: Chair,
    council: mpsc::Sender<Event>,
    board: Board,
    wiring: ArcSwap<Wiring>,
    members: Members,
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
    /// Begins to accept members at `members` and the other hubs at `between`, and to dial those, until `stop`. Members are
    /// served on the current runtime. A hub that is alone in its plane is active when this returns.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn start(
        mut config: HubConfig,
        members: TcpListener,
        between: Option<TcpListener>,
        keyring: Arc<Keyring>,
        wiring: Wiring,
        stop: CancellationToken,
    ) -> Result<Self, HubError> {
        config.instances.sort_by(|a, b| a.name.cmp(&b.name));
        let (council, events) = council::desk();
        let seats = seats(&config, &keyring)?;
        let between = between.filter(|_| seats.names.len() > 1);
        if between.is_none() && seats.names.len() > 1 {
            return Err(HubError::BetweenMissing);
        }
        let address = members.local_addr()?;
        let shared = Arc::new(Shared {
            board: Board::new(&seats.names, seats.me),
            config,
            keyring,
            office: Chair::vacant(),
            council,
            wiring: ArcSwap::from_pointee(wiring),
            members: Members::new(MEMBERS_MAX),
            routes: ArcSwap::default(),
            next: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            half_opens: HalfOpens::default(),
            refused: Tally::default(),
            stop,
            tasks: TaskTracker::new(),
        });
        let me = seats.me;
        let council = Council::new(shared.clone(), seats, events);
        match between {
            None if council.is_active() => drop(shared.tasks.spawn(council.run())),
            None => return Err(HubError::TermsUnwritable(shared.config.terms.clone())),
            Some(listener) => shared.convene(council, me, listener)?,
        }
        shared.tasks.spawn(shared.clone().keep_door(members));
        Ok(Self { shared, address })
    }

    /// Hands over to another hub of the plane, within milliseconds: its links end with [`Refusal::NotActive`], and it leaves
    /// the office to others for [`STEP_DOWN_REST`](crate::bounds::STEP_DOWN_REST). Returns at once.
    ///
    /// # Errors
    /// [`StepDownError`].
    pub fn step_down(&self) -> Result<(), StepDownError> {
        if self.shared.config.instances.len() == 1 {
            return Err(StepDownError::Alone);
        }
        if self.shared.office.post().held.is_none() {
            return Err(StepDownError::NotActive);
        }
        self.shared.council.try_send(Event::StepDown).map_err(|_| StepDownError::Busy)
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
        let mut links = self.shared.all_links();
        // Edges first: who asked for a stream is told the reason, before the other end's cut comes through to it.
        links.sort_by_key(|link| link.far().role() != Role::Edge);
        for link in links {
            let far = link.far().clone();
            match far.role() {
                Role::Edge => link.cut(Refusal::NotPermitted, |name, _| {
                    !wiring.may_open(&far, name) && !wiring.may_be_exit(&far, name)
                }),
                Role::LocalHub => link.cut(Refusal::NotPermitted, |name, claimed| {
                    let may_leave =
                        || exit::leaver(&far, claimed).is_some_and(|who| wiring.may_leave(&who, &far, name));
                    !wiring.may_offer(&far, name) && !may_leave()
                }),
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
        let post = shared.office.post();
        HubStatus {
            identity: shared.keyring.identity().clone(),
            plane: shared.config.plane.clone(),
            standing: post.standing,
            term: post.term,
            active: post.active.clone(),
            lease_left: post.held.as_ref().and_then(|held| held.fence.left()),
            between: shared.board.all(),
            elections: shared.office.elections(),
            last_reason: shared.office.reason().map(Reason::code),
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
        let post = self.office.post();
        let Some(Office { fence, mandate }) = post.held.as_ref().filter(|held| held.fence.is_open()) else {
            let other = post.active.clone().filter(|active| *active != self.config.me);
            return Answer::Standby { term: post.term, active: other.unwrap_or_default() };
        };
        match self.join(who, hello.link, usize::from(hello.lane), fence) {
            Ok(seat) => Answer::Welcome(seat, mandate.clone()),
            Err(reason) => Answer::Refuse(reason),
        }
    }

    fn lane_ended(&self) {
        if self.members.sweep() {
            self.rebuild_routes();
        }
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

    /// The election's own thread, which ends with the hub, or with the runtime that the hub was started on.
    fn convene(self: &Arc<Self>, council: Council, me: usize, listener: TcpListener) -> std::io::Result<()> {
        let between = Between {
            plane: self.config.plane.clone(),
            me,
            names: self.config.instances.iter().map(|instance| instance.name.clone()).collect(),
            addresses: self.config.instances.iter().map(|instance| instance.between).collect(),
            keyring: self.keyring.clone(),
            events: self.council.clone(),
            refused: self.refused.clone(),
            board: self.board.clone(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let dead = CancellationToken::new();
        let ended = council.start_thread(between, listener.into_std()?, dead.clone())?;
        let guard = dead.drop_guard();
        self.tasks.spawn(async move {
            // An error says that the thread is gone.
            let _ = ended.await;
            drop(guard);
        });
        Ok(())
    }

    /// No longer active: the fence first, then every link.
    fn leave_office(&self, reason: Reason) {
        self.office.vacate(reason);
        for link in self.members.take_all() {
            link.close(Refusal::NotActive);
            link.over().cancel();
        }
        self.rebuild_routes();
    }

    /// A place in the link of an authenticated member; serves the link from its first lane on.
    fn join(
        self: &Arc<Self>,
        who: &Identity,
        id: [u8; 16],
        lane: usize,
        fence: &Fence,
    ) -> Result<Seat, Refusal> {
        let (seat, begun) = self.members.join(who, id, lane, fence, &self.stop)?;
        if let Some((link, events)) = begun {
            self.tasks.spawn(exchange::serve(self.clone(), link, events));
            self.rebuild_routes();
        }
        Ok(seat)
    }

    fn all_links(&self) -> Vec<Arc<Link>> {
        self.members.all()
    }

    /// From links, offers and wiring to who serves what. A link serves once all six lanes have been up, and from then on
    /// with those it has.
    fn rebuild_routes(&self) {
        // Stored under the table's lock, so that an older one never replaces a newer one.
        self.members.with(|links| {
            let wiring = self.wiring.load();
            let mut routes: BTreeMap<String, Vec<Arc<Link>>> = BTreeMap::new();
            let serves = |link: &&Arc<Link>| link.far().role() == Role::LocalHub && link.is_established();
            for link in links.values().filter(serves) {
                for service in link.services().iter().filter(|service| wiring.may_offer(link.far(), service))
                {
                    routes.entry(service.clone()).or_default().push(link.clone());
                }
            }
            self.routes.store(Arc::new(routes));
        });
    }
}
