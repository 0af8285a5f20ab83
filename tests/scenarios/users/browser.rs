//! A browser: a page that stays open while its private address moves.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tests::clients::{client, dig, python};
use tests::deployment::{config, enroll, free_port};
use tests::namespace::steady;
use tests::product::Process;

/// Longer than two windows.
const STAY_S: u32 = 45;

#[test]
fn a_page_with_a_web_socket_and_uploads_stays_open_in_chromium_while_its_address_moves_twice() {
    let by = |_: &str, _: u16| vec!["--disable-quic".into()];
    let visited = Visit { resolver: "127.84.53.53", by, stay_s: STAY_S, protocol: "h2" }.run();
    assert_eq!(visited.protocols(), ["h2"]);
    visited.stayed_whole();
}

#[test]
fn over_http_3_it_stays_open_just_the_same() {
    let by = |name: &str, port: u16| {
        // Without it Chromium opens WebSockets over TCP, whatever the page itself came by.
        let sockets = "--enable-features=EnableWebsocketsOverHttp3".into();
        vec![format!("--origin-to-force-quic-on={name}:{port}"), sockets]
    };
    let visited = Visit { resolver: "127.84.53.54", by, stay_s: STAY_S, protocol: "h3" }.run();
    assert_eq!(visited.protocols(), ["h3"]);
    visited.stayed_whole();
}

#[test]
fn chromium_comes_over_tcp_hears_of_http_3_and_goes_on_with_it() {
    // Alternatives are believed of roots that the whole world knows, but for hosts with which QUIC was forced, whatever
    // the port: this one is nobody's.
    let by = |name: &str, _: u16| vec![format!("--origin-to-force-quic-on={name}:9")];
    let visited = Visit { resolver: "127.84.53.55", by, stay_s: 1, protocol: "h3" }.run();
    assert_eq!(visited.protocols(), ["h2", "h3"]);
}

/// How a browser comes, for how long, and by which protocol it has to come at last.
struct Visit {
    /// A loopback address that nobody else has: browsers ask name servers on port 53 only.
    resolver: &'static str,
    /// Options of Chromium for a name and port.
    by: fn(&str, u16) -> Vec<String>,
    stay_s: u32,
    protocol: &'static str,
}

/// What two pages saw: one that stayed, one that came when the other had stayed.
struct Visited([Value; 2]);

impl Visit {
    fn run(self) -> Visited {
        let site = Site::start();
        let port = free_port();
        let product = Process::run(|dir| deployment(&config(dir, port, site.address), self.resolver));
        let lease = enroll(&product, "alice", "laptop");
        let name = lease["name"].as_str().unwrap().to_owned();
        let first = dig(&product, &name, "A");
        let key = key_of(&product, &first[0], port, &name);
        let (url, stay) = (format!("https://{name}:{port}/"), self.stay_s.to_string());
        let options = (self.by)(&name, port);
        let mut args = vec![&*url, self.resolver, &*stay, &*key, self.protocol];
        args.extend(options.iter().map(String::as_str));
        let seen = {
            let _networks = steady();
            python(include_str!("browser.py"), &args)
        };
        let pages = serde_json::from_str(&seen).unwrap_or_else(|e| panic!("{e}: {seen}"));
        assert!(self.stay_s < STAY_S || first != dig(&product, &name, "A"), "{seen}");
        Visited(pages)
    }
}

impl Visited {
    /// What the pages' requests went by.
    fn protocols(&self) -> Vec<&str> {
        let all = self
            .0
            .iter()
            .flat_map(|page| page["protocols"].as_object().unwrap_or_else(|| panic!("{page}")).keys());
        all.map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn stayed_whole(&self) {
        let [stayed, _] = &self.0;
        for page in &self.0 {
            assert_eq!(page["errors"], serde_json::json!([]), "{page}");
            assert_eq!(page["closed"], Value::Null, "the WebSocket stays open: {page}");
            assert!(
                page["echoes"].as_u64().unwrap() >= 1 && page["uploads"].as_u64().unwrap() >= 1,
                "{page}"
            );
        }
        assert!(stayed["echoes"].as_u64().unwrap() >= 20, "{stayed}");
        assert!(stayed["downloads"].as_u64().unwrap() >= 10, "{stayed}");
    }
}

/// The usual one, with a name server where a browser looks for it.
fn deployment(usual: &str, resolver: &str) -> String {
    let dns = usual.lines().skip_while(|line| *line != "[dns]").nth(1).unwrap();
    usual.replace(dns, &format!("listen = [\"{resolver}:53\"]"))
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
pub(crate) struct Site {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Site {
    pub(crate) fn start() -> Self {
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
