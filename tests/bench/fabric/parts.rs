//! The processes that are this program under another name: the service, and the chains that are written here.

use std::net::SocketAddr;
use std::path::Path;

use tests::measure::service::{self, accept};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpStream;

use crate::{h2_link, ours};

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

async fn copier(listen: SocketAddr, to: SocketAddr) {
    accept(listen, move |mut near| async move {
        let Ok(mut far) = TcpStream::connect(to).await else { return };
        far.set_nodelay(true).unwrap();
        // An end that is cut ends both; the client sees it.
        let _ = copy_bidirectional_with_sizes(&mut near, &mut far, COPIED, COPIED).await;
    })
    .await;
}
