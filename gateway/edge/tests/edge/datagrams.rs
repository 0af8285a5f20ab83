//! UDP services: flows by the private address alone, for as long as they are somebody's, and nothing for anybody else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use defense::{HookPoint, Hooks, Reason};
use rotator::{GrantNo, Schedule};
use state::Listen;
use state::records::{Auth, Service};
use state::txn::Record;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};

use crate::hooks::{Heard, Recorder};
use crate::lives::next_lease;
use crate::scene::{ALICE, BOB, Plot, QUICK, Scene, access, free_port, service, soon, txn, until};

/// What stands for "nothing came": long enough for an answer that was on its way.
const A_WHILE: Duration = Duration::from_millis(300);

/// A scene with an echo server behind `udp/PORT`, and another one behind the port after it.
struct Stage {
    scene: Scene,
    port: u16,
    echo: Echo,
}

/// Answers every datagram, as it is told to.
struct Echo {
    port: u16,
    /// Clients that it has seen.
    clients: Arc<AtomicUsize>,
}

impl Echo {
    async fn start(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let clients = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&clients);
        tokio::spawn(async move {
            let (mut room, mut known) = (vec![0; 65_536], std::collections::HashSet::new());
            loop {
                let (count, from) = socket.recv_from(&mut room).await.unwrap();
                known.insert(from);
                seen.store(known.len(), Ordering::SeqCst);
                for datagram in answer(&room[..count]) {
                    socket.send_to(&datagram, from).await.unwrap();
                }
            }
        });
        Self { port, clients }
    }

    fn clients(&self) -> usize {
        self.clients.load(Ordering::SeqCst)
    }
}

impl Stage {
    async fn new() -> Self {
        Self::of(Plot { auth: Auth::Address, ..Plot::default() }).await
    }

    async fn of(plot: Plot) -> Self {
        Self::with(plot, |datagram| vec![datagram.to_vec()]).await
    }

    async fn with(plot: Plot, answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let auth = plot.auth;
        let (scene, echo) = (Scene::of(plot).await, Echo::start(answer).await);
        let stage = Self { port: free_port(), scene, echo };
        stage.listen(auth, &[format!("udp/{}={}", stage.port, stage.echo.port)]).await;
        stage
    }

    async fn listen(&self, auth: Auth, entries: &[String]) {
        let mut all = vec![format!("https/{}", self.scene.port)];
        all.extend_from_slice(entries);
        let listen = Listen::parse(&all).unwrap();
        let changed = Service { listen, ..service(self.scene.port, auth) };
        self.scene.commit(txn("service.set").put(Record::Service(changed))).await;
    }

    async fn client(&self, grant: GrantNo) -> Client {
        self.client_of(self.scene.address(grant)).await
    }

    async fn client_of(&self, address: IpAddr) -> Client {
        Client::to(SocketAddr::new(address, self.port)).await
    }
}

/// A connected socket: it hears nobody but the very address that it speaks to.
struct Client(UdpSocket);

impl Client {
    async fn to(address: SocketAddr) -> Self {
        Self::from("127.0.0.1", address).await
    }

    async fn from(source: &str, address: SocketAddr) -> Self {
        let socket = UdpSocket::bind((source, 0)).await.unwrap();
        socket.connect(address).await.unwrap();
        Self(socket)
    }

    async fn say(&self, datagram: &[u8]) {
        // Where nothing listens yet, the kernel said so of the last one.
        let _ = self.0.send(datagram).await;
    }

    async fn hears_within(&self, limit: Duration) -> Option<Vec<u8>> {
        let mut room = vec![0; 65_536];
        let count = timeout(limit, self.0.recv(&mut room)).await.ok()?.ok()?;
        Some(room[..count].to_vec())
    }

