//! A front on loopback over a real store: a user with a browser and an agent, five-second windows.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use defense::{AllowList, Engine, EngineSeed, Hooks, Journal, Limits};
use dns_front::{DecoySecret, Front, FrontConfig, NameServer, Sockets, Supplies, Unknown};
use rotator::tenure::Rhythm;
use rotator::{Class, GrantNo, KeyEpochs, Keyring, Label, Root, Schedule, UnixTime, announce};
use state::records::{
    Auth, Device, GenerationRecord, Grant, Origin, PoolRecord, Revoked, ScheduleRecord, ScheduleVersion,
    Service, User,
};
use state::txn::{Record, Txn};
use state::{Act, Clock, Embedded, Name, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const ZONE: &str = "u.edge.example";
pub(crate) const BROWSER: GrantNo = 1;
pub(crate) const AGENT: GrantNo = 2;
pub(crate) const STABLE: Label = Label::stable([0xc3; 16]);

/// As short as rules allow.
pub(crate) const QUICK: Schedule = Schedule {
    period_s: 5,
    lead_s: 1,
    grace_s: 2,
    tombstone_s: 1,
    ttl_s: 1,
    label_period_s: 10,
    ..Schedule::AGENT
};

pub(crate) struct Scene {
    pub(crate) front: Front,
    pub(crate) at: SocketAddr,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) journal: Arc<Journal>,
    pub(crate) keys: watch::Sender<Keyring>,
    pub(crate) stop: CancellationToken,
    folder: tempfile::TempDir,
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn below(label: impl std::fmt::Display) -> String {
    format!("{label}.{ZONE}")
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(Unknown::Decoy, Limits::default().without_prefixes()).await
    }

    pub(crate) async fn with(unknown: Unknown, limits: Limits) -> Self {
        assert!(QUICK.checked().is_ok());
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Embedded::open(&folder.path().join("state.redb")).unwrap());
        let clock = Clock::system();
        let since = clock.now().minus(3600);
        put(&*store, people(layout(), since)).await;
        let (keys, ring) = watch::channel(keyring(clock.now()));
        let engine = Engine::new(EngineSeed([5; 32]), &limits, AllowList::default());
        let (at, sockets) = sockets();
        let (journal, stop) = (Arc::new(Journal::new([6; 16])), CancellationToken::new());
        let supplies = Supplies {
            store: Arc::clone(&store),
            keys: ring,
            clock: clock.clone(),
            hooks: Arc::new(engine) as Arc<dyn Hooks>,
            journal: Some(Arc::clone(&journal)),
            leases: None,
        };
        let front = Front::start(config(unknown), supplies, sockets, stop.clone()).await.unwrap();
        Self { front, at, store, clock, journal, keys, stop, folder }
    }

    /// Commits, and waits until the front serves it.
    pub(crate) async fn commit(&self, txn: Txn) {
        assert!(self.folder.path().exists());
        let revision = put(&*self.store, txn).await;
        let acks = self.store.followers().settled(revision, Duration::from_secs(10)).await;
        assert!(acks.iter().any(|ack| ack.name == "dns"), "{acks:?}");
        assert!(acks.iter().all(|ack| ack.ack_ms.is_some()), "{acks:?}");
    }

    /// What the rotator says that a grant's addresses are at `now`.
    pub(crate) fn truth(&self, grant: GrantNo, now: UnixTime) -> Vec<IpAddr> {
        let plan = self.store.read().grant_view(grant).unwrap().plan;
        announce(&plan.id, &plan.tenure, &plan.pools, &keyring(now), now).unwrap().unwrap().addresses
    }

    /// The agent's label at `now`.
    pub(crate) fn rotating(&self, now: UnixTime) -> Label {
        let plan = self.store.read().grant_view(AGENT).unwrap().plan;
        let window = plan.tenure.window_at(now, Rhythm::Label).unwrap();
        let key = keyring(now).grant_key(window.origin, &plan.id, window.term.generation).unwrap();
        Label::rotating(&key, window.number)
    }
}

