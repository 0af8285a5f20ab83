//! An edge over a real store and fabric: three devices of two users, and a service that the tests write the lines of.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use defense::{AllowList, Engine, EngineSeed, Hooks, Journal, Limits};
use edge::budgets::Allowance;
use edge::edge::Parts;
use edge::pressure::Thresholds;
use edge::{Balancers, Certificates, Edge, EdgeConfig, LogConfig};
use fabric::{
    Authority, Gateway, Hub, HubAddress, HubConfig, Identity, LocalHub, PlaneAddress, Ports, Protocol,
    ProxyProtocol, Role, Validity, Wiring,
};
use rotator::{Class, GrantNo, KeyEpochs, Keyring, Label, Life, Root, Schedule, UnixTime};
use state::records::{
    Auth, Device, GenerationRecord, Grant, Handling, Origin, PoolRecord, PublicKey, Revoked, ScheduleRecord,
    ScheduleVersion, Service, User,
};
use state::txn::{Record, Txn};
use state::{Act, Clock, Embedded, Listen, Name, Store};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::backend::Backend;
use crate::way::Way;

pub(crate) const ZONE: &str = "u.edge.example";
pub(crate) const ALICE: GrantNo = 1;
pub(crate) const BOB: GrantNo = 2;
/// Alice's second device, with epoch keys.
pub(crate) const AGENT: GrantNo = 3;
const ALWAYS: Validity = Validity { not_before: 1_500_000_000, not_after: 4_000_000_000 };

/// As short as rules allow.
pub(crate) const QUICK: Schedule = Schedule {
    period_s: 5,
    lead_s: 1,
    grace_s: 2,
    tombstone_s: 2,
    ttl_s: 1,
    label_period_s: 10,
    ..Schedule::AGENT
};

pub(crate) struct Scene {
    pub(crate) edge: Edge,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) journal: Arc<Journal>,
    pub(crate) keys: watch::Sender<Keyring>,
    pub(crate) certificates: Certificates,
    pub(crate) chain: String,
    pub(crate) backend: Backend,
    pub(crate) stop: CancellationToken,
    pub(crate) port: u16,
    fabric: Fabric,
    folder: tempfile::TempDir,
}

/// What differs between scenes.
pub(crate) struct Plot {
    pub(crate) schedule: Schedule,
    pub(crate) auth: Auth,
    pub(crate) hooks: Arc<dyn Hooks>,
    /// The gateway reaches its hub by a way that can be held up.
    pub(crate) has_way: bool,
    /// Never, unless a test is about it: none may depend on how busy its machine is.
    pub(crate) pressure: Thresholds,
    pub(crate) allowance: Allowance,
    pub(crate) memory_max: Option<u64>,
    /// Whose connections begin with a PROXY header.
    pub(crate) balancers: Balancers,
    /// The service is told by a PROXY header who is at the other end.
    pub(crate) tells: ProxyProtocol,
    /// With which Alice's first device is enrolled.
    pub(crate) key: Option<PublicKey>,
    pub(crate) http3: bool,
    /// Where its service is; the scene's own backend if not said.
    pub(crate) web: Option<SocketAddr>,
    pub(crate) handling: Handling,
}

