//! The edge's end of planes that run elsewhere: credentials from a file, hubs from the wiring.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use fabric::status::PlaneStatus;
use fabric::{Gateway, PlaneAddress, Role};
use ops::eyes::{FabricSection, PlaneSection};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::credentials::CredentialsFile;
use super::{place, view};
use crate::config::Joined;

/// Between looks at planes that are not there yet.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Six lanes to the active hub of each plane.
pub struct EdgeEnd {
    gateway: Arc<Gateway>,
    planes: Vec<PlaneAddress>,
    wiring: PathBuf,
    look: Arc<Notify>,
}

impl EdgeEnd {
    /// Begins to dial, on the current runtime, until `stop`.
    ///
    /// # Errors
    /// Wiring or credentials can't be used, or do not know each other.
    pub fn start(joined: &Joined, stop: &CancellationToken) -> Result<Self> {
        let wiring = place::wiring(&joined.wiring)?;
        let credentials = CredentialsFile::open(&joined.credentials, Role::Edge, joined.name.as_deref())?;
        let keyring = Arc::clone(credentials.keyring());
        place::of_edge(&wiring, keyring.identity().name())?;
        let planes = wiring.plane_addresses();
        let ways_out = wiring.ways_out(keyring.identity().name());
        let gateway = Arc::new(Gateway::start(&planes, keyring, stop.clone())?);
        gateway.set_egress(ways_out);
        let look = Arc::new(Notify::new());
        tokio::spawn(credentials.follow(Arc::clone(&look), stop.clone()));
        Ok(Self { gateway, planes, wiring: joined.wiring.clone(), look })
    }

    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Until all lanes to the active hub of one plane are up: the other may be down, and is no reason to wait.
    pub async fn some_plane(&self) {
        while !self.gateway.status().planes.iter().any(PlaneStatus::is_ready) {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    /// # Errors
    /// The wiring has mistakes.
    pub fn check(&self) -> Result<()> {
        place::wiring(&self.wiring).map(drop)
    }

    /// Looks at the credentials now, and takes the ways out of the wiring; whether hubs have moved, which waits for a restart.
    ///
    /// # Errors
    /// The wiring has mistakes; nothing has changed.
    pub fn reload(&self) -> Result<bool> {
        self.look.notify_one();
        let wiring = place::wiring(&self.wiring)?;
        self.gateway.set_egress(wiring.ways_out(self.gateway.status().identity.name()));
        Ok(wiring.plane_addresses() != self.planes)
    }

    pub fn section(&self) -> FabricSection {
        let status = self.gateway.status();
        let section = |(plane, known)| view::followed(plane, known);
        let mut planes: Vec<PlaneSection> = status.planes.iter().zip(&self.planes).map(section).collect();
        // Refusals are counted for the gateway as a whole: the first plane stands for it.
        if let Some(first) = planes.first_mut() {
            first.refused = view::reasons(&status.refused);
            first.opened_total = status.opened;
        }
        FabricSection {
            role: "edge".to_owned(),
            name: status.identity.name().to_owned(),
            planes,
            offers: Vec::new(),
            refusals: view::refusals(&status.refused_streams, &status.identity.to_string()),
        }
    }

    /// Whether a hub of that name is in the wiring.
    pub fn knows(&self, hub: &str) -> bool {
        self.planes.iter().flat_map(|plane| &plane.hubs).any(|known| known.name == hub)
    }
}
