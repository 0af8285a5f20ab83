//! Clients of our own over TLS 1.3: new connections, long bodies, idle connections. Sessions are resumed where that is
//! what is measured, and nowhere else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tests::measure::client::Client;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Outcome;
use crate::proxies::Door;

/// Who does something at a time.
const AT_ONCE: usize = 8;
/// Bytes of one piece of a body that is sent.
const PIECE: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

type Connection = Client<TlsStream<TcpStream>>;

/// Somebody who knows a door.
#[derive(Clone)]
pub(crate) struct Asker {
    door: Door,
    tls: TlsConnector,
    /// It comes back with the tickets that it was given.
    resuming: TlsConnector,
}

impl Asker {
    pub(crate) fn new(door: &Door) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&door.authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let resuming = Arc::new(config.clone());
        config.resumption = Resumption::disabled();
        Self { door: door.clone(), tls: Arc::new(config).into(), resuming: resuming.into() }
    }

    async fn connect(&self) -> io::Result<Connection> {
        self.connect_by(&self.tls).await
    }

    async fn connect_by(&self, tls: &TlsConnector) -> io::Result<Connection> {
        let connected = timeout(PATIENCE, async {
            let tcp = TcpStream::connect(self.door.at).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from(self.door.name.clone()).unwrap();
            Ok(Client::over(tls.connect(name, tcp).await?))
        });
        connected.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// A small request on a connection of its own, which the far side closes.
    pub(crate) async fn once(&self) -> io::Result<()> {
        self.once_by(&self.tls).await
    }

    async fn once_by(&self, tls: &TlsConnector) -> io::Result<()> {
        let mut client = self.connect_by(tls).await?;
        client.ask(&self.head("GET", "/small", "Connection: close\r\n")).await?;
        // Some close without a word of TLS.
        drop(timeout(PATIENCE, client.closed()).await);
        Ok(())
    }

    fn head(&self, method: &str, path: &str, more: &str) -> Vec<u8> {
        let host = format!("{}:{}", self.door.name, self.door.at.port());
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n{more}\r\n").into_bytes()
    }

    async fn download(&self, times: usize, bytes: u64) -> Outcome {
        let request = self.head("GET", &format!("/bulk/{bytes}"), "");
        self.carry(times, bytes, async |client| {
            let left = client.begin(&request).await?;
            client.skip(left).await
        })
        .await
    }

    async fn upload(&self, times: usize, bytes: u64) -> Outcome {
        let request = self.head("POST", "/small", &format!("Content-Length: {bytes}\r\n"));
        let piece = vec![b'x'; PIECE];
        self.carry(times, bytes, async |client| {
            client.send(&request).await?;
            let mut left = bytes;
            while left > 0 {
                let now = left.min(PIECE as u64);
                client.send(&piece[..now as usize]).await?;
                left -= now;
            }
            let left = client.head().await?;
            client.skip(left).await
        })
        .await
    }

    async fn carry(
        &self,
        times: usize,
        bytes: u64,
        mut one: impl AsyncFnMut(&mut Connection) -> io::Result<()>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut client = self.connect().await.unwrap();
        for _ in 0..times {
            match one(&mut client).await {
                Ok(()) => outcome.bytes += bytes,
                Err(_) => {
                    outcome.errors += 1;
                    client = self.connect().await.unwrap();
                }
            }
        }
        outcome
    }
}

/// Answers of `bytes` each, one after the other on each of some connections, spread over the doors.
pub(crate) async fn download(doors: &[Door], times: usize, bytes: u64) -> Outcome {
    at_once(doors, |asker| async move { asker.download(times, bytes).await }).await
}

/// Bodies of `bytes` each, in the same way.
pub(crate) async fn upload(doors: &[Door], times: usize, bytes: u64) -> Outcome {
    at_once(doors, |asker| async move { asker.upload(times, bytes).await }).await
}

/// A connection for each request, some at a time, spread over the doors; resumed from the second at a door on, or never.
pub(crate) async fn fresh(doors: &[Door], requests: usize, resumes: bool) -> Outcome {
    let doors = doors.to_vec();
    let next = Arc::new(AtomicUsize::new(0));
    let askers: Arc<[Asker]> = doors.iter().map(Asker::new).collect();
    at_once(&doors, move |_| {
        let (next, askers) = (Arc::clone(&next), Arc::clone(&askers));
        async move {
            let mut outcome = Outcome::default();
            for _ in 0..requests / AT_ONCE {
                let asker = &askers[next.fetch_add(1, Ordering::Relaxed) % askers.len()];
                let asked = Instant::now();
                let tls = if resumes { &asker.resuming } else { &asker.tls };
                match asker.once_by(tls).await {
                    Ok(()) => outcome.latencies.push(asked.elapsed()),
                    Err(_) => outcome.errors += 1,
                }
            }
            outcome
        }
    })
    .await
}

/// Lets some do the same beside each other; adds up what came of it.
async fn at_once<W: Future<Output = Outcome> + 'static>(
    doors: &[Door],
    work: impl Fn(Asker) -> W,
) -> Outcome {
    let (here, mut tasks) = (LocalSet::new(), JoinSet::new());
    let begun = Instant::now();
    for number in 0..AT_ONCE {
        tasks.spawn_local_on(work(Asker::new(&doors[number % doors.len()])), &here);
    }
    let mut whole = Outcome::default();
    while let Some(outcome) = here.run_until(tasks.join_next()).await {
        let outcome = outcome.unwrap();
        whole.latencies.extend(outcome.latencies);
        whole.bytes += outcome.bytes;
        whole.errors += outcome.errors;
    }
    whole.elapsed = begun.elapsed();
    whole
}

/// Connections that stand after one small request each, spread over the doors; and how many could not be had.
pub(crate) async fn idle(doors: &[Door], connections: usize) -> (Vec<Connection>, u64) {
    let askers: Vec<Asker> = doors.iter().map(Asker::new).collect();
    let (mut standing, mut errors) = (Vec::new(), 0);
    for number in 0..connections {
        let asker = &askers[number % askers.len()];
        let connected = async {
            let mut client = asker.connect().await?;
            client.ask(&asker.head("GET", "/small", "")).await?;
            io::Result::Ok(client)
        };
        match connected.await {
            Ok(client) => standing.push(client),
            Err(_) => errors += 1,
        }
    }
    (standing, errors)
}