impl Default for Plot {
    fn default() -> Self {
        let limits = Limits::default().without_prefixes();
        let hooks = Arc::new(Engine::new(EngineSeed([5; 32]), &limits, AllowList::default()));
        Self {
            schedule: Schedule::NAME,
            auth: Auth::Name,
            hooks,
            has_way: false,
            pressure: Thresholds::NEVER,
            allowance: Allowance::default(),
            memory_max: None,
            balancers: Balancers::default(),
            tells: ProxyProtocol::Off,
            key: None,
            http3: true,
            web: None,
            handling: Handling::default(),
        }
    }
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(Plot::default()).await
    }

    pub(crate) async fn quick(schedule: Schedule) -> Self {
        Self::of(Plot { schedule: schedule.checked().unwrap(), ..Plot::default() }).await
    }

    pub(crate) async fn hooked(hooks: Arc<dyn Hooks>) -> Self {
        Self::of(Plot { hooks, ..Plot::default() }).await
    }

    pub(crate) async fn of(plot: Plot) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Embedded::open(&folder.path().join("state.redb")).unwrap());
        let clock = Clock::system();
        let port = free_port();
        put(&*store, layout(&plot, port)).await;
        put(&*store, people(clock.now().minus(3600), plot.key)).await;
        let (keys, ring) = watch::channel(keyring(&plot.schedule, clock.now()));
        let backend = Backend::start().await;
        let web = plot.web.unwrap_or(backend.address);
        let fabric = Fabric::start(web, &plot, folder.path()).await;
        let (chain, key) = certificate();
        let certificates = Certificates::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        let (journal, stop) = (Arc::new(Journal::new([6; 16])), CancellationToken::new());
        let config = EdgeConfig {
            name: "e1".into(),
            zone: ZONE.into(),
            listen: vec!["0.0.0.0".parse().unwrap()],
            device: Some("lo".into()),
            workers: 2,
            places: edge::bounds::CONNECTIONS_MAX,
            drain_max: edge::bounds::DRAIN_MAX,
            access_log: Some(LogConfig { path: folder.path().join("access.log"), sample: 1 }),
            allowance: plot.allowance,
            pressure: plot.pressure,
            memory_max: plot.memory_max,
            http3: plot.http3,
            balancers: plot.balancers,
        };
        let parts = Parts {
            store: Arc::clone(&store),
            keys: ring,
            certificates: certificates.clone(),
            fabric: Arc::clone(&fabric.gateway),
            hooks: plot.hooks,
            journal: Arc::clone(&journal),
            clock: clock.clone(),
            sockets: Arc::default(),
        };
        let edge = Edge::start(config, parts, stop.clone()).unwrap();
        edge.open();
        Self { edge, store, clock, journal, keys, certificates, chain, backend, stop, port, fabric, folder }
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.fabric.gateway
    }

    /// The gateway's way to its hub, in a scene that has one.
    pub(crate) fn way(&self) -> &Way {
        self.fabric.way.as_ref().unwrap()
    }

    /// Commits, and waits until the edge serves it.
    pub(crate) async fn commit(&self, txn: Txn) {
        let revision = put(&*self.store, txn).await;
        let acks = self.store.followers().settled(revision, Duration::from_secs(10)).await;
        assert!(acks.iter().any(|ack| ack.name == "e1" && ack.ack_ms.is_some()), "{acks:?}");
    }

    /// The address at which a grant lives now.
    pub(crate) fn address(&self, grant: GrantNo) -> IpAddr {
        let now = self.clock.now();
        let leases = self.edge.roster().leases_of(grant);
        leases.iter().find(|(_, lease)| lease.life(now) == Life::Live).expect("a live lease").0
    }

    /// The newest private name of a grant.
    pub(crate) fn name(&self, grant: GrantNo) -> String {
        let now = self.clock.now();
        let labels = self.edge.roster().read_labels();
        let mut valid = labels.labels_of(grant).iter().filter(|l| labels.find(**l, now) == Some(grant));
        below(valid.next_back().expect("a label"))
    }

    pub(crate) fn dark_address(&self) -> IpAddr {
        let mut all = (1..255).map(|i| IpAddr::from([127, 85, 200, i]));
        all.find(|a| self.edge.roster().leases().find(*a) == rotator::Found::Never).unwrap()
    }

    pub(crate) async fn until_written(&self, reason: defense::Reason, times: u64) {
        until(reason.name(), || self.journal.total(reason) >= times).await;
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn below(label: impl std::fmt::Display) -> String {
    format!("{label}.{ZONE}")
}

pub(crate) fn keyring(schedule: &Schedule, now: UnixTime) -> Keyring {
    Keyring::around(&Root::new([4; 32]), KeyEpochs::WEEKLY, schedule.key_life_s(), now)
}

/// A chain of one for every name of the zone, and its key.
pub(crate) fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec![format!("*.{ZONE}")]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Wildcard listeners of two scenes must not share a port, and no client may hold it: those that the system gives to
/// clients begin at 32768.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id() * 97 + NEXT.fetch_add(1, Ordering::Relaxed);
        let at = (Ipv4Addr::UNSPECIFIED, (10_000 + next % 20_000) as u16);
        if std::net::TcpListener::bind(at).is_ok() && std::net::UdpSocket::bind(at).is_ok() {
            return at.1;
        }
    }
}

pub(crate) async fn put(store: &dyn Store, txn: Txn) -> u64 {
    store.commit(Box::new(move |_| Ok(txn.clone()))).await.unwrap()
}

pub(crate) fn txn(verb: &str) -> Txn {
    let at = UnixTime::from_secs(1_800_000_000);
    Txn::new(Act { at, actor: "test".into(), verb: verb.into(), target: "all".into(), why: String::new() })
}

/// One plane: its hub, a local hub that offers `web`, and the edge's end.
struct Fabric {
    _hub: Hub,
    _local: LocalHub,
    gateway: Arc<Gateway>,
    way: Option<Way>,
}

