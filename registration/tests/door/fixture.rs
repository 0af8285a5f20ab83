//! A running registration on loopback, and a client of few words.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use defense::{AllowList, Engine, EngineSeed, Hooks, Journal, Limits};
use registration::invite::{self, Wanted};
use registration::{Code, Parts, Registration, RegistrationConfig};
use rotator::{KeyEpochs, Keyring, Root, Schedule, UnixTime};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use state::records::{Auth, Origin, PoolRecord, ScheduleRecord, ScheduleVersion, Service};
use state::txn::{Act, Record};
use state::{Clock, Embedded, Name, Refusal, Store, Txn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

pub(crate) const ZONE: &str = "edge.example.net";
pub(crate) const EPOCHS: KeyEpochs = KeyEpochs::WEEKLY;

pub(crate) struct Door {
    pub(crate) registration: Registration,
    pub(crate) store: Arc<Embedded>,
    pub(crate) clock: Clock,
    pub(crate) journal: Arc<Journal>,
    pub(crate) address: SocketAddr,
    pub(crate) cancel: CancellationToken,
    connector: TlsConnector,
    _keys: watch::Sender<Keyring>,
    _folder: tempfile::TempDir,
}

pub(crate) struct Setup {
    pub(crate) open: bool,
    pub(crate) limits: Limits,
    pub(crate) hooks: Option<Arc<dyn Hooks>>,
}

impl Default for Setup {
    /// An open door without budgets and delays: tests of those set their own.
    fn default() -> Self {
        let mut limits = Limits::default().without_prefixes();
        limits.enrolment.global = None;
        limits.renewal.global = None;
        limits.fail_floor_ms = 0;
        Self { open: true, limits, hooks: None }
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn root() -> Root {
    Root::new([42; 32])
}

impl Door {
    pub(crate) async fn start(setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Embedded::open(&folder.path().join("state.redb")).unwrap());
        store.commit(Box::new(|_| Ok::<_, Refusal>(layout()))).await.unwrap();
        let clock = Clock::system();
        let keyring = Keyring::around(&root(), EPOCHS, store.read().key_life_s(), clock.now());
        let (keep, keys) = watch::channel(keyring);
        let engine = Engine::new(EngineSeed([1; 32]), &setup.limits, AllowList::default());
        let journal = Arc::new(Journal::new([2; 16]));
        let (tls, connector) = tls();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let cancel = CancellationToken::new();
        let config = RegistrationConfig {
            zone: ZONE.into(),
            open: setup.open,
            pow_bits: 6,
            default_services: vec![name("web")],
            challenge_secret: [9; 32],
            epochs: EPOCHS,
        };
        let parts = Parts {
            places: registration::bounds::CONNECTIONS_MAX,
            store: Arc::clone(&store) as Arc<dyn Store>,
            keys,
            clock: clock.clone(),
            hooks: setup.hooks.unwrap_or_else(|| Arc::new(engine)),
            journal: Arc::clone(&journal),
            tls,
            listeners: vec![listener],
            cancel: cancel.clone(),
        };
        let registration = Registration::start(config, parts).unwrap();
        let address = registration.addresses()[0];
        Self { registration, store, clock, journal, address, cancel, connector, _keys: keep, _folder: folder }
    }

    pub(crate) async fn invite(&self, user: &str, random: u8) -> Code {
        let wanted = Wanted { user: name(user), services: vec![name("web"), name("ssh")], ttl_s: 3600 };
        let now = self.clock.now();
        let decide =
            move |records: &state::Records| invite::create(records, now, &wanted, [random; 20], "ops:test");
        state::commit(&*self.store, decide).await.unwrap().1.code
    }

    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_by(&[]).await
    }

    pub(crate) async fn connect_by(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut config = ClientConfig::clone(self.connector.config());
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let host = ServerName::try_from(format!("join.{ZONE}")).unwrap();
        TlsConnector::from(Arc::new(config)).connect(host, stream).await.unwrap()
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: join.{ZONE}:8443\r\nconnection: close\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    /// Bytes as they are, and whatever comes back until the end.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
        let mut back = Vec::new();
        // A connection that is cut is an empty answer.
        let _ = stream.read_to_end(&mut back).await;
        Answer(String::from_utf8_lossy(&back).into_owned())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: &impl serde::Serialize) -> Answer {
        self.ask("POST", path, "application/json", &serde_json::to_vec(body).unwrap()).await
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) String);

impl Answer {
    /// 0 when there was none.
    pub(crate) fn status(&self) -> u16 {
        self.0.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next()?;
        head.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_str(self.body()).unwrap_or_else(|e| panic!("{e}: {}", self.0))
    }

    /// The reason of a problem.
    pub(crate) fn reason(&self) -> String {
        self.json::<registration::problem::Problem>().reason
    }
}

fn layout() -> Txn {
    let act = Act {
        at: UnixTime::ZERO,
        actor: "config".into(),
        verb: "layout".into(),
        target: "all".into(),
        why: String::new(),
    };
    let version = ScheduleVersion { from: UnixTime::ZERO, name: Schedule::NAME, agent: Schedule::AGENT };
    let service = |called: &str, port| {
        Record::Service(Service {
            name: name(called),
            origin: Origin::Config,
            to: "127.0.0.1:8080".parse().unwrap(),
            // Where it leads is nobody's business outside.
            listen: state::Listen::parse(&[format!("https/{port}=8080")]).unwrap(),
            auth: Auth::Name,
            schedule: name("default"),
            pools: vec![name("main")],
            max_session_s: None,
            handling: state::records::Handling::default(),
        })
    };
    Txn::new(act)
        .put(Record::Schedule(ScheduleRecord {
            name: name("default"),
            origin: Origin::Config,
            versions: vec![version],
        }))
        .put(Record::Pool(PoolRecord {
            name: name("main"),
            origin: Origin::Config,
            range: "2001:db8:42::/64".into(),
        }))
        .put(service("web", 8443))
        .put(service("ssh", 22))
}

fn tls() -> (Arc<ServerConfig>, TlsConnector) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = rcgen::generate_simple_self_signed([format!("join.{ZONE}")]).unwrap();
    let certificate = CertificateDer::from(made.cert);
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), TlsConnector::from(Arc::new(client)))
}

/// The address that tests come from.
pub(crate) const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
