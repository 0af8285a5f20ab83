//! A service under the tests' control: plain HTTP/1.1 that remembers every byte that it was sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the service does with a request.
pub(crate) enum Say {
    Bytes(Vec<u8>),
    BytesThenClose(Vec<u8>),
    /// The first part now, the second when told.
    InTwo(Vec<u8>, Arc<tokio::sync::Notify>, Vec<u8>),
    /// That head, and then every byte that comes comes back.
    Echo(Vec<u8>),
    Close,
    Hang,
    /// That head, and then bytes until the client has enough; counts what was written.
    Endless(Arc<AtomicUsize>),
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect()
    }
}

type Script = Arc<dyn Fn(&Heard) -> Say + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    connections: Arc<AtomicUsize>,
    script: Arc<Mutex<Script>>,
    skips_bodies: Arc<AtomicBool>,
}

pub(crate) fn ok(body: &str) -> Say {
    Say::Bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

impl Backend {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script: Script = Arc::new(|heard| ok(heard.line()));
        let backend = Self {
            address: listener.local_addr().unwrap(),
            heard: Arc::default(),
            connections: Arc::default(),
            script: Arc::new(Mutex::new(script)),
            skips_bodies: Arc::default(),
        };
        let one = backend.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                one.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(one.clone().serve(tcp));
            }
        });
        backend
    }

    pub(crate) fn says(&self, script: impl Fn(&Heard) -> Say + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub(crate) fn says_bytes(&self, bytes: &'static [u8]) {
        self.says(move |_| Say::Bytes(bytes.to_vec()));
    }

    /// Answers as soon as it has a head.
    pub(crate) fn reads_no_bodies(&self) {
        self.skips_bodies.store(true, Ordering::SeqCst);
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Heard {
        self.heard().pop().expect("a request")
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn serve(self, mut tcp: TcpStream) {
        let mut bytes = Vec::new();
        while let Some(heard) = next(&mut tcp, &mut bytes, &self.skips_bodies).await {
            self.heard.lock().unwrap().push(heard.clone());
            let script = Arc::clone(&self.script.lock().unwrap());
            match script(&heard) {
                Say::Bytes(bytes) => tcp.write_all(&bytes).await.unwrap_or_default(),
                Say::BytesThenClose(bytes) => {
                    let _ = tcp.write_all(&bytes).await;
                    return;
                }
                Say::InTwo(first, go, second) => {
                    let _ = tcp.write_all(&first).await;
                    go.notified().await;
                    let _ = tcp.write_all(&second).await;
                }
                Say::Echo(head) => return echo(tcp, &head, &bytes).await,
                Say::Close => return,
                Say::Hang => {
                    let _ = tcp.read(&mut [0; 1]).await;
                    return;
                }
                Say::Endless(written) => return endless(tcp, &written).await,
            }
        }
    }
}

async fn echo(mut tcp: TcpStream, head: &[u8], early: &[u8]) {
    let _ = tcp.write_all(head).await;
    let _ = tcp.write_all(early).await;
    let (mut from, mut to) = tcp.split();
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn endless(mut tcp: TcpStream, written: &AtomicUsize) {
    let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n").await;
    while tcp.write_all(&[7; 16 * 1024]).await.is_ok() {
        written.fetch_add(16 * 1024, Ordering::SeqCst);
    }
}

/// One request; `bytes` keeps what came after it.
async fn next(tcp: &mut TcpStream, bytes: &mut Vec<u8>, skips_bodies: &AtomicBool) -> Option<Heard> {
    let end = loop {
        if let Some(at) = find(bytes, b"\r\n\r\n") {
            break at + 4;
        }
        more(tcp, bytes).await?;
    };
    let head: Vec<u8> = bytes.drain(..end).collect();
    let mut heard = Heard { head: String::from_utf8(head).unwrap(), body: Vec::new() };
    if skips_bodies.load(Ordering::SeqCst) {
        return Some(heard);
    }
    if heard.all("transfer-encoding") == ["chunked"] {
        while !take_chunk(bytes, &mut heard.body)? {
            more(tcp, bytes).await?;
        }
    } else if let Some(length) = heard.all("content-length").first() {
        let length: usize = length.parse().unwrap();
        while bytes.len() < length {
            more(tcp, bytes).await?;
        }
        heard.body = bytes.drain(..length).collect();
    }
    Some(heard)
}

/// Takes whole chunks off; true at the last one (and its trailers).
fn take_chunk(bytes: &mut Vec<u8>, body: &mut Vec<u8>) -> Option<bool> {
    while let Some(line) = find(bytes, b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?, 16).ok()?;
        if size == 0 {
            let Some(end) = find(&bytes[line..], b"\r\n\r\n") else { return Some(false) };
            bytes.drain(..line + end + 4);
            return Some(true);
        }
        if bytes.len() < line + 2 + size + 2 {
            return Some(false);
        }
        body.extend_from_slice(&bytes[line + 2..line + 2 + size]);
        bytes.drain(..line + 2 + size + 2);
    }
    Some(false)
}

async fn more(tcp: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 16 * 1024];
    let n = tcp.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
    bytes.extend_from_slice(&buffer[..n]);
    Some(())
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