pub(crate) fn keyring(now: UnixTime) -> Keyring {
    Keyring::around(&Root::new([4; 32]), KeyEpochs::WEEKLY, QUICK.key_life_s(), now)
}

pub(crate) fn config(unknown: Unknown) -> FrontConfig {
    let nameservers =
        vec![NameServer { name: format!("ns1.{ZONE}"), addresses: vec!["192.0.2.53".parse().unwrap()] }];
    let join = vec!["192.0.2.80".parse().unwrap(), "2001:db8::80".parse().unwrap()];
    FrontConfig {
        zone: ZONE.into(),
        nameservers,
        join,
        unknown,
        decoy_secret: DecoySecret([3; 32]),
        tcp_places: 512,
    }
}

/// UDP and TCP on the same free port of loopback.
pub(crate) fn sockets() -> (SocketAddr, Sockets) {
    for _ in 0..50 {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = tcp.local_addr().unwrap();
        if let Ok(udp) = UdpSocket::bind(at) {
            return (at, Sockets { udp: vec![udp], tcp: vec![tcp] });
        }
    }
    panic!("no port of loopback is free for both UDP and TCP");
}

pub(crate) async fn put(store: &dyn Store, txn: Txn) -> u64 {
    store.commit(Box::new(move |_| Ok(txn.clone()))).await.unwrap()
}

pub(crate) fn txn(verb: &str) -> Txn {
    let at = UnixTime::from_secs(1_800_000_000);
    Txn::new(Act { at, actor: "test".into(), verb: verb.into(), target: "all".into(), why: String::new() })
}

fn layout() -> Txn {
    let version = ScheduleVersion { from: UnixTime::ZERO, name: QUICK, agent: QUICK };
    let schedule = ScheduleRecord { name: name("quick"), origin: Origin::Config, versions: vec![version] };
    let pool = |called: &str, range: &str| PoolRecord {
        name: name(called),
        origin: Origin::Config,
        range: range.into(),
    };
    let service = Service {
        name: name("secret-web"),
        origin: Origin::Api,
        to: "127.0.0.1:8080".parse().unwrap(),
        listen: state::Listen::https(443).unwrap(),
        auth: Auth::Name,
        schedule: name("quick"),
        pools: vec![name("six"), name("four")],
        max_session_s: None,
        handling: state::records::Handling::default(),
    };
    txn("layout")
        .put(Record::Schedule(schedule))
        .put(Record::Pool(pool("six", "2001:db8:42::/64")))
        .put(Record::Pool(pool("four", "203.0.113.0/24")))
        .put(Record::Service(service))
}

fn people(txn: Txn, since: UnixTime) -> Txn {
    let user = User { id: Uuid::from_u128(1), name: name("alice-smith"), created: since, revoked: None };
    txn.put(Record::User(user))
        .put(Record::Device(device(10, Class::Name, since)))
        .put(Record::Device(device(11, Class::Agent, since)))
        .put(Record::Grant(BROWSER, grant(10, Some(STABLE), since)))
        .put(Record::Grant(AGENT, grant(11, None, since)))
}

/// A device of the one user.
pub(crate) fn device(id: u128, class: Class, since: UnixTime) -> Device {
    Device {
        id: Uuid::from_u128(id),
        user: Uuid::from_u128(1),
        name: name(&format!("laptop-{id}")),
        class,
        public_key: None,
        enrolled: since,
        revoked: None,
    }
}

pub(crate) fn grant(device: u128, label: Option<Label>, since: UnixTime) -> Grant {
    let first = GenerationRecord { number: 1, from: since, leaked: false };
    Grant { device: Uuid::from_u128(device), service: name("secret-web"), label, generations: vec![first] }
}

/// The end of the user's access.
pub(crate) fn revoke(scene: &Scene) -> Txn {
    let mut user = scene.store.read().user(Uuid::from_u128(1)).unwrap().clone();
    user.revoked = Some(Revoked { at: scene.clock.now(), why: "test".into() });
    txn("user.revoke").put(Record::User(user))
}
