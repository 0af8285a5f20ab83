//! A way between members that can be cut and closed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Copy, PartialEq)]
enum Traffic {
    Open,
    /// New connections end at once.
    Closed,
}

#[derive(Clone, Default)]
struct Connection {
    cut: CancellationToken,
    deaf: CancellationToken,
}

pub(crate) struct Road {
    pub(crate) address: SocketAddr,
    traffic: Arc<watch::Sender<Traffic>>,
    connections: Arc<Mutex<Vec<Connection>>>,
}

impl Road {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let traffic = Arc::new(watch::Sender::new(Traffic::Open));
        let connections = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(keep(listener, target, traffic.clone(), connections.clone()));
        Self { address, traffic, connections }
    }

    /// Cuts the connection of that number, counted from the first ever made.
    pub(crate) fn cut(&self, connection: usize) {
        self.connections.lock().unwrap()[connection].cut.cancel();
    }

    pub(crate) fn cut_all(&self) {
        self.connections.lock().unwrap().iter().for_each(|connection| connection.cut.cancel());
    }

    /// Cuts all, and lets no new ones pass.
    pub(crate) fn close(&self) {
        self.traffic.send_replace(Traffic::Closed);
        self.cut_all();
    }

    /// Ends the connections at the dialers only: whoever listens hears nothing of it, as behind a black hole.
    pub(crate) fn cut_deaf(&self) {
        self.connections.lock().unwrap().iter().for_each(|connection| connection.deaf.cancel());
    }

    pub(crate) fn open(&self) {
        self.traffic.send_replace(Traffic::Open);
    }
}

async fn keep(
    listener: TcpListener,
    target: SocketAddr,
    traffic: Arc<watch::Sender<Traffic>>,
    connections: Arc<Mutex<Vec<Connection>>>,
) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        if *traffic.borrow() == Traffic::Closed {
            continue;
        }
        let connection = Connection::default();
        connections.lock().unwrap().push(connection.clone());
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(target).await else { return };
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let Connection { cut, deaf } = connection;
            cut.run_until_cancelled(async {
                let mut near = near;
                let copied = tokio::io::copy_bidirectional(&mut near, &mut far);
                if deaf.run_until_cancelled(copied).await.is_none() {
                    drop(near);
                    // Held open, and nothing said.
                    std::future::pending::<()>().await;
                }
            })
            .await;
        });
    }
}
