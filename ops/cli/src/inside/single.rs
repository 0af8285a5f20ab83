//! One plane of the fabric in this process: hub, local hub and the edge's end, with certificates that renew themselves.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fabric::{
    Authority, Gateway, Hub, HubAddress, HubConfig, Identity, Keyring, LocalHub, PlaneAddress, Ports,
    Protocol, ProxyProtocol, Role, Validity, Wiring,
};
use ops::eyes::{FabricSection, HubSection, PlaneSection};
use rotator::UnixTime;
use state::{Clock, Event, Store, Transport, Watch};
use tokio_util::sync::CancellationToken;

use super::view;
use crate::secrets;

/// A leaf's life; it is renewed at half of it.
const LEAF_S: u64 = 24 * 3600;
const AUTHORITY_S: u64 = 10 * 365 * 24 * 3600;
/// Certificates hold a little before they are made, for clocks that are behind.
const BACKDATE_S: u64 = 300;
/// Processes that may carry what they have under way while they are replaced one by another.
const GENERATIONS_MAX: usize = 8;
pub const HUB: &str = "hub-a1";
const LOCAL_HUB: &str = "local-1";

/// A running plane, all of it.
pub struct Single {
    hub: Arc<Hub>,
    local: Arc<LocalHub>,
    gateway: Arc<Gateway>,
    planes: [PlaneAddress; 1],
}

impl Single {
    /// Starts all three ends on the current runtime, and follows the services of the state.
    ///
    /// # Errors
    /// The authority's file is damaged or readable by others, or the listener is not usable.
    pub fn start(
        dir: &Path,
        edge: &str,
        listener: TcpListener,
        store: Arc<dyn Store>,
        clock: Clock,
        stop: &CancellationToken,
    ) -> Result<Self> {
        let authority = authority(&dir.join("fabric-ca.pem"), clock.now())?;
        let member = |role, name: &str| Member::new(&authority, role, name, clock.now());
        let (hub, local, gateway) =
            (member(Role::Hub, HUB)?, member(Role::LocalHub, LOCAL_HUB)?, member(Role::Edge, edge)?);
        let layout = Layout::read(store.as_ref(), edge)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let hubs = vec![HubAddress { address: listener.local_addr()?, name: HUB.to_owned() }];
        let planes = [PlaneAddress { name: "A".to_owned(), hubs }];
        let plane = Self {
            hub: Arc::new(Hub::start(
                HubConfig::alone("A", HUB, &terms(dir)),
                listener,
                None,
                Arc::clone(&hub.keyring),
                layout.wiring,
                stop.clone(),
            )?),
            local: Arc::new(LocalHub::start(
                &planes,
                Arc::clone(&local.keyring),
                layout.services,
                stop.clone(),
            )?),
            gateway: Arc::new(Gateway::start(&planes, Arc::clone(&gateway.keyring), stop.clone())?),
            planes,
        };
        tokio::spawn(renew(authority, [hub, local, gateway], clock, stop.clone()));
        let follower = Follower {
            changes: store.watch("fabric"),
            store,
            edge: edge.to_owned(),
            hub: Arc::clone(&plane.hub),
            local: Arc::clone(&plane.local),
        };
        follower.changes.applied(follower.store.read().revision());
        tokio::spawn(follower.run(stop.clone()));
        Ok(plane)
    }

    /// Until every lane of both links is up.
    pub async fn ready(&self) {
        tokio::join!(self.local.ready(), self.gateway.ready());
    }

