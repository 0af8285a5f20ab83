//! A dialer that says what it likes.

use std::net::SocketAddr;
use std::sync::Arc;

use fabric::Credentials;
use fabric::wire::{Decoder, Frame, Hello, Open, VERSION};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) struct Raw {
    pub(crate) io: TlsStream<TcpStream>,
    decoder: Decoder,
}

impl Raw {
    /// TLS with these credentials, or none; believes any server.
    pub(crate) async fn connect(to: SocketAddr, credentials: Option<&Credentials>) -> std::io::Result<Self> {
        Self::connect_with(to, credentials, &rustls::version::TLS13).await
    }

    pub(crate) async fn connect_with(
        to: SocketAddr,
        credentials: Option<&Credentials>,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> std::io::Result<Self> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody));
        let config = match credentials {
            None => builder.with_no_client_auth(),
            Some(credentials) => {
                let pem = credentials.to_secret_pem();
                let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let tcp = TcpStream::connect(to).await?;
        let name = ServerName::IpAddress(to.ip().into());
        let io = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        let mut decoder = Decoder::new();
        decoder.greeted();
        Ok(Self { io, decoder })
    }

    pub(crate) async fn say(&mut self, frame: &Frame) {
        let mut bytes = bytes::BytesMut::new();
        frame.encode(&mut bytes);
        self.say_bytes(&bytes).await;
    }

    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// The next frame, or `None` when the hub closed. Pings are answered on the way.
    pub(crate) async fn hear(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.next_frame().unwrap() {
                Some(Frame::Ping { nonce }) => {
                    let mut bytes = bytes::BytesMut::new();
                    Frame::Pong { nonce }.encode(&mut bytes);
                    let _ = self.io.write_all(&bytes).await;
                    let _ = self.io.flush().await;
                    continue;
                }
                Some(frame) => return Some(frame),
                None => {}
            }
            match self.io.read_buf(self.decoder.buffer()).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Goes on answering pings until it is dropped; what else is heard is lost.
    pub(crate) fn idle(mut self) -> tokio_util::task::AbortOnDropHandle<()> {
        tokio_util::task::AbortOnDropHandle::new(tokio::spawn(
            async move { while self.hear().await.is_some() {} },
        ))
    }

    /// Says Hello as this lane and hears the answer.
    pub(crate) async fn greet(&mut self, name: &str, link: u8, lane: u8) -> Option<Frame> {
        self.say(&hello(name, link, lane)).await;
        self.hear().await
    }
}

pub(crate) fn hello(name: &str, link: u8, lane: u8) -> Frame {
    Frame::Hello(Hello { version: VERSION, lane, link: [link; 16], name: name.into() })
}

/// Asks for a stream to that service.
pub(crate) fn asked(stream: u32, service: &str) -> Frame {
    let mut session = [0; 16];
    session[..4].copy_from_slice(&stream.to_be_bytes());
    Frame::Open { stream, open: Box::new(Open { service: service.into(), session, ..Open::default() }) }
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
