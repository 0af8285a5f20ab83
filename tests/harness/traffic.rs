//! A user's requests through the edge, one after another and beside each other, while something is done to the inside.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;

use crate::product::Process;

/// How long one request may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between requests of one thread.
const PAUSE: Duration = Duration::from_millis(2);

/// Somebody with a private name, and where it is now.
#[derive(Clone)]
pub struct User {
    tls: Arc<ClientConfig>,
    name: String,
    at: SocketAddr,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub begun: Instant,
    pub took: Duration,
    pub error: Option<String>,
}

/// Requests under way.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Outcome>>>,
}

/// What came of them, in order.
pub struct Record(Vec<Outcome>);

/// What somebody who asked all the time met after a moment.
#[derive(Clone, Debug)]
pub struct Window {
    pub requests: usize,
    pub failed: usize,
    /// From the moment until the last request that failed had failed; nothing if none did.
    pub failing_for: Duration,
    /// The longest that a request took.
    pub slowest: Duration,
    /// What the failures said, each once.
    pub errors: Vec<String>,
}

impl User {
    pub fn new(product: &Process, lease: &Value, at: IpAddr) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(product.text("/ca_file")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let tls = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let port = u16::try_from(lease["port"].as_u64().unwrap()).unwrap();
        Self {
            tls: Arc::new(tls.with_no_client_auth()),
            name: lease["name"].as_str().unwrap().to_owned(),
            at: (at, port).into(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// The same, who believes these certificates and no others.
    pub fn trusting(&self, pems: &[&str]) -> Self {
        let mut roots = RootCertStore::empty();
        for pem in pems {
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let tls = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        Self { tls: Arc::new(tls.with_no_client_auth()), ..self.clone() }
    }

    /// A connection to the edge, for requests one after another.
    pub fn connect(&self) -> io::Result<Connection> {
        let tcp = TcpStream::connect_timeout(&self.at, PATIENCE)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(self.name.clone()).unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        let host = format!("{}:{}", self.name, self.at.port());
        Ok(Connection { stream: StreamOwned::new(tls, tcp), host, rest: Vec::new(), is_last: false })
    }

    /// One request on a connection of its own.
    pub fn request(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut connection = self.connect()?;
        let mut body = Vec::new();
        connection.get(path, |bytes| body.extend_from_slice(bytes))?;
        Ok(body)
    }

    /// Asks again and again in `threads` threads until [`Traffic::finish`].
    pub fn ask_on(&self, threads: usize) -> Traffic {
        let stop = Arc::new(AtomicBool::new(false));
        let one = |_| {
            let (user, stop) = (self.clone(), Arc::clone(&stop));
            std::thread::spawn(move || user.ask_until(&stop))
        };
        Traffic { threads: (0..threads).map(one).collect(), stop }
    }

    fn ask_until(&self, stop: &AtomicBool) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut connection = None;
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let asked = self.ask(&mut connection, outcomes.len());
            let error = asked.err().map(|error| error.to_string());
            outcomes.push(Outcome { begun, took: begun.elapsed(), error });
            std::thread::sleep(PAUSE);
        }
        outcomes
    }

    /// Connections are kept for ten requests; one that failed, or whose answer said that it is the last, is not used again.
    fn ask(&self, kept: &mut Option<Connection>, number: usize) -> io::Result<()> {
        let mut connection = match kept.take().filter(|_| !number.is_multiple_of(10)) {
            Some(connection) => connection,
            None => self.connect()?,
        };
        connection.get("/", |_| {})?;
        *kept = Some(connection).filter(|connection| !connection.is_last);
        Ok(())
    }
}

/// HTTP/1.1 over TLS, kept open.
pub struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    host: String,
    rest: Vec<u8>,
    /// The last answer said that it is the last.
    pub is_last: bool,
}

impl Connection {
    /// A GET whose answer has to be 200 with a length, read to its last byte.
    ///
    /// # Errors
    /// Whatever else came, or nothing in time.
    pub fn get(&mut self, path: &str, mut body: impl FnMut(&[u8])) -> io::Result<()> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.write_all(head.as_bytes())?;
        self.stream.flush()?;
        let head = self.head()?;
        self.is_last = head.to_ascii_lowercase().contains("\r\nconnection: close\r\n");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().ok())?
        });
        let mut left = length.ok_or_else(|| odd(&head))?;
        if !head.starts_with("HTTP/1.1 200") {
            let text = self.text(left)?;
            return Err(odd(&format!("{}: {text}", head.lines().next().unwrap_or_default())));
        }
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let count = self.read(&mut buffer)?;
            let count = usize::try_from(left).map_or(count, |left| left.min(count));
            if count == 0 {
                return Err(odd(&format!("{left} bytes are missing")));
            }
            body(&buffer[..count]);
            left -= count as u64;
        }
        Ok(())
    }

    fn head(&mut self) -> io::Result<String> {
        let mut seen = std::mem::take(&mut self.rest);
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                self.rest = seen.split_off(end + 4);
                return Ok(String::from_utf8_lossy(&seen).into_owned());
            }
            match self.stream.read(&mut buffer)? {
                0 => return Err(odd("closed before an answer")),
                count => seen.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            return self.stream.read(buffer);
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }

    fn text(&mut self, length: u64) -> io::Result<String> {
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while (text.len() as u64) < length {
            match self.read(&mut buffer)? {
                0 => break,
                count => text.extend_from_slice(&buffer[..count]),
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

impl Traffic {
    pub fn finish(self) -> Record {
        self.stop.store(true, Ordering::Relaxed);
        let threads = self.threads.into_iter().map(|thread| thread.join().unwrap());
        let mut outcomes: Vec<Outcome> = threads.flatten().collect();
        outcomes.sort_by_key(|outcome| outcome.begun);
        Record(outcomes)
    }
}

impl Record {
    /// What somebody met whose request was under way at `moment`, or began after it.
    pub fn since(&self, moment: Instant) -> Window {
        let met: Vec<&Outcome> = self.0.iter().filter(|one| one.begun + one.took >= moment).collect();
        let failures = || met.iter().filter(|one| one.error.is_some());
        let mut errors: Vec<String> = failures().filter_map(|one| one.error.clone()).collect();
        errors.sort();
        errors.dedup();
        let failing_for = failures().map(|one| (one.begun + one.took).duration_since(moment)).max();
        Window {
            requests: met.len(),
            failed: failures().count(),
            failing_for: failing_for.unwrap_or_default(),
            slowest: met.iter().map(|one| one.took).max().unwrap_or_default(),
            errors,
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} failed, the last of them after {} ms; slowest {} ms",
            self.requests,
            self.failed,
            self.failing_for.as_millis(),
            self.slowest.as_millis()
        )?;
        if self.errors.is_empty() { Ok(()) } else { write!(f, "; {:?}", self.errors) }
    }
}
