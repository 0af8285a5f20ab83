//! The operators' verbs as typed: the binary against a running ops API, its words, its JSON and its exit codes.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use defense::{Journal, Reason};
use ops::Eyes;
use ops::acts::Order;
use ops::acts::reconcile::{Desired, DesiredSchedule, DesiredService, reconcile};
use ops::eyes::{FabricEyes, FabricSection, PlaneSection, Sections};
use ops::http::{Ops, OpsConfig, Serving, Token, bind_unix};
use rotator::{Class, GrantNo, Lease, Schedule, UnixTime};
use serde_json::Value;
use state::records::{Auth, Device, GenerationRecord, Grant, User};
use state::txn::{Change, Record};
use state::{Clock, Embedded, Name, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A gateway that serves, with nobody connected.
struct Idle {
    journal: Journal,
}

impl FabricEyes for Idle {
    fn fabric(&self) -> FabricSection {
        self.sections().fabric
    }

    fn step_down(&self, _: &str) -> Result<(), Reason> {
        Err(Reason::StepDownRefused)
    }
}

impl Eyes for Idle {
    fn leases_at(&self, _: IpAddr) -> Vec<Lease> {
        Vec::new()
    }

    fn grant_of_label(&self, _: &str) -> Option<GrantNo> {
        None
    }

    fn addresses_of(&self, _: GrantNo) -> Vec<(IpAddr, Lease)> {
        Vec::new()
    }

    fn names_of(&self, _: GrantNo) -> Vec<String> {
        Vec::new()
    }

    fn connections_of(&self, _: GrantNo) -> usize {
        0
    }

    fn close_grants(&self, _: &[GrantNo], _: Reason) -> usize {
        0
    }

    fn sections(&self) -> Sections {
        let mut all = Sections::default();
        (all.edge.serving, all.dns.serving, all.registration.serving) = (true, true, true);
        all.fabric.planes = vec![PlaneSection { lanes: 6, lanes_up: 6, ..PlaneSection::default() }];
        all
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }
}

struct Gateway {
    socket: PathBuf,
    url: String,
    token_file: PathBuf,
    store: Arc<dyn Store>,
    _serving: Serving,
    _folder: tempfile::TempDir,
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn desired() -> Desired {
    let standard =
        DesiredSchedule { name: name("standard"), for_names: Schedule::NAME, for_agents: Schedule::AGENT };
    Desired {
        pools: vec![(name("six"), "2001:db8:42::/64".parse().unwrap())],
        default_schedules: vec![standard],
        services: vec![DesiredService {
            name: name("web"),
            to: "127.0.0.1:3000".parse().unwrap(),
            listen: state::Listen::https(443).unwrap(),
            auth: Auth::Name,
            schedule: name("standard"),
            pools: vec![name("six")],
            max_session_s: None,
            handling: state::records::Handling::default(),
        }],
        ..Desired::default()
    }
}

/// bob with an agent on `web`.
fn bob(now: UnixTime) -> Vec<Change> {
    let (user, device) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let generation = GenerationRecord { number: 0, from: now, leaked: false };
    [
        Record::User(User { id: user, name: name("bob"), created: now, revoked: None }),
        Record::Device(Device {
            id: device,
            user,
            name: name("phone"),
            class: Class::Agent,
            public_key: None,
            enrolled: now,
            revoked: None,
        }),
        Record::Grant(1, Grant { device, service: name("web"), label: None, generations: vec![generation] }),
    ]
    .map(Change::Put)
    .to_vec()
}

impl Gateway {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Embedded::open(&folder.path().join("state.redb")).unwrap());
        let clock = Clock::system();
        let order = Order::new(clock.now(), "config", "").unwrap();
        let decide = move |records: &_| {
            let (mut txn, _) = reconcile(records, &order, &desired())?;
            txn.changes.extend(bob(order.now));
            Ok(txn)
        };
        store.commit(Box::new(decide)).await.unwrap();
        let (socket, token_file) = (folder.path().join("ops.sock"), folder.path().join("token"));
        let (unix, token) = (bind_unix(&socket).await.unwrap(), Token::create(&token_file).unwrap());
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", tcp.local_addr().unwrap());
        let eyes = Arc::new(Idle { journal: Journal::new([1; 16]) });
        let cancel = CancellationToken::new();
        let config = OpsConfig { join_url: Some("https://join.edge.test".into()), ..OpsConfig::default() };
        let serving =
            Ops::start(config, Arc::clone(&store), clock, eyes, Some(unix), Some(tcp), Some(token), cancel);
        Self { socket, url, token_file, store, _serving: serving.unwrap(), _folder: folder }
    }

    /// Runs `wandergate` with these words.
    async fn wandergate(&self, words: &str) -> Output {
        let socket = ["--socket", self.socket.to_str().unwrap()];
        wandergate(words.split_whitespace().chain(socket)).await
    }

    async fn exit(&self, words: &str) -> i32 {
        self.wandergate(words).await.status.code().unwrap()
    }
}

