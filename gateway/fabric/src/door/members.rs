//! The links that came in through a door, by the identity of their far side.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::fence::Fence;
use crate::identity::Identity;
use crate::lane::driver::LinkEvent;
use crate::link::{Link, Seat};
use crate::refusal::Refusal;

/// A bounded table of links. A member has one; another process under its identity is refused while that lives.
pub(crate) struct Members {
    links: Mutex<HashMap<Identity, Arc<Link>>>,
    most: usize,
}

/// A place for a lane; the link and its events with the first lane of a link.
pub(crate) type Joined = (Seat, Option<(Arc<Link>, mpsc::Receiver<LinkEvent>)>);

impl Members {
    pub(crate) fn new(most: usize) -> Self {
        Self { links: Mutex::default(), most }
    }

    /// A place in the link of an authenticated member; makes the link, behind that fence, with its first lane. A link that
    /// is replaced or deserted is over: its token says so.
    pub(crate) fn join(
        &self,
        who: &Identity,
        id: [u8; 16],
        lane: usize,
        fence: &Fence,
        stop: &CancellationToken,
    ) -> Result<Joined, Refusal> {
        let mut links = self.lock();
        if let Some(link) = links.get(who) {
            if *link.id() == id {
                return Ok((link.seat(lane)?, None));
            }
            if !link.is_deserted() {
                link.probe();
                return Err(Refusal::IdentityTaken);
            }
            link.over().cancel();
        } else if links.len() >= self.most {
            return Err(Refusal::HubBusy);
        }
        let (link, events) = Link::fenced(who.clone(), id, fence.clone(), stop.child_token());
        let seat = link.seat(lane)?;
        links.insert(who.clone(), link.clone());
        Ok((seat, Some((link, events))))
    }

    /// A lane left, or never came up; a link goes with its last. True if one did.
    pub(crate) fn sweep(&self) -> bool {
        let mut links = self.lock();
        let before = links.len();
        links.retain(|_, link| {
            if link.is_deserted() {
                link.over().cancel();
            }
            !link.over().is_cancelled()
        });
        links.len() != before
    }

    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        self.lock().values().cloned().collect()
    }

    /// The link of that member.
    pub(crate) fn find(&self, who: &Identity) -> Option<Arc<Link>> {
        self.lock().get(who).cloned()
    }

    /// Looks at all of them while none comes or goes.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&HashMap<Identity, Arc<Link>>) -> R) -> R {
        look(&self.lock())
    }

    /// Empties the table.
    pub(crate) fn take_all(&self) -> Vec<Arc<Link>> {
        self.lock().drain().map(|(_, link)| link).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
