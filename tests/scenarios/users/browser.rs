//! A browser: a page that stays open while its private address moves.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tests::clients::{client, dig, python};
use tests::deployment::{config, enroll, free_port};
use tests::product::Process;

/// Nobody else has this one of loopback's addresses: browsers ask name servers on port 53 only.
const RESOLVER: &str = "127.84.53.53";
/// Longer than two windows.
const STAY_S: u32 = 45;

#[test]
fn a_page_with_a_web_socket_and_uploads_stays_open_in_chromium_while_its_address_moves_twice() {
    let site = Site::start();
    let port = free_port();
    let product = Process::run(|dir| deployment(&config(dir, port, site.address)));
    let lease = enroll(&product, "alice", "laptop");
    let name = lease["name"].as_str().unwrap().to_owned();
    let first = dig(&product, &name, "A");
    let key = key_of(&product, &first[0], port, &name);
    let url = format!("https://{name}:{port}/");
    let seen = python(include_str!("browser.py"), &[&url, RESOLVER, &STAY_S.to_string(), &key]);
    let [stayed, newcomer]: [Value; 2] =
        serde_json::from_str(&seen).unwrap_or_else(|e| panic!("{e}: {seen}"));
    assert_ne!(first, dig(&product, &name, "A"), "{seen}");
    for page in [&stayed, &newcomer] {
        assert_eq!(page["errors"], serde_json::json!([]), "{page}");
        assert_eq!(page["closed"], Value::Null, "the WebSocket stays open: {page}");
        assert!(page["echoes"].as_u64().unwrap() >= 1 && page["uploads"].as_u64().unwrap() >= 1, "{page}");
    }
    assert!(stayed["echoes"].as_u64().unwrap() >= 20, "{stayed}");
    assert!(stayed["downloads"].as_u64().unwrap() >= 10, "{stayed}");
    let protocols = stayed["protocols"].as_object().unwrap();
    assert!(protocols.keys().all(|p| p == "h2"), "{protocols:?}");
}

/// The usual one, with a name server where a browser looks for it.
fn deployment(usual: &str) -> String {
    let dns = usual.lines().skip_while(|line| *line != "[dns]").nth(1).unwrap();
    usual.replace(dns, &format!("listen = [\"{RESOLVER}:53\"]"))
}

/// What Chromium is to believe in: the SHA-256 of the public key of whoever answers there.
fn key_of(product: &Process, address: &str, port: u16, name: &str) -> String {
    let script = format!(
        "openssl s_client -connect {address}:{port} -servername {name} -CAfile {} </dev/null 2>/dev/null \
         | openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64",
        product.text("/ca_file")
    );
    let output = client("bash", "bash", &["-c", &script]);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A site of aiohttp. Ends with its guard.
struct Site {
    process: Child,
    address: SocketAddr,
}

impl Site {
    fn start() -> Self {
        let python = std::env::var("WANDERGATE_PYTHON").unwrap_or_else(|_| "python3".into());
        let mut command = Command::new(python);
        command.args(["-c", include_str!("site.py")]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python3 starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("aiohttp is there: pip install aiohttp");
        Self { process, address: ([127, 0, 0, 1], port).into() }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
