//! Connections that a trusted balancer passes on, with a PROXY header that says whose they are.

use std::net::SocketAddr;

use defense::Reason;
use edge::Balancers;
use edge::bounds::HANDSHAKE_MAX;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use crate::clients::{End, Wire, end_of, hello, tls_over};
use crate::programs::Program;
use crate::scene::{ALICE, BOB, Plot, Scene, free_port, soon};

const BALANCER: &str = "127.0.9.1:0";
const STRANGER: &str = "127.0.8.1:0";
const USER: &str = "203.0.113.7:5000";
const GET: &str = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";

async fn scene() -> Scene {
    let balancers = Balancers::new(vec!["127.0.9.0/24".parse().unwrap()]);
    Scene::of(Plot { balancers, ..Plot::default() }).await
}

/// A header of these ends over IPv4, with fields behind the addresses.
pub(crate) fn header(source: &str, destination: SocketAddr, fields: &[u8]) -> Vec<u8> {
    let source: SocketAddr = source.parse().unwrap();
    let mut body = Vec::new();
    for end in [source, destination] {
        let SocketAddr::V4(end) = end else { panic!("{end} is not IPv4") };
        body.extend(end.ip().octets());
    }
    body.extend([source, destination].iter().flat_map(|end| end.port().to_be_bytes()));
    body.extend_from_slice(fields);
    with([0x21, 0x11], &body)
}

fn with(kind: [u8; 2], body: &[u8]) -> Vec<u8> {
    [b"\r\n\r\n\0\r\nQUIT\n", &kind[..], &(body.len() as u16).to_be_bytes(), body].concat()
}

impl Scene {
    /// A connection out of that source to one of this computer's addresses.
    async fn from(&self, source: &str, to: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(source.parse().unwrap()).unwrap();
        socket.connect(SocketAddr::from((to, self.port))).await.unwrap()
    }

    async fn passed_on(&self) -> TcpStream {
        self.from(BALANCER, [127, 0, 0, 1]).await
    }

    fn at(&self, address: std::net::IpAddr) -> SocketAddr {
        SocketAddr::new(address, self.port)
    }

