//! The firewall that the wiring makes of a host, loaded in a network namespace and met with real sockets. Needs root.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tests::clients::client;
use tests::namespace::Namespace;
use tests::product::verb;

/// Accepts on each port of each address, answers each datagram, and says when it listens.
const LISTEN: &str = r"
import socket, sys, threading
def tcp(at):
    server = socket.create_server(at, backlog=16)
    def serve():
        while True:
            conn, _ = server.accept()
            conn.sendall(b'hello')
            conn.close()
    threading.Thread(target=serve, daemon=True).start()
def udp(at):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(at)
    def serve():
        while True:
            data, whom = sock.recvfrom(100)
            try:
                sock.sendto(b'hello', whom)
            except OSError:
                pass
    threading.Thread(target=serve, daemon=True).start()
for port in map(int, sys.argv[1].split(',')):
    for address in sys.argv[2].split(','):
        tcp((address, port))
        udp((address, port))
print('ready', flush=True)
sys.stdin.read()
";

/// Says whether the far side's hello arrived, over TCP or UDP.
const DIAL: &str = r"
import socket, sys
kind, source, to, port = sys.argv[1:5]
stream = kind == 'tcp'
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
sock.settimeout(0.8)
try:
    if source != '-':
        sock.bind((source, 0))
    sock.connect((to, int(port)))
    if not stream:
        sock.send(b'hi')
    print('yes' if sock.recv(100) == b'hello' else 'no')
except OSError as error:
    print('no', error)
";

/// Ports on which somebody listens on both sides.
const PORTS: &str = "2222,7000,7001,8053,8443,8587,9000";
/// Numbers of addresses around the host on which somebody listens.
const AROUND: [usize; 6] = [10, 11, 30, 50, 60, 61];

/// A host in a namespace, and everybody else around it, who have all other addresses of its network.
struct Scene {
    namespace: Namespace,
    _listeners: [Listener; 2],
    folder: TempDir,
}

/// Listens until it is dropped.
struct Listener(Child);

impl Listener {
    fn start(within: Option<&str>, addresses: &str) -> Self {
        let mut child = command(within, "python3", &["-c", LISTEN, PORTS, addresses])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "nobody listens in {within:?}");
        Self(child)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Scene {
    /// `None`, and a line that says so, where it cannot be built.
    #[expect(clippy::print_stdout, reason = "a test that could not run says so")]
    fn set() -> Option<Self> {
        let id = client("id", "coreutils", &["-u"]);
        if String::from_utf8_lossy(&id.stdout).trim() != "0" {
            println!("skipped: a network namespace needs root");
            return None;
        }
        let namespace = Namespace::new();
        let around = AROUND.map(|number| format!("{}.{number}", namespace.network()));
        let listeners =
            [Listener::start(Some(namespace.name()), "0.0.0.0"), Listener::start(None, &around.join(","))];
        Some(Self { namespace, _listeners: listeners, folder: tempfile::tempdir().unwrap() })
    }

    fn at(&self, number: usize) -> IpAddr {
        format!("{}.{number}", self.namespace.network()).parse().unwrap()
    }

    fn own(&self) -> IpAddr {
        self.at(Namespace::INSIDE)
    }

    /// Makes the rules of `host` and loads them within.
    fn load(&self, host: &str, wiring: &str) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let (wiring_file, rules_file) = (path("wiring.toml"), path("rules.nft"));
        std::fs::write(&wiring_file, wiring).unwrap();
        let made = verb(&["fabric", "rules", host, "--wiring", &wiring_file]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(&rules_file, &made.stdout).unwrap();
        let name = self.namespace.name();
        let loaded = client("ip", "iproute2", &["netns", "exec", name, "nft", "-f", &rules_file]);
        assert!(
            loaded.status.success(),
            "nft (apt-get install nftables): {}",
            String::from_utf8_lossy(&loaded.stderr)
        );
        let same = verb(&["fabric", "rules", host, "--wiring", &wiring_file, "--against", &rules_file]);
        assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stderr));
    }

    /// Whether the host within reaches somebody.
    fn out(&self, kind: &str, to: IpAddr, port: u16) -> bool {
        dial(Some(self.namespace.name()), kind, None, to, port)
    }

    /// Whether somebody, by the number of its address, reaches the host within.
    fn inward(&self, kind: &str, from: usize, port: u16) -> bool {
        dial(None, kind, Some(self.at(from)), self.own(), port)
    }
}

fn command(within: Option<&str>, program: &str, args: &[&str]) -> Command {
    let mut command = match within {
        Some(name) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name, program]);
            command
        }
        None => Command::new(program),
    };
    command.args(args);
    command
}

fn dial(within: Option<&str>, kind: &str, from: Option<IpAddr>, to: IpAddr, port: u16) -> bool {
    let from = from.map_or("-".to_owned(), |from| from.to_string());
    let args = ["-c", DIAL, kind, &from, &to.to_string(), &port.to_string()];
    let output = command(within, "python3", &args).output().expect("python3 starts");
    String::from_utf8_lossy(&output.stdout).starts_with("yes")
}

