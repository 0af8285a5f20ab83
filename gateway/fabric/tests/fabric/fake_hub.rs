//! A listener with a hub's certificate that says what it likes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use fabric::mandate::{Mandate, Vote, vote_text};
use fabric::wire::{Decoder, Frame, VERSION};
use fabric::{Authority, Credentials, HubAddress, Refusal, Role};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::world::{ALWAYS, identity};

/// What it answers to a Hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Welcome(Bytes),
    Standby(u64, &'static str),
    /// Not a word, neither on connections that stand nor on new ones.
    Nothing,
}

/// A lane's number and its link's id.
type LaneOfLink = (u8, [u8; 16]);

pub(crate) struct FakeHub {
    pub(crate) at: HubAddress,
    says: watch::Sender<Says>,
    /// Each Hello's lane and link.
    hellos: Arc<Mutex<Vec<LaneOfLink>>>,
    /// What dialers said before they left.
    refusals: Arc<Mutex<Vec<Refusal>>>,
}

impl FakeHub {
    pub(crate) async fn start(authority: &Authority, name: &str, says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = HubAddress { address: listener.local_addr().unwrap(), name: name.to_owned() };
        let acceptor = acceptor(&authority.issue(&identity(Role::Hub, name), ALWAYS).unwrap());
        let hub =
            Self { at, says: watch::Sender::new(says), hellos: Arc::default(), refusals: Arc::default() };
        let lane = Lane {
            name: name.to_owned(),
            says: hub.says.subscribe(),
            hellos: hub.hellos.clone(),
            refusals: hub.refusals.clone(),
        };
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tokio::spawn(lane.clone().serve(acceptor.clone(), tcp));
            }
        });
        hub
    }

    /// From now on it answers this; lanes that it welcomed before end with `not_active`.
    pub(crate) fn say(&self, says: Says) {
        self.says.send_replace(says);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.at.address
    }

    /// Hellos so far, by lane and link.
    pub(crate) fn hellos(&self) -> Vec<(u8, [u8; 16])> {
        self.hellos.lock().unwrap().clone()
    }

    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        self.refusals.lock().unwrap().clone()
    }
}

/// A mandate of plane A with the votes of these hubs.
pub(crate) fn mandate(authority: &Authority, term: u64, active: &str, voters: &[&str]) -> Bytes {
    let voter = |name: &&str| authority.issue(&identity(Role::Hub, name), ALWAYS).unwrap();
    mandate_by(term, active, &voters.iter().map(voter).collect::<Vec<_>>())
}

pub(crate) fn mandate_by(term: u64, active: &str, voters: &[Credentials]) -> Bytes {
    let issued_at = UnixTime::now().as_secs();
    let vote = |voter: &Credentials| {
        let (certificate, key) = pair(voter);
        let random = SystemRandom::new();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_der(), &random).unwrap();
        let signature = key.sign(&random, &vote_text("A", term, active, issued_at)).unwrap();
        Vote {
            issued_at,
            certificate: certificate.to_vec().into(),
            signature: signature.as_ref().to_vec().into(),
        }
    };
    let votes = voters.iter().map(vote).collect();
    Mandate { plane: "A".into(), term, active: active.into(), votes }.encode()
}

fn pair(credentials: &Credentials) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let pem = credentials.to_secret_pem();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    (certificate, PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap())
}

fn acceptor(credentials: &Credentials) -> TlsAcceptor {
    let (certificate, key) = pair(credentials);
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[derive(Clone)]
struct Lane {
    name: String,
    says: watch::Receiver<Says>,
    hellos: Arc<Mutex<Vec<LaneOfLink>>>,
    refusals: Arc<Mutex<Vec<Refusal>>>,
}

impl Lane {
    async fn serve(mut self, acceptor: TlsAcceptor, tcp: TcpStream) {
        let Ok(mut io) = acceptor.accept(tcp).await else { return };
        let mut decoder = Decoder::new();
        let Some(Frame::Hello(hello)) = hear(&mut io, &mut decoder).await else { return };
        decoder.greeted();
        self.hellos.lock().unwrap().push((hello.lane, hello.link));
        let says = self.says.borrow_and_update().clone();
        match says {
            Says::Nothing => std::future::pending().await,
            Says::Standby(term, active) => {
                say(&mut io, &Frame::Standby { term, active: active.into() }).await;
                say(&mut io, &Frame::Refuse(Refusal::Standby)).await;
                let _ = io.shutdown().await;
            }
            Says::Welcome(mandate) => {
                say(&mut io, &Frame::Welcome { version: VERSION, name: self.name.clone(), mandate }).await;
                loop {
                    tokio::select! {
                        heard = hear(&mut io, &mut decoder) => match heard {
                            Some(Frame::Ping { nonce }) => say(&mut io, &Frame::Pong { nonce }).await,
                            Some(Frame::Refuse(reason)) => self.refusals.lock().unwrap().push(reason),
                            Some(_) => {}
                            None => return,
                        },
                        _ = self.says.changed() => break,
                    }
                }
                if *self.says.borrow() == Says::Nothing {
                    return std::future::pending().await;
                }
                say(&mut io, &Frame::Refuse(Refusal::NotActive)).await;
                let _ = io.shutdown().await;
            }
        }
    }
}

async fn say(io: &mut TlsStream<TcpStream>, frame: &Frame) {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    let _ = io.write_all(&bytes).await;
    let _ = io.flush().await;
}

async fn hear(io: &mut TlsStream<TcpStream>, decoder: &mut Decoder) -> Option<Frame> {
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return Some(frame);
        }
        match io.read_buf(decoder.buffer()).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}
