//! A fabric of several processes as it stands on several computers: an authority, a wiring, hubs, local hubs, an edge. Every
//! host has an address of its own on loopback.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::address;
use crate::deployment::free_port;
use crate::http::{Join, ops_at};
use crate::namespace::Namespace;
use crate::product::{Process, verb};
use crate::traffic::User;

/// How many of what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Planes and their instances.
    pub planes: Vec<(&'static str, usize)>,
    pub local_hubs: usize,
    /// Where the service `web` is; every local hub offers it.
    pub service: SocketAddr,
    /// This hub lives in a network namespace of its own, which can be cut off.
    pub apart: Option<&'static str>,
    /// A pool of IPv6 addresses instead of the usual one, as `2001:db8::/64`; they have to be routed here.
    pub v6: Option<&'static str>,
    /// What the service listens on besides its port for HTTP.
    pub entries: Vec<String>,
    /// Further lines of the edge's own section.
    pub edge: &'static str,
    /// Further sections of the edge's configuration.
    pub more: &'static str,
    /// Another build of the product, to be compared with the one under test.
    pub program: Option<PathBuf>,
}

/// The running whole. Its files go when it is dropped.
pub struct Fabric {
    pub hubs: BTreeMap<String, Process>,
    pub local_hubs: Vec<Process>,
    pub edge: Process,
    /// What alice was given.
    pub lease: Value,
    pub namespace: Option<Namespace>,
    files: Files,
}

/// Authority, wiring and credentials.
pub struct Files {
    folder: TempDir,
}

impl Plan {
    /// Three hubs on each plane, one local hub.
    pub fn whole(service: SocketAddr) -> Self {
        let planes = vec![("A", 3), ("B", 3)];
        let entries = Vec::new();
        Self {
            planes,
            local_hubs: 1,
            service,
            apart: None,
            v6: None,
            entries,
            edge: "",
            more: "",
            program: None,
        }
    }

    /// Starts a member by the build that is wanted.
    fn run(&self, namespace: Option<&Namespace>, text: impl FnOnce(&Path) -> String) -> Process {
        match &self.program {
            // The shell gives way to that build, and leaves out the one whose arguments these were.
            Some(other) => {
                let instead = format!("exec '{}' \"$@\"", other.display());
                Process::run_by(vec!["sh".into(), "-c".into(), instead], text)
            }
            None => Process::run_in(namespace, text),
        }
    }

    /// The edge's configuration with all that this plan adds to it.
    fn edge_text(&self, text: String) -> String {
        let entries: String = self.entries.iter().map(|entry| format!(", \"{entry}\"")).collect();
        let adapted = |line: &str| match (line, self.v6) {
            ("[edge]", _) => format!("{line}\n{}", self.edge),
            ("listen = [\"0.0.0.0\"]", Some(_)) => "listen = [\"::\"]\n".to_owned(),
            ("[pool.v4]", Some(range)) => format!("[pool.v6]\nrange = \"{range}\"\n"),
            ("range = \"127.84.0.0/16\"", Some(_)) => String::new(),
            _ if line.starts_with("listen = [\"https/") => {
                format!("{}{entries}]\n", line.trim_end_matches(']'))
            }
            _ => format!("{line}\n"),
        };
        text.lines().map(adapted).collect::<String>() + self.more
    }

    fn hub_names(&self) -> Vec<String> {
        let of =
            |(plane, count): &(&str, usize)| (1..=*count).map(|n| hub_name(plane, n)).collect::<Vec<_>>();
        self.planes.iter().flat_map(of).collect()
    }
}

fn hub_name(plane: &str, number: usize) -> String {
    format!("hub-{}{number}", plane.to_lowercase())
}

impl Files {
    /// Writes everything that members read, by the product's own verbs.
    pub fn write(plan: &Plan, namespace: Option<&Namespace>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Self { folder };
        std::fs::write(files.wiring(), wiring(plan, namespace)).unwrap();
        let (ca, wiring) = (files.path("fabric-ca.pem"), files.wiring().display().to_string());
        let out = files.folder.path().display().to_string();
        done(&["hub", "ca", &ca]);
        done(&["hub", "issue", "--ca", &ca, "--wiring", &wiring, "--out", &out]);
        files
    }

