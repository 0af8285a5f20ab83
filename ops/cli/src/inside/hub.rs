//! A main hub instance as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use defense::Reason;
use fabric::election::Standing;
use fabric::status::HubStatus;
use fabric::topology::{HubSite, Plane};
use fabric::{Hub, HubAddress, HubConfig, HubInstance, PlaneAddress, Role};
use ops::eyes::{FabricEyes, FabricSection, HubSection, PlaneSection};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::credentials::CredentialsFile;
use super::{place, view};
use crate::config::Member;
use crate::secrets;

/// How long a hub that leaves waits for another to take over, and between looks at it.
const HANDOVER: Duration = Duration::from_secs(2);
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// How long a hub that leaves waits for its last connections to close.
const FAREWELL: Duration = Duration::from_secs(2);

/// The instance, and what it needs to look at its files again.
pub(super) struct HubEnd {
    hub: Hub,
    name: String,
    plane: PlaneAddress,
    wiring: PathBuf,
    look: Arc<Notify>,
    stop: CancellationToken,
}

impl HubEnd {
    /// Binds its listener and begins, on the current runtime.
    ///
    /// # Errors
    /// Wiring or credentials can't be used or do not know each other; its port is taken; its folder is not usable.
    pub(super) async fn start(member: &Member, stop: CancellationToken) -> Result<Self> {
        secrets::folder(&member.state_dir)?;
        let wiring = place::wiring(&member.joined.wiring)?;
        let name = member.joined.name.as_deref();
        let credentials = CredentialsFile::open(&member.joined.credentials, Role::Hub, name)?;
        let keyring = Arc::clone(credentials.keyring());
        let name = keyring.identity().name().to_owned();
        let (plane, site) = place::of_hub(&wiring, &name)?;
        let members = bind(site.members).await?;
        let between = match plane.hubs.len() {
            1 => None,
            _ => Some(bind(site.between).await?),
        };
        let config = hub_config(plane, &name, &member.state_dir);
        let hub = Hub::start(config, members, between, keyring, wiring.wiring(), stop.clone())?;
        let known = PlaneAddress {
            name: plane.name.clone(),
            hubs: plane
                .hubs
                .iter()
                .map(|hub| HubAddress { address: hub.members, name: hub.name.clone() })
                .collect(),
        };
        let look = Arc::new(Notify::new());
        tokio::spawn(credentials.follow(Arc::clone(&look), stop.clone()));
        Ok(Self { hub, name, plane: known, wiring: member.joined.wiring.clone(), look, stop })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.hub.address()
    }

    /// Takes the wiring's permissions and the credentials anew. Answers whether something has to wait for a restart.
    ///
    /// # Errors
    /// The wiring has mistakes; the old one stays.
    pub(super) fn reload(&self) -> Result<bool> {
        self.look.notify_one();
        let wiring = place::wiring(&self.wiring)?;
        self.hub.set_wiring(wiring.wiring());
        Ok(wiring.plane_addresses().into_iter().find(|plane| plane.name == self.plane.name).as_ref()
            != Some(&self.plane))
    }

    /// Leaves: an active hands over first, so that members find another before these connections close.
    pub(super) async fn leave(&self) {
        if self.hub.step_down().is_ok() {
            let begun = Instant::now();
            let taken = || self.hub.status().active.is_some_and(|active| active != self.name);
            while !taken() && begun.elapsed() < HANDOVER {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        }
        self.stop.cancel();
        let _ = tokio::time::timeout(FAREWELL, self.hub.stopped()).await;
    }
}

impl FabricEyes for HubEnd {
    fn fabric(&self) -> FabricSection {
        let status = self.hub.status();
        let hub = |hub: &HubAddress| HubSection {
            name: hub.name.clone(),
            address: Some(hub.address.to_string()),
            state: self.state_of(&hub.name, &status).to_owned(),
            term: (hub.name == self.name).then_some(status.term),
            here: hub.name == self.name,
        };
        let plane = PlaneSection {
            plane: self.plane.name.clone(),
            state: self.plane_state(&status).to_owned(),
            active: status.active.clone(),
            term: (status.term > 0).then_some(status.term),
            lanes_up: status.links.iter().map(|link| link.lanes_up() as u64).sum(),
            lanes: status.links.iter().map(|link| link.lanes.len() as u64).sum(),
            streams: status.streams as u64,
            opened_total: status.opened,
            services: status.services.keys().cloned().collect(),
            hubs: self.plane.hubs.iter().map(hub).collect(),
            links: status.links.iter().map(view::link).collect(),
            refused: view::reasons(&status.refused),
            ..PlaneSection::default()
        };
        FabricSection {
            role: "hub".to_owned(),
            name: self.name.clone(),
            planes: vec![plane],
            offers: Vec::new(),
            refusals: view::refusals(&status.refused_streams, ""),
        }
    }

    fn step_down(&self, hub: &str) -> Result<(), Reason> {
        if hub != self.name {
            return Err(Reason::StepDownElsewhere);
        }
        self.hub.step_down().map_err(|_| Reason::StepDownRefused)
    }
}

impl HubEnd {
    /// The plane, as this hub stands in it.
    fn plane_state(&self, status: &HubStatus) -> &'static str {
        match (status.standing, &status.active) {
            (Standing::Active, _) => "active",
            (Standing::Standby, Some(_)) => "standby",
            (Standing::Standby, None) | (Standing::Candidate, _) => "electing",
        }
    }

    /// What this hub knows of a hub of its plane.
    fn state_of(&self, hub: &str, status: &HubStatus) -> &'static str {
        let between = status.between.iter().find(|between| between.name == hub);
        match status.standing {
            _ if status.active.as_deref() == Some(hub) => "active",
            Standing::Candidate if hub == self.name => "candidate",
            Standing::Active | Standing::Standby | Standing::Candidate => match between {
                Some(between) if between.connections == 0 => "unreachable",
                Some(_) | None => "standby",
            },
        }
    }
}

/// The plane as its hubs have to know it.
fn hub_config(plane: &Plane, me: &str, folder: &Path) -> HubConfig {
    let site =
        |hub: &HubSite| HubInstance { name: hub.name.clone(), members: hub.members, between: hub.between };
    HubConfig {
        plane: plane.name.clone(),
        me: me.to_owned(),
        instances: plane.hubs.iter().map(site).collect(),
        terms: folder.join(format!("{me}.terms")),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("{} can't listen on {address}", Reason::PortInUse.code()))
}
