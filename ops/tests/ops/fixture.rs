//! Records to act on, a recorded pair of eyes, and the API on real listeners.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use defense::{Event, HookPoint, Journal, Reason, VerdictKind};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use ops::Eyes;
use ops::acts::Order;
use ops::eyes::{EdgeSection, FabricEyes, FabricSection, HubSection, PlaneSection, Sections};
use ops::http::{Ops, OpsConfig, Serving, Token, bind_unix};
use rotator::{Class, GrantNo, Label, Lease, Schedule, Stale, UnixTime};
use serde_json::Value;
use state::records::{
    Auth, Device, GenerationRecord, Grant, Origin, PoolRecord, PublicKey, ScheduleRecord, ScheduleVersion,
    Service, User,
};
use state::txn::{Change, Record};
use state::{Act, Clock, Embedded, Name, Records, Refusal, Store, Txn};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_795_000_000);
pub(crate) const ALICE: GrantNo = 1;
pub(crate) const BOB: GrantNo = 2;

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn order() -> Order {
    Order::new(NOW, "ops:test", "because").unwrap()
}

pub(crate) fn alice_laptop() -> Uuid {
    Uuid::from_u128(11)
}

pub(crate) fn bob_browser() -> Uuid {
    Uuid::from_u128(12)
}

pub(crate) fn bob_label() -> Label {
    Label::stable([7; 16])
}

/// alice with an agent and bob with a browser, both for `web`; a v6 and a v4 pool; two schedules, one the file's.
pub(crate) fn world() -> Vec<Change> {
    let user = |id: u128, called: &str| User {
        id: Uuid::from_u128(id),
        name: name(called),
        created: NOW,
        revoked: None,
    };
    let device = |id: Uuid, user: u128, called: &str, class| Device {
        id,
        user: Uuid::from_u128(user),
        name: name(called),
        class,
        public_key: (class == Class::Agent).then_some(PublicKey([9; 32])),
        enrolled: NOW,
        revoked: None,
    };
    let grant = |device, label| Grant {
        device,
        service: name("web"),
        label,
        generations: vec![GenerationRecord { number: 0, from: NOW.minus(3600), leaked: false }],
    };
    let pool = |called: &str, range: &str| PoolRecord {
        name: name(called),
        origin: Origin::Config,
        range: range.into(),
    };
    let schedule = |called: &str, origin| ScheduleRecord {
        name: name(called),
        origin,
        versions: vec![ScheduleVersion {
            from: NOW.minus(9000),
            name: Schedule::NAME,
            agent: Schedule::AGENT,
        }],
    };
    let web = Service {
        name: name("web"),
        origin: Origin::Config,
        to: "127.0.0.1:3000".parse().unwrap(),
        listen: state::Listen::https(443).unwrap(),
        auth: Auth::Name,
        schedule: name("standard"),
        pools: vec![name("six")],
        max_session_s: None,
        handling: state::records::Handling::default(),
    };
    [
        Record::User(user(1, "alice")),
        Record::User(user(2, "bob")),
        Record::Device(device(alice_laptop(), 1, "laptop", Class::Agent)),
        Record::Device(device(bob_browser(), 2, "browser", Class::Name)),
        Record::Grant(ALICE, grant(alice_laptop(), None)),
        Record::Grant(BOB, grant(bob_browser(), Some(bob_label()))),
        Record::Pool(pool("six", "2001:db8:42::/64")),
        Record::Pool(pool("four", "203.0.113.0/24")),
        Record::Schedule(schedule("standard", Origin::Api)),
        Record::Schedule(schedule("fixed", Origin::Config)),
        Record::Service(web),
    ]
    .map(Change::Put)
    .to_vec()
}

pub(crate) fn records() -> Records {
    let mut records = Records::default();
    records.apply(&world());
    records
}

/// Decides, and takes the decision.
pub(crate) fn done<T>(records: &mut Records, decided: Result<(Txn, T), Refusal>) -> T {
    let (txn, outcome) = decided.unwrap();
    records.apply(&txn.changes);
    outcome
}

/// What was seen and closed, as written down beforehand.
pub(crate) struct Recorded {
    pub(crate) leases: Mutex<HashMap<IpAddr, Vec<Lease>>>,
    pub(crate) connections: Mutex<HashMap<GrantNo, usize>>,
    pub(crate) closed: Mutex<Vec<(Vec<GrantNo>, Reason)>>,
    pub(crate) sections: Mutex<Sections>,
    pub(crate) stepped_down: Mutex<Vec<String>>,
    pub(crate) journal: Journal,
}

fn hub(name: &str, state: &str, here: bool) -> HubSection {
    HubSection { name: name.into(), state: state.into(), here, ..HubSection::default() }
}

impl Recorded {
    fn new() -> Self {
        let mut sections = Sections::default();
        sections.edge =
            EdgeSection { name: "fra1".into(), zone: "edge.test".into(), serving: true, ..sections.edge };
        sections.dns.serving = true;
        sections.registration.serving = true;
        let plane = PlaneSection {
            plane: "A".into(),
            state: "active".into(),
            lanes_up: 6,
            lanes: 6,
            hubs: vec![hub("hub-a1", "active", true), hub("hub-a2", "standby", false)],
            ..PlaneSection::default()
        };
        sections.fabric.planes = vec![plane];
        Self {
            leases: Mutex::default(),
            connections: Mutex::new(HashMap::from([(ALICE, 3), (BOB, 2)])),
            closed: Mutex::default(),
            sections: Mutex::new(sections),
            stepped_down: Mutex::default(),
            journal: Journal::new([1; 16]),
        }
    }

