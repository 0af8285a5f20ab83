//! The reference to beat: the same three hops, links and choice of lanes, with streams of the h2 crate.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response};
use rustls::pki_types::ServerName;
use tests::measure::certificates::{Certificates, NAME};
use tests::measure::processes::free_address;
use tests::measure::service::accept;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::chains::{Chain, Site};

/// Windows as the fabric's, of a stream and of all streams of one link.
const STREAM_WINDOW: u32 = 1024 * 1024;
const LINK_WINDOW: u32 = 64 * 1024 * 1024;
const STREAMS: u32 = 8192;
/// What a stream may have queued.
const SEND_BUFFER: usize = 128 * 1024;
/// Interactive streams that share one lane before the second is used, as the fabric does it.
const SPREAD: usize = 64;
const READ: usize = 16 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) fn start(site: &Site) -> Result<Chain, String> {
    let [front, bulk, middle, last] = std::array::from_fn(|_| free_address());
    let part = |name: &str, addresses: &[SocketAddr]| {
        let addresses = addresses.iter().map(SocketAddr::to_string);
        let arguments: Vec<String> =
            [site.certificates.dir().display().to_string()].into_iter().chain(addresses).collect();
        site.part(&format!("h2.{name}"), &arguments)
    };
    let processes = vec![
        part("h2-entry", &[front, bulk, middle]),
        part("h2-middle", &[middle, last]),
        part("h2-exit", &[last, site.service]),
    ];
    Ok(Chain { name: "h2", processes, front, bulk })
}

/// Takes TCP connections and opens a stream for each.
pub(crate) async fn entry(dir: &Path, front: SocketAddr, bulk: SocketAddr, to: SocketAddr) {
    let link = Link::dial(&Certificates::in_dir(dir), to).await;
    let carry = |listen, is_bulk| {
        let link = link.clone();
        accept(listen, move |tcp| {
            let link = link.clone();
            async move {
                // A stream that is cut ends its connection; the client sees it.
                let _ = enter(link, tcp, is_bulk).await;
            }
        })
    };
    tokio::join!(carry(front, false), carry(bulk, true));
}

async fn enter(link: Arc<Link>, tcp: TcpStream, is_bulk: bool) -> Result<(), Failure> {
    let (_seat, response, up) = link.open(is_bulk).await?;
    let (read, write) = tcp.into_split();
    let down = async { to_tcp(response.await?.into_body(), write).await };
    tokio::try_join!(from_tcp(read, up), down).map(|_| ())
}

/// Joins each stream with one on the next link.
pub(crate) async fn middle(dir: &Path, listen: SocketAddr, to: SocketAddr) {
    let link = Link::dial(&Certificates::in_dir(dir), to).await;
    serve(dir, listen, move |request, mut respond| {
        let link = link.clone();
        async move {
            let is_bulk = request.uri().path() == "/bulk";
            let (_seat, response, up) = link.open(is_bulk).await?;
            let down = async {
                let response = response.await?;
                let back = respond.send_response(Response::new(()), false)?;
                forward(response.into_body(), back).await
            };
            tokio::try_join!(forward(request.into_body(), up), down).map(|_| ())
        }
    })
    .await;
}

/// Connects each stream to the service.
pub(crate) async fn exit(dir: &Path, listen: SocketAddr, to: SocketAddr) {
    serve(dir, listen, move |request, mut respond| async move {
        let tcp = TcpStream::connect(to).await?;
        tcp.set_nodelay(true)?;
        let (read, write) = tcp.into_split();
        let back = respond.send_response(Response::new(()), false)?;
        tokio::try_join!(to_tcp(request.into_body(), write), from_tcp(read, back)).map(|_| ())
    })
    .await;
}

/// Six connections, by class: two for requests, two for long transfers, and two that idle, as in the fabric.
struct Link {
    lanes: Vec<Lane>,
    next: AtomicUsize,
}

struct Lane {
    sender: SendRequest<Bytes>,
    streams: Arc<AtomicUsize>,
}

