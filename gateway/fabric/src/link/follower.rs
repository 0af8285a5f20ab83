//! A member's link to a plane, whichever hub of it is active: one task per plane that dials, moves and searches as
//! [`Following`] decides.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Link;
use super::dialer::DialerError;
use super::following::Following;
use super::proof::Proof;
use crate::bounds::{INSTANCES_MAX, PLANES_MAX};
use crate::identity::{Identity, Role};
use crate::lane::driver::LinkEvent;
use crate::refusal::{LaneEnd, is_name};
use crate::status::PlaneStatus;
use crate::tls::Keyring;

mod scout;

/// Where a main hub is, and who it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubAddress {
    /// Where it listens for links.
    pub address: SocketAddr,
    /// The name in its certificate.
    pub name: String,
}

/// A plane: main hubs that agree on one active among them. Planes share nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaneAddress {
    /// Its name, `A` or `B` by custom.
    pub name: String,
    /// Its instances: 1 to [`INSTANCES_MAX`].
    pub hubs: Vec<HubAddress>,
}

/// One plane as a member sees it.
pub(crate) struct Follower {
    name: String,
    hubs: Vec<(Identity, SocketAddr)>,
    keyring: Arc<Keyring>,
    proof: Arc<Proof>,
    link: ArcSwapOption<Link>,
    term: watch::Sender<u64>,
    /// Told whenever the link or a lane of it comes or goes.
    changed: watch::Sender<()>,
    last_end: Mutex<Option<LaneEnd>>,
}

/// A link that has begun, and what arrives on it.
pub(crate) type Begun = (Arc<Link>, mpsc::Receiver<LinkEvent>);

/// A followed plane, and its links as they begin, one after the other.
pub(crate) type Followed = (Arc<Follower>, mpsc::Receiver<Begun>);

/// Begins to dial every plane, until `stop`; tasks run on the current runtime.
pub(crate) fn start(
    planes: &[PlaneAddress],
    keyring: &Arc<Keyring>,
    role: Role,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<Vec<Followed>, DialerError> {
    if keyring.identity().role() != role {
        return Err(DialerError::WrongRole);
    }
    check(planes)?;
    let followers =
        planes.iter().map(|plane| Follower::new(plane, keyring)).collect::<Result<Vec<_>, _>>()?;
    Ok(followers.into_iter().map(|follower| scout::start(follower, stop, tasks)).collect())
}

fn check(planes: &[PlaneAddress]) -> Result<(), DialerError> {
    let names: BTreeSet<_> = planes.iter().map(|plane| &plane.name).collect();
    if planes.is_empty() || planes.len() > PLANES_MAX || names.len() != planes.len() {
        return Err(DialerError::Planes);
    }
    for plane in planes {
        if !is_name(&plane.name) {
            return Err(DialerError::PlaneName(plane.name.clone()));
        }
        let hubs: BTreeSet<_> = plane.hubs.iter().map(|hub| &hub.name).collect();
        if hubs.is_empty() || hubs.len() > INSTANCES_MAX || hubs.len() != plane.hubs.len() {
            return Err(DialerError::Instances(plane.name.clone()));
        }
    }
    Ok(())
}

impl Follower {
    fn new(plane: &PlaneAddress, keyring: &Arc<Keyring>) -> Result<Arc<Self>, DialerError> {
        let identity = |name| Identity::new(Role::Hub, name).ok_or(DialerError::HubName);
        let hubs = plane.hubs.iter().map(|hub| Ok((identity(&hub.name)?, hub.address)));
        let names = plane.hubs.iter().map(|hub| hub.name.clone()).collect();
        Ok(Arc::new(Self {
            name: plane.name.clone(),
            hubs: hubs.collect::<Result<_, _>>()?,
            keyring: keyring.clone(),
            proof: Arc::new(Proof::of_plane(&plane.name, names)),
            link: ArcSwapOption::empty(),
            term: watch::Sender::new(0),
            changed: watch::Sender::new(()),
            last_end: Mutex::default(),
        }))
    }

    /// The link to the active hub, if there is one.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.link.load_full()
    }

    /// Told whenever the link or a lane of it comes or goes.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits until all six lanes to the active hub are up.
    pub(crate) async fn ready(&self) {
        let is_ready = |_: &()| self.link.load().as_ref().is_some_and(|link| link.is_ready());
        // The sender lives in self.
        let _ = self.changed.subscribe().wait_for(is_ready).await;
    }

    pub(crate) fn status(&self) -> PlaneStatus {
        let link = self.link();
        let status = link.as_ref().map(|link| link.status());
        let last_end = status.as_ref().and_then(|link| link.last_end).or_else(|| self.last_end());
        PlaneStatus {
            name: self.name.clone(),
            term: *self.term.borrow(),
            link: status,
            srtt: link.as_ref().and_then(|link| link.srtt()),
            is_suspect: link.is_some_and(|link| link.is_suspect()),
            last_end,
            chosen: 0,
            hedges_won: 0,
            hedges_lost: 0,
        }
    }

    fn tell_changed(&self) {
        self.changed.send_replace(());
    }

    fn last_end(&self) -> Option<&'static str> {
        self.last_end.lock().unwrap_or_else(PoisonError::into_inner).map(LaneEnd::code)
    }

    fn note_end(&self, end: LaneEnd) {
        *self.last_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }
}
