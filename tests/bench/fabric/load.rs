//! The client: bounded work, and what each request took.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tests::measure::client::Client;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// Padded to 100 bytes, with the request line.
pub(crate) const KEEP: &[u8] =
    b"GET /small HTTP/1.1\r\nHost: service.test\r\nAccept: */*\r\nX-Fill: 012345678901234567890123456789012\r\n\r\n";
const CLOSE: &[u8] =
    b"GET /small HTTP/1.1\r\nHost: service.test\r\nAccept: */*\r\nConnection: close\r\nX-Fill: 01234567890123\r\n\r\n";
/// More than anybody reads.
const ENDLESS: u64 = 1 << 50;
/// Pause between the requests of a connection that does not press.
const PAUSE: Duration = Duration::from_millis(9);

/// What a piece of work came to.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Of each request that was answered.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) bytes: u64,
    pub(crate) errors: u64,
    pub(crate) elapsed: Duration,
}

pub(crate) async fn connect(front: SocketAddr) -> io::Result<Client> {
    let tcp = TcpStream::connect(front).await?;
    tcp.set_nodelay(true)?;
    Ok(Client::over(tcp))
}

async fn ask_long(client: &mut Client, pace: Pace, count: u64) -> io::Result<u64> {
    let path = match pace {
        Pace::Full => "bulk",
        Pace::Gigabit => "gigabit",
    };
    client.begin(format!("GET /{path}/{count} HTTP/1.1\r\nHost: service.test\r\n\r\n").as_bytes()).await
}

/// Requests on each connection before anything is measured, so that chains have dialed all that they want to keep.
const WARM: usize = 4;

/// Connections that stand, and have been used.
pub(crate) struct Standing {
    front: SocketAddr,
    clients: Vec<Client>,
}

impl Standing {
    pub(crate) async fn start(front: SocketAddr, connections: usize) -> Self {
        let mut clients = Vec::new();
        for _ in 0..connections {
            let mut client = connect(front).await.unwrap();
            client.ask(KEEP).await.unwrap();
            clients.push(client);
        }
        let mut warm = JoinSet::new();
        for mut client in clients {
            warm.spawn(async move {
                for _ in 0..WARM {
                    client.ask(KEEP).await.unwrap();
                }
                client
            });
        }
        Self { front, clients: warm.join_all().await }
    }

    /// Small requests, one after the other on each connection, as fast as they are answered.
    pub(crate) async fn press(self, requests: usize) -> Outcome {
        self.ask(requests, Duration::ZERO).await
    }

    /// Requests that leave the chain idle in between: what a user feels.
    pub(crate) async fn rarely(self, requests: usize) -> Outcome {
        self.ask(requests, PAUSE).await
    }

    async fn ask(self, requests: usize, pause: Duration) -> Outcome {
        let (front, connections) = (self.front, self.clients.len());
        let mut tasks = JoinSet::new();
        let begun = Instant::now();
        for (number, mut client) in self.clients.into_iter().enumerate() {
            tasks.spawn(async move {
                let mut outcome = Outcome::default();
                sleep(pause * number as u32 / connections as u32).await;
                for _ in 0..requests / connections {
                    let asked = Instant::now();
                    match client.ask(KEEP).await {
                        Ok(()) => outcome.latencies.push(asked.elapsed()),
                        Err(_) => {
                            outcome.errors += 1;
                            let Ok(next) = connect(front).await else { break };
                            client = next;
                        }
                    }
                    if !pause.is_zero() {
                        sleep(pause).await;
                    }
                }
                outcome
            });
        }
        gather(tasks, begun).await
    }
}

async fn gather(mut tasks: JoinSet<Outcome>, begun: Instant) -> Outcome {
    let mut whole = Outcome::default();
    while let Some(outcome) = tasks.join_next().await {
        let outcome = outcome.unwrap();
        whole.latencies.extend(outcome.latencies);
        whole.errors += outcome.errors;
    }
    whole.elapsed = begun.elapsed();
    whole
}

/// A connection for each request, eight at a time.
pub(crate) async fn fresh(front: SocketAddr, requests: usize) -> Outcome {
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..8 {
        tasks.spawn(async move {
            let mut outcome = Outcome::default();
            for _ in 0..requests / 8 {
                let asked = Instant::now();
                match ask_once(front).await {
                    Ok(()) => outcome.latencies.push(asked.elapsed()),
                    Err(_) => outcome.errors += 1,
                }
            }
            outcome
        });
    }
    gather(tasks, begun).await
}

async fn ask_once(front: SocketAddr) -> io::Result<()> {
    let mut client = connect(front).await?;
    client.ask(CLOSE).await?;
    client.closed().await
}

/// One long answer.
pub(crate) async fn bulk(front: SocketAddr, bytes: u64) -> Outcome {
    let mut client = connect(front).await.unwrap();
    let begun = Instant::now();
    let left = ask_long(&mut client, Pace::Full, bytes).await.unwrap();
    let errors = u64::from(client.skip(left).await.is_err());
    Outcome { bytes, errors, elapsed: begun.elapsed(), latencies: Vec::new() }
}

/// How fast a long answer comes.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// As fast as the chain lets it.
    Full,
    /// At 1 Gbit/s, as from a service behind such a link.
    Gigabit,
}

/// Long answers beside the requests that are measured; they end when dropped.
pub(crate) struct Beside {
    _stalled: Vec<Client>,
    running: JoinHandle<()>,
    moved: Arc<AtomicU64>,
}

impl Beside {
    /// `stalled` that are asked for and never read, and one that is read as fast as it comes.
    pub(crate) async fn start(front: SocketAddr, stalled: usize, pace: Pace) -> Self {
        let mut waiting = Vec::new();
        for _ in 0..stalled {
            let mut client = connect(front).await.unwrap();
            ask_long(&mut client, Pace::Full, ENDLESS).await.unwrap();
            waiting.push(client);
        }
        let mut client = connect(front).await.unwrap();
        ask_long(&mut client, pace, ENDLESS).await.unwrap();
        let moved = Arc::new(AtomicU64::new(0));
        let count = moved.clone();
        let running = tokio::spawn(async move {
            while let Ok(bytes) = client.piece().await {
                count.fetch_add(bytes, Ordering::Relaxed);
            }
        });
        // Until every buffer of the stalled is full.
        sleep(Duration::from_millis(300)).await;
        Self { _stalled: waiting, running, moved }
    }

    /// Bytes that the one at full speed has brought so far.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.running.abort();
    }
}
