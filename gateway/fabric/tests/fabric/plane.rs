//! A plane of several hubs, each on a runtime of its own that can be taken away at once.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use fabric::election::Standing;
use fabric::hub::HubError;
use fabric::status::HubStatus;
use fabric::{
    Authority, Credentials, Hub, HubAddress, HubConfig, HubInstance, Keyring, PlaneAddress, Role, Wiring,
};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::world::{ALWAYS, identity, until, wiring};

pub(crate) struct HubPlane {
    pub(crate) authority: Authority,
    pub(crate) instances: Vec<HubInstance>,
    running: Vec<Option<Running>>,
    folder: tempfile::TempDir,
}

struct Running {
    hub: Hub,
    stop: CancellationToken,
    runtime: Runtime,
}

impl HubPlane {
    /// So many hubs, `hub-a1` and on, all started; edges and local hubs are wired as in the small world.
    pub(crate) async fn start(hubs: usize) -> Self {
        let plane = Self::planned(hubs).await;
        plane.with_all_started().await
    }

    /// Ports are chosen; nothing runs.
    pub(crate) async fn planned(hubs: usize) -> Self {
        let mut instances = Vec::new();
        let mut held = Vec::new();
        for number in 1..=hubs {
            let (members, between) = (listener(None).await, listener(None).await);
            instances.push(HubInstance {
                name: format!("hub-a{number}"),
                members: members.local_addr().unwrap(),
                between: between.local_addr().unwrap(),
            });
            held.push((members, between));
        }
        Self {
            authority: Authority::generate(ALWAYS).unwrap(),
            running: instances.iter().map(|_| None).collect(),
            instances,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn with_all_started(mut self) -> Self {
        for hub in 0..self.instances.len() {
            self.revive(hub).await;
        }
        self
    }

    /// Starts one, on its ports and its term file.
    pub(crate) async fn revive(&mut self, hub: usize) {
        let instance = self.instances[hub].clone();
        let (members, between) = (std_listener(instance.members).await, std_listener(instance.between).await);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let config = self.config(hub);
        let keyring = Keyring::new(self.credentials(Role::Hub, &instance.name)).unwrap();
        let wiring = wiring(&["web", "other", "echo"]);
        let hub_stop = stop.clone();
        // The term file of a hub that was just killed is free when its last write is done.
        let started = loop {
            let inside = runtime.enter();
            let members = TcpListener::from_std(members.try_clone().unwrap()).unwrap();
            let between = TcpListener::from_std(between.try_clone().unwrap()).unwrap();
            let started = Hub::start(
                config.clone(),
                members,
                Some(between),
                keyring.clone(),
                wiring.clone(),
                hub_stop.clone(),
            );
            drop(inside);
            match started {
                Err(HubError::Terms(fabric::hub::TermsError::InUse(_))) => {
                    sleep(Duration::from_millis(10)).await;
                }
                started => break started.unwrap(),
            }
        };
        self.running[hub] = Some(Running { hub: started, stop, runtime });
    }

    pub(crate) fn config(&self, hub: usize) -> HubConfig {
        HubConfig {
            plane: "A".into(),
            me: self.instances[hub].name.clone(),
            instances: self.instances.clone(),
            terms: self.term_file(hub),
        }
    }

    pub(crate) fn term_file(&self, hub: usize) -> std::path::PathBuf {
        let folder: &Path = self.folder.path();
        folder.join(format!("{}.terms", self.instances[hub].name))
    }

    /// As by SIGKILL: no goodbye.
    pub(crate) fn kill(&mut self, hub: usize) {
        let running = self.running[hub].take().unwrap();
        running.runtime.shutdown_background();
    }

    /// As by SIGTERM.
    pub(crate) async fn stop(&mut self, hub: usize) {
        let running = self.running[hub].take().unwrap();
        running.stop.cancel();
        running.hub.stopped().await;
        running.runtime.shutdown_background();
    }

    pub(crate) fn hub(&self, hub: usize) -> &Hub {
        &self.running[hub].as_ref().unwrap().hub
    }

    pub(crate) fn statuses(&self) -> Vec<HubStatus> {
        self.running.iter().flatten().map(|running| running.hub.status()).collect()
    }

    /// Who may move bytes now.
    pub(crate) fn actives(&self) -> Vec<usize> {
        let is_open = |status: &HubStatus| status.lease_left.is_none_or(|left| left > Duration::ZERO);
        let running = self.running.iter().enumerate();
        running
            .filter_map(|(hub, running)| Some((hub, running.as_ref()?.hub.status())))
            .filter(|(_, status)| status.standing == Standing::Active && is_open(status))
            .map(|(hub, _)| hub)
            .collect()
    }

    /// Waits until one is active and all that run say so; never two on the way. How long that took.
    pub(crate) async fn agreed(&self) -> (usize, Duration) {
        let begun = Instant::now();
        let mut active = None;
        until("an active that all agree on", || {
            let actives = self.actives();
            assert!(actives.len() < 2, "two actives: {actives:?}");
            active = actives.first().copied();
            let name = active.map(|active| self.instances[active].name.clone());
            active.is_some() && self.statuses().iter().all(|status| status.active == name)
        })
        .await;
        (active.unwrap(), begun.elapsed())
    }

    pub(crate) fn credentials(&self, role: Role, name: &str) -> Credentials {
        self.authority.issue(&identity(role, name), ALWAYS).unwrap()
    }

    /// As members are told.
    pub(crate) fn addresses(&self) -> Vec<PlaneAddress> {
        let hubs = self.instances.iter();
        let hubs = hubs.map(|hub| HubAddress { address: hub.members, name: hub.name.clone() }).collect();
        vec![PlaneAddress { name: "A".into(), hubs }]
    }
}

impl Drop for HubPlane {
    fn drop(&mut self) {
        for running in self.running.iter_mut().filter_map(Option::take) {
            running.stop.cancel();
            running.runtime.shutdown_background();
        }
    }
}

async fn listener(at: Option<SocketAddr>) -> TcpListener {
    let at = at.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    loop {
        match TcpListener::bind(at).await {
            Ok(listener) => return listener,
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn std_listener(at: SocketAddr) -> std::net::TcpListener {
    listener(Some(at)).await.into_std().unwrap()
}

/// For hubs that are not to start.
pub(crate) async fn refused(config: HubConfig, credentials: Credentials) -> HubError {
    let listeners = (listener(None).await, listener(None).await);
    let keyring = Keyring::new(credentials).unwrap();
    let stop = CancellationToken::new();
    let started = Hub::start(config, listeners.0, Some(listeners.1), keyring, Wiring::default(), stop);
    started.err().unwrap()
}
