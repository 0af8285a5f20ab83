//! Users of every kind, strangers, and an operator who does not let things rest.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::datagrams::Numbered;
use tests::island::{Island, USERS, name};
use tests::over::Over;
use tests::product::Process;
use tests::traffic::User;

const SERVICES: [&str; 4] = ["web", "site", "secure", "raw"];
const DARK: &str = "2001:db8:84::dead:dead";
/// Where datagrams are sent back.
pub(super) const ECHO: u16 = 7007;
/// Strangers who stay.
const STRANGERS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(20);

/// Sections for two services of the usual kind, one of them with WebSockets, and for bytes and datagrams.
pub(super) fn services(hello: SocketAddr, site: SocketAddr) -> String {
    let port = hello.port();
    format!(
        "[service.web]\nto = \"{hello}\"\nlisten = [\"https/443\"]\n\
         [service.site]\nto = \"{site}\"\nlisten = [\"https/8443\"]\n\
         [service.secure]\nto = \"{hello}\"\nlisten = [\"tls/993={port}\"]\n\
         [service.raw]\nto = \"{hello}\"\nlisten = [\"tcp/80={port}\", \"udp/{ECHO}={ECHO}\"]\n"
    )
}

pub(super) struct Crowd<'i> {
    island: &'i Island,
    product: &'i Process,
    /// alice's, in the order of the services.
    leases: Vec<Value>,
    guests: AtomicUsize,
}

impl<'i> Crowd<'i> {
    pub(super) fn new(island: &'i Island, product: &'i Process) -> Self {
        let leases = island.enroll(product, "alice", &SERVICES);
        Self { island, product, leases, guests: AtomicUsize::new(0) }
    }

    /// All of it once; some seconds, in which addresses move.
    pub(super) fn round(&self) {
        self.island.within(|| {
            let (over, web, raw) = (Over::default(), self.user(0), self.at(&self.leases[3]));
            std::thread::scope(|scope| {
                let amid = over.until_dropped();
                let (plain, datagrams) =
                    (scope.spawn(|| plain(raw, &over)), scope.spawn(|| datagrams(raw, &over)));
                scope.spawn(|| strangers(web.address(), &over));
                let slow = scope.spawn(|| web.request("/slow"));
                let (begun, asking) = (Instant::now(), [web.ask_on(1), self.user(2).ask_on(1)]);
                self.web_sockets();
                self.many_streams();
                self.product.signal("-HUP");
                self.guest();
                assert_eq!(slow.join().unwrap().unwrap().len(), 50);
                for traffic in asking {
                    let met = traffic.finish().since(begun);
                    assert!(met.requests > 0 && met.failed == 0, "{met}; {}", self.why(USERS));
                }
                drop(amid);
                plain.join().unwrap();
                datagrams.join().unwrap().unwrap_or_else(|what| panic!("{what}; {}", self.why(USERS)));
            });
        });
    }

    /// What the product has to say of whom it refused, to be told with a failure.
    fn why(&self, source: &str) -> String {
        format!("{}; {}", self.product.ops(&["why", source]), self.product.ops(&["status"])["verdicts"])
    }

    /// Everybody is out, and what they had under way is over.
    pub(super) fn leave(&self) {
        self.product.ops(&["user", "revoke", "alice", "--reason", "left"]);
    }

    fn at(&self, lease: &Value) -> Ipv6Addr {
        self.island.address(self.product, name(lease))
    }

    /// alice at one of the services, where it is now.
    fn user(&self, service: usize) -> User {
        let lease = &self.leases[service];
        User::new(self.product, lease, self.at(lease).into())
    }
}

impl Crowd<'_> {
    /// Some at once, from a program of others.
    fn web_sockets(&self) {
        let python = std::env::var("WANDERGATE_PYTHON").unwrap_or_else(|_| "python3".into());
        let url = format!("https://{}:8443/ws", name(&self.leases[1]));
        let ca = self.product.text("/ca_file");
        let output = self.island.client(&python, &["-c", include_str!("sockets.py"), &url, &ca]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Many on few connections.
    fn many_streams(&self) {
        let url = format!("https://{}/", name(&self.leases[0]));
        let output = self.island.client("h2load", &["-n", "500", "-c", "4", "-m", "8", &url]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("500 succeeded, 0 failed"), "{told}");
    }

    /// Somebody comes, and is cut off.
    fn guest(&self) {
        let guest = format!("guest{}", self.guests.fetch_add(1, Ordering::Relaxed));
        let lease = self.island.enroll(self.product, &guest, &["web"]).remove(0);
        let mut inside = User::new(self.product, &lease, self.at(&lease).into()).connect().unwrap();
        inside.get("/", |_| {}).unwrap();
        let told = self.product.ops(&["user", "revoke", &guest, "--reason", "left"]);
        assert_eq!(told["closed_connections"], 1, "{told}");
        assert!(inside.get("/", |_| {}).is_err(), "who is revoked gets nothing more");
    }
}

/// Requests as bytes of a `tcp` service: on a connection that stays, and now and then on one of their own.
fn plain(at: Ipv6Addr, over: &Over) {
    let connect = || {
        let stream = TcpStream::connect_timeout(&(at, 80).into(), PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut kept = connect();
    while !over.is_said() {
        (0..10).for_each(|_| ask(&mut kept));
        ask(&mut connect());
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn ask(stream: &mut TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhello \n";
    stream.write_all(b"GET / HTTP/1.1\r\nHost: raw\r\n\r\n").unwrap();
    let mut answer = [0; ANSWER.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, ANSWER, "nobody's name comes by bytes alone");
}

fn datagrams(at: Ipv6Addr, over: &Over) -> Result<(), String> {
    let mut client = Numbered::to((at, ECHO).into());
    while !over.is_said() {
        client.exchange(1, 172)?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// They connect to live and dark addresses, talk nonsense, stay for a while, leave.
fn strangers(live: SocketAddr, over: &Over) {
    let dark = SocketAddr::new(DARK.parse().unwrap(), live.port());
    let mut kept = VecDeque::new();
    while !over.is_said() {
        for to in [live, dark] {
            if let Ok(mut stream) = TcpStream::connect_timeout(&to, PATIENCE) {
                drop(stream.write_all(b"GET / HTTP/1.1\r\n\r\n"));
                kept.push_back(stream);
            }
        }
        while kept.len() > STRANGERS {
            kept.pop_front();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
