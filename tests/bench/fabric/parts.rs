//! The processes that are this program under another name: the service, and the chains that are written here.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

use crate::{h2_link, ours, service};

/// Bytes that a copier holds each way.
const COPIED: usize = 16 * 1024;

/// Becomes the part, for ever.
pub(crate) fn run(arguments: &[String]) {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match words.as_slice() {
            ["service", listen] => service::serve(address(listen)).await,
            ["copier", listen, to] => copier(address(listen), address(to)).await,
            ["h2-entry", dir, front, bulk, to] => {
                h2_link::entry(Path::new(dir), address(front), address(bulk), address(to)).await;
            }
            ["h2-middle", dir, listen, to] => {
                h2_link::middle(Path::new(dir), address(listen), address(to)).await;
            }
            ["h2-exit", dir, listen, to] => h2_link::exit(Path::new(dir), address(listen), address(to)).await,
            ["hub", dir, listen] => ours::hub(Path::new(dir), address(listen)).await,
            ["local-hub", dir, hub, to] => ours::local_hub(Path::new(dir), address(hub), address(to)).await,
            ["gateway", dir, hub, front, bulk] => {
                ours::gateway(Path::new(dir), address(hub), address(front), address(bulk)).await;
            }
            other => panic!("no such part: {other:?}"),
        }
    });
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Gives each connection to a task of its own.
pub(crate) async fn accept<F>(listen: SocketAddr, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(listen).await.unwrap();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        tokio::spawn(serve(tcp));
    }
}

async fn copier(listen: SocketAddr, to: SocketAddr) {
    accept(listen, move |mut near| async move {
        let Ok(mut far) = TcpStream::connect(to).await else { return };
        far.set_nodelay(true).unwrap();
        // An end that is cut ends both; the client sees it.
        let _ = copy_bidirectional_with_sizes(&mut near, &mut far, COPIED, COPIED).await;
    })
    .await;
}
