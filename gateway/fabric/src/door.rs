//! A listener of links, at a hub or a local hub: who gets in, and as which lane of which link.
//!
//! The door bounds what is half open, runs TLS, hears the Hello, and compares it with the certificate. Whom its owner
//! wants, the owner says: [`Admission`].

use std::sync::Arc;

use bytes::Bytes;
use tokio::net::{TcpListener, UnixListener};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounds::{ACCEPT_PAUSE, HANDSHAKE_DEADLINE, LANES};
use crate::identity::Identity;
use crate::lane::driver::Greeted;
use crate::lane::greeting;
use crate::lane::papers::Papers;
use crate::link::Seat;
use crate::mux::Side;
use crate::refusal::{LaneEnd, Refusal, Violation};
use crate::socket::Socket;
use crate::status::Tally;
use crate::tls::{Keyring, identity_of};
use crate::wire::{Decoder, Frame, Hello, VERSION};

pub(crate) mod half_open;
pub(crate) mod members;

use half_open::{HalfOpen, HalfOpens, Source};

/// What a door's owner says to a member whose certificate was verified and whose Hello agrees with it.
pub(crate) enum Answer {
    /// Come in: this lane of that link, and the mandate by which the owner speaks for its plane (empty where there is none).
    Welcome(Seat, Bytes),
    /// Go to the active hub of this term, if its name is known.
    Standby { term: u64, active: String },
    /// No, and why.
    Refuse(Refusal),
}

/// The owner of a door.
pub(crate) trait Admission: Send + Sync + 'static {
    /// Who may be a lane of what. Checks the role, and finds or makes the link.
    fn answer(self: &Arc<Self>, who: &Identity, hello: &Hello) -> Answer;

    /// A lane left, or never came up after it had its seat.
    fn lane_ended(&self);
}

/// Where a door listens.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> std::io::Result<(Socket, Source)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, source) = listener.accept().await?;
                Ok((tcp.into(), Source::Host(source.ip().to_canonical())))
            }
            Self::Unix(listener) => Ok((listener.accept().await?.0.into(), Source::ThisComputer)),
        }
    }
}

/// A door before it opens.
pub(crate) struct Door<A> {
    pub(crate) owner: Arc<A>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) half_opens: HalfOpens,
    pub(crate) refused: Tally,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl<A: Admission> Door<A> {
    /// Accepts until the stop token; what stands then is the owner's to close.
    pub(crate) async fn keep(self, listener: Listener) {
        let door = Arc::new(self);
        while let Some(accepted) = door.stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((socket, source)) => match door.half_opens.enter(source) {
                    Some(half_open) => drop(door.tasks.spawn(door.clone().admit(socket, half_open))),
                    None => door.refused.add(LaneEnd::HalfOpenFull.code()),
                },
                Err(error) => {
                    tracing::warn!(%error, "a door of the fabric cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn admit(self: Arc<Self>, socket: Socket, half_open: HalfOpen) {
        let greeted = self.stop.run_until_cancelled(timeout(HANDSHAKE_DEADLINE, self.greet(socket))).await;
        drop(half_open);
        let end = match greeted {
            None => return,
            Some(Err(_)) => LaneEnd::HandshakeDeadline,
            Some(Ok(Err(end))) => end,
            Some(Ok(Ok(lane))) => {
                let Lane { who, seat, io, greeted } = lane;
                tracing::debug!(member = %who, "lane up");
                let end = seat.run(io, Side::Listener, greeted).await;
                tracing::debug!(member = %who, reason = end.code(), "lane ended");
                end
            }
        };
        self.owner.lane_ended();
        self.refused.add(end.code());
    }

    async fn greet(&self, socket: Socket) -> Result<Lane, LaneEnd> {
        if let Socket::Tcp(tcp) = &socket {
            tcp.set_nodelay(true).map_err(|error| LaneEnd::Broken(error.kind()))?;
        }
        let shown = self.keyring.generation();
        let acceptor = TlsAcceptor::from(self.keyring.server());
        let mut io = acceptor.accept(socket).await.map_err(|_| LaneEnd::TlsFailed)?;
        let mut decoder = Decoder::new();
        let greeted = match greeting::hear_hello(&mut io, &mut decoder).await {
            Ok(hello) => self.judge(&io, &hello),
            Err(LaneEnd::Violation(violation)) => Err(LaneEnd::Violation(violation)),
            Err(end) => return Err(end),
        };
        match greeted {
            Ok((who, Answer::Welcome(seat, mandate))) => {
                let name = self.keyring.identity().name().to_owned();
                greeting::say(&mut io, &Frame::Welcome { version: VERSION, name, mandate }).await?;
                decoder.greeted();
                let papers = Papers::new(&self.keyring, shown, &who, Side::Listener, io.get_ref().1);
                let papers = papers.ok_or(LaneEnd::TlsFailed)?;
                Ok(Lane { who, seat, io, greeted: Greeted { decoder, papers } })
            }
            Ok((_, Answer::Standby { term, active })) => {
                greeting::say(&mut io, &Frame::Standby { term, active }).await?;
                turn_away(&mut io, LaneEnd::Refused(Refusal::Standby)).await
            }
            Ok((_, Answer::Refuse(reason))) => turn_away(&mut io, LaneEnd::Refused(reason)).await,
            Err(end) => turn_away(&mut io, end).await,
        }
    }

    /// Compares Hello and certificate, then asks the owner.
    fn judge(&self, io: &TlsStream<Socket>, hello: &Hello) -> Result<(Identity, Answer), LaneEnd> {
        let certificate = io.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let who = certificate.and_then(identity_of).ok_or(LaneEnd::Refused(Refusal::WrongName))?;
        if hello.version != VERSION {
            return Err(LaneEnd::Refused(Refusal::VersionUnsupported));
        }
        if who.name() != hello.name {
            return Err(LaneEnd::Refused(Refusal::WrongName));
        }
        if usize::from(hello.lane) >= LANES {
            return Err(LaneEnd::Violation(Violation::Malformed));
        }
        let answer = self.owner.answer(&who, hello);
        Ok((who, answer))
    }
}

/// A connection that said who it is and got its place.
struct Lane {
    who: Identity,
    seat: Seat,
    io: TlsStream<Socket>,
    greeted: Greeted,
}

async fn turn_away(io: &mut TlsStream<Socket>, end: LaneEnd) -> Result<Lane, LaneEnd> {
    greeting::say(io, &Frame::Refuse(end.for_streams())).await?;
    // A close over unread bytes would take the reason with it.
    let _ = tokio::io::AsyncWriteExt::shutdown(io).await;
    Err(end)
}
