//! A connection's way between a member and a hub, which can be cut, or swallow everything without a word.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Forward,
    /// Connections stand, and no byte moves.
    Swallow,
    /// Connections break, and new ones are closed at once.
    Cut,
}

/// Forwards between whoever connects and one address.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode::Forward);
        let modes = mode.clone();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let mode = modes.subscribe();
                if *mode.borrow() != Mode::Cut {
                    tokio::spawn(carry(near, target, mode));
                }
            }
        });
        Self { address, mode }
    }

    pub(crate) fn forward(&self) {
        self.mode.send_replace(Mode::Forward);
    }

    pub(crate) fn swallow(&self) {
        self.mode.send_replace(Mode::Swallow);
    }

    pub(crate) fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }
}

async fn carry(near: TcpStream, target: SocketAddr, mut mode: watch::Receiver<Mode>) {
    let _ = near.set_nodelay(true);
    let mut cut = mode.clone();
    let ways = async {
        if !forwards(&mut mode).await {
            return;
        }
        let Ok(far) = TcpStream::connect(target).await else { return };
        let _ = far.set_nodelay(true);
        let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        tokio::join!(
            one_way(near_read, far_write, mode.clone()),
            one_way(far_read, near_write, mode.clone())
        );
    };
    tokio::select! {
        () = ways => {}
        _ = cut.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 || !forwards(&mut mode).await || to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// Waits until bytes may move; false when the connection is cut.
async fn forwards(mode: &mut watch::Receiver<Mode>) -> bool {
    mode.wait_for(|mode| *mode != Mode::Swallow).await.is_ok_and(|mode| *mode == Mode::Forward)
}