/// A stream's place on its lane.
struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Link {
    async fn dial(certificates: &Certificates, to: SocketAddr) -> Arc<Self> {
        let mut lanes = Vec::new();
        for _ in 0..6 {
            let tcp = loop {
                match TcpStream::connect(to).await {
                    Ok(tcp) => break tcp,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                }
            };
            tcp.set_nodelay(true).unwrap();
            let name = ServerName::try_from(NAME).unwrap();
            let tls = TlsConnector::from(certificates.client()).connect(name, tcp).await.unwrap();
            let (sender, connection) = h2::client::Builder::new()
                .initial_window_size(STREAM_WINDOW)
                .initial_connection_window_size(LINK_WINDOW)
                .max_send_buffer_size(SEND_BUFFER)
                .handshake(tls)
                .await
                .unwrap();
            tokio::spawn(async move { connection.await.unwrap() });
            lanes.push(Lane { sender, streams: Arc::default() });
        }
        Arc::new(Self { lanes, next: AtomicUsize::new(0) })
    }

    async fn open(
        &self,
        is_bulk: bool,
    ) -> Result<(Seat, h2::client::ResponseFuture, SendStream<Bytes>), h2::Error> {
        let (first, second) = if is_bulk { (4, 5) } else { (2, 3) };
        let streams = |lane: usize| self.lanes[lane].streams.load(Ordering::Relaxed);
        let has_room = !is_bulk && streams(first) < SPREAD;
        let lane = match has_room || self.next.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            true => &self.lanes[first],
            false => &self.lanes[second],
        };
        lane.streams.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(lane.streams.clone());
        let path = if is_bulk { "https://bench/bulk" } else { "https://bench/s" };
        let request = Request::builder().method(Method::POST).uri(path).body(()).unwrap();
        let (response, up) = lane.sender.clone().ready().await?.send_request(request, false)?;
        Ok((seat, response, up))
    }
}

/// Takes links, and gives each of their streams to a task.
async fn serve<F>(
    dir: &Path,
    listen: SocketAddr,
    handle: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Certificates::in_dir(dir).server());
    accept(listen, move |tcp| {
        let (acceptor, handle) = (acceptor.clone(), handle.clone());
        async move {
            let tls = acceptor.accept(tcp).await.unwrap();
            let mut connection = h2::server::Builder::new()
                .initial_window_size(STREAM_WINDOW)
                .initial_connection_window_size(LINK_WINDOW)
                .max_concurrent_streams(STREAMS)
                .max_send_buffer_size(SEND_BUFFER)
                .handshake(tls)
                .await
                .unwrap();
            while let Some(Ok((request, respond))) = connection.accept().await {
                // A stream that failed has been reset by the drop of its ends.
                let handled = handle(request, respond);
                tokio::spawn(async move { drop(handled.await) });
            }
        }
    })
    .await;
}

/// Waits for room and sends what has it.
async fn send(to: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), Failure> {
    while !bytes.is_empty() {
        to.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|cx| to.poll_capacity(cx)).await.ok_or("the stream is over")??;
        to.send_data(bytes.split_to(room.min(bytes.len())), false)?;
    }
    Ok(())
}

async fn from_tcp(mut read: impl AsyncRead + Unpin, mut to: SendStream<Bytes>) -> Result<(), Failure> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ);
        match read.read_buf(&mut buffer).await {
            Ok(0) => return Ok(to.send_data(Bytes::new(), true)?),
            Ok(_) => send(&mut to, buffer.split().freeze()).await?,
            Err(error) => {
                to.send_reset(Reason::CANCEL);
                return Err(error.into());
            }
        }
    }
}

async fn to_tcp(mut from: RecvStream, mut write: impl AsyncWrite + Unpin) -> Result<(), Failure> {
    while let Some(bytes) = from.data().await {
        let bytes = bytes?;
        write.write_all(&bytes).await?;
        from.flow_control().release_capacity(bytes.len())?;
    }
    Ok(write.shutdown().await?)
}

async fn forward(mut from: RecvStream, mut to: SendStream<Bytes>) -> Result<(), Failure> {
    while let Some(bytes) = from.data().await {
        let bytes = bytes?;
        let count = bytes.len();
        send(&mut to, bytes).await?;
        from.flow_control().release_capacity(count)?;
    }
    Ok(to.send_data(Bytes::new(), true)?)
}
