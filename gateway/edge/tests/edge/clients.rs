//! Clients: raw TCP, TLS with or without a name, HTTP/1.1 byte by byte, HTTP/2 by hyper and frame by frame.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rotator::GrantNo;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::backend::find;
use crate::scene::{Scene, soon};

pub(crate) type Tls = TlsStream<TcpStream>;

/// How a stranger's attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Reset without a byte.
    Reset,
    /// An orderly close without a byte.
    Closed,
    /// Some byte came.
    Spoken,
    /// Nothing at all within the time.
    Silence,
}

/// What comes on a socket after `bytes`, within `limit`.
pub(crate) async fn end_of(tcp: &mut TcpStream, bytes: &[u8], limit: Duration) -> End {
    // It may be reset already.
    let _ = tcp.write_all(bytes).await;
    match timeout(limit, tcp.read(&mut [0; 1])).await {
        Err(_) => End::Silence,
        Ok(Ok(0)) => End::Closed,
        Ok(Ok(_)) => End::Spoken,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => End::Reset,
        Ok(Err(error)) => panic!("{error}"),
    }
}

/// The bytes of a ClientHello.
pub(crate) fn hello(name: Option<&str>) -> Vec<u8> {
    let mut config = config(&[], &[]);
    config.enable_sni = name.is_some();
    let name = ServerName::try_from(name.unwrap_or("nobody.example").to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn config(chain: &[u8], alpn: &[&str]) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(chain) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    config
}

/// TLS on a connection that is there already.
pub(crate) async fn tls_over(tcp: TcpStream, name: &str, alpn: &[&str], chain: &[u8]) -> io::Result<Tls> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config(chain, alpn))).connect(name, tcp).await
}

impl Scene {
    pub(crate) async fn tcp(&self, address: IpAddr) -> TcpStream {
        TcpStream::connect((address, self.port)).await.unwrap()
    }

    /// How an attempt at an address by a name ends.
    pub(crate) async fn attempt(&self, address: IpAddr, name: Option<&str>) -> End {
        self.knock(address, &hello(name), Duration::from_secs(20)).await
    }