    pub(crate) fn refuse(&self, source: &str, reason: Reason, lease: Option<GrantNo>, request: Option<u128>) {
        self.journal.record(&Event {
            at_unix_s: NOW.secs(),
            point: HookPoint::Connection,
            verdict: VerdictKind::Drop,
            reason,
            source: source.parse().unwrap(),
            lease,
            request,
            count: 1,
        });
    }
}

impl FabricEyes for Recorded {
    fn fabric(&self) -> FabricSection {
        self.sections.lock().unwrap().fabric.clone()
    }

    fn step_down(&self, hub: &str) -> Result<(), Reason> {
        self.stepped_down.lock().unwrap().push(hub.to_owned());
        Ok(())
    }
}

impl Eyes for Recorded {
    fn leases_at(&self, address: IpAddr) -> Vec<Lease> {
        self.leases.lock().unwrap().get(&address).cloned().unwrap_or_default()
    }

    fn grant_of_label(&self, label: &str) -> Option<GrantNo> {
        (label == bob_label().to_string()).then_some(BOB)
    }

    fn addresses_of(&self, grant: GrantNo) -> Vec<(IpAddr, Lease)> {
        let leases = self.leases.lock().unwrap();
        let held = leases.iter().flat_map(|(address, held)| held.iter().map(|lease| (*address, *lease)));
        held.filter(|(_, lease)| lease.grant == grant).collect()
    }

    fn names_of(&self, grant: GrantNo) -> Vec<String> {
        if grant == BOB { vec![format!("{}.edge.test", bob_label())] } else { Vec::new() }
    }

    fn connections_of(&self, grant: GrantNo) -> usize {
        self.connections.lock().unwrap().get(&grant).copied().unwrap_or(0)
    }

    fn close_grants(&self, grants: &[GrantNo], reason: Reason) -> usize {
        self.closed.lock().unwrap().push((grants.to_vec(), reason));
        let mut connections = self.connections.lock().unwrap();
        grants.iter().filter_map(|no| connections.remove(no)).sum()
    }

    fn sections(&self) -> Sections {
        self.sections.lock().unwrap().clone()
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }
}

/// A lease of `grant` that is live around `at`.
pub(crate) fn lease(grant: GrantNo, start: UnixTime) -> Lease {
    Lease {
        grant,
        window: 4711,
        start,
        lead_s: 10,
        live_s: 60,
        grace_s: 15,
        tombstone_s: 60,
        max_session_s: 3600,
        stale: Stale::Reset,
    }
}

/// The API with a store in a folder of its own.
pub(crate) struct Api {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) eyes: Arc<Recorded>,
    pub(crate) socket: PathBuf,
    pub(crate) token_file: PathBuf,
    pub(crate) tcp: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) cancel: CancellationToken,
    pub(crate) serving: Serving,
    _folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, key: &str) -> &str {
        self.headers.get(key).map_or("", |v| v.to_str().unwrap())
    }
}

impl Api {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("state.redb")).unwrap();
        let act = Act {
            at: NOW,
            actor: "config".into(),
            verb: "config.apply".into(),
            target: "config".into(),
            why: String::new(),
        };
        let mut txn = Txn::new(act);
        txn.changes = world();
        store.commit(Box::new(move |_| Ok(txn.clone()))).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let clock = Clock::system();
        clock.shift(i64::try_from(NOW.secs()).unwrap() - i64::try_from(clock.now().secs()).unwrap());
        let (socket, token_file) = (folder.path().join("ops.sock"), folder.path().join("ops.token"));
        let unix = bind_unix(&socket).await.unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = tcp.local_addr().unwrap();
        let token = Token::create(&token_file).unwrap();
        let eyes = Arc::new(Recorded::new());
        let cancel = CancellationToken::new();
        let config = OpsConfig {
            name: "fra1".into(),
            version: "0.0.0-test".into(),
            join_url: Some("https://join.edge.test".into()),
        };
        let serving = Ops::start(
            config,
            Arc::clone(&store),
            clock.clone(),
            Arc::clone(&eyes) as Arc<dyn Eyes>,
            Some(unix),
            Some(tcp),
            Some(token),
            cancel.clone(),
        );
        Self {
            store,
            eyes,
            socket,
            token_file,
            tcp: here,
            clock,
            cancel,
            serving: serving.unwrap(),
            _folder: folder,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, &[], Some(body)).await
    }

    /// Over the Unix socket.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let bytes = body.map_or_else(Bytes::new, |b| Bytes::from(b.to_string()));
        let json = ("content-type", "application/json");
        let headers = [headers, &[json]].concat();
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        exchange(stream, method, path, &headers, bytes).await
    }

    /// Over loopback.
    pub(crate) async fn tcp(&self, headers: &[(&str, &str)]) -> Answer {
        let stream = TcpStream::connect(self.tcp).await.unwrap();
        exchange(stream, Method::GET, "/v1/status", headers, Bytes::new()).await
    }

    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(&self.token_file).unwrap().trim().to_owned()
    }

    pub(crate) fn revision(&self) -> u64 {
        self.store.read().revision()
    }
}

pub(crate) async fn exchange<S>(
    stream: S,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let mut request = Request::builder().method(method).uri(path);
    for (key, value) in headers {
        request = request.header(*key, *value);
    }
    let response = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status: head.status, headers: head.headers, body }
}
