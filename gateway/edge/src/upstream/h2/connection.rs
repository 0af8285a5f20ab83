//! One fabric connection that speaks HTTP/2, and the task that keeps it moving.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use defense::Reason;
use fabric::{FabricStream, Suspicion};
use h2::client::{self, SendRequest};
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::keeping::{Act, Keeping};
use super::lines::{Line, Standing};
use crate::bounds::{
    H2_SEND_BUFFER, OPEN_MAX, UPSTREAM_BUFFER, UPSTREAM_H2_CONNECTION_WINDOW, UPSTREAM_H2_LOOK_EVERY,
    UPSTREAM_H2_STREAM_WINDOW, UPSTREAM_H2_STREAMS_MAX,
};

/// A connection, from the moment that somebody wants it. Who comes while it is opened waits for the same one.
pub(super) struct Connection {
    sender: OnceCell<Result<SendRequest<Bytes>, Reason>>,
    suspicion: OnceLock<Suspicion>,
    vitals: Arc<Vitals>,
}

/// What the connection's task knows of it, and those who use it.
struct Vitals {
    begun: Instant,
    /// Bytes that came.
    heard: AtomicU64,
    requests: AtomicUsize,
    /// When the last request ended.
    idle_ms: AtomicU64,
    is_over: AtomicBool,
}

impl Vitals {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Connection {
    pub(super) fn new() -> Arc<Self> {
        let vitals = Vitals {
            begun: Instant::now(),
            heard: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            idle_ms: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        };
        Arc::new(Self { sender: OnceCell::new(), suspicion: OnceLock::new(), vitals: Arc::new(vitals) })
    }

    /// The service has said that it takes no more, or its connection broke.
    fn is_over(&self) -> bool {
        let refuses = |sender: &SendRequest<Bytes>| {
            let polled = sender.clone().poll_ready(&mut Context::from_waker(Waker::noop()));
            matches!(polled, Poll::Ready(Err(_)))
        };
        self.vitals.is_over.load(Ordering::Relaxed)
            || self.sender.get().is_some_and(|sender| sender.as_ref().is_ok_and(refuses))
    }

    async fn open(
        self: &Arc<Self>,
        connect: impl Future<Output = Result<FabricStream, Reason>>,
    ) -> Result<SendRequest<Bytes>, Reason> {
        let opened = async {
            let stream = connect.await?;
            let _ = self.suspicion.set(stream.suspicion());
            let io = Heard { io: stream, vitals: Arc::clone(&self.vitals) };
            let handshake = timeout(OPEN_MAX, builder().handshake(io)).await;
            handshake.map_err(|_| Reason::ServiceTimeout)?.map_err(|_| Reason::UpstreamClosed)
        };
        match opened.await {
            Ok((sender, connection)) => {
                tokio::spawn(drive(connection, Arc::downgrade(self), Arc::clone(&self.vitals)));
                Ok(sender)
            }
            Err(reason) => {
                self.vitals.is_over.store(true, Ordering::Relaxed);
                Err(reason)
            }
        }
    }
}

impl Line for Arc<Connection> {
    fn standing(&self) -> Standing {
        let requests = self.vitals.requests.load(Ordering::Relaxed);
        if self.is_over() {
            return Standing::Over;
        }
        if self.suspicion.get().is_some_and(Suspicion::is_suspect) {
            return Standing::Suspect { requests };
        }
        match (requests, self.sender.get()) {
            (0, _) => {
                let idle = Duration::from_millis(self.vitals.idle_ms.load(Ordering::Relaxed));
                Standing::Idle(self.vitals.begun + idle)
            }
            (requests, sender) => {
                let theirs = sender.and_then(|sender| sender.as_ref().ok());
                let theirs = theirs.map_or(usize::MAX, SendRequest::current_max_send_streams);
                Standing::Busy { requests, max: theirs.min(UPSTREAM_H2_STREAMS_MAX) }
            }
        }
    }
}

/// One request's place on a connection.
pub(super) struct Seat(Arc<Connection>);

impl Seat {
    pub(super) fn on(connection: Arc<Connection>) -> Self {
        connection.vitals.requests.fetch_add(1, Ordering::Relaxed);
        Self(connection)
    }

    /// Opens the connection if nobody has.
    pub(super) async fn sender<C: Future<Output = Result<FabricStream, Reason>>>(
        &self,
        connect: impl Fn() -> C,
    ) -> Result<SendRequest<Bytes>, Reason> {
        self.0.sender.get_or_init(|| self.0.open(connect())).await.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let vitals = &self.0.vitals;
        vitals.idle_ms.store(vitals.now_ms(), Ordering::Relaxed);
        vitals.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

fn builder() -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(UPSTREAM_H2_STREAM_WINDOW)
        .initial_connection_window_size(UPSTREAM_H2_CONNECTION_WINDOW)
        .max_send_buffer_size(H2_SEND_BUFFER)
        .max_header_list_size(UPSTREAM_BUFFER as u32);
    builder
}

/// Keeps a connection moving to its end. Once nobody holds it, the library says goodbye; it is not waited for long.
async fn drive(
    mut connection: client::Connection<Heard, Bytes>,
    owner: Weak<Connection>,
    vitals: Arc<Vitals>,
) {
    let (mut pings, mut keeping, mut looks_alone) = (connection.ping_pong(), Keeping::default(), 0);
    loop {
        let ended =
            timeout(UPSTREAM_H2_LOOK_EVERY, std::future::poll_fn(|cx| pin!(&mut connection).poll(cx)));
        if ended.await.is_ok() {
            break;
        }
        looks_alone += u32::from(owner.strong_count() == 0);
        let is_busy = vitals.requests.load(Ordering::Relaxed) > 0;
        let heard = vitals.heard.load(Ordering::Relaxed);
        match keeping.look(vitals.now_ms(), heard, is_busy) {
            Act::Nothing if looks_alone < 2 => {}
            Act::Ask => ask(pings.as_mut()),
            Act::Nothing | Act::Dead => break,
        }
    }
    vitals.is_over.store(true, Ordering::Relaxed);
}

fn ask(pings: Option<&mut PingPong>) {
    if let Some(pings) = pings {
        // The answer to the one before is taken first. Whatever comes back counts as one.
        let _ = pings.poll_pong(&mut Context::from_waker(Waker::noop()));
        let _ = pings.send_ping(Ping::opaque());
    }
}

/// A fabric stream whose bytes are counted as they come.
struct Heard {
    io: FabricStream,
    vitals: Arc<Vitals>,
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.vitals.heard.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
