//! One attempt to be let in without any right to be: connect, say something, and listen for a sign of life.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use super::bounds::KNOCK_WAIT;

/// How a knock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No connection: refused.
    Refused,
    /// Connected, then reset or closed without a byte.
    Reset,
    /// Nothing at all within [`KNOCK_WAIT`].
    Silence,
    /// A byte came back.
    Answer,
    /// This machine could not even send it.
    Unsent,
}

/// What came back, and after how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub end: End,
    pub after: Duration,
}

/// Connects from `source` (or any) to `target`, sends `words`, and listens.
pub async fn knock(source: Option<IpAddr>, target: SocketAddr, words: &[u8]) -> Heard {
    let began = Instant::now();
    let deadline = began + KNOCK_WAIT;
    let end = match timeout_at(deadline, connect(source, target)).await {
        Err(_) => End::Silence,
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::ConnectionRefused => End::Refused,
            io::ErrorKind::ConnectionReset => End::Reset,
            _ => End::Unsent,
        },
        Ok(Ok(stream)) => timeout_at(deadline, speak(stream, words)).await.unwrap_or(End::Silence),
    };
    Heard { end, after: began.elapsed() }
}

/// Connects, from a source of our own choice where one is given.
///
/// # Errors
/// The system's.
pub async fn connect(source: Option<IpAddr>, target: SocketAddr) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(target).await
}

async fn speak(mut stream: TcpStream, words: &[u8]) -> End {
    // Whoever knocks thousands of times must not leave a socket of each behind.
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    if stream.write_all(words).await.is_err() {
        return End::Reset;
    }
    match stream.read(&mut [0; 512]).await {
        Ok(0) | Err(_) => End::Reset,
        Ok(_) => End::Answer,
    }
}

/// Writes ClientHellos, with whatever server name.
pub struct Greeter(Arc<ClientConfig>);

impl Greeter {
    /// # Errors
    /// The TLS library refuses its own defaults: never.
    pub fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
        Ok(Self(Arc::new(config.with_no_client_auth())))
    }

    /// The bytes of a ClientHello; with the server name where it is one.
    ///
    /// # Errors
    /// The name is no name, or the system has no random bytes.
    pub fn hello(&self, name: Option<&str>) -> anyhow::Result<Vec<u8>> {
        let config = match name {
            Some(_) => Arc::clone(&self.0),
            None => {
                let mut config = ClientConfig::clone(&self.0);
                config.enable_sni = false;
                Arc::new(config)
            }
        };
        let server = ServerName::try_from(name.unwrap_or("nobody.invalid").to_owned())?;
        let mut connection = ClientConnection::new(config, server)?;
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes)?;
        Ok(bytes)
    }

    /// The configuration of a client that takes any certificate: it has no secret to lose.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

/// A stranger does not care whom it talks to.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_closed_port_refuses_a_mute_one_is_silence_and_a_byte_is_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serve = tokio::spawn(async move {
            let (mut speaks, _) = listener.accept().await.unwrap();
            speaks.write_all(b"x").await.unwrap();
            let (hangs_up, _) = listener.accept().await.unwrap();
            drop(hangs_up);
        });
        assert_eq!(knock(None, at, b"hello").await.end, End::Answer);
        assert_eq!(knock(Some("127.0.0.9".parse().unwrap()), at, b"hello").await.end, End::Reset);
        serve.await.unwrap();
        assert_eq!(knock(None, at, b"hello").await.end, End::Refused);
    }

    #[tokio::test]
    async fn whoever_hears_nothing_gives_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let heard = knock(None, listener.local_addr().unwrap(), b"").await;
        assert_eq!(heard.end, End::Silence);
        assert!(heard.after >= KNOCK_WAIT);
    }

    #[test]
    fn a_hello_carries_its_name_or_none() {
        let greeter = Greeter::new().unwrap();
        let holds = |bytes: &[u8], name: &str| bytes.windows(name.len()).any(|w| w == name.as_bytes());
        assert!(holds(&greeter.hello(Some("a.wander.test")).unwrap(), "a.wander.test"));
        let mute = greeter.hello(None).unwrap();
        assert!(mute[0] == 22 && !holds(&mute, "nobody.invalid"));
        assert!(greeter.hello(Some("not a name")).is_err());
    }
}
