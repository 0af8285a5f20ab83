//! The life of the process: it drains, is replaced, reads its files again, and runs out of descriptors; users do not notice.

mod replaced;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::clients::address;
use tests::deployment::{config, enroll, free_port};
use tests::http::{ops, ops_at};
use tests::product::Process;
use tests::service::Hello;
use tests::traffic::{Connection, User};

/// A deployment with one user.
struct House {
    product: Process,
    lease: Value,
    _service: Hello,
}

impl House {
    fn new(more: &str) -> Self {
        Self::by(&[], more)
    }

    /// `more` stands in the section `[edge]`.
    fn by(within: &[&str], more: &str) -> Self {
        let (service, port) = (Hello::start(), free_port());
        let to = service.address();
        let text = |dir: &Path| {
            // Addresses that outlast the test: what is tested here is not rotation.
            let calm = config(dir, port, to).replace("window = \"20s\"", "window = \"10m\"");
            calm.replace("[edge]\n", &format!("[edge]\n{more}\n"))
        };
        let product = Process::run_by(within.iter().map(|word| (*word).to_owned()).collect(), text);
        let lease = enroll(&product, "alice", "laptop");
        Self { product, lease, _service: service }
    }

    fn user(&self) -> User {
        User::new(&self.product, &self.lease, self.at())
    }

    fn at(&self) -> IpAddr {
        address(&self.product, &self.lease)
    }

    fn is_ready(&self) -> bool {
        ops(&self.product, "GET", "/v1/health/ready", &Value::Null).unwrap().0 == 200
    }

