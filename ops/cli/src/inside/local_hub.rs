//! A local hub as a process of its own: it dials the hubs, and offers what the wiring has below its name.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use defense::Reason;
use fabric::topology::Door;
use fabric::{LocalHub, PlaneAddress, Role};
use ops::eyes::{FabricEyes, FabricSection, PlaneSection};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::credentials::CredentialsFile;
use super::{place, view};
use crate::config::Member;

/// How long a local hub that leaves waits for streams under way.
const FAREWELL: Duration = Duration::from_secs(2);

/// The local hub, and what it needs to look at its files again.
pub(super) struct LocalEnd {
    local: LocalHub,
    name: String,
    planes: Vec<PlaneAddress>,
    door: Option<Door>,
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
        let door = site.door.clone();
        if let Some(door) = &door {
            local.open_door(&door.into())?;
        }
        let look = Arc::new(Notify::new());
        tokio::spawn(credentials.follow(Arc::clone(&look), stop.clone()));
        Ok(Self { local, name, planes, door, wiring: member.joined.wiring.clone(), look, stop })
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
        Ok(wiring.plane_addresses() != self.planes || site.door != self.door)
    }

    /// Leaves: offers are withdrawn with the links.
    pub(super) async fn leave(&self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(FAREWELL, self.local.stopped()).await;
    }
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