/// Hubs .10 and .11, a computer of services .30, an edge .50; the host within takes the place of one of them.
fn wiring(scene: &Scene, within: &str) -> String {
    let address = |name: &str, number| if name == within { scene.own() } else { scene.at(number) };
    let hosts = [("hub1", 10, "hub"), ("hub2", 11, "hub"), ("app1", 30, "local-hub"), ("edge1", 50, "edge")];
    let hosts: String = hosts
        .iter()
        .map(|(name, number, role)| {
            format!("[host.{name}]\naddresses = [\"{}\"]\nroles = [\"{role}\"]\n", address(name, *number))
        })
        .collect();
    format!(
        r#"{hosts}
[plane.A.hub.a1]
host = "hub1"
members = 7000
between = 7001
[plane.A.hub.a2]
host = "hub2"
members = 7000
between = 7001
[local_hub.app1]
host = "app1"
[local_hub.app1.service.web]
servers = ["127.0.0.1:9000"]
[edge.edge1]
host = "edge1"
opens = ["web"]
outside = {{ web = "8443/tcp", dns = "8053/tcp+udp" }}
[egress.mail]
edge = "edge1"
to = "{}:8587"
openers = ["local-hub/app1"]
"#,
        scene.at(60)
    )
}

#[test]
fn r0_17_an_inside_host_reaches_the_hubs_ports_and_nothing_else_in_either_direction() {
    let Some(scene) = Scene::set() else { return };
    // Without the rules everything passes, so that what fails below fails by them.
    for port in [7000, 7001, 2222] {
        assert!(scene.out("tcp", scene.at(10), port) && scene.inward("tcp", 10, port), "{port}");
    }
    assert!(scene.out("udp", scene.at(10), 8053) && scene.inward("udp", 10, 9000));

    scene.load("app1", &wiring(&scene, "app1"));
    assert!(scene.out("tcp", scene.at(10), 7000) && scene.out("tcp", scene.at(11), 7000));
    for (kind, to, port) in [
        ("tcp", 10, 7001),
        ("tcp", 10, 2222),
        ("tcp", 10, 8443),
        ("tcp", 30, 7000),
        ("tcp", 50, 8443),
        ("tcp", 60, 8587),
        ("udp", 10, 7000),
        ("udp", 10, 8053),
    ] {
        assert!(!scene.out(kind, scene.at(to), port), "out to {to}:{port}/{kind}");
    }
    for (kind, from, port) in [
        ("tcp", 10, 7000),
        ("tcp", 10, 9000),
        ("tcp", 50, 9000),
        ("tcp", 60, 2222),
        ("udp", 10, 9000),
        ("udp", 60, 8053),
    ] {
        assert!(!scene.inward(kind, from, port), "in from {from} to {port}/{kind}");
    }
    let loopback = IpAddr::from([127, 0, 0, 1]);
    assert!(scene.out("tcp", loopback, 9000), "a service is reached on loopback");
}

#[test]
fn r0_11_a_hub_accepts_members_and_hubs_each_on_their_port_and_dials_hubs_alone() {
    let Some(scene) = Scene::set() else { return };
    scene.load("hub1", &wiring(&scene, "hub1"));
    for (from, port, passes) in [
        (30, 7000, true),
        (50, 7000, true),
        (11, 7001, true),
        (11, 7000, false),
        (30, 7001, false),
        (60, 7000, false),
        (60, 7001, false),
        (30, 2222, false),
    ] {
        assert_eq!(scene.inward("tcp", from, port), passes, "from {from} to {port}");
    }
    assert!(scene.out("tcp", scene.at(11), 7001));
    for (to, port) in [(11, 7000), (30, 9000), (50, 8443), (60, 8587)] {
        assert!(!scene.out("tcp", scene.at(to), port), "out to {to}:{port}");
    }
}

#[test]
fn r0_18_an_edge_accepts_its_functions_from_anybody_and_leaves_by_hubs_and_egress_alone() {
    let Some(scene) = Scene::set() else { return };
    scene.load("edge1", &wiring(&scene, "edge1"));
    for (kind, port, passes) in [
        ("tcp", 8443, true),
        ("tcp", 8053, true),
        ("udp", 8053, true),
        ("udp", 8443, false),
        ("tcp", 2222, false),
        ("tcp", 7000, false),
    ] {
        assert_eq!(scene.inward(kind, 77, port), passes, "{port}/{kind}");
    }
    assert!(scene.out("tcp", scene.at(10), 7000) && scene.out("tcp", scene.at(60), 8587));
    for (kind, to, port) in
        [("tcp", 10, 7001), ("tcp", 61, 8587), ("tcp", 60, 8443), ("tcp", 30, 9000), ("udp", 60, 8053)]
    {
        assert!(!scene.out(kind, scene.at(to), port), "out to {to}:{port}/{kind}");
    }
}