impl Fabric {
    async fn start(web: SocketAddr, plot: &Plot, folder: &Path) -> Self {
        let authority = Authority::generate(ALWAYS).unwrap();
        let identity = |role, name| Identity::new(role, name).unwrap();
        let keyring = |role, name| {
            fabric::Keyring::new(authority.issue(&identity(role, name), ALWAYS).unwrap()).unwrap()
        };
        let mut wiring = Wiring::default();
        for service in ["web", "down"] {
            wiring.permit_open(&identity(Role::Edge, "e1"), service).unwrap();
            wiring.permit_offer(&identity(Role::LocalHub, "l1"), service).unwrap();
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stop = CancellationToken::new();
        let config = HubConfig::alone("A", "hub", &folder.join("terms"));
        let hub =
            Hub::start(config, listener, None, keyring(Role::Hub, "hub"), wiring, stop.clone()).unwrap();
        let hubs = vec![HubAddress { address: hub.address(), name: "hub".into() }];
        let mut planes = [PlaneAddress { name: "A".into(), hubs }];
        // Any port of this computer stands for a service's own: the tests start servers as they need them.
        let any = |protocol| Ports { protocol, first: 1, last: u16::MAX };
        let ports = [Protocol::Udp, Protocol::Tcp].map(any).to_vec();
        let web = fabric::Service { ports, proxy: plot.tells, ..web.into() };
        let services = [("web".to_owned(), web)].into();
        let local = LocalHub::start(&planes, keyring(Role::LocalHub, "l1"), services, stop.clone()).unwrap();
        let way = if plot.has_way { Some(Way::to(hub.address()).await) } else { None };
        way.iter().for_each(|way| planes[0].hubs[0].address = way.address);
        let gateway = Gateway::start(&planes, keyring(Role::Edge, "e1"), stop).unwrap();
        gateway.ready().await;
        local.ready().await;
        until("the service is offered", || hub.status().services.get("web") == Some(&1)).await;
        Self { _hub: hub, _local: local, gateway: Arc::new(gateway), way }
    }
}

fn layout(plot: &Plot, port: u16) -> Txn {
    let version = ScheduleVersion { from: UnixTime::ZERO, name: plot.schedule, agent: plot.schedule };
    let schedule = ScheduleRecord { name: name("turns"), origin: Origin::Config, versions: vec![version] };
    let pool = PoolRecord { name: name("four"), origin: Origin::Config, range: "127.85.0.0/16".into() };
    txn("layout")
        .put(Record::Schedule(schedule))
        .put(Record::Pool(pool))
        .put(Record::Service(Service { handling: plot.handling.clone(), ..service(port, plot.auth) }))
}

pub(crate) fn service(port: u16, auth: Auth) -> Service {
    Service {
        name: name("web"),
        origin: Origin::Config,
        to: "127.0.0.1:9".parse().unwrap(),
        listen: Listen::https(port).unwrap(),
        auth,
        schedule: name("turns"),
        pools: vec![name("four")],
        max_session_s: None,
        handling: Handling::default(),
    }
}

fn people(since: UnixTime, key: Option<PublicKey>) -> Txn {
    let user = |id, called: &str| {
        Record::User(User { id: Uuid::from_u128(id), name: name(called), created: since, revoked: None })
    };
    let device = |id: u128, user, class| {
        Record::Device(Device {
            id: Uuid::from_u128(id),
            user: Uuid::from_u128(user),
            name: name(&format!("device-{id}")),
            class,
            public_key: key.filter(|_| id == 10),
            enrolled: since,
            revoked: None,
        })
    };
    txn("people")
        .put(user(1, "alice"))
        .put(user(2, "bob"))
        .put(device(10, 1, Class::Name))
        .put(device(20, 2, Class::Name))
        .put(device(11, 1, Class::Agent))
        .put(Record::Grant(ALICE, grant(10, Some(Label::stable([0xa1; 16])), since)))
        .put(Record::Grant(BOB, grant(20, Some(Label::stable([0xb0; 16])), since)))
        .put(Record::Grant(AGENT, grant(11, None, since)))
}

fn grant(device: u128, label: Option<Label>, since: UnixTime) -> Grant {
    let first = GenerationRecord { number: 1, from: since, leaked: false };
    Grant { device: Uuid::from_u128(device), service: name("web"), label, generations: vec![first] }
}

/// The end of a user's access, or its return.
pub(crate) fn access(scene: &Scene, user: u128, is_revoked: bool) -> Txn {
    let mut user = scene.store.read().user(Uuid::from_u128(user)).unwrap().clone();
    user.revoked = is_revoked.then(|| Revoked { at: scene.clock.now(), why: "test".into() });
    txn("user.access").put(Record::User(user))
}

/// Waits for a condition; a test that waits in vain says for what.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(30), waiting).await.is_ok(), "waited in vain: {what}");
}

/// Fails instead of hanging.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
