//! One HTTPS connection of an ordinary client: TCP, TLS with the gateway's certificate authority, HTTP/1.1.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::bounds::CONNECT_WAIT;

/// Why a user did not get what was asked for. Its text is short and without addresses, so that alike ones are counted
/// together.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("dns: {0}")]
    Dns(String),
    #[error("socket: {0}")]
    Socket(io::ErrorKind),
    #[error("connect: {0}")]
    Connect(io::ErrorKind),
    #[error("connect: no answer in time")]
    ConnectTimeout,
    #[error("tls: {0}")]
    Tls(String),
    #[error("http: {0}")]
    Http(String),
    #[error("status {0}")]
    Status(u16),
    #[error("the page is not this user's")]
    WrongPage,
    #[error("the body ended early or stalled")]
    Cut,
    #[error("no whole answer in time")]
    Timeout,
    #[error("answered although access had ended")]
    Unrevoked,
}

impl Failure {
    pub(super) fn socket(error: io::Error) -> Self {
        Self::Socket(error.kind())
    }

    fn http(error: hyper::Error) -> Self {
        Self::Http(error.to_string())
    }
}

/// Whom a client trusts.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Trusts the certificates of a PEM file, and nobody else.
    ///
    /// # Errors
    /// The file can't be read or holds no certificate.
    pub fn in_file(file: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file)? {
            roots.add(certificate?)?;
        }
        anyhow::ensure!(!roots.is_empty(), "{} holds no certificate", file.display());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl From<Arc<ClientConfig>> for Trust {
    /// Trust as somebody else has set it up.
    fn from(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }
}

/// An open connection. Dropping it closes it.
pub struct Conversation {
    host: String,
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

impl Conversation {
    /// Connects to `at`, and asks for `name` in the handshake and in each request.
    ///
    /// # Errors
    /// Whatever stands against it, within [`CONNECT_WAIT`].
    pub async fn open(trust: &Trust, at: SocketAddr, name: &str) -> Result<Self, Failure> {
        let connected = async {
            let tcp = TcpStream::connect(at).await.map_err(|error| Failure::Connect(error.kind()))?;
            secured(trust, tcp, at, name).await
        };
        timeout(CONNECT_WAIT, connected).await.unwrap_or(Err(Failure::ConnectTimeout))
    }

    /// As [`Conversation::open`], on a connection that stands already.
    ///
    /// # Errors
    /// The handshake's.
    pub async fn on(trust: &Trust, tcp: TcpStream, at: SocketAddr, name: &str) -> Result<Self, Failure> {
        timeout(CONNECT_WAIT, secured(trust, tcp, at, name)).await.unwrap_or(Err(Failure::ConnectTimeout))
    }

    /// HTTP/1.1 over whatever carries bytes.
    ///
    /// # Errors
    /// HTTP's.
    pub async fn over(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        host: String,
    ) -> Result<Self, Failure> {
        let (sender, connection) = handshake(TokioIo::new(io)).await.map_err(Failure::http)?;
        // Its error reaches whoever waits for the answer.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { host, sender, _driver: AbortOnDropHandle::new(driver) })
    }

    /// Whether the server has left it open.
    pub async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// # Errors
    /// HTTP's.
    pub async fn get(&mut self, path: &str) -> Result<Response<Incoming>, Failure> {
        self.send(Method::GET, path, &[], None).await
    }

    /// A request with a JSON body, or none.
    ///
    /// # Errors
    /// HTTP's.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        json: Option<Bytes>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(json.unwrap_or_default()));
        let request = request.map_err(|error| Failure::Http(error.to_string()))?;
        self.sender.send_request(request).await.map_err(Failure::http)
    }
}

async fn secured(trust: &Trust, tcp: TcpStream, at: SocketAddr, name: &str) -> Result<Conversation, Failure> {
    // Latency is measured here: small segments must not wait for acknowledgements.
    tcp.set_nodelay(true).map_err(Failure::socket)?;
    let server_name =
        ServerName::try_from(name.to_owned()).map_err(|error| Failure::Tls(error.to_string()))?;
    let tls = TlsConnector::from(Arc::clone(&trust.0)).connect(server_name, tcp).await;
    let tls = tls.map_err(|error| Failure::Tls(error.to_string()))?;
    let host = if at.port() == 443 { name.to_owned() } else { format!("{name}:{}", at.port()) };
    Conversation::over(tls, host).await
}

/// A whole body of at most `limit` bytes.
///
/// # Errors
/// It is longer, or broke off.
pub async fn whole(response: Response<Incoming>, limit: usize) -> Result<Bytes, Failure> {
    let collected = Limited::new(response.into_body(), limit).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|_| Failure::Cut)
}
