//! Everything at once for a while: nothing grows. `WANDERGATE_SOAK=60m` asks for longer than the ordinary suite does.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::clients::{address, client};
use tests::deployment::{config, free_port};
use tests::http::{Join, ops};
use tests::product::Process;
use tests::service::Hello;
use tests::traffic::User;

/// How long, where nobody asks for longer.
const ORDINARY: Duration = Duration::from_secs(20);
/// What the allocator may keep of a busy moment, and by how much more a long run may exceed a short one: bytes and share.
const SLACK_BYTES: u64 = 24 << 20;
const SLACK_SHARE: f64 = 1.15;

/// What must not grow.
#[derive(Clone, Copy, Debug)]
struct Size {
    resident: u64,
    descriptors: u64,
    tasks: u64,
    threads: u64,
}

fn span() -> Duration {
    let Ok(text) = std::env::var("WANDERGATE_SOAK") else { return ORDINARY };
    let (digits, unit) = text.split_at(text.len() - 1);
    let scale = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => panic!("WANDERGATE_SOAK is a number and s, m or h: {text}"),
    };
    Duration::from_secs(digits.parse::<u64>().expect("a number") * scale)
}

fn size(product: &Process) -> Size {
    let (_, told) = ops(product, "GET", "/v1/status", &Value::Null).unwrap();
    let of = |key: &str| told["process"][key].as_u64().unwrap_or_else(|| panic!("{key}: {told}"));
    Size {
        resident: of("resident_bytes"),
        descriptors: of("descriptors"),
        tasks: of("tasks"),
        threads: of("threads"),
    }
}

/// The size once everybody has left: waits until tasks and descriptors no longer fall.
fn settled(product: &Process) -> Size {
    let mut last = size(product);
    for _ in 0..40 {
        std::thread::sleep(Duration::from_millis(500));
        let now = size(product);
        if now.tasks >= last.tasks && now.descriptors >= last.descriptors {
            return now;
        }
        last = now;
    }
    last
}

#[test]
fn under_mixed_load_across_rotations_and_reloads_nothing_grows() {
    let (service, port) = (Hello::start(), free_port());
    let to = service.address();
    let product = Process::run(|dir| config(dir, port, to));
    let lease = enroll(&product);
    // As long as a first round lasts, memory may find its size.
    let warm = span() / 3;
    let errors = round(&product, &lease, warm);
    let before = settled(&product);
    let more = round(&product, &lease, span() - warm);
    let after = settled(&product);
    println!("before {before:?}\nafter  {after:?}\nfailed {errors} and {more}");
    assert_eq!(errors + more, 0, "requests failed; the log:\n{}", product.log());
    assert!(after.tasks <= before.tasks + 8, "tasks: {before:?}, then {after:?}");
    assert!(after.descriptors <= before.descriptors + 8, "descriptors: {before:?}, then {after:?}");
    assert!(after.threads <= before.threads + 2, "threads: {before:?}, then {after:?}");
    let most = (before.resident as f64 * SLACK_SHARE) as u64 + SLACK_BYTES;
    assert!(after.resident <= most, "memory: {before:?}, then {after:?}");
}

/// Users, strangers and an operator, all at once; how many users' requests failed.
fn round(product: &Process, lease: &Value, lasts: Duration) -> usize {
    let stop = Arc::new(AtomicBool::new(false));
    let stranger = strangers(product, lease, Arc::clone(&stop));
    let ends = Instant::now() + lasts;
    let mut failed = 0;
    while Instant::now() < ends {
        // The address of now: windows turn meanwhile.
        let at = address(product, lease);
        let (user, begun) = (User::new(product, lease, at), Instant::now());
        let traffic = user.ask_on(2);
        failed += usize::from(!h2(product, lease, SocketAddr::new(at, user.address().port())));
        let slow = user.request("/slow").is_ok();
        product.signal("-HUP");
        let met = traffic.finish().since(begun);
        if met.failed > 0 || !slow {
            println!("{met}; slow {slow}");
        }
        failed += met.failed + usize::from(!slow);
    }
    stop.store(true, Ordering::Relaxed);
    stranger.join().unwrap();
    failed
}

/// Many streams on few connections.
fn h2(product: &Process, lease: &Value, at: SocketAddr) -> bool {
    let url = format!("https://{}:{}/", lease["name"].as_str().unwrap(), lease["port"]);
    let to = format!("--connect-to={at}");
    let told = client("h2load", "nghttp2-client", &["-n", "500", "-c", "4", "-m", "8", &to, &url]);
    assert!(product.is_running());
    String::from_utf8_lossy(&told.stdout).contains("500 succeeded, 0 failed")
}

/// They connect to live and dark addresses, say nothing or nonsense, stay or leave.
fn strangers(product: &Process, lease: &Value, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let live =
        SocketAddr::new(address(product, lease), u16::try_from(lease["port"].as_u64().unwrap()).unwrap());
    let dark = SocketAddr::new([127, 84, 255, 254].into(), live.port());
    std::thread::spawn(move || {
        let mut kept = std::collections::VecDeque::new();
        while !stop.load(Ordering::Relaxed) {
            for to in [live, dark] {
                if let Ok(mut stream) = TcpStream::connect(to) {
                    let _ = std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n");
                    kept.push_back(stream);
                }
            }
            while kept.len() > 50 {
                kept.pop_front();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    })
}

fn enroll(product: &Process) -> Value {
    let invite = product.ops(&["user", "invite", "alice", "--service", "web"]);
    let body = json!({ "invite": invite["code"], "device": "laptop", "class": "name" });
    let (status, answer) = Join::of(product).ask("POST", "/j/v1/enroll", &body).unwrap();
    assert_eq!(status, 201, "{answer}");
    answer["services"][0].clone()
}