    fn config_file(&self) -> std::path::PathBuf {
        self.product.dir.path().join("wandergate.toml")
    }

    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{what}: never; the log:\n{}", self.product.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A download of some seconds, begun when this returns.
fn download(user: &User) -> JoinHandle<std::io::Result<usize>> {
    let mut connection = user.connect().unwrap();
    let (begun, wait) = std::sync::mpsc::channel();
    let running = std::thread::spawn(move || {
        let mut bytes = 0;
        connection.get("/slow", |some| {
            bytes += some.len();
            let _ = begun.send(());
        })?;
        Ok(bytes)
    });
    wait.recv_timeout(Duration::from_secs(20)).expect("the download begins");
    running
}

#[test]
fn no_request_is_lost_while_the_process_is_replaced_twice_amid_traffic() {
    let mut house = House::new("");
    let begun = Instant::now();
    let traffic = house.user().ask_on(4);
    std::thread::sleep(Duration::from_millis(300));
    let download = download(&house.user());
    let first = house.product.pid();
    house.product.upgrade();
    std::thread::sleep(Duration::from_millis(500));
    house.product.upgrade();
    assert_ne!(house.product.pid(), first);
    assert_eq!(download.join().unwrap().unwrap(), 50, "what was under way ended whole");
    assert_eq!(
        house.product.wait(Duration::from_secs(60)),
        Some(0),
        "the first one has left, and cut nobody"
    );
    let met = traffic.finish().since(begun);
    assert!(met.requests > 100, "{met}");
    assert_eq!(met.failed, 0, "{met}");
    assert!(house.is_ready());
    // The store went along: what changes now is on disk.
    enroll(&house.product, "bob", "laptop");
    let chain = house.product.ops(&["audit", "verify"]);
    assert_eq!(chain["ok"], true, "{chain}");
}

#[test]
fn a_successor_that_cannot_start_leaves_the_old_one_in_force_and_says_why() {
    let house = House::new("");
    let good = std::fs::read_to_string(house.config_file()).unwrap();
    let dir = house.product.dir.path();
    std::fs::write(dir.join("bad.pem"), "no certificate").unwrap();
    let pem = dir.join("bad.pem").display().to_string();
    // The first is found before the store changes hands, the second after.
    let broken = [
        (good.replace("[edge]\n", "[edge]\nnonsense = 1\n"), "ended before it was ready"),
        (format!("{good}\n[tls]\ncert = \"{pem}\"\nkey = \"{pem}\"\n"), "certificate"),
    ];
    for (number, (text, why)) in broken.iter().enumerate() {
        std::fs::write(house.config_file(), text).unwrap();
        house.product.signal("-USR2");
        house.until("the failure is told", |house| {
            house.product.log().matches("edge.upgrade_failed").count() > number
        });
        let log = house.product.log();
        let told = log.lines().rfind(|line| line.contains("edge.upgrade_failed")).unwrap();
        assert!(told.contains(why), "{told}");
        assert!(house.is_ready(), "it serves on");
        assert!(house.user().request("/").is_ok());
        enroll(&house.product, &format!("user{number}"), "laptop");
    }
}

#[test]
fn a_user_who_is_revoked_at_the_successor_is_cut_off_from_the_predecessor_too() {
    let mut house = House::new("drain_max = \"5m\"");
    let download = download(&house.user());
    house.product.upgrade();
    assert!(!download.is_finished(), "it is under way at the old process");
    house.product.ops(&["user", "revoke", "alice", "--reason", "left"]);
    assert!(download.join().unwrap().is_err(), "the connection was closed");
}

#[test]
fn told_to_stop_readiness_goes_at_once_and_newcomers_are_served_until_the_pause_is_over() {
    let mut house = House::new("drain_pause = \"4s\"");
    assert!(house.is_ready());
    let user = house.user();
    house.product.signal("-TERM");
    house.until("not ready", |house| !house.is_ready());
    let (_, told) = ops(&house.product, "GET", "/v1/status", &Value::Null).unwrap();
    assert_eq!(told["edge"]["draining"], true, "{told}");
    assert!(told["health"]["wrong"][0].as_str().unwrap().contains("told to stop"), "{told}");
    assert!(user.request("/").is_ok(), "a balancer that has not seen it yet sends somebody");
    assert_eq!(house.product.wait(Duration::from_secs(60)), Some(0));
    assert!(user.request("/").is_err());
}

#[test]
fn who_stays_beyond_the_drains_limit_is_cut_and_the_exit_code_says_so() {
    let mut house = House::new("drain_max = \"1s\"");
    let download = download(&house.user());
    house.product.signal("-TERM");
    assert_eq!(house.product.wait(Duration::from_secs(60)), Some(3));
    assert!(download.join().unwrap().is_err());
}

#[test]
fn a_second_word_to_stop_waits_for_nobody() {
    let mut house = House::new("drain_max = \"10m\"");
    let _download = download(&house.user());
    house.product.signal("-TERM");
    house.until("it drains", |house| house.product.log().contains("edge.drain.begin"));
    house.until("it is gone", |house| {
        house.product.signal_if_alive("-TERM");
        std::thread::sleep(Duration::from_millis(100));
        !house.product.is_running()
    });
    assert_eq!(house.product.wait(Duration::from_secs(10)), Some(3));
}

#[test]
fn a_request_under_way_and_a_connection_that_idles_end_well_in_a_drain() {
    let mut house = House::new("");
    let user = house.user();
    let download = download(&user);
    let mut idle = user.connect().unwrap();
    idle.get("/", |_| {}).unwrap();
    house.product.signal("-TERM");
    house.until("it drains", |house| house.product.log().contains("edge.drain.begin"));
    let deadline = Instant::now() + Duration::from_secs(4);
    while !idle.is_last {
        idle.get("/", |_| {})
            .expect("whoever asks finds nobody gone, until it was told that this is the last answer");
        assert!(Instant::now() < deadline, "it is told in time");
    }
    assert_eq!(download.join().unwrap().unwrap(), 50);
    assert_eq!(house.product.wait(Duration::from_secs(60)), Some(0));
}

#[test]
fn strangers_who_use_up_descriptors_take_none_of_operators_nor_of_users_who_are_in() {
    let house = House::by(&["prlimit", "--nofile=512:512"], "");
    let talking = Talking::begin(house.user().connect().unwrap());
    let told = house.product.ops(&["status"]);
    assert_eq!(told["process"]["descriptors_max"], 512, "{told}");
    let notices = told["health"]["notices"].to_string();
    assert!(notices.contains("LimitNOFILE"), "whoever runs it so is told: {notices}");
    let at = SocketAddr::new(house.at(), house.user().address().port());
    let mut strangers = Vec::new();
    for round in 0..3 {
        // All that the kernel takes: at the edge, at the name server, and at the public door.
        let dns: SocketAddr = house.product.text("/dns").parse().unwrap();
        let join: SocketAddr = house.product.text("/join/address").parse().unwrap();
        for to in [at, dns, join] {
            strangers.extend(
                (0..400).map_while(|_| TcpStream::connect_timeout(&to, Duration::from_millis(500)).ok()),
            );
        }
        let (status, told) = ops(&house.product, "GET", "/v1/status", &Value::Null).unwrap();
        assert_eq!(status, 200, "round {round}: {told}");
        let open = told["process"]["descriptors"].as_u64().unwrap();
        assert!(open < 512, "round {round}: {open} descriptors");
    }
    assert!(talking.end().expect("a user was cut off") > 3);
    drop(strangers);
    house.until("newcomers are let in again", |house| house.user().request("/").is_ok());
}

/// A user who says something all the time: under pressure an edge parts from those who do not.
struct Talking {
    is_over: Arc<AtomicBool>,
    talk: JoinHandle<std::io::Result<usize>>,
}

impl Talking {
    fn begin(mut connection: Connection) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let seen = Arc::clone(&is_over);
        let talk = std::thread::spawn(move || {
            let mut count = 0;
            while !seen.load(Ordering::Relaxed) {
                connection.get("/", |_| {})?;
                count += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(count)
        });
        Self { is_over, talk }
    }

