//! Whatever comes, on whichever listener: the protocol's own error or silence; nothing panics, memory stays.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use tests::clients::{address, curl, fetch};
use tests::deployment::{config, free_port};
use tests::product::{Process, verb};
use tests::tcp::{End, meet};

/// Growth of resident memory that a bounded burst of garbage may cause for good: buffers and pools, not leaks.
const GROWTH_KIB_MAX: u64 = 48 * 1024;

fn garbage() -> Vec<Vec<u8>> {
    let mut random = 7_u64;
    let mut noise = |len: usize| -> Vec<u8> {
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as u8
        };
        (0..len).map(|_| next()).collect()
    };
    let mut all: Vec<Vec<u8>> = [0, 1, 5, 100, 4096, 70_000].into_iter().map(&mut noise).collect();
    all.push(
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
            .to_vec(),
    );
    all.push(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
    all.push([b"GET /".to_vec(), vec![b'a'; 100_000], b" HTTP/1.1\r\n\r\n".to_vec()].concat());
    // A TLS record that announces more than it has, one of the greatest length, one that is no handshake.
    all.push(vec![0x16, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3]);
    all.push([vec![0x16, 3, 1, 0xff, 0xff], vec![0; 65_535]].concat());
    all.push(vec![0x17, 3, 3, 0, 1, 0]);
    // DNS over TCP: length zero, a length that never comes, compression that points at itself.
    all.push(vec![0, 0]);
    all.push(vec![0xff, 0xff, 1, 2, 3]);
    all.push([&[0, 18, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[0xc0, 12, 0, 1, 0, 1]].concat());
    all
}

#[test]
fn garbage_on_every_listener_gets_an_error_or_silence_and_the_process_stays_whole() {
    let mut product = Process::demo(&["--for", "200s"]);
    let lease = product.lease("alice").clone();
    let edge_port = u16::try_from(lease["port"].as_u64().unwrap()).unwrap();
    let live = address(&product, &lease);
    let hub = listener_of(&product, &[edge_port]);
    let mut targets: Vec<SocketAddr> = vec![
        (live, edge_port).into(),
        (IpAddr::from([127, 83, 9, 9]), edge_port).into(),
        product.text("/join/address").parse().unwrap(),
        product.text("/dns").parse().unwrap(),
        product.text("/ops/url").trim_start_matches("http://").trim_end_matches('/').parse().unwrap(),
    ];
    targets.extend(hub);
    assert!(targets.len() >= 6, "the fabric's port was found too: {targets:?}");
    let throw_all = || {
        std::thread::scope(|scope| {
            for target in &targets {
                scope.spawn(move || {
                    for bytes in garbage() {
                        let met = meet(*target, &bytes, Duration::from_millis(300));
                        assert_ne!(met.end, End::Refused, "{target} no longer listens");
                    }
                });
            }
        });
    };
    throw_all();
    std::thread::sleep(Duration::from_secs(6));
    let (rss, threads) = (product.rss_kib(), product.threads());
    for _ in 0..4 {
        throw_all();
    }
    datagrams(&product);
    std::thread::sleep(Duration::from_secs(6));
    assert!(product.is_alive());
    let log = product.log();
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(product.threads(), threads, "a thread was lost");
    let grown = product.rss_kib().saturating_sub(rss);
    assert!(grown < GROWTH_KIB_MAX, "resident memory grew by {grown} KiB");
    assert!(!fetch(&product, &lease, "/").is_empty());
}

/// The remaining TCP listeners of the process: the fabric's hub among them.
fn listener_of(product: &Process, but: &[u16]) -> Vec<SocketAddr> {
    let output = tests::clients::client("ss", "iproute2", &["-Hlntp"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let pid = format!("pid={},", product.pid());
    let named = [product.text("/join/address"), product.text("/dns"), product.text("/ops/url")].join(" ");
    let locals =
        text.lines().filter(|l| l.contains(&pid)).filter_map(|l| l.split_whitespace().nth(3)?.parse().ok());
    locals.filter(|a: &SocketAddr| !but.contains(&a.port()) && !named.contains(&a.to_string())).collect()
}

fn datagrams(product: &Process) {
    let dns: SocketAddr = product.text("/dns").parse().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; 65_535];
    for bytes in garbage().iter().filter(|bytes| bytes.len() < 60_000) {
        socket.send_to(bytes, dns).unwrap();
        if let Ok((n, _)) = socket.recv_from(&mut buffer) {
            assert!(n <= 512 && n <= bytes.len() + 64, "{n} bytes for a query of {}", bytes.len());
        }
    }
}

#[test]
fn requests_that_break_the_rules_get_the_protocols_own_error() {
    let product = demo_lease();
    let (product, lease) = (product.0, product.1);
    let at = address(product, &lease);
    let status = |more: &[&str]| {
        let all = [&["-o", "/dev/null", "-w", "%{http_code}"], more].concat();
        String::from_utf8(curl(product, &lease, at, "/", &all).stdout).unwrap()
    };
    let long = format!("X-Long: {}", "a".repeat(40_000));
    assert_eq!(status(&["--http1.1", "-H", &long]), "431");
    assert_eq!(status(&["-X", "TRACE"]), "405");
    assert_eq!(status(&["-H", "Host: another.wander.test"]), "421");
    assert_eq!(status(&["-H", "Host: example.org"]), "421");
    assert_eq!(status(&[]), "200");
}

fn demo_lease() -> (&'static Process, serde_json::Value) {
    let product = crate::demo();
    (product, product.lease("alice").clone())
}

#[test]
fn a_broken_configuration_exits_2_with_its_place_and_a_running_process_keeps_the_old_one() {
    let port = free_port();
    let mut product = Process::run(|dir| config(dir, port, "127.0.0.1:9".parse().unwrap()));
    let file = product.dir.path().join("wandergate.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("auth =", "auht =")).unwrap();
    let shown = file.display().to_string();
    let output = verb(&["check", &shown]);
    assert_eq!(output.status.code(), Some(2));
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(
        told.contains("wandergate.toml:16:1 W-1301") && told.contains("Did you mean \"auth\"?"),
        "{told}"
    );

    product.signal("-HUP");
    wait_for(|| product.log().contains("W-1301"));
    assert!(product.is_alive());
    assert_eq!(product.ops(&["service", "ls"])["services"].as_array().unwrap().len(), 1);

    let more = format!(
        "{good}\n[service.second]\nto = \"127.0.0.1:9\"\nlisten = [\"https/{port}\"]\nauth = \"name\"\n"
    );
    fs::write(&file, more).unwrap();
    product.signal("-HUP");
    wait_for(|| product.ops(&["service", "ls"])["services"].as_array().unwrap().len() == 2);
}

fn wait_for(mut holds: impl FnMut() -> bool) {
    for _ in 0..100 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it did not come about within 5 s");
}