    /// Says it until it is answered: datagrams may be lost, and sockets open a moment after they are asked for.
    async fn asks(&self, datagram: &[u8]) -> Vec<u8> {
        let asking = async {
            loop {
                self.say(datagram).await;
                if let Some(answer) = self.hears_within(Duration::from_millis(500)).await {
                    return answer;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        soon("an answer", asking).await
    }

    async fn hears_nothing(&self, datagram: &[u8]) -> bool {
        self.say(datagram).await;
        self.hears_within(A_WHILE).await.is_none()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_reach_the_service_and_answers_leave_from_the_private_address() {
    let recorder = Recorder::new();
    let hooks: Arc<dyn Hooks> = recorder.clone();
    let stage = Stage::of(Plot { auth: Auth::Address, hooks, ..Plot::default() }).await;
    let (one, other) = (stage.client(ALICE).await, stage.client(BOB).await);
    assert_eq!((one.asks(b"one").await, other.asks(b"other").await), (b"one".to_vec(), b"other".to_vec()));
    for length in [0, 1, 1200, 1473, 9000, 60_000] {
        let long = vec![7; length];
        assert_eq!(one.asks(&long).await, long);
    }
    assert_eq!(stage.echo.clients(), 2, "one socket at the service for each flow");
    let calls = || recorder.at(HookPoint::Connection);
    assert_eq!(calls(), [Heard::Call(HookPoint::Connection); 2], "asked once for each flow");
    stage.scene.commit(access(&stage.scene, 1, true)).await;
    stage.scene.commit(access(&stage.scene, 2, true)).await;
    until("one report of each", || calls().len() == 4).await;
    assert_eq!(calls()[2..], [Heard::Result(HookPoint::Connection, None); 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dark_addresses_wrong_ports_and_services_that_ask_for_keys_are_silent_and_exactly_counted() {
    let stage = Stage::new().await;
    stage.client(ALICE).await.asks(b"here").await;
    let total = |reason| stage.scene.journal.total(reason);
    let dark = stage.client_of(stage.scene.dark_address()).await;
    let before = total(Reason::NoWindow);
    for _ in 0..100 {
        dark.say(b"anybody?").await;
    }
    assert!(dark.hears_nothing(b"anybody?").await);
    until("all are counted", || total(Reason::NoWindow) == before + 101).await;

    stage.listen(Auth::Key, &[format!("udp/{}={}", stage.port, stage.echo.port)]).await;
    assert!(stage.client(ALICE).await.hears_nothing(b"but I have a key").await);
    until("why is told", || total(Reason::AuthRequired) == 1).await;
    assert_eq!(stage.echo.clients(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_of_ports_leads_to_the_same_range_at_the_service() {
    let scene = Scene::of(Plot { auth: Auth::Address, ..Plot::default() }).await;
    let echoes =
        [Echo::start(|_| vec![b"first".to_vec()]).await, Echo::start(|_| vec![b"second".to_vec()]).await];
    let ports = [free_port(), free_port()];
    let stage = Stage { port: ports[0], scene, echo: Echo::start(|_| vec![]).await };
    let entries: Vec<String> =
        ports.iter().zip(&echoes).map(|(port, echo)| format!("udp/{port}={}", echo.port)).collect();
    stage.listen(Auth::Address, &entries).await;
    for (port, said) in ports.into_iter().zip([b"first".to_vec(), b"second".to_vec()]) {
        let client = Client::to(SocketAddr::new(stage.scene.address(ALICE), port)).await;
        assert_eq!(client.asks(b"which?").await, said);
    }
    assert_eq!((echoes[0].clients(), echoes[1].clients(), stage.echo.clients()), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_outlives_its_lease_until_max_session_and_no_new_one_begins_there() {
    let schedule = Schedule { max_session_s: 6, ..QUICK }.checked().unwrap();
    let stage = Stage::of(Plot { auth: Auth::Address, schedule, ..Plot::default() }).await;
    let scene = &stage.scene;
    let now = || scene.clock.now();
    let (address, lease) = next_lease(scene).await;
    let client = stage.client_of(address).await;
    client.asks(b"begin").await;
    until("the lease has ended", || now() >= lease.closes()).await;
    let late = stage.client_of(address).await;
    assert!(late.hears_nothing(b"too late").await);
    let mut sent = 0_u32;
    while now() < lease.closes().plus(4) {
        assert_eq!(client.asks(&sent.to_be_bytes()).await, sent.to_be_bytes());
        sent += 1;
    }
    assert!(sent > 10);
    scene.until_written(Reason::SessionOver, 1).await;
    assert!(now() >= lease.drained());
    assert!(client.hears_nothing(b"still there?").await);
    assert_eq!(stage.echo.clients(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_across_rotations_loses_nothing() {
    let stage =
        Stage::of(Plot { auth: Auth::Address, schedule: QUICK.checked().unwrap(), ..Plot::default() }).await;
    let scene = &stage.scene;
    let begun = scene.clock.now();
    let (mut moves, mut address, mut sent) = (0, scene.address(ALICE), 0_u64);
    let mut client = stage.client_of(address).await;
    client.asks(b"begin").await;
    while moves < 3 {
        if scene.address(ALICE) != address {
            address = scene.address(ALICE);
            client = stage.client_of(address).await;
            client.asks(b"begin").await;
            moves += 1;
        }
        // Thirty-two at once, never more on the way: no buffer anywhere is smaller.
        for number in sent..sent + 32 {
            client.say(&number.to_be_bytes()).await;
        }
        for number in sent..sent + 32 {
            let echoed = client.hears_within(Duration::from_secs(30)).await;
            assert_eq!(echoed.as_deref(), Some(&number.to_be_bytes()[..]), "lost");
        }
        sent += 32;
        sleep(Duration::from_millis(5)).await;
    }
    assert!(scene.clock.now() >= begun.plus(10) && sent > 1000);
    assert_eq!(scene.journal.total(Reason::DatagramDropped), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_ends_flows_within_a_second_and_touches_nobody_else() {
    let stage = Stage::new().await;
    let (alice, bob) = (stage.client(ALICE).await, stage.client(BOB).await);
    alice.asks(b"a").await;
    bob.asks(b"b").await;
    let begun = Instant::now();
    stage.scene.commit(access(&stage.scene, 1, true)).await;
    stage.scene.until_written(Reason::RevokedLive, 1).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(alice.hears_nothing(b"a").await);
    assert_eq!(bob.asks(b"b").await, b"b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_at_one_lease_costs_no_other_user_a_flow() {
    let stage = Stage::new().await;
    let (alice, bob) = (stage.scene.address(ALICE), stage.client(BOB).await);
    bob.asks(b"before").await;
    let flooding = async {
        for round in 0..4 {
            for host in 1..=250 {
                let source = format!("127.0.{round}.{host}");
                Client::from(&source, SocketAddr::new(alice, stage.port)).await.say(b"flood").await;
            }
        }
    };
    let asking = async {
        for number in 0..50_u8 {
            assert_eq!(bob.asks(&[number]).await, [number]);
        }
        stage.client(BOB).await.asks(b"a new one").await
    };
    let ((), answer) = tokio::join!(flooding, asking);
    assert_eq!(answer, b"a new one");
    let held = stage.scene.edge.connections().of_grant(ALICE).len();
    assert!(held <= edge::bounds::FLOWS_PER_GRANT_MAX, "{held}");
    assert_eq!(bob.asks(b"after").await, b"after");
    assert!(!stage.scene.edge.connections().of_grant(BOB).is_empty(), "nobody else's were cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_one_of_our_own_addresses_begins_nothing() {
    let stage = Stage::new().await;
    stage.client(ALICE).await.asks(b"here").await;
    let own = stage.scene.address(BOB).to_string();
    let forged = Client::from(&own, SocketAddr::new(stage.scene.address(ALICE), stage.port)).await;
    assert!(forged.hears_nothing(b"round and round").await);
    until("why is told", || stage.scene.journal.total(Reason::SourceForged) == 1).await;
    assert_eq!(stage.echo.clients(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_may_be_forged_is_no_way_to_flood_another() {
    let plot = Plot { auth: Auth::Address, ..Plot::default() };
    let stage = Stage::with(plot, |_| vec![vec![0; 1200]; 200]).await;
    stage.client(BOB).await.asks(b"is it there").await;
    let victim = stage.client(ALICE).await;
    victim.say(b"?").await;
    let mut bytes = victim.hears_within(Duration::from_secs(30)).await.expect("an answer").len();
    while let Some(more) = victim.hears_within(Duration::from_secs(1)).await {
        bytes += more.len();
    }
    // Bob's question was withheld from as well, and the allowance grows while somebody waits: so only the gist.
    assert!(bytes < 200_000, "{bytes} of 240,000");
    assert!(stage.scene.journal.total(Reason::AnswerWithheld) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_lets_flows_go_on_and_begins_none_and_ends_when_they_are_quiet() {
    let stage = Stage::new().await;
    let client = stage.client(ALICE).await;
    client.asks(b"before").await;
    stage.scene.stop.cancel();
    until("the drain has begun", || stage.scene.stop.is_cancelled()).await;
    assert_eq!(client.asks(b"during").await, b"during");
    assert!(stage.client(BOB).await.hears_nothing(b"new").await);
    until("why is told", || stage.scene.journal.total(Reason::DrainingEdge) == 1).await;
    until("the quiet flow is over", || stage.scene.edge.connections().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_with_a_successor_leaves_it_every_datagram() {
    let stage = Stage::new().await;
    let client = stage.client(ALICE).await;
    client.asks(b"before").await;
    tokio::task::block_in_place(|| stage.scene.edge.leave_datagrams(Duration::from_secs(30)));
    until("the flow is over", || stage.scene.edge.connections().is_empty()).await;
    // Not shared, so it is had only when nobody else has it.
    until("the port is free", || std::net::UdpSocket::bind(("127.0.0.1", stage.port)).is_ok()).await;
    assert!(stage.scene.edge.status().is_open, "and the rest goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resolver_of_others_asks_a_name_server_through_its_private_address() {
    let plot = Plot { auth: Auth::Address, ..Plot::default() };
    let stage = Stage::with(plot, |question| vec![answer_of(question)]).await;
    stage.client(ALICE).await.asks(&[0; 12]).await;
    let (server, port) = (format!("@{}", stage.scene.address(ALICE)), stage.port.to_string());
    // It refuses answers from any other address than the one that it asked.
    let mut dig = std::process::Command::new("dig");
    dig.args([&server, "-p", &port, "+short", "+noedns", "+tries=10", "+time=2", "A", "voice.example"]);
    let told = soon("dig", tokio::task::spawn_blocking(move || dig.output())).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), "192.0.2.53", "{told:?}");
}

/// The answer to a DNS question without EDNS: one address (RFC 1035 §4.1).
fn answer_of(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x84;
    answer[7] = 1;
    answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53]);
    answer
}
