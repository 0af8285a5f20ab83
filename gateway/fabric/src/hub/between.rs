//! The connections between the hubs of a plane: one TCP connection per pair, mutual TLS 1.3, by exact names.
//!
//! Of two hubs the one whose name sorts first dials, and dials again; the other accepts. So n hubs have n(n-1)/2 connections,
//! and in the middle of the names a hub both initiates and accepts. A new connection of the same hub replaces the old: its
//! dialer knows better that the old one is dead.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::council::Event;
use crate::bounds::{
    ACCEPT_PAUSE, BETWEEN_HANDSHAKE, BETWEEN_PAUSE, BETWEEN_QUEUE, BETWEEN_REDIAL_FIRST, BETWEEN_REDIAL_MAX,
    BETWEEN_SILENT,
};
use crate::door::half_open::{HalfOpen, HalfOpens, Source};
use crate::election::{Instance, Message};
use crate::identity::{Identity, Role};
use crate::refusal::{LaneEnd, Refusal, Violation};
use crate::status::{BetweenStatus, Tally};
use crate::tls::{Keyring, identity_of};

mod frames;

use frames::{Frame, VERSION};

/// The way to one other hub. When it is dropped the connection ends behind what was said.
pub(super) type Voice = mpsc::Sender<Message>;

/// The hubs of the plane, and how to reach and know them.
pub(super) struct Between {
    pub(super) plane: String,
    pub(super) me: Instance,
    /// By instance.
    pub(super) names: Vec<String>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) refused: Tally,
    pub(super) board: Board,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// Which connections are up, for the status. Cheap to clone.
#[derive(Clone)]
pub(super) struct Board(Arc<Mutex<Vec<BetweenStatus>>>);

impl Board {
    pub(super) fn new(names: &[String], me: Instance) -> Self {
        let others = names.iter().enumerate().filter(|(instance, _)| *instance != me);
        let all =
            others.map(|(_, name)| BetweenStatus { name: name.clone(), connections: 0, last_end: None });
        Self(Arc::new(Mutex::new(all.collect())))
    }

