//! Two planes that share nothing: one dies, falls silent, comes back, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fabric::{Authority, Gateway, Hub, HubAddress, Keyring, LocalHub, PlaneAddress, Refusal, Role, Services};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::plane::HubPlane;
use crate::proxy::Proxy;
use crate::world::{ALWAYS, HUB, echo_service, echoed, identity, services, soon, start_hub, until, wiring};

/// Planes A and B of one hub each; all members reach them through proxies.
pub(crate) struct TwoPlanes {
    authority: Authority,
    hubs: Vec<(Hub, CancellationToken)>,
    proxies: Vec<Proxy>,
    _folder: tempfile::TempDir,
}

impl TwoPlanes {
    pub(crate) async fn new() -> Self {
        let authority = Authority::generate(ALWAYS).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (mut hubs, mut proxies) = (Vec::new(), Vec::new());
        for plane in ["A", "B"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let hub = start_hub(&authority, plane, listener, wiring(&["web", "other"]), folder.path());
            proxies.push(Proxy::to(hub.0.address()).await);
            hubs.push(hub);
        }
        Self { authority, hubs, proxies, _folder: folder }
    }

    /// With a gateway `e1` and a local hub `l1` that offers `web`, ready on both planes.
    async fn with_service() -> (Self, Gateway, LocalHub) {
        let planes = Self::new().await;
        let (gateway, local) = (planes.gateway("e1"), planes.local_hub("l1", &["web"]).await);
        soon("ready", async { tokio::join!(gateway.ready(), local.ready()) }).await;
        planes.until_offered().await;
        (planes, gateway, local)
    }

    async fn until_offered(&self) {
        until("both offer", || self.hubs.iter().all(|(hub, _)| hub.status().services.get("web") == Some(&1)))
            .await;
    }

    pub(crate) fn gateway(&self, name: &str) -> Gateway {
        Gateway::start(&self.addresses(), self.keyring(Role::Edge, name), CancellationToken::new()).unwrap()
    }

    pub(crate) async fn local_hub(&self, name: &str, offered: &[&str]) -> LocalHub {
        let (services, keyring) = (self.services(offered).await, self.keyring(Role::LocalHub, name));
        LocalHub::start(&self.addresses(), keyring, services, CancellationToken::new()).unwrap()
    }

    /// Echoes by name.
    pub(crate) async fn services(&self, names: &[&str]) -> Services {
        let echo = echo_service().await;
        services(&names.iter().map(|name| (*name, echo)).collect::<Vec<_>>())
    }

    fn addresses(&self) -> Vec<PlaneAddress> {
        Self::reached_by(&self.proxies)
    }

    fn reached_by(proxies: &[Proxy]) -> Vec<PlaneAddress> {
        let plane = |(name, proxy): (&str, &Proxy)| PlaneAddress {
            name: name.into(),
            hubs: vec![HubAddress { address: proxy.address, name: HUB.into() }],
        };
        ["A", "B"].into_iter().zip(proxies).map(plane).collect()
    }

    fn keyring(&self, role: Role, name: &str) -> Arc<Keyring> {
        Keyring::new(self.authority.issue(&identity(role, name), ALWAYS).unwrap()).unwrap()
    }
}

/// The plane that a stream would go over now.
async fn chosen(gateway: &Gateway) -> usize {
    let before: Vec<_> = gateway.status().planes.iter().map(|plane| plane.chosen).collect();
    echoed(&mut gateway.open("web").await.unwrap(), b"which").await.unwrap();
    let after = gateway.status().planes;
    (0..2).find(|plane| after[*plane].chosen > before[*plane]).unwrap()
}

/// Requests without a pause, until told to stop: each opens a stream and hears its echo.
#[derive(Default)]
struct Traffic {
    is_over: AtomicBool,
    /// From here on, requests count.
    counts: AtomicBool,
    done: AtomicU64,
    opens_failed: AtomicU64,
    slowest_us: AtomicU64,
}

impl Traffic {
    fn start(gateway: &Gateway, clients: usize) -> (Arc<Self>, Vec<tokio::task::JoinHandle<()>>) {
        let traffic = Arc::new(Self::default());
        let client = |_| tokio::spawn(traffic.clone().run(gateway.clone()));
        let clients = (0..clients).map(client).collect();
        (traffic, clients)
    }