async fn wandergate<'a>(words: impl IntoIterator<Item = &'a str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wandergate"));
    command.args(words);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_prints_its_documented_schema_with_json() {
    let gateway = Gateway::start().await;
    for (words, schema) in [
        ("status", "wandergate.status/1"),
        ("user ls", "wandergate.user.list/1"),
        ("user ls --pending", "wandergate.invite.list/1"),
        ("user show bob", "wandergate.user/1"),
        ("user invite carol --service web --ttl 2h", "wandergate.invite/1"),
        ("user revoke bob --reason left", "wandergate.user.access/1"),
        ("user restore bob", "wandergate.user.access/1"),
        ("device ls", "wandergate.device.list/1"),
        ("device revoke bob/phone", "wandergate.device.access/1"),
        ("device restore bob/phone", "wandergate.device.access/1"),
        ("service ls", "wandergate.service.list/1"),
        ("service add ssh --to 127.0.0.1:22 --port 22", "wandergate.service/1"),
        ("service show ssh", "wandergate.service/1"),
        (
            "service set ssh proxy=true speaks=h2 listen=https/22,https/23=22 max_body=1M max_time=1h",
            "wandergate.service/1",
        ),
        ("service rm ssh", "wandergate.service/1"),
        ("schedule ls", "wandergate.schedule.list/1"),
        ("schedule show standard", "wandergate.schedule/1"),
        ("schedule preview standard window=10m --for 2h", "wandergate.schedule.preview/1"),
        ("schedule set standard window=10m agent.grace=20s", "wandergate.schedule.change/1"),
        ("window ls", "wandergate.window.list/1"),
        ("rotate --user bob", "wandergate.rotation/1"),
        ("rotate --device bob/phone --leaked", "wandergate.rotation/1"),
        ("rotate --all --yes", "wandergate.rotation/1"),
        ("why bob", "wandergate.why/1"),
        ("exposure --rate 1mpps", "wandergate.exposure/1"),
        ("explain W-4102", "wandergate.explain/1"),
        ("explain", "wandergate.explain.list/1"),
        ("audit tail", "wandergate.audit.list/1"),
        ("audit verify", "wandergate.audit.verify/1"),
    ] {
        let output = gateway.wandergate(&format!("{words} --json")).await;
        assert!(output.status.success(), "{words}: {} {}", out(&output), err(&output));
        let answer: Value = serde_json::from_str(&out(&output)).unwrap();
        assert_eq!(answer["schema"], schema, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_exit_code() {
    let gateway = Gateway::start().await;
    for (words, code) in [
        ("user revoke nobody", 3),
        ("device revoke bob/tablet", 3),
        ("why nobody", 3),
        ("explain W-0000", 3),
        ("service rm web", 6),
        ("service add web --to 127.0.0.1:1", 6),
        ("rotate --all", 8),
        ("rotate", 2),
        ("rotate --all --user bob --yes", 2),
        ("schedule set standard window=1s", 2),
        ("schedule set standard windows=1m", 2),
        ("service set web proxy=true", 6),
        ("service set web port=1", 2),
        ("service set nothing proxy=true", 3),
        ("service add db --to fabric --proto tcp", 2),
        ("service add db --to 127.0.0.1:1 --proto tcp --listen tcp/1", 2),
        ("user invite bob --service web --ttl soon", 2),
        ("window ls --reveal", 2),
        ("nonsense", 2),
    ] {
        assert_eq!(gateway.exit(words).await, code, "{words}");
    }
    let nobody = wandergate(["status", "--socket", "/nonexistent/ops.sock"]).await;
    assert_eq!(nobody.status.code(), Some(5));
    assert!(err(&nobody).starts_with("No gateway answers at /nonexistent/ops.sock"), "{}", err(&nobody));
    gateway.exit("user revoke bob").await;
    assert_eq!(gateway.exit("user invite bob --service web").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn loopback_works_with_the_token_file_and_is_refused_without_the_right_one() {
    let gateway = Gateway::start().await;
    let file = gateway.token_file.to_str().unwrap();
    let over = wandergate(["user", "ls", "--server", &gateway.url, "--token-file", file]).await;
    assert!(over.status.success() && out(&over).contains("bob"), "{}", err(&over));
    let wrong = gateway.token_file.with_extension("wrong");
    std::fs::write(&wrong, "wrong").unwrap();
    let refused =
        wandergate(["user", "ls", "--server", &gateway.url, "--token-file", wrong.to_str().unwrap()]).await;
    assert_eq!(refused.status.code(), Some(4));
    assert!(err(&refused).starts_with("W-7109 "), "{}", err(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_prints_the_command_that_undoes_it_and_that_command_does() {
    let gateway = Gateway::start().await;
    let revoked = || gateway.store.read().user_named(&name("bob")).unwrap().revoked.is_some();
    for words in [
        "user revoke bob",
        "device revoke bob/phone",
        "user invite carol --service web",
        "service add ssh --to 127.0.0.1:22 --proto ssh",
        "schedule set standard window=10m stale=drop",
    ] {
        let done = gateway.wandergate(words).await;
        let text = out(&done);
        let undo = text.lines().find_map(|line| line.strip_prefix("undo: wandergate ")).unwrap().to_owned();
        let undone = gateway.wandergate(&undo).await;
        assert!(undone.status.success(), "{undo}: {}", err(&undone));
    }
    assert!(!revoked());
    let records = gateway.store.read();
    assert!(records.device(Uuid::from_u128(2)).unwrap().revoked.is_none());
    assert!(records.service(&name("ssh")).is_none() && records.invites().count() == 0);
    let last = *records.schedule(&name("standard")).unwrap().versions.last().unwrap();
    assert_eq!((last.name, last.agent), (Schedule::NAME, Schedule::AGENT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_so_and_leaves_no_trace() {
    let gateway = Gateway::start().await;
    let revision = gateway.store.read().revision();
    for words in ["user revoke bob", "rotate --all --yes", "service add ssh --to 127.0.0.1:22"] {
        let output = gateway.wandergate(&format!("{words} --dry-run")).await;
        assert!(output.status.success() && out(&output).starts_with("dry run, nothing changed: "), "{words}");
    }
    assert_eq!(gateway.store.read().revision(), revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_somebody_does_not_serve_yet_is_told_as_partly_done() {
    let gateway = Gateway::start().await;
    let _asleep = gateway.store.watch("dns");
    let output = gateway.wandergate("user revoke bob").await;
    assert_eq!(output.status.code(), Some(7));
    assert!(out(&output).contains("not yet by dns"), "{}", out(&output));
    assert!(gateway.store.read().user_named(&name("bob")).unwrap().revoked.is_some(), "done all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_drawn_before_and_after() {
    let gateway = Gateway::start().await;
    let drawn = out(&gateway.wandergate("schedule preview standard agent.window=5m agent.grace=1m").await);
    assert!(drawn.contains("now 1m/15s") && drawn.contains("new 5m/1m"), "{drawn}");
    assert!(drawn.contains("bob/phone to web: ") && drawn.contains("█"), "{drawn}");
    let new = drawn.lines().find(|line| line.starts_with("new 5m/1m")).unwrap();
    let ends = new.matches('▒').count();
    assert!((10..=12).contains(&ends), "twelve windows in an hour: {new}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_color_and_no_prompt_are_ever_used() {
    let gateway = Gateway::start().await;
    for words in ["status", "user ls", "why W-4102", "explain W-4102", "schedule preview standard"] {
        let output = gateway.wandergate(words).await;
        assert!(!out(&output).contains('\u{1b}'), "{words}");
    }
}
