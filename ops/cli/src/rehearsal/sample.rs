//! The built-in sample service: plain HTTP/1.1 on loopback, which the gateway puts behind private addresses.
//!
//! | path | answer |
//! | --- | --- |
//! | `/` | a page that says who you are |
//! | `/hello` | `hello NAME`, for latencies |
//! | `/bytes/N` | N reproducible bytes (see [`super::stream`]); header `X-Sha256` for N up to 256 MiB |
//! | `/sha256/N` | the digest of these bytes |
//! | `/drip?seconds=60` | 1 KiB every 250 ms: a slow download |
//! | `POST /echo` | the body back, up to 256 MiB |

mod routes;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::bounds::{SAMPLE_CONNECTIONS_MAX, SAMPLE_HEAD_WAIT};
use routes::Digests;

pub use routes::drip_bytes;

/// Starts it on a free port of loopback; it serves until `stop`.
///
/// # Errors
/// There is no free port.
pub async fn start(stop: CancellationToken) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    tokio::spawn(accept(listener, stop));
    Ok(at)
}

async fn accept(listener: TcpListener, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(SAMPLE_CONNECTIONS_MAX));
    let digests = Arc::new(Digests::default());
    loop {
        // Those beyond the limit wait in the kernel's queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let (digests, stop) = (Arc::clone(&digests), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = serve(stream, digests) => {}
            }
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, digests: Arc<Digests>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let digests = Arc::clone(&digests);
        async move { Ok::<_, Infallible>(routes::answer(request, &digests).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(SAMPLE_HEAD_WAIT);
    // A client that left in the middle is no concern of a sample.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