    /// A request of Alice on a connection that is there; the status, and what the service was told of her address.
    async fn asked_over(&self, tcp: TcpStream) -> (u16, String) {
        let tls = tls_over(tcp, &self.name(ALICE), &["http/1.1"], self.chain.as_bytes()).await.unwrap();
        let answer = Wire { tls, unread: Vec::new() }.ask(self, GET).await;
        (answer.status, self.backend.last().all("x-forwarded-for").concat())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_header_says_whose_address_was_reached_and_by_whom() {
    let scene = scene().await;
    let mut tcp = scene.passed_on().await;
    // In two parts, the second with the first bytes of TLS behind it.
    let told = header(USER, scene.at(scene.address(ALICE)), &[0x04, 0, 2, 0, 0]);
    tcp.write_all(&told[..20]).await.unwrap();
    tcp.write_all(&told[20..]).await.unwrap();
    assert_eq!(scene.asked_over(tcp).await, (200, "203.0.113.7".to_owned()));
    let log = std::fs::read_to_string(scene.folder().join("access.log")).unwrap_or_default();
    assert!(!log.contains("127.0.9.1"), "{log}");
    // Whoever fails is written down by the header's source, and admission is by the header's address.
    let mut tcp = scene.passed_on().await;
    let stranger = [header("203.0.113.9:1", scene.at(scene.address(ALICE)), &[]), hello(None)].concat();
    assert_eq!(end_of(&mut tcp, &stranger, HANDSHAKE_MAX * 4).await, End::Reset);
    let mut tcp = scene.passed_on().await;
    let others = hello(Some(&scene.name(ALICE)));
    let others = [header("203.0.113.9:1", scene.at(scene.address(BOB)), &[]), others].concat();
    assert_eq!(end_of(&mut tcp, &others, HANDSHAKE_MAX * 4).await, End::Reset);
    for reason in [Reason::SniMissing, Reason::NameMismatch] {
        scene.until_written(reason, 1).await;
        let told = scene.journal.recent(9).into_iter().find(|sample| sample.first.reason == reason).unwrap();
        assert_eq!(told.first.source.to_string(), "203.0.113.9");
    }
    // The same users come without a balancer, too.
    assert!(scene.serves(scene.address(ALICE), &scene.name(ALICE)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_trusted_and_sends_no_good_header_is_closed_without_a_byte() {
    let scene = scene().await;
    let alice = scene.at(scene.address(ALICE));
    let good = header(USER, alice, &[]);
    let tls = hello(Some(&scene.name(ALICE)));
    let first = format!("PROXY TCP4 203.0.113.7 {} 5000 {}\r\n", alice.ip(), alice.port());
    let mut datagram = good.clone();
    datagram[13] = 0x12;
    let mut long = good.clone();
    long[14] = 0xff;
    for (what, bytes, reason) in [
        ("no header", tls.clone(), Reason::ProxyMissing),
        ("version 1", [first.as_bytes(), &tls].concat(), Reason::ProxyMissing),
        ("a wrong checksum", header(USER, alice, &[3, 0, 4, 1, 2, 3, 4]), Reason::ProxyMalformed),
        ("a field that ends outside", header(USER, alice, &[4, 0, 9, 0]), Reason::ProxyMalformed),
        ("a datagram's", datagram, Reason::ProxyMalformed),
        ("no addresses", with([0x21, 0], &[]), Reason::ProxyMalformed),
        ("65,292 bytes", long, Reason::ProxyMalformed),
        ("two headers", [&good[..], &good, &tls].concat(), Reason::NotTls),
    ] {
        let before = scene.journal.total(reason);
        let mut tcp = scene.passed_on().await;
        assert_eq!(end_of(&mut tcp, &bytes, HANDSHAKE_MAX * 4).await, End::Reset, "{what}");
        scene.until_written(reason, before + 1).await;
    }
    // Cut by its end, and to a live address itself.
    let mut tcp = scene
        .from(BALANCER, scene.address(ALICE).to_string().parse::<std::net::Ipv4Addr>().unwrap().octets())
        .await;
    tcp.write_all(&good[..good.len() - 1]).await.unwrap();
    tcp.shutdown().await.unwrap();
    assert_eq!(end_of(&mut tcp, &[], HANDSHAKE_MAX * 4).await, End::Reset);
    assert_eq!(scene.backend.connections(), 0);
    // From anybody else, a header is no word of anything.
    let mut tcp = scene.from(STRANGER, [127, 0, 0, 1]).await;
    assert_eq!(end_of(&mut tcp, &[&good[..], &tls].concat(), HANDSHAKE_MAX * 4).await, End::Reset);
    let before = scene.journal.total(Reason::NotTls);
    let reached = scene.address(ALICE);
    assert_eq!(scene.knock(reached, &[&good[..], &tls].concat(), HANDSHAKE_MAX * 4).await, End::Reset);
    scene.until_written(Reason::NotTls, before + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_header_and_a_dark_destination_are_silent_until_the_common_deadline() {
    let scene = scene().await;
    let good = header(USER, scene.at(scene.address(ALICE)), &[]);
    let dark = header(USER, scene.at(scene.dark_address()), &[]);
    let (mut half, mut lost) = (scene.passed_on().await, scene.passed_on().await);
    let begun = tokio::time::Instant::now();
    let ends = tokio::join!(
        end_of(&mut half, &good[..good.len() - 1], HANDSHAKE_MAX * 4),
        end_of(&mut lost, &dark, HANDSHAKE_MAX * 4),
    );
    assert_eq!(ends, (End::Reset, End::Reset));
    assert!(begun.elapsed() >= HANDSHAKE_MAX.mul_f32(0.9));
    scene.until_written(Reason::ProxyMissing, 1).await;
    scene.until_written(Reason::NoWindow, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_health_check_ends_in_order_and_one_to_a_private_address_goes_there() {
    let scene = scene().await;
    let local = with([0x20, 0], &[]);
    let mut tcp = scene.passed_on().await;
    assert_eq!(end_of(&mut tcp, &local, HANDSHAKE_MAX * 4).await, End::Closed);
    assert_eq!(scene.journal.recent(9).len(), 0, "nothing was refused");
    let std::net::IpAddr::V4(address) = scene.address(ALICE) else { panic!("not IPv4") };
    let mut tcp = scene.from(BALANCER, address.octets()).await;
    tcp.write_all(&local).await.unwrap();
    assert_eq!(scene.asked_over(tcp).await, (200, "127.0.9.1".to_owned()));
}

/// HAProxy at Alice's private address, on a port of its own, in front of the edge; how it speaks to it is told.
async fn haproxy(scene: &Scene, speaks: &str) -> (Program, u16) {
    let (address, port, edge) = (scene.address(ALICE), free_port(), scene.port);
    let config = format!(
        "global\n  stats socket FOLDER/admin\ndefaults\n  mode tcp\n  timeout client 30s\n  timeout connect 5s\n  \
         timeout server 30s\nfrontend f\n  bind {address}:{port}\n  tcp-request connection set-dst-port int({edge})\n  \
         default_backend b\nbackend b\n  source 127.0.9.1\n  server e 127.0.0.1:{edge} check inter 100ms {speaks}\n"
    );
    (Program::start("haproxy", &config, &["-db", "-f"], (address, port)).await, port)
}

/// What HAProxy thinks of the edge.
async fn health(haproxy: &Program) -> String {
    let mut admin = UnixStream::connect(haproxy.file("admin")).await.unwrap();
    admin.write_all(b"show stat\n").await.unwrap();
    let mut told = String::new();
    soon("its figures", admin.read_to_string(&mut told)).await.unwrap();
    told.lines().find(|line| line.starts_with("b,e,")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_in_front_passes_users_on_and_finds_the_edge_well() {
    let scene = scene().await;
    for speaks in ["send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"] {
        let (program, port) = haproxy(&scene, speaks).await;
        let mut health_now = String::new();
        while !health_now.contains("L4OK") {
            health_now = health(&program).await;
            assert!(!health_now.contains("DOWN"), "{health_now}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.7.7:0".parse().unwrap()).unwrap();
        let tcp = socket.connect(SocketAddr::new(scene.address(ALICE), port)).await.unwrap();
        assert_eq!(scene.asked_over(tcp).await, (200, "127.0.7.7".to_owned()), "{speaks}");
    }
    // Of version 1 the edge takes nothing.
    let (_program, port) = haproxy(&scene, "send-proxy").await;
    let mut tcp = TcpStream::connect((scene.address(ALICE), port)).await.unwrap();
    assert_ne!(end_of(&mut tcp, &hello(Some(&scene.name(ALICE))), HANDSHAKE_MAX * 4).await, End::Spoken);
    scene.until_written(Reason::ProxyMissing, 1).await;
}
