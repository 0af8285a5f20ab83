//! CPU time of three hops: small requests on standing streams, bulk, and a new stream a request; ours beside a chain of
//! three bare TCP copiers. Everything runs in this process, so the figures include the client and the service. Then the
//! round trip of small requests, with nothing beside them and with bulk.
//!
//! `cargo bench -p fabric --bench hops`

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures and may fail")]

use std::net::SocketAddr;
use std::time::Duration;

use fabric::{
    Authority, Class, FabricStream, Gateway, Hub, HubAddress, HubConfig, Identity, Keyring, LocalHub,
    PlaneAddress, Role, Services, Validity, Wiring,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const SMALL: usize = 100;
const CLIENTS: usize = 32;
const REQUESTS: usize = 2_000;
const BULK: usize = 400_000_000;
const ROUNDS: usize = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let service = service().await;
        let gateway = fabric_to(service).await;
        let mut chain = service;
        for _ in 0..3 {
            chain = copier(chain).await;
        }
        println!("{:>30} {:>12} {:>12}", "CPU", "fabric, TLS", "TCP copiers");
        for _ in 0..ROUNDS {
            let ours = small(|| async { gateway.open("s").await.unwrap() }).await;
            let bare = small(|| async { TcpStream::connect(chain).await.unwrap() }).await;
            row("small request, µs", ours, bare, (CLIENTS * REQUESTS) as f64);
            let ours = fresh(|| async { gateway.open("s").await.unwrap() }).await;
            let bare = fresh(|| async { TcpStream::connect(chain).await.unwrap() }).await;
            row("new stream, µs", ours, bare, 3_000.0);
            let ours = bulk(gateway.open_class("s", Class::Bulk).await.unwrap()).await;
            let bare = bulk(TcpStream::connect(chain).await.unwrap()).await;
            row("bulk, µs per MB", ours, bare, BULK as f64 / 1e6);
        }
        drop(gateway);
    });
    // Latency is a matter of several cores.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let gateway = fabric_to(service().await).await;
        println!("{:>30} {:>12} {:>12}", "round trip, µs", "p50", "p99");
        for _ in 0..ROUNDS {
            latency("idle", &gateway).await;
            let beside = busy_with_bulk(&gateway).await;
            latency("beside 5 stalled and 1 bulk", &gateway).await;
            drop(beside);
        }
        println!("load average: {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
    });
}

fn row(what: &str, ours: Duration, bare: Duration, per: f64) {
    println!("{what:>30} {:>12.2} {:>12.2}", ours.as_secs_f64() * 1e6 / per, bare.as_secs_f64() * 1e6 / per);
}

/// User and system time of this process (proc(5), fields 14 and 15, in hundredths of a second).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// A standing stream per client, one request after the other on each.
async fn small<S, F>(connect: impl Fn() -> F) -> Duration
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = S>,
{
    let mut streams = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = connect().await;
        stream.write_all(b"e").await.unwrap();
        streams.push(stream);
    }
    let begun = cpu();
    let clients: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            tokio::spawn(async move {
                let mut answer = [0; SMALL];
                for _ in 0..REQUESTS {
                    stream.write_all(&[1; SMALL]).await.unwrap();
                    stream.read_exact(&mut answer).await.unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    cpu() - begun
}

/// A stream per request.
async fn fresh<S, F>(connect: impl Fn() -> F) -> Duration
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = S>,
{
    let begun = cpu();
    for _ in 0..3_000 {
        let mut stream = connect().await;
        stream.write_all(&[b'e'; SMALL]).await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
    cpu() - begun
}

/// One small request after the other on a standing interactive stream.
async fn latency(what: &str, gateway: &Gateway) {
    let mut stream = gateway.open("s").await.unwrap();
    stream.write_all(b"e").await.unwrap();
    let (mut answer, mut times) = ([0; SMALL], Vec::new());
    for _ in 0..REQUESTS * 2 {
        let begun = Instant::now();
        stream.write_all(&[1; SMALL]).await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[(times.len() as f64 * share) as usize];
    println!("{what:>30} {:>12.1} {:>12.1}", at(0.5), at(0.99));
}

/// Five bulk streams that nobody reads, and one that is read as fast as it goes; until dropped.
async fn busy_with_bulk(gateway: &Gateway) -> (Vec<FabricStream>, AbortOnDropHandle<()>) {
    let mut stalled = Vec::new();
    for _ in 0..5 {
        let mut stream = gateway.open_class("s", Class::Bulk).await.unwrap();
        stream.write_all(b"b").await.unwrap();
        stalled.push(stream);
    }
    let gateway = gateway.clone();
    let running = tokio::spawn(async move {
        loop {
            bulk(gateway.open_class("s", Class::Bulk).await.unwrap()).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    (stalled, AbortOnDropHandle::new(running))
}

async fn bulk(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Duration {
    let begun = cpu();
    stream.write_all(b"b").await.unwrap();
    let (mut total, mut piece) = (0, vec![0; 65_536]);
    while total < BULK {
        total += stream.read(&mut piece).await.unwrap();
    }
    cpu() - begun
}

/// After the byte `e` it echoes, after `b` it sends [`BULK`] bytes.
async fn service() -> SocketAddr {
    serve(|mut tcp| async move {
        if tcp.read_u8().await.is_ok_and(|kind| kind == b'b') {
            let piece = vec![0; 65_536];
            for _ in 0..BULK.div_ceil(piece.len()) {
                if tcp.write_all(&piece).await.is_err() {
                    return;
                }
            }
        } else {
            let (mut read, mut write) = tcp.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        }
    })
    .await
}

async fn copier(to: SocketAddr) -> SocketAddr {
    serve(move |mut near| async move {
        let mut far = TcpStream::connect(to).await.unwrap();
        far.set_nodelay(true).unwrap();
        let _ = tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, 65_536, 65_536).await;
    })
    .await
}

async fn serve<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            tokio::spawn(serve(tcp));
        }
    });
    address
}

async fn fabric_to(service: SocketAddr) -> Gateway {
    let always = Validity { not_before: 1_500_000_000, not_after: 4_000_000_000 };
    let authority = Authority::generate(always).unwrap();
    let keyring =
        |role| Keyring::new(authority.issue(&Identity::new(role, "m").unwrap(), always).unwrap()).unwrap();
    let mut wiring = Wiring::default();
    wiring.permit_open(keyring(Role::Edge).identity(), "s").unwrap();
    wiring.permit_offer(keyring(Role::LocalHub).identity(), "s").unwrap();
    let stop = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // As long as the process.
    let folder = tempfile::tempdir().unwrap().keep();
    let config = HubConfig::alone("A", "m", &folder.join("terms"));
    let hub = Hub::start(config, listener, None, keyring(Role::Hub), wiring, stop.clone()).unwrap();
    let hubs = vec![HubAddress { address: hub.address(), name: "m".into() }];
    let planes = [PlaneAddress { name: "A".into(), hubs }];
    let services = Services::from([("s".to_owned(), service.into())]);
    let local = LocalHub::start(&planes, keyring(Role::LocalHub), services, stop.clone()).unwrap();
    let gateway = Gateway::start(&planes, keyring(Role::Edge), stop).unwrap();
    tokio::join!(local.ready(), gateway.ready());
    while hub.status().services.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gateway
}