    async fn run(self: Arc<Self>, gateway: Gateway) {
        while !self.is_over.load(Ordering::Relaxed) {
            let (counts, begun) = (self.counts.load(Ordering::Relaxed), Instant::now());
            match gateway.open("web").await {
                Err(_) => drop(self.opens_failed.fetch_add(1, Ordering::Relaxed)),
                Ok(mut stream) => {
                    let took = begun.elapsed();
                    // The stream may die with the plane after it was opened; that is another test's matter.
                    if echoed(&mut stream, b"traffic").await.is_ok() && counts {
                        self.slowest_us.fetch_max(took.as_micros() as u64, Ordering::Relaxed);
                        self.done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Stops, and tells how many requests counted and how long the slowest open took.
    async fn stop(&self, clients: Vec<tokio::task::JoinHandle<()>>) -> (u64, Duration) {
        self.is_over.store(true, Ordering::Relaxed);
        for client in clients {
            soon("the last request", client).await.unwrap();
        }
        (self.done.load(Ordering::Relaxed), Duration::from_micros(self.slowest_us.load(Ordering::Relaxed)))
    }
}

/// Strikes the plane that carries everything, amid traffic.
async fn struck(what: &str, strike: impl FnOnce(&TwoPlanes, usize)) {
    let (planes, gateway, _local) = TwoPlanes::with_service().await;
    let (traffic, clients) = Traffic::start(&gateway, 16);
    until("traffic flows", || gateway.status().opened > 200).await;
    let first = chosen(&gateway).await;
    traffic.counts.store(true, Ordering::Relaxed);
    strike(&planes, first);
    until("the other carries it", || gateway.status().planes[1 - first].chosen > 500).await;
    let (done, slowest) = traffic.stop(clients).await;
    let status = gateway.status();
    println!(
        "{what}: {done} requests, slowest open {slowest:?}, hedges won {}",
        status.planes[1 - first].hedges_won
    );
    assert_eq!(traffic.opens_failed.load(Ordering::Relaxed), 0, "{what}: {:?}", status.refused);
    assert!(done > 200, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_04_a_plane_whose_hub_is_cut_off_amid_traffic_fails_no_new_request() {
    struck("sockets dropped", |planes, plane| planes.proxies[plane].cut()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_04_a_plane_that_falls_silent_amid_traffic_fails_no_new_request() {
    struck("black hole", |planes, plane| planes.proxies[plane].swallow()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_04_a_plane_whose_hub_stops_amid_traffic_fails_no_new_request() {
    struck("hub stopped", |planes, plane| planes.hubs[plane].1.cancel()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_plane_elects_another_active_new_requests_wait_and_none_fails() {
    let mut plane = HubPlane::start(3).await;
    let (active, _) = plane.agreed().await;
    let keyring = |role, name| Keyring::new(plane.credentials(role, name)).unwrap();
    let (edge, local) = (keyring(Role::Edge, "e1"), keyring(Role::LocalHub, "l1"));
    let echo = services(&[("web", echo_service().await)]);
    let gateway = Gateway::start(&plane.addresses(), edge, CancellationToken::new()).unwrap();
    let local = LocalHub::start(&plane.addresses(), local, echo, CancellationToken::new()).unwrap();
    soon("both links", async { tokio::join!(gateway.ready(), local.ready()) }).await;
    let mut stream = soon("a stream", gateway.open("web")).await.unwrap();
    echoed(&mut stream, b"through").await.unwrap();

    let (traffic, clients) = Traffic::start(&gateway, 8);
    until("traffic flows", || gateway.status().opened > 100).await;
    traffic.counts.store(true, Ordering::Relaxed);
    let term = gateway.status().planes[0].term;
    plane.kill(active);
    until("members moved", || gateway.status().planes[0].term > term).await;
    let before = gateway.status().opened;
    until("traffic flows again", || gateway.status().opened > before + 200).await;
    let (done, slowest) = traffic.stop(clients).await;
    println!("active killed, one plane: {done} requests, slowest open {slowest:?}");
    assert_eq!(traffic.opens_failed.load(Ordering::Relaxed), 0, "{:?}", gateway.status().refused);
}

#[tokio::test]
async fn a_request_into_a_black_hole_is_answered_over_the_other_plane_and_the_loser_is_cancelled() {
    let (planes, gateway, _local) = TwoPlanes::with_service().await;
    let first = chosen(&gateway).await;
    planes.proxies[first].swallow();
    let begun = Instant::now();
    let mut stream = gateway.open("web").await.unwrap();
    println!("open into a black hole: {:?}", begun.elapsed());
    echoed(&mut stream, b"hedged").await.unwrap();
    let status = gateway.status();
    assert_eq!(status.planes[1 - first].hedges_won, 1);
    // The loser's request reaches its hub only now, and with it the word that nobody wants it any more.
    planes.proxies[first].forward();
    echoed(&mut stream, b"still the winner").await.unwrap();
    until("only one stream is left", || {
        planes.hubs.iter().map(|(hub, _)| hub.status().streams).sum::<usize>() == 1
    })
    .await;
    assert_eq!(gateway.status().opened, 2, "one of them before the hole");
}

#[tokio::test]
async fn a_plane_that_is_dead_behind_its_hub_is_left_for_the_other() {
    let planes = TwoPlanes::new().await;
    let gateway = planes.gateway("e1");
    // The local hub's own way to the hubs, of which the gateway sees nothing.
    let behind = [Proxy::to(planes.hubs[0].0.address()).await, Proxy::to(planes.hubs[1].0.address()).await];
    let keyring = planes.keyring(Role::LocalHub, "l1");
    let (ways, offered) = (TwoPlanes::reached_by(&behind), planes.services(&["web"]).await);
    let local = LocalHub::start(&ways, keyring, offered, CancellationToken::new()).unwrap();
    soon("ready", async { tokio::join!(gateway.ready(), local.ready()) }).await;
    planes.until_offered().await;

    let first = chosen(&gateway).await;
    behind[first].swallow();
    for _ in 0..20 {
        echoed(&mut gateway.open("web").await.unwrap(), b"over the other").await.unwrap();
    }
    let other = &gateway.status().planes[1 - first];
    assert!(other.chosen >= 20 && other.hedges_won >= 1, "{other:?}");
    assert!(other.hedges_won < 5, "the dead way is not tried again and again: {}", other.hedges_won);
}

#[tokio::test]
async fn a_service_that_one_plane_does_not_have_is_reached_over_the_other() {
    let planes = TwoPlanes::new().await;
    let gateway = planes.gateway("e1");
    soon("ready", gateway.ready()).await;
    // A local hub that knows only plane B.
    let keyring = planes.keyring(Role::LocalHub, "l1");
    let only_b = &planes.addresses()[1..];
    let local =
        LocalHub::start(only_b, keyring, planes.services(&["web"]).await, CancellationToken::new()).unwrap();
    soon("ready", local.ready()).await;
    for _ in 0..20 {
        echoed(&mut gateway.open("web").await.unwrap(), b"over B").await.unwrap();
    }
    let status = gateway.status();
    assert_eq!((status.planes[0].chosen, status.planes[1].chosen), (0, 20));
    assert!(status.refused.is_empty());
}

#[tokio::test]
async fn what_is_the_callers_fault_is_asked_of_one_plane_only() {
    let (planes, gateway, _local) = TwoPlanes::with_service().await;
    assert_eq!(gateway.open("unwired").await.unwrap_err().refusal, Refusal::NotPermitted);
    let refusals: u64 =
        planes.hubs.iter().filter_map(|(hub, _)| hub.status().refused.get("not_permitted").copied()).sum();
    assert_eq!(refusals, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_both_planes_down_requests_are_refused_by_name_and_work_again_when_one_is_back() {
    let (planes, gateway, _local) = TwoPlanes::with_service().await;
    planes.proxies.iter().for_each(Proxy::cut);
    until("both are noticed", || gateway.status().planes.iter().all(|plane| plane.link.is_none())).await;
    let begun = Instant::now();
    let refused = soon("the refusal", gateway.open("web")).await.unwrap_err();
    println!("both planes down: {} after {:?}", refused.refusal, begun.elapsed());
    assert_eq!(refused.refusal, Refusal::LinkDown);
    assert!(begun.elapsed() < fabric::bounds::OPEN_DEADLINE);

    // A request that waits is served as soon as a plane is back.
    let waiting = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.open("web").await }
    });
    planes.proxies[1].forward();
    let begun = Instant::now();
    let mut stream = soon("the request that waited", waiting).await.unwrap().unwrap();
    println!("served {:?} after plane B came back", begun.elapsed());
    echoed(&mut stream, b"back").await.unwrap();
    assert_eq!(chosen(&gateway).await, 1);

    planes.proxies[0].forward();
    soon("both planes", gateway.ready()).await;
    planes.proxies[1].cut();
    until("plane A carries it again", || gateway.status().planes[1].link.is_none()).await;
    assert_eq!(chosen(&gateway).await, 0);
}