    pub(super) fn all(&self) -> Vec<BetweenStatus> {
        self.lock().clone()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut BetweenStatus)) {
        if let Some(status) = self.lock().iter_mut().find(|status| status.name == name) {
            change(status);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<BetweenStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Between {
    /// Begins to dial and to accept, on the current runtime.
    pub(super) fn start(self: &Arc<Self>, listener: TcpListener) {
        self.tasks.spawn(self.clone().keep_door(listener));
        for other in self.me + 1..self.names.len() {
            self.tasks.spawn(self.clone().keep_dialing(other));
        }
    }

    async fn keep_dialing(self: Arc<Self>, other: Instance) {
        let mut pause = BETWEEN_REDIAL_FIRST;
        loop {
            let begun = Instant::now();
            let end = match self.stop.run_until_cancelled(self.dial(other)).await {
                None => return,
                Some(Ok(io)) => self.converse(io, other).await,
                Some(Err(end)) => end,
            };
            self.board.change(&self.names[other], |status| status.last_end = Some(end.code()));
            let lived = begun.elapsed() > BETWEEN_REDIAL_MAX * 2;
            pause = if lived { BETWEEN_REDIAL_FIRST } else { (pause * 2).min(BETWEEN_REDIAL_MAX) };
            if self.stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    async fn dial(&self, other: Instance) -> Result<impl AsyncRead + AsyncWrite + use<>, LaneEnd> {
        let connecting = async {
            let broken = |error: std::io::Error| LaneEnd::Unreachable(error.kind());
            let tcp = TcpStream::connect(self.addresses[other]).await.map_err(broken)?;
            tcp.set_nodelay(true).map_err(broken)?;
            let far = Identity::new(Role::Hub, &self.names[other]).ok_or(LaneEnd::TlsFailed)?;
            let config = self.keyring.client(&far).map_err(|_| LaneEnd::TlsFailed)?;
            let name = ServerName::IpAddress(self.addresses[other].ip().into());
            let mut io =
                TlsConnector::from(config).connect(name, tcp).await.map_err(|_| LaneEnd::TlsFailed)?;
            self.greet(&mut io).await?;
            Ok(io)
        };
        timeout(BETWEEN_HANDSHAKE, connecting).await.map_err(|_| LaneEnd::HandshakeDeadline)?
    }

    async fn keep_door(self: Arc<Self>, listener: TcpListener) {
        let half_opens = HalfOpens::default();
        while let Some(accepted) = self.stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((tcp, source)) => match half_opens.enter(Source::Host(source.ip().to_canonical())) {
                    Some(half_open) => drop(self.tasks.spawn(self.clone().admit(tcp, half_open))),
                    None => self.refused.add(LaneEnd::HalfOpenFull.code()),
                },
                Err(error) => {
                    tracing::warn!(%error, "a hub cannot accept other hubs");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn admit(self: Arc<Self>, tcp: TcpStream, half_open: HalfOpen) {
        let accepting = timeout(BETWEEN_HANDSHAKE, self.accept(tcp));
        let accepted = self.stop.run_until_cancelled(accepting).await;
        drop(half_open);
        match accepted {
            None => {}
            Some(Err(_)) => self.refused.add(LaneEnd::HandshakeDeadline.code()),
            Some(Ok(Err(end))) => self.refused.add(end.code()),
            Some(Ok(Ok((io, other)))) => {
                let end = self.converse(io, other).await;
                self.board.change(&self.names[other], |status| status.last_end = Some(end.code()));
            }
        }
    }

    /// Who it is has to be a hub of this plane, and one that dials us.
    async fn accept(
        &self,
        tcp: TcpStream,
    ) -> Result<(impl AsyncRead + AsyncWrite + use<>, Instance), LaneEnd> {
        tcp.set_nodelay(true).map_err(|error| LaneEnd::Broken(error.kind()))?;
        let acceptor = TlsAcceptor::from(self.keyring.server());
        let mut io = acceptor.accept(tcp).await.map_err(|_| LaneEnd::TlsFailed)?;
        let certificate = io.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let who = certificate.and_then(identity_of).ok_or(LaneEnd::Refused(Refusal::WrongName))?;
        if who.role() != Role::Hub {
            return Err(LaneEnd::Refused(Refusal::WrongRole));
        }
        let other = self.names.iter().take(self.me).position(|name| *name == who.name());
        let other = other.ok_or(LaneEnd::Refused(Refusal::WrongName))?;
        self.greet(&mut io).await?;
        Ok((io, other))
    }

    /// Both say which plane they mean.
    async fn greet<S: AsyncRead + AsyncWrite + Unpin>(&self, io: &mut S) -> Result<(), LaneEnd> {
        let mut bytes = BytesMut::new();
        Frame::Hello { version: VERSION, plane: self.plane.clone() }.encode(&self.names, &mut bytes);
        io.write_all(&bytes).await.map_err(broken)?;
        io.flush().await.map_err(broken)?;
        // Nobody speaks on before it has heard our Hello, and we read no more than its: what is behind it stays in TLS.
        let mut buffer = BytesMut::with_capacity(64);
        loop {
            match Frame::decode(&mut buffer, &self.names) {
                Ok(None) => {}
                Ok(Some(Frame::Hello { version: VERSION, plane })) if plane == self.plane => return Ok(()),
                Ok(Some(Frame::Hello { version: VERSION, .. })) => {
                    return Err(LaneEnd::Refused(Refusal::WrongName));
                }
                Ok(Some(Frame::Hello { .. })) => {
                    return Err(LaneEnd::Refused(Refusal::VersionUnsupported));
                }
                Ok(Some(_)) => return Err(LaneEnd::Violation(Violation::Unexpected)),
                Err(_) => return Err(LaneEnd::Violation(Violation::Malformed)),
            }
            let byte = io.read_u8().await.map_err(broken)?;
            buffer.extend_from_slice(&[byte]);
        }
    }

    /// Until either side is gone, or the election has a newer connection to the same hub.
    async fn converse<S: AsyncRead + AsyncWrite>(&self, io: S, other: Instance) -> LaneEnd {
        let (voice, mouth) = mpsc::channel(BETWEEN_QUEUE);
        if self.events.send(Event::Up(other, voice)).await.is_err() {
            return LaneEnd::Stopped;
        }
        let name = &self.names[other];
        self.board.change(name, |status| status.connections += 1);
        let (read, write) = tokio::io::split(io);
        let (read, write) = (std::pin::pin!(read), std::pin::pin!(write));
        let end = tokio::select! {
            end = self.listen(read, other) => end,
            end = self.speak(write, mouth) => end,
        };
        self.board.change(name, |status| status.connections -= 1);
        end
    }

    async fn listen(&self, mut io: impl AsyncRead + Unpin, other: Instance) -> LaneEnd {
        let mut buffer = BytesMut::with_capacity(4096);
        loop {
            loop {
                match Frame::decode(&mut buffer, &self.names) {
                    Ok(None) => break,
                    Ok(Some(Frame::Alive)) => {}
                    Ok(Some(Frame::Say(message))) => {
                        if self.events.send(Event::Heard(other, message)).await.is_err() {
                            return LaneEnd::Stopped;
                        }
                    }
                    Ok(Some(Frame::Hello { .. })) => return LaneEnd::Violation(Violation::Unexpected),
                    Err(_) => return LaneEnd::Violation(Violation::Malformed),
                }
            }
            match timeout(BETWEEN_SILENT, io.read_buf(&mut buffer)).await {
                Err(_) => return LaneEnd::Silent,
                Ok(Ok(0)) => return LaneEnd::Closed,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return broken(error),
            }
        }
    }

    async fn speak(&self, mut io: impl AsyncWrite + Unpin, mut mouth: mpsc::Receiver<Message>) -> LaneEnd {
        let mut bytes = BytesMut::new();
        loop {
            let (frame, is_last) = match timeout(BETWEEN_PAUSE, mouth.recv()).await {
                Ok(Some(message)) => (Frame::Say(message), false),
                Ok(None) => (Frame::Alive, true),
                Err(_) => (Frame::Alive, false),
            };
            frame.encode(&self.names, &mut bytes);
            while let Ok(message) = mouth.try_recv() {
                Frame::Say(message).encode(&self.names, &mut bytes);
            }
            if let Err(error) = io.write_all(&bytes).await {
                return broken(error);
            }
            if let Err(error) = io.flush().await {
                return broken(error);
            }
            bytes.clear();
            if is_last {
                // Whoever hears nothing more finds out by itself.
                let _ = io.shutdown().await;
                return LaneEnd::Stopped;
            }
        }
    }
}

fn broken(error: std::io::Error) -> LaneEnd {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => LaneEnd::Closed,
        // A TLS alert: with TLS 1.3 the dialer learns so that its certificate was refused.
        std::io::ErrorKind::InvalidData => LaneEnd::TlsFailed,
        kind => LaneEnd::Broken(kind),
    }
}
