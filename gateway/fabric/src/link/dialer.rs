//! The dialing side of a link: six tasks, each of which makes its lane, runs it, and makes it again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Link, Seat};
use crate::bounds::{
    DIAL_DEADLINE, HANDSHAKE_DEADLINE, INSTANCES_MAX, LANES, PLANES_MAX, REDIAL_FIRST, REDIAL_MAX,
};
use crate::identity::Identity;
use crate::lane::driver::LinkEvent;
use crate::lane::greeting::{self, Greeted};
use crate::mux::Side;
use crate::refusal::{LaneEnd, Refusal};
use crate::socket::Socket;
use crate::tls::Keyring;
use crate::wire::{Decoder, Hello, VERSION};

/// A dialer that cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialerError {
    /// No plane, or too many, or two of the same name.
    #[error("a member follows 1 to {PLANES_MAX} planes, each of its own name")]
    Planes,
    /// The plane's name breaks the rules of names.
    #[error("the plane's name {0:?} is not 1 to 255 ASCII letters, digits, and . _ - :")]
    PlaneName(String),
    /// The plane has no instance, or too many, or two of the same name.
    #[error("plane {0} needs 1 to {INSTANCES_MAX} hubs, each of its own name")]
    Instances(String),
    /// The hub's name breaks the rules of names.
    #[error("the hub's name is not 1 to 255 ASCII letters, digits, and . _ - :")]
    HubName,
    /// The certificate has another role than this member needs.
    #[error("the certificate is not for this role")]
    WrongRole,
    /// The system gave no randomness.
    #[error("the system gave no randomness")]
    Randomness,
}

struct Dialer {
    link: Arc<Link>,
    keyring: Arc<Keyring>,
    address: SocketAddr,
}

/// Begins to dial and keeps dialing until `stop`; tasks run on the current runtime.
pub(crate) fn start(
    far: Identity,
    address: SocketAddr,
    keyring: &Arc<Keyring>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<(Arc<Link>, mpsc::Receiver<LinkEvent>), DialerError> {
    let mut id = [0; 16];
    SystemRandom::new().fill(&mut id).map_err(|_| DialerError::Randomness)?;
    let (link, events) = Link::new(far, id, stop.clone());
    for index in 0..LANES {
        let dialer = Dialer { link: link.clone(), keyring: keyring.clone(), address };
        tasks.spawn(dialer.keep_lane(index));
    }
    let closing = link.clone();
    tasks.spawn(async move {
        closing.over().cancelled().await;
        closing.close(Refusal::ShuttingDown);
    });
    Ok((link, events))
}

impl Dialer {
    async fn keep_lane(self, index: usize) {
        let mut pause = REDIAL_FIRST;
        let stop = self.link.over().clone();
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let end = match stop.run_until_cancelled(self.dial(index)).await {
                None => return,
                Some(Ok((seat, io, decoder))) => seat.run(io, Side::Dialer, decoder).await,
                Some(Err(end)) => {
                    self.link.note_end(end);
                    end
                }
            };
            tracing::debug!(hub = %self.link.far(), lane = index, reason = end.code(), "lane ended");
            pause = if begun.elapsed() > REDIAL_MAX { REDIAL_FIRST } else { (pause * 2).min(REDIAL_MAX) };
            // Lanes that fell together do not come back in one instant.
            let spread = Duration::from_millis(7 * index as u64);
            if stop.run_until_cancelled(sleep(pause / 2 + spread)).await.is_none() {
                return;
            }
        }
    }

    async fn dial(&self, index: usize) -> Result<(Seat, TlsStream<Socket>, Decoder), LaneEnd> {
        let connect = TcpStream::connect(self.address);
        let tcp = timeout(DIAL_DEADLINE, connect)
            .await
            .map_err(|_| LaneEnd::Unreachable(std::io::ErrorKind::TimedOut))?
            .map_err(|error| LaneEnd::Unreachable(error.kind()))?;
        tcp.set_nodelay(true).map_err(|error| LaneEnd::Broken(error.kind()))?;
        timeout(HANDSHAKE_DEADLINE, self.greet(tcp.into(), index))
            .await
            .map_err(|_| LaneEnd::HandshakeDeadline)?
    }

    async fn greet(
        &self,
        socket: Socket,
        index: usize,
    ) -> Result<(Seat, TlsStream<Socket>, Decoder), LaneEnd> {
        let config = self.keyring.client(self.link.far()).map_err(|_| LaneEnd::TlsFailed)?;
        // The verifier looks for the hub's identity; the name that TLS wants is not sent.
        let name = ServerName::IpAddress(self.address.ip().into());
        let mut io =
            TlsConnector::from(config).connect(name, socket).await.map_err(|_| LaneEnd::TlsFailed)?;
        let seat = self.link.seat(index).map_err(LaneEnd::Refused)?;
        let hello = Hello {
            version: VERSION,
            lane: index as u8,
            link: *self.link.id(),
            name: self.keyring.identity().name().to_owned(),
        };
        match greeting::introduce(&mut io, hello, self.link.far().name()).await? {
            Greeted::Welcome { mandate: _, decoder } => Ok((seat, io, decoder)),
            Greeted::Standby { term, active } => {
                tracing::debug!(hub = %self.link.far(), term, active, "the hub stands by");
                Err(LaneEnd::RefusedByFar(Refusal::Standby))
            }
        }
    }
}