    pub fn wiring(&self) -> PathBuf {
        self.folder.path().join("wiring.toml")
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The configuration of a hub or local hub.
    pub fn member(&self, role: &str, name: &str, dir: &Path) -> String {
        let (dir, credentials) = (dir.display(), self.path(&format!("{name}.pem")));
        format!(
            "roles = [\"{role}\"]\n[fabric]\nwiring = \"{}\"\ncredentials = \"{credentials}\"\nname = \"{name}\"\nstate_dir = \"{dir}\"\n",
            self.wiring().display()
        )
    }
}

fn done(args: &[&str]) {
    let output = verb(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Fabric {
    pub fn start(plan: &Plan) -> Self {
        let namespace = plan.apart.map(|_| Namespace::new());
        let files = Files::write(plan, namespace.as_ref());
        let mut hubs = BTreeMap::new();
        for name in plan.hub_names() {
            let inside = namespace.as_ref().filter(|_| plan.apart == Some(name.as_str()));
            let process = plan.run(inside, |dir| files.member("hub", &name, dir));
            hubs.insert(name, process);
        }
        let local = |n| plan.run(None, |dir| files.member("local-hub", &format!("app{n}"), dir));
        let local_hubs = (1..=plan.local_hubs).map(local).collect();
        let port = free_port();
        let edge = plan.run(None, |dir| plan.edge_text(edge(&files, dir, port)));
        let mut fabric = Self { hubs, local_hubs, edge, lease: Value::Null, namespace, files };
        fabric.lease = fabric.enroll("alice");
        fabric.settle();
        fabric
    }

    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Invites and enrolls a user; gives what it was told.
    pub fn enroll(&self, user: &str) -> Value {
        let invite = self.edge.ops(&["user", "invite", user, "--service", "web"]);
        let body = json!({ "invite": invite["code"], "device": "laptop", "class": "name" });
        let (status, answer) = Join::of(&self.edge).ask("POST", "/j/v1/enroll", &body).unwrap();
        assert_eq!(status, 201, "{answer}");
        answer["services"][0].clone()
    }

    /// alice, at the address that she has now; windows are long here.
    pub fn user(&self) -> User {
        User::new(&self.edge, &self.lease, address(&self.edge, &self.lease))
    }

    /// Waits until every plane carries streams from the edge, and every local hub's offer is there.
    pub fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let told = self.member_status(&self.edge);
            let planes = told["fabric"]["planes"].as_array().unwrap();
            let edge = planes.iter().all(|plane| plane["state"] == "active");
            let offered = self.local_hubs.iter().all(|local| {
                let told = self.member_status(local);
                let planes = told["fabric"]["planes"].as_array().unwrap();
                planes.iter().all(|plane| plane["services"] == json!(["web"]))
            });
            if edge && offered && self.answers() {
                return;
            }
            assert!(Instant::now() < deadline, "the fabric does not come up: {told}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        self.user().request("/").is_ok()
    }

    /// What a process tells of itself, well or not.
    pub fn member_status(&self, process: &Process) -> Value {
        let socket = process.text("/ops/socket");
        ops_at(Path::new(&socket), "GET", "/v1/status", &Value::Null).unwrap().1
    }

    /// The instance of a plane that says that it is active; waits for one.
    pub fn active(&self, plane: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(name) = self.actives(plane).pop() {
                return name;
            }
            assert!(Instant::now() < deadline, "plane {plane} has no active hub");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every instance of a plane that answers and says that it is active.
    pub fn actives(&self, plane: &str) -> Vec<String> {
        let prefix = format!("hub-{}", plane.to_lowercase());
        let is_active = |process: &Process| {
            let socket = process.text("/ops/socket");
            let told = ops_at(Path::new(&socket), "GET", "/v1/status", &Value::Null);
            told.is_ok_and(|(_, told)| told["fabric"]["planes"][0]["state"] == "active")
        };
        let of_plane = self.hubs.iter().filter(|(name, _)| name.starts_with(&prefix));
        of_plane.filter(|(_, process)| is_active(process)).map(|(name, _)| name.clone()).collect()
    }

    pub fn standby(&self, plane: &str) -> String {
        let (active, prefix) = (self.active(plane), format!("hub-{}", plane.to_lowercase()));
        let other = |name: &&String| name.starts_with(&prefix) && **name != active;
        self.hubs.keys().find(other).expect("a standby").clone()
    }

    /// Every term of a plane and who says that it is active in it, as seen at this moment.
    pub fn terms(&self, plane: &str) -> Vec<(u64, String)> {
        let prefix = format!("hub-{}", plane.to_lowercase());
        let of_plane = self.hubs.iter().filter(|(name, _)| name.starts_with(&prefix));
        let term = |(name, process): (&String, &Process)| {
            let socket = process.text("/ops/socket");
            let (_, told) = ops_at(Path::new(&socket), "GET", "/v1/status", &Value::Null).ok()?;
            let plane = &told["fabric"]["planes"][0];
            (plane["state"] == "active").then(|| Some((plane["term"].as_u64()?, name.clone())))?
        };
        of_plane.filter_map(term).collect()
    }

    /// Starts a further member in a folder of its own, with a wiring of its own.
    pub fn member(&self, role: &str, name: &str, wiring: &Path) -> Process {
        let text = |dir: &Path| {
            let own = self.files.wiring().display().to_string();
            self.files.member(role, name, dir).replace(&own, &wiring.display().to_string())
        };
        Process::run(text)
    }

    pub fn kill(&mut self, hub: &str) {
        self.hubs.get_mut(hub).unwrap().kill();
    }

    pub fn restart(&mut self, hub: &str) {
        self.hubs.get_mut(hub).unwrap().restart();
    }
}

/// Every deployment has a /24 of loopback of its own.
fn network() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{}", 100 + std::process::id() % 100, number % 256)
}

fn wiring(plan: &Plan, namespace: Option<&Namespace>) -> String {
    let network = namespace.map_or_else(network, |namespace| namespace.network().to_owned());
    let [members, between] = [free_port(), free_port()];
    let mut text = String::new();
    let mut host = |name: &str, role: &str, number: usize| {
        let _ = writeln!(text, "[host.{name}]\naddresses = [\"{network}.{number}\"]\nroles = [\"{role}\"]\n");
    };
    for (i, name) in plan.hub_names().iter().enumerate() {
        let apart = plan.apart == Some(name.as_str());
        host(name, "hub", if apart { Namespace::INSIDE } else { 10 + i });
    }
    for n in 1..=plan.local_hubs {
        host(&format!("app{n}"), "local-hub", 50 + n);
    }
    host("fra1", "edge", 70);
    for (plane, count) in &plan.planes {
        for name in (1..=*count).map(|n| hub_name(plane, n)) {
            let _ = writeln!(
                text,
                "[plane.{plane}.hub.{name}]\nhost = \"{name}\"\nmembers = {members}\nbetween = {between}\n"
            );
        }
    }
    for n in 1..=plan.local_hubs {
        let _ = writeln!(
            text,
            "[local_hub.app{n}]\nhost = \"app{n}\"\n[local_hub.app{n}.service.web]\nservers = [\"{}\"]\n",
            plan.service
        );
        if !plan.entries.is_empty() {
            // Over TCP its own port is meant; over UDP nothing is, unless it is said.
            let _ = writeln!(text, "ports = [\"udp/{}\"]\n", plan.service.port());
        }
    }
    let _ = writeln!(text, "[edge.fra1]\nhost = \"fra1\"\nopens = [\"web\"]");
    text
}

/// The configuration of the edge; `port` is where users reach it.
pub fn edge(files: &Files, dir: &Path, port: u16) -> String {
    let [dns, join, ops] = std::array::from_fn(|_| free_port());
    let (wiring, dir) = (files.wiring(), dir.display());
    format!(
        r#"roles = ["edge", "dns", "register", "ops"]

[edge]
name = "fra1"
zone = "wander.test"
listen = ["0.0.0.0"]
device = "lo"

[pool.v4]
range = "127.84.0.0/16"

[service.web]
listen = ["https/{port}"]

[dns]
listen = ["127.0.0.1:{dns}"]

[join]
listen = "127.0.0.1:{join}"
address = "127.0.0.1"
rate = "100000/min"

[fabric]
wiring = "{wiring}"
credentials = "{credentials}"

[state]
dir = "{dir}"

[ops]
socket = "{dir}/ops.sock"
listen = "127.0.0.1:{ops}"
"#,
        wiring = wiring.display(),
        credentials = files.path("fra1.pem"),
    )
}
