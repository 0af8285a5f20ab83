//! The client: bounded work, and what each request took.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// Padded to 100 bytes, with the request line.
const KEEP: &[u8] =
    b"GET /small HTTP/1.1\r\nHost: service.test\r\nAccept: */*\r\nX-Fill: 012345678901234567890123456789012\r\n\r\n";
const CLOSE: &[u8] =
    b"GET /small HTTP/1.1\r\nHost: service.test\r\nAccept: */*\r\nConnection: close\r\nX-Fill: 01234567890123\r\n\r\n";
/// More than anybody reads.
const ENDLESS: u64 = 1 << 50;
/// Whoever waits longer for an answer counts an error.
const PATIENCE: Duration = Duration::from_secs(10);
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

/// One connection.
pub(crate) struct Client {
    tcp: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(front: SocketAddr) -> io::Result<Self> {
        let tcp = TcpStream::connect(front).await?;
        tcp.set_nodelay(true)?;
        Ok(Self { tcp, buffer: Vec::with_capacity(64 * 1024) })
    }

    pub(crate) async fn ask_small(&mut self) -> io::Result<()> {
        self.ask(KEEP).await
    }

    async fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        let answered = tokio::time::timeout(PATIENCE, async {
            self.tcp.write_all(request).await?;
            let left = self.head().await?;
            self.skip(left).await
        });
        answered.await.map_err(|_| io::Error::from(ErrorKind::TimedOut))?
    }

    async fn ask_long(&mut self, pace: Pace, count: u64) -> io::Result<u64> {
        let path = match pace {
            Pace::Full => "bulk",
            Pace::Gigabit => "gigabit",
        };
        let request = format!("GET /{path}/{count} HTTP/1.1\r\nHost: service.test\r\n\r\n");
        self.tcp.write_all(request.as_bytes()).await?;
        self.head().await
    }

    /// Reads past the head of the answer; gives how much of the body is still to come.
    async fn head(&mut self) -> io::Result<u64> {
        self.buffer.clear();
        loop {
            if self.tcp.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let length = body_length(&self.buffer[..end]).ok_or(ErrorKind::InvalidData)?;
                return Ok(length.saturating_sub((self.buffer.len() - end - 4) as u64));
            }
        }
    }

    async fn skip(&mut self, mut left: u64) -> io::Result<()> {
        while left > 0 {
            left = left.saturating_sub(self.piece().await?);
        }
        Ok(())
    }

    async fn piece(&mut self) -> io::Result<u64> {
        self.buffer.clear();
        match self.tcp.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => Ok(count as u64),
        }
    }
}

/// Of an answer that is no error.
fn body_length(head: &[u8]) -> Option<u64> {
    let head = std::str::from_utf8(head).ok()?;
    if head.split(' ').nth(1) != Some("200") {
        return None;
    }
    let mut lengths = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    lengths.next_back()
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
            let mut client = Client::connect(front).await.unwrap();
            client.ask_small().await.unwrap();
            clients.push(client);
        }
        let mut warm = JoinSet::new();
        for mut client in clients {
            warm.spawn(async move {
                for _ in 0..WARM {
                    client.ask_small().await.unwrap();
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
                    match client.ask_small().await {
                        Ok(()) => outcome.latencies.push(asked.elapsed()),
                        Err(_) => {
                            outcome.errors += 1;
                            let Ok(next) = Client::connect(front).await else { break };
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
    let mut client = Client::connect(front).await?;
    client.ask(CLOSE).await?;
    // The far side closes first, so that no port of ours stays taken.
    while client.tcp.read_buf(&mut client.buffer).await? > 0 {}
    Ok(())
}

/// One long answer.
pub(crate) async fn bulk(front: SocketAddr, bytes: u64) -> Outcome {
    let mut client = Client::connect(front).await.unwrap();
    let begun = Instant::now();
    let left = client.ask_long(Pace::Full, bytes).await.unwrap();
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
            let mut client = Client::connect(front).await.unwrap();
            client.ask_long(Pace::Full, ENDLESS).await.unwrap();
            waiting.push(client);
        }
        let mut client = Client::connect(front).await.unwrap();
        client.ask_long(pace, ENDLESS).await.unwrap();
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