    /// What comes back from an address after those bytes. A reset may be quicker than the report of the connection.
    pub(crate) async fn knock(&self, address: IpAddr, bytes: &[u8], limit: Duration) -> End {
        match TcpStream::connect((address, self.port)).await {
            Ok(mut tcp) => end_of(&mut tcp, bytes, limit).await,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => End::Reset,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn tls(&self, address: IpAddr, name: &str, alpn: &[&str]) -> io::Result<Tls> {
        self.tls_by(address, name, alpn, self.chain.as_bytes()).await
    }

    pub(crate) async fn tls_by(
        &self,
        address: IpAddr,
        name: &str,
        alpn: &[&str],
        chain: &[u8],
    ) -> io::Result<Tls> {
        tls_over(TcpStream::connect((address, self.port)).await?, name, alpn, chain).await
    }

    /// A grant's own connection over HTTP/1.1.
    pub(crate) async fn h1(&self, grant: GrantNo) -> Wire {
        let tls = self.tls(self.address(grant), &self.name(grant), &["http/1.1"]).await.unwrap();
        Wire { tls, unread: Vec::new() }
    }

    /// The same over HTTP/2.
    pub(crate) async fn h2(&self, grant: GrantNo) -> Sender {
        let tls = self.tls(self.address(grant), &self.name(grant), &["h2"]).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// One request of Alice over HTTP/1.1, and its answer.
    pub(crate) async fn ask(&self, head_and_body: &str) -> Answer {
        self.h1(ALICE_).await.ask(self, head_and_body).await
    }

    /// Whether a grant is served at an address under a name.
    pub(crate) async fn serves(&self, address: IpAddr, name: &str) -> bool {
        let Ok(tls) = self.tls(address, name, &["http/1.1"]).await else { return false };
        let mut wire = Wire { tls, unread: Vec::new() };
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
        wire.say(request.as_bytes()).await;
        wire.answer("GET").await.is_some_and(|answer| answer.status == 200)
    }
}

const ALICE_: GrantNo = crate::scene::ALICE;

pub(crate) type Sender = http2::SendRequest<Full<Bytes>>;

pub(crate) fn request(host: &str, path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("https://{host}{path}")).body(Full::default()).unwrap()
}

/// The whole of a response, or why there is none.
pub(crate) async fn whole(
    sender: &mut Sender,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Response<Bytes>> {
    soon("an answer", async {
        sender.ready().await?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    })
    .await
}

/// A response over HTTP/1.1, read by hand.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The body ended as its head announced.
    pub(crate) is_whole: bool,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// HTTP/1.1 byte by byte.
pub(crate) struct Wire {
    pub(crate) tls: Tls,
    pub(crate) unread: Vec<u8>,
}

impl Wire {
    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        // The other side may have closed already: what it said before counts.
        let _ = self.tls.write_all(bytes).await;
        let _ = self.tls.flush().await;
    }

    /// Says `{host}` as Alice's name, and reads the answer.
    pub(crate) async fn ask(&mut self, scene: &Scene, request: &str) -> Answer {
        let request = request.replace("{host}", &scene.name(ALICE_));
        self.say(request.as_bytes()).await;
        let method = request.split(' ').next().unwrap_or_default();
        self.answer(method).await.unwrap_or_else(|| panic!("an answer to {request:?}"))
    }

    /// `None`: closed without a head.
    pub(crate) async fn answer(&mut self, method: &str) -> Option<Answer> {
        soon("an answer", async {
            loop {
                let answer = self.one(method).await?;
                if answer.status >= 200 || answer.status == 101 {
                    return Some(answer);
                }
            }
        })
        .await
    }

    /// `None`: closed; else at least one more byte is there.
    pub(crate) async fn more(&mut self) -> Option<()> {
        let mut buffer = vec![0; 64 * 1024];
        let n = self.tls.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        self.unread.extend_from_slice(&buffer[..n]);
        Some(())
    }

    /// Waits for the connection's end; false if it speaks instead.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && soon("the end", self.more()).await.is_none()
    }

    async fn one(&mut self, method: &str) -> Option<Answer> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new(), is_whole: true };
        if method != "HEAD" && status >= 200 && status != 204 && status != 304 {
            self.body(&mut answer).await;
        }
        Some(answer)
    }

    async fn body(&mut self, answer: &mut Answer) {
        if answer.field("transfer-encoding") == Some("chunked") {
            while find(&self.unread, b"0\r\n\r\n").is_none() && answer.is_whole {
                answer.is_whole = self.more().await.is_some();
            }
            let mut rest = self.unread.as_slice();
            while let Some(line) = find(rest, b"\r\n") {
                let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
                if size == 0 || rest.len() < line + 2 + size {
                    break;
                }
                answer.body.extend_from_slice(&rest[line + 2..line + 2 + size]);
                rest = &rest[(line + 4 + size).min(rest.len())..];
            }
            self.unread.clear();
        } else if let Some(length) = answer.field("content-length") {
            let length: usize = length.parse().unwrap();
            while self.unread.len() < length && answer.is_whole {
                answer.is_whole = self.more().await.is_some();
            }
            answer.body = self.unread.drain(..length.min(self.unread.len())).collect();
        } else {
            while self.more().await.is_some() {}
            answer.body = std::mem::take(&mut self.unread);
        }
    }
}

/// HTTP/2 frame by frame.
pub(crate) struct Frames(pub(crate) Tls);

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// `GET /` of that host, as HPACK without Huffman or table.
pub(crate) fn get_block(host: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x84, 0x01, host.len() as u8];
    block.extend_from_slice(host.as_bytes());
    block
}

/// `POST` to a path of that host.
pub(crate) fn post_block(host: &str, path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x87, 0x04, path.len() as u8];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(&[0x01, host.len() as u8]);
    block.extend_from_slice(host.as_bytes());
    block
}

impl Frames {
    pub(crate) async fn of(scene: &Scene, grant: GrantNo) -> Self {
        let mut tls = scene.tls(scene.address(grant), &scene.name(grant), &["h2"]).await.unwrap();
        tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        tls.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self(tls)
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok() && self.0.flush().await.is_ok()
    }

    /// The next frame's kind, stream and payload; `None` at the end.
    pub(crate) async fn hear(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    /// All frames to the end.
    pub(crate) async fn rest(&mut self) -> Vec<(u8, u32, Vec<u8>)> {
        let mut all = Vec::new();
        soon("the end", async {
            while let Some(frame) = self.hear().await {
                all.push(frame);
            }
        })
        .await;
        all
    }
}
