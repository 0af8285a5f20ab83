//! A local hub as a process of its own: it dials the hubs, and offers what the wiring has below its name.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use defense::Reason;
use fabric::topology::LocalHubSite;
use fabric::{LocalHub, PlaneAddress, Role, Service};
use ops::eyes::{FabricEyes, FabricSection, PlaneSection};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::credentials::CredentialsFile;
use super::{place, view};
use crate::config::Member;

/// How long a local hub that leaves waits for streams under way, and between looks at them.
const DRAIN: Duration = Duration::from_secs(10);
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// How long it then waits for its links to close.
const FAREWELL: Duration = Duration::from_secs(2);

/// The local hub, and what it needs to look at its files again.
pub(super) struct LocalEnd {
    local: LocalHub,
    name: String,
    planes: Vec<PlaneAddress>,
    site: Mutex<LocalHubSite>,
    wiring: PathBuf,
    look: Arc<Notify>,
    stop: CancellationToken,
}

impl LocalEnd {
    /// Begins to dial and to offer, on the current runtime.
    ///
    /// # Errors
    /// Wiring or credentials can't be used or do not know each other.
    pub(super) fn start(member: &Member, stop: CancellationToken) -> Result<Self> {
        let wiring = place::wiring(&member.joined.wiring)?;
        let name = member.joined.name.as_deref();
        let credentials = CredentialsFile::open(&member.joined.credentials, Role::LocalHub, name)?;
        let keyring = Arc::clone(credentials.keyring());
        let name = keyring.identity().name().to_owned();
        let site = place::of_local_hub(&wiring, &name)?;
        let planes = wiring.plane_addresses();
        let local = LocalHub::start(&planes, keyring, site.to_services(), stop.clone())?;
        local.set_wiring(wiring.wiring());
        if let Some(door) = &site.door {
            local.open_door(&door.into())?;
        }
        let look = Arc::new(Notify::new());
        tokio::spawn(credentials.follow(Arc::clone(&look), stop.clone()));
        let site = Mutex::new(site.clone());
        Ok(Self { local, name, planes, site, wiring: member.joined.wiring.clone(), look, stop })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Takes services and credentials anew. Answers whether something has to wait for a restart.
    ///
    /// # Errors
    /// The wiring has mistakes, or no such local hub any more; all stays as it was.
    pub(super) fn reload(&self) -> Result<bool> {
        self.look.notify_one();
        let wiring = place::wiring(&self.wiring)?;
        let site = place::of_local_hub(&wiring, &self.name)?;
        self.local.set_services(site.to_services())?;
        self.local.set_wiring(wiring.wiring());
        let mut known = self.site.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = site.door != known.door;
        // The door stays where it was opened.
        *known = LocalHubSite { door: known.door.clone(), ..site.clone() };
        Ok(wiring.plane_addresses() != self.planes || moved)
    }

    /// Leaves: offers are withdrawn first, so that newcomers go elsewhere while streams under way have time to end.
    pub(super) async fn leave(&self) {
        let draining = self.site.lock().unwrap_or_else(PoisonError::into_inner).to_services();
        let draining = draining.into_iter().map(|(name, service)| (name, drained(service))).collect();
        if let Err(error) = self.local.set_services(draining) {
            tracing::error!(event = "fabric.drain_failed", %error);
        }
        let begun = Instant::now();
        while self.local.status().streams > 0 && begun.elapsed() < DRAIN {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        self.stop.cancel();
        let _ = tokio::time::timeout(FAREWELL, self.local.stopped()).await;
    }
}

fn drained(mut service: Service) -> Service {
    service.servers.iter_mut().for_each(|server| server.is_draining = true);
    service
}

impl FabricEyes for LocalEnd {
    fn fabric(&self) -> FabricSection {
        let status = self.local.status();
        let section = |(plane, known)| PlaneSection {
            services: status.services.iter().filter(|s| s.is_permitted).map(|s| s.name.clone()).collect(),
            ..view::followed(plane, known)
        };
        let mut planes: Vec<PlaneSection> = status.planes.iter().zip(&self.planes).map(section).collect();
        // Refusals are counted for the local hub as a whole: the first plane stands for it.
        if let Some(first) = planes.first_mut() {
            first.refused = view::reasons(&status.refused);
            first.opened_total = status.opened;
        }
        FabricSection {
            role: "local-hub".to_owned(),
            name: self.name.clone(),
            planes,
            offers: status.services.iter().map(view::offer).collect(),
            refusals: view::refusals(&status.refused_streams, ""),
        }
    }

    fn step_down(&self, hub: &str) -> Result<(), Reason> {
        let known = self.planes.iter().flat_map(|plane| &plane.hubs).any(|known| known.name == hub);
        Err(if known { Reason::StepDownElsewhere } else { Reason::UnknownHub })
    }
}