    /// Connections to services at a time.
    pub fn set_streams_max(&self, most: usize) {
        self.local.set_streams_max(most);
    }

    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// All three ends as one: the hub's counts, the gateway's link.
    pub fn section(&self) -> FabricSection {
        let (hub, gateway) = (self.hub.status(), self.gateway.status());
        let local = self.local.status();
        let section = |(plane, known)| {
            let followed = view::followed(plane, known);
            PlaneSection {
                streams: hub.streams as u64,
                opened_total: hub.opened,
                services: hub.services.keys().cloned().collect(),
                hubs: followed.hubs.into_iter().map(|hub| HubSection { here: true, ..hub }).collect(),
                links: hub.links.iter().map(view::link).collect(),
                refused: view::reasons(&hub.refused),
                ..followed
            }
        };
        FabricSection {
            role: "all".to_owned(),
            name: gateway.identity.name().to_owned(),
            planes: gateway.planes.iter().zip(&self.planes).map(section).collect(),
            offers: local.services.iter().map(view::offer).collect(),
            refusals: view::refusals(&hub.refused_streams, ""),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.hub.address()
    }
}

/// Where the hub keeps its term. One that a predecessor still uses is left to it: nobody outside of a process follows its
/// hub, so each may count for itself.
fn terms(dir: &Path) -> PathBuf {
    let first = dir.join(format!("{HUB}.terms"));
    let others = (2..=GENERATIONS_MAX).map(|number| dir.join(format!("{HUB}.{number}.terms")));
    let is_free = |terms: &PathBuf| {
        let lock = terms.with_added_extension("lock");
        std::fs::File::open(lock).map_or(true, |lock| lock.try_lock().is_ok())
    };
    std::iter::once(first.clone()).chain(others).find(is_free).unwrap_or(first)
}

fn authority(file: &Path, now: UnixTime) -> Result<Authority> {
    let pem = secrets::load_or_make(file, || {
        Ok(Authority::generate(validity(now, AUTHORITY_S))?.to_secret_pem().into_bytes())
    })?;
    let text = std::str::from_utf8(&pem).context("the fabric's authority file is no text")?;
    Authority::from_secret_pem(text).with_context(|| format!("{} is damaged", file.display()))
}

fn validity(now: UnixTime, length_s: u64) -> Validity {
    Validity { not_before: now.minus(BACKDATE_S).secs(), not_after: now.plus(length_s).secs() }
}

/// One identity and its changing certificate.
struct Member {
    identity: Identity,
    keyring: Arc<Keyring>,
}

impl Member {
    fn new(authority: &Authority, role: Role, name: &str, now: UnixTime) -> Result<Self> {
        let identity =
            Identity::new(role, name).with_context(|| format!("{name} is no name for the fabric"))?;
        let keyring = Keyring::new(authority.issue(&identity, validity(now, LEAF_S))?)?;
        Ok(Self { identity, keyring })
    }
}

/// Renews every certificate at half of its life; connections that stand are not touched.
async fn renew(authority: Authority, members: [Member; 3], clock: Clock, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(LEAF_S / 2)) => {}
        }
        for member in &members {
            let issued = authority.issue(&member.identity, validity(clock.now(), LEAF_S));
            let renewed = issued.map_err(anyhow::Error::from).and_then(|c| Ok(member.keyring.replace(c)?));
            if let Err(error) = renewed {
                tracing::error!(event = "tls.fail", member = %member.identity, %error);
            }
        }
    }
}

/// Who may offer and open what, and where services are: read from the state.
struct Layout {
    wiring: Wiring,
    services: fabric::Services,
}

impl Layout {
    fn read(store: &dyn Store, edge: &str) -> Result<Self> {
        let identity = |role, name| Identity::new(role, name).context("no name for the fabric");
        let (local, edge) = (identity(Role::LocalHub, LOCAL_HUB)?, identity(Role::Edge, edge)?);
        let mut layout = Self { wiring: Wiring::default(), services: fabric::Services::new() };
        for service in store.read().services() {
            layout.wiring.permit_offer(&local, service.name.as_str())?;
            layout.wiring.permit_open(&edge, service.name.as_str())?;
            layout.services.insert(service.name.to_string(), served(service));
        }
        Ok(layout)
    }
}

/// A service as the local hub of this process takes it: its own port, and those that its entries lead to.
fn served(service: &state::records::Service) -> fabric::Service {
    let spoken = |transport| match transport {
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp => Protocol::Udp,
    };
    let own = service.to.port();
    let entries = service.listen.entries();
    let ports = entries.iter().map(|entry| {
        let (first, last) = entry.targets().unwrap_or((own, own));
        Ports { protocol: spoken(entry.protocol().inside()), first, last }
    });
    let first = entries.iter().find(|entry| entry.targets().is_none()).or(entries.first());
    fabric::Service {
        protocol: first.map_or(Protocol::Tcp, |entry| spoken(entry.protocol().inside())),
        ports: ports.collect(),
        proxy: if service.handling.proxy { ProxyProtocol::V2 } else { ProxyProtocol::Off },
        ..service.to.into()
    }
}

/// Keeps wiring and services as the state has them.
struct Follower {
    changes: Watch,
    store: Arc<dyn Store>,
    edge: String,
    hub: Arc<Hub>,
    local: Arc<LocalHub>,
}

impl Follower {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = self.changes.next() => event,
            };
            let (layout, revision) = match event {
                None => return,
                Some(Event::Changed(delta)) => (delta.layout, delta.revision),
                Some(Event::Reset) => (true, self.store.read().revision()),
            };
            if layout && let Err(error) = self.apply() {
                tracing::error!(event = "fabric.layout_failed", %error);
            }
            self.changes.applied(revision);
        }
    }

    fn apply(&self) -> Result<()> {
        let layout = Layout::read(self.store.as_ref(), &self.edge)?;
        self.hub.set_wiring(layout.wiring);
        Ok(self.local.set_services(layout.services)?)
    }
}
