//! A member's link to a plane, whichever instance of it is active.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Link;
use super::dialer::{self, DialerError};
use crate::bounds::{INSTANCES_MAX, PLANES_MAX};
use crate::identity::{Identity, Role};
use crate::lane::driver::LinkEvent;
use crate::refusal::is_name;
use crate::status::PlaneStatus;
use crate::tls::Keyring;

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
    link: Arc<Link>,
}

/// A link that has begun, and what arrives on it.
pub(crate) type Begun = (Arc<Link>, mpsc::Receiver<LinkEvent>);

/// Begins to dial every plane, until `stop`; tasks run on the current runtime.
pub(crate) fn start(
    planes: &[PlaneAddress],
    keyring: &Arc<Keyring>,
    role: Role,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<Vec<(Arc<Follower>, Begun)>, DialerError> {
    if keyring.identity().role() != role {
        return Err(DialerError::WrongRole);
    }
    check(planes)?;
    planes.iter().map(|plane| follow(plane, keyring, stop, tasks)).collect()
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
        if !hubs.into_iter().all(|name| is_name(name)) {
            return Err(DialerError::HubName);
        }
    }
    Ok(())
}

fn follow(
    plane: &PlaneAddress,
    keyring: &Arc<Keyring>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<(Arc<Follower>, Begun), DialerError> {
    let hub = plane.hubs.first().ok_or_else(|| DialerError::Instances(plane.name.clone()))?;
    let far = Identity::new(Role::Hub, &hub.name).ok_or(DialerError::HubName)?;
    let (link, events) = dialer::start(far, hub.address, keyring, stop, tasks)?;
    let follower = Follower { name: plane.name.clone(), link: link.clone() };
    Ok((Arc::new(follower), (link, events)))
}

impl Follower {
    /// The link to the active instance, if there is one.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        Some(self.link.clone())
    }

    /// Waits until all six lanes to the active instance are up.
    pub(crate) async fn ready(&self) {
        self.link.ready().await;
    }

    pub(crate) fn status(&self) -> PlaneStatus {
        let link = self.link.status();
        PlaneStatus { name: self.name.clone(), last_end: link.last_end, link: Some(link) }
    }
}
