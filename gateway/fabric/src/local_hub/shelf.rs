//! The services now: their servers, which of them gets a stream, and what is offered to the hubs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::balance;
use super::probe;
use super::server::{Place, Running, Server, Way};
use super::services::{Service, Services, ServicesError, check};
use crate::bounds::{HEALTH_AT_ONCE, OPEN_ATTEMPTS, SERVICES_MAX};
use crate::lane::Class;
use crate::link::Link;
use crate::origin::Asked;
use crate::refusal::Refusal;
use crate::status::ServiceStatus;
use crate::wire::Open;

/// Who offers is told when the offer changes.
pub(super) struct Shelf {
    table: Mutex<BTreeMap<String, Entry>>,
    offered: watch::Sender<Offered>,
    turn: AtomicUsize,
    probes: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What is offered, and which offer it is: the number grows with each change.
#[derive(Clone, Default)]
pub(super) struct Offered {
    pub(super) sequence: u64,
    pub(super) services: BTreeSet<String>,
}

struct Entry {
    service: Arc<Service>,
    /// It is in the configuration, and not only offered by a native server.
    is_configured: bool,
    servers: Vec<Arc<Server>>,
}

/// A stream's way to its server.
pub(super) struct Reached {
    pub(super) way: Way,
    pub(super) running: Running,
    pub(super) service: Arc<Service>,
}

impl Shelf {
    /// Begins to probe, on the current runtime, until `stop`.
    pub(super) fn start(
        services: Services,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<Arc<Self>, ServicesError> {
        let shelf = Arc::new(Self {
            table: Mutex::default(),
            offered: watch::Sender::default(),
            turn: AtomicUsize::new(0),
            probes: Arc::new(Semaphore::new(HEALTH_AT_ONCE)),
            stop: stop.clone(),
            tasks: tasks.clone(),
        });
        shelf.replace(services)?;
        Ok(shelf)
    }

    /// Replaces what is configured. A server that stays keeps its judgement and its streams; the streams of one that goes
    /// end, unless it was draining: then they go on.
    pub(super) fn replace(self: &Arc<Self>, services: Services) -> Result<(), ServicesError> {
        check(&services)?;
        let mut table = self.table();
        let mut old = std::mem::take(&mut *table);
        for (name, service) in services {
            let before = old.remove(&name);
            let entry = self.renewed(before, service);
            table.insert(name, entry);
        }
        // What only native servers offer is not the configuration's to take.
        for (name, mut entry) in old {
            entry.servers.retain(keep_native);
            entry.service = Arc::default();
            entry.is_configured = false;
            if !entry.servers.is_empty() {
                table.insert(name, entry);
            }
        }
        self.tell(&table);
        Ok(())
    }

    /// What a native server offers now, replacing what it offered before; empty when it left. Streams of what it offers no
    /// longer go on, unless there is a reason why they must not.
    pub(super) fn set_native(&self, link: &Arc<Link>, services: &BTreeSet<String>, why: Option<Refusal>) {
        let mut table = self.table();
        for (name, entry) in table.iter_mut() {
            if services.contains(name) {
                continue;
            }
            entry.servers.retain(|server| {
                let stays = !server.is_on(link);
                if let (false, Some(why)) = (stays, why) {
                    server.take_away(why);
                }
                stays
            });
        }
        for name in services {
            if !table.contains_key(name) && table.len() >= SERVICES_MAX {
                continue;
            }
            let entry = table.entry(name.clone()).or_insert_with(Entry::unconfigured);
            entry.servers.retain(|server| !server.is_other_link_of(link));
            if !entry.servers.iter().any(|server| server.is_on(link)) {
                entry.servers.push(Server::new(Place::Native(link.clone()), &entry.service.health));
            }
        }
        table.retain(|_, entry| entry.is_configured || !entry.servers.is_empty());
        self.tell(&table);
    }

    /// A server's judgement, or a native server's link, changed.
    pub(super) fn refresh(&self) {
        self.tell(&self.table());
    }

    /// The services that have a usable server; each change is seen.
    pub(super) fn offered(&self) -> watch::Receiver<Offered> {
        self.offered.subscribe()
    }

    /// Its state now; `is_permitted` says what the hubs do.
    pub(super) fn status(&self, is_permitted: impl Fn(&str) -> bool) -> Vec<ServiceStatus> {
        let table = self.table();
        let status = |(name, entry): (&String, &Entry)| ServiceStatus {
            name: name.clone(),
            servers: entry.servers.iter().map(|server| server.status()).collect(),
            is_offered: entry.is_usable(),
            is_permitted: is_permitted(name),
        };
        table.iter().map(status).collect()
    }

    /// A way to the least loaded server that is well; to the next when one cannot be reached.
    pub(super) async fn reach(self: &Arc<Self>, class: Class, open: &Open) -> Result<Reached, Refusal> {
        let (service, servers) = self.choose(open)?;
        let mut failure = Refusal::ServiceUnreachable;
        // What is not there at another port says nothing about the server's own.
        let is_own = Asked::decode(&open.origin).is_none_or(|asked| asked.port == 0);
        for server in servers.into_iter().take(OPEN_ATTEMPTS) {
            let running = Running::begin(&server);
            match server.connect(&service, class, open).await {
                Ok(way) => return Ok(Reached { way, running, service }),
                Err(reason) => {
                    failure = reason;
                    // A stream tells as much as a probe.
                    let tells = is_own && reason == Refusal::ServiceUnreachable;
                    if tells && server.handle_probe(false, &service.health) {
                        self.refresh();
                    }
                }
            }
        }
        Err(failure)
    }

    fn choose(&self, open: &Open) -> Result<(Arc<Service>, Vec<Arc<Server>>), Refusal> {
        let table = self.table();
        let entry = table.get(&open.service).ok_or(Refusal::ServiceNotOffered)?;
        let candidates: Vec<_> = entry.servers.iter().map(|server| server.candidate()).collect();
        let order = balance::in_turn(&candidates, self.turn.fetch_add(1, Ordering::Relaxed));
        if order.is_empty() {
            return Err(entry.why_unusable());
        }
        Ok((entry.service.clone(), order.into_iter().map(|place| entry.servers[place].clone()).collect()))
    }

    /// The entry for a configured service, with what can stay of the one before.
    fn renewed(self: &Arc<Self>, before: Option<Entry>, service: Service) -> Entry {
        let service = Arc::new(service);
        let (is_same, old) = match before {
            // Other probes, another protocol or another header: servers begin anew, their streams do not go on.
            Some(entry) => (entry.service.is_like(&service), entry.servers),
            None => (true, Vec::new()),
        };
        let (mut natives, mut addresses): (Vec<_>, Vec<_>) =
            old.into_iter().partition(|server| server.address().is_none());
        let mut servers = Vec::with_capacity(service.servers.len() + natives.len());
        for wanted in &service.servers {
            let stays = addresses.iter().position(|old| is_same && old.address() == Some(wanted.address));
            let server = match stays {
                Some(place) => addresses.swap_remove(place),
                None => self.begin(wanted.address, &service),
            };
            server.set_draining(wanted.is_draining);
            servers.push(server);
        }
        addresses.iter().for_each(|server| take_away(server));
        servers.append(&mut natives);
        Entry { service, is_configured: true, servers }
    }

    fn begin(self: &Arc<Self>, address: std::net::SocketAddr, service: &Arc<Service>) -> Arc<Server> {
        let server = Server::new(Place::Address(address), &service.health);
        if let Some(thresholds) = service.health.thresholds() {
            let probing = probe::Probing {
                shelf: Arc::downgrade(self),
                server: Arc::downgrade(&server),
                gone: server.gone().clone(),
                address,
                service: service.clone(),
                thresholds,
                places: self.probes.clone(),
            };
            self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(probing.run()));
        }
        server
    }