    /// How many answers it had, or why it had no more.
    fn end(self) -> std::io::Result<usize> {
        self.is_over.store(true, Ordering::Relaxed);
        self.talk.join().unwrap()
    }
}

#[test]
fn a_certificate_is_swapped_without_a_lost_request_and_a_pair_that_does_not_match_is_refused() {
    let house = House::new("");
    let dir = house.product.dir.path();
    let [ours, other] = [pair(), pair()];
    let (cert, key) = (dir.join("own.pem"), dir.join("own.key"));
    let write = |cert_pem: &str, key_pem: &str| {
        std::fs::write(&cert, cert_pem).unwrap();
        std::fs::write(&key, key_pem).unwrap();
    };
    let first = std::fs::read_to_string(house.product.text("/ca_file")).unwrap();
    let begun = Instant::now();
    // They connect anew for every tenth request, and would believe either.
    let traffic = house.user().trusting(&[&first, &ours.0]).ask_on(2);
    let text = std::fs::read_to_string(house.config_file()).unwrap();
    let files = format!("{text}\n[tls]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display());
    let mut kept = house.user().connect().unwrap();
    kept.get("/", |_| {}).unwrap();
    // A key of somebody else: refused, and the old certificate stays.
    write(&ours.0, &other.1);
    std::fs::write(house.config_file(), files).unwrap();
    house.product.signal("-HUP");
    house.until("it is refused", |house| house.product.log().contains("config.reject"));
    assert!(house.product.log().contains("do not belong together"), "{}", house.product.log());
    assert!(house.user().request("/").is_ok(), "the old one is in force");
    // The right one: newcomers see it, who is in stays in.
    write(&ours.0, &ours.1);
    house.product.signal("-HUP");
    house.until("it is taken", |house| house.user().request("/").is_err());
    let trusting = house.user().trusting(&[&ours.0]);
    assert!(trusting.request("/").is_ok(), "the new certificate is shown");
    kept.get("/", |_| {}).expect("an old connection goes on");
    let met = traffic.finish().since(begun);
    assert!(met.requests > 0 && met.failed == 0, "{met}");
}

/// Certificate and key for every name of the zone.
fn pair() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["*.wander.test".to_owned()];
    let cert = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    (cert.pem(), key.serialize_pem())
}

#[test]
fn the_log_level_changes_with_a_reload_and_a_broken_file_changes_nothing() {
    let house = House::new("");
    let text = std::fs::read_to_string(house.config_file()).unwrap();
    std::fs::write(house.config_file(), format!("{text}\n[log]\nlevel = \"debug\"\n")).unwrap();
    house.product.signal("-HUP");
    house.until("it speaks of what it is asked", |house| {
        house.is_ready();
        house.product.log().contains("ops.request")
    });
    std::fs::write(house.config_file(), text.replace("[pool.v4]", "[pol.v4]")).unwrap();
    house.product.signal("-HUP");
    house.until("it is refused", |house| house.product.log().contains("config.reject"));
    assert!(house.user().request("/").is_ok());
}

#[test]
fn operators_are_answered_while_the_edge_still_waits_for_its_hubs() {
    let service = Hello::start();
    let plan = tests::fabric::Plan::whole(service.address());
    let files = tests::fabric::Files::write(&plan, None);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wandergate.toml");
    std::fs::write(&file, tests::fabric::edge(&files, dir.path(), free_port())).unwrap();
    let ready = dir.path().join("ready.json");
    let mut process = std::process::Command::new(tests::product::binary())
        .args(["run", "--config", &file.display().to_string(), "--ready-file", &ready.display().to_string()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let socket = dir.path().join("ops.sock");
    let deadline = Instant::now() + Duration::from_secs(60);
    let told = loop {
        assert!(Instant::now() < deadline, "nobody answers");
        if let Ok((200, told)) = ops_at(&socket, "GET", "/v1/status", &Value::Null) {
            break told;
        }
        assert!(!ready.exists(), "it was ready before operators were answered");
        std::thread::sleep(Duration::from_millis(10));
    };
    let wrong = told["health"]["wrong"].to_string();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(wrong.contains("No plane of the fabric"), "{told}");
}
