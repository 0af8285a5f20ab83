//! A service with an entry of each protocol, whose server the tests play themselves.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use state::records::Auth;
use state::txn::Record;
use state::{Listen, Protocol};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

use crate::clients::tls_over;
use crate::scene::{ALICE, Plot, Scene, free_port, service, soon, txn};

pub(crate) trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Bytes for S {}

pub(crate) struct Stage {
    pub(crate) scene: Scene,
    pub(crate) server: TcpListener,
    pub(crate) datagrams: UdpSocket,
    ports: [u16; 4],
    /// Entries of `tls` and `tcp` that lead to where nobody listens.
    dead: [u16; 2],
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::of(Plot::default()).await
    }

    pub(crate) async fn of(plot: Plot) -> Self {
        let scene = Scene::of(plot).await;
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (ports, dead) = ([(); 4].map(|()| free_port()), [(); 2].map(|()| free_port()));
        let nobody = free_port();
        let stage = Self { scene, server, datagrams, ports, dead };
        let mut entries = vec![format!("https/{}", stage.scene.port)];
        for protocol in Protocol::ALL {
            let target = match protocol {
                Protocol::Https | Protocol::Tls | Protocol::Tcp => stage.server.local_addr(),
                Protocol::Udp => stage.datagrams.local_addr(),
            };
            entries.push(format!("{protocol}/{}={}", stage.port(protocol), target.unwrap().port()));
        }
        entries.extend([("tls", dead[0]), ("tcp", dead[1])].map(|(p, port)| format!("{p}/{port}={nobody}")));
        let mut listens = service(stage.scene.port, Auth::Name);
        listens.listen = Listen::parse(&entries).unwrap();
        stage.scene.commit(txn("listen").put(Record::Service(listens))).await;
        for port in ports[..3].iter().chain(&dead) {
            // A dark address: it is nobody's session.
            while TcpStream::connect((stage.scene.dark_address(), *port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        stage
    }

    pub(crate) fn port(&self, protocol: Protocol) -> u16 {
        self.ports[Protocol::ALL.iter().position(|known| *known == protocol).unwrap()]
    }

    /// Where Alice reaches it.
    pub(crate) fn at(&self, protocol: Protocol) -> SocketAddr {
        SocketAddr::new(self.scene.address(ALICE), self.port(protocol))
    }

    /// An entry of that protocol behind which nobody listens.
    pub(crate) fn dead(&self, protocol: Protocol) -> SocketAddr {
        let at = usize::from(protocol == Protocol::Tcp);
        SocketAddr::new(self.scene.address(ALICE), self.dead[at])
    }

    /// What Alice speaks over a connection: TLS by her name, or bytes as they are.
    pub(crate) async fn over(&self, protocol: Protocol, tcp: TcpStream) -> std::io::Result<Box<dyn Bytes>> {
        if protocol == Protocol::Tcp {
            return Ok(Box::new(tcp));
        }
        let tls = tls_over(tcp, &self.scene.name(ALICE), &[], self.scene.chain.as_bytes()).await?;
        Ok(Box::new(tls))
    }

    /// A session on which both sides have said something; a client that `resets` does so when it is dropped.
    pub(crate) async fn session(&self, protocol: Protocol, resets: bool) -> (Box<dyn Bytes>, TcpStream) {
        let tcp = connect("127.0.0.1:0", self.at(protocol)).await;
        if resets {
            reset_on_drop(&tcp);
        }
        let mut client = soon("the handshake", self.over(protocol, tcp)).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let (mut server, _) = soon("the session", self.server.accept()).await.unwrap();
        let mut heard = [0; 4];
        soon("ping", server.read_exact(&mut heard)).await.unwrap();
        server.write_all(b"pong!").await.unwrap();
        soon("pong", client.read_exact(&mut [0; 5])).await.unwrap();
        (client, server)
    }
}

/// A connection out of an address of our own.
pub(crate) async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(from.parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Whether a session is reset without a byte; that may be quicker than the report of the connection.
pub(crate) async fn is_reset(stage: &Stage, protocol: Protocol, at: SocketAddr) -> bool {
    let talks = async {
        let mut client = stage.over(protocol, TcpStream::connect(at).await?).await?;
        client.write_all(b"ping").await?;
        client.read(&mut [0; 1]).await
    };
    let end = soon("its end", talks).await;
    end.is_err_and(|error| matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe))
}

pub(crate) fn reset_on_drop(tcp: &TcpStream) {
    socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO)).unwrap();
}