    /// Called under the lock, so that an older offer never replaces a newer one.
    fn tell(&self, table: &BTreeMap<String, Entry>) {
        let offered: BTreeSet<String> =
            table.iter().filter(|(_, entry)| entry.is_usable()).map(|(name, _)| name.clone()).collect();
        self.offered.send_if_modified(|before| {
            let is_changed = before.services != offered;
            if is_changed {
                *before = Offered { sequence: before.sequence + 1, services: offered };
            }
            is_changed
        });
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn unconfigured() -> Self {
        Self { service: Arc::default(), is_configured: false, servers: Vec::new() }
    }

    fn is_usable(&self) -> bool {
        self.servers.iter().any(|server| server.is_usable())
    }

    fn why_unusable(&self) -> Refusal {
        if self.servers.is_empty() {
            Refusal::ServiceNotOffered
        } else if self.servers.iter().any(|server| server.is_draining()) {
            Refusal::ServiceDraining
        } else {
            Refusal::ServiceUnreachable
        }
    }
}

fn keep_native(server: &Arc<Server>) -> bool {
    let is_native = server.address().is_none();
    if !is_native {
        take_away(server);
    }
    is_native
}

fn take_away(server: &Server) {
    if server.is_draining() {
        // Its probes end with its last stream; it is in no table any more.
        return;
    }
    server.take_away(Refusal::ServiceNotOffered);
}
