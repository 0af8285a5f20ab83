//! The dialing side of a link: makes each of its lanes, runs it, and makes it again.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::ServerName;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::proof::Proof;
use super::{Link, Seat};
use crate::bounds::{
    DIAL_DEADLINE, HANDSHAKE_DEADLINE, INSTANCES_MAX, LANES, PLANES_MAX, REDIAL_FIRST, REDIAL_MAX,
};
use crate::lane::driver as lane;
use crate::lane::greeting::{self, Greeted};
use crate::lane::papers::Papers;
use crate::mux::Side;
use crate::refusal::{LaneEnd, Refusal};
use crate::socket::{DoorAddress, Socket};
use crate::tls::Keyring;
use crate::wire::{Frame, Hello, VERSION};

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

/// Makes the lanes of one link.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) link: Arc<Link>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) at: DoorAddress,
    pub(crate) proof: Arc<Proof>,
}

/// A connection that was welcomed and holds its seat.
pub(crate) struct Connection {
    seat: Seat,
    io: TlsStream<Socket>,
    greeted: lane::Greeted,
    /// What the hub showed.
    pub(crate) mandate: Bytes,
}

/// Why there is no connection.
pub(crate) enum Unwelcome {
    /// The hub is not the active of its plane; perhaps it knows who is.
    Standby { term: u64, active: String },
    /// Anything else.
    Ended(LaneEnd),
}

/// Random bytes for the id of a link.
pub(crate) fn new_id() -> Result<[u8; 16], DialerError> {
    let mut id = [0; 16];
    SystemRandom::new().fill(&mut id).map_err(|_| DialerError::Randomness)?;
    Ok(id)
}

impl Dialer {
    /// Keeps all lanes up until the link is over; the first is up already. A hub is told that we shut down only when we do:
    /// sessions outlive a link that is left for another.
    pub(crate) fn keep_lanes(&self, first: Connection, stop: &CancellationToken, tasks: &TaskTracker) {
        tasks.spawn(self.clone().keep_lane(0, Some(first)));
        for index in 1..LANES {
            tasks.spawn(self.clone().keep_lane(index, None));
        }
        let (closing, stop) = (self.link.clone(), stop.clone());
        tasks.spawn(async move {
            closing.over().cancelled().await;
            closing.close(if stop.is_cancelled() { Refusal::ShuttingDown } else { Refusal::LinkDown });
        });
    }

    /// Connects one lane, as far as the hub's answer.
    pub(crate) async fn dial(&self, index: usize) -> Result<Connection, Unwelcome> {
        let socket = timeout(DIAL_DEADLINE, self.at.connect())
            .await
            .map_err(|_| LaneEnd::Unreachable(std::io::ErrorKind::TimedOut))?
            .map_err(|error| LaneEnd::Unreachable(error.kind()))?;
        timeout(HANDSHAKE_DEADLINE, self.greet(socket, index))
            .await
            .map_err(|_| LaneEnd::HandshakeDeadline)?
    }

    async fn keep_lane(self, index: usize, mut first: Option<Connection>) {
        let mut pause = REDIAL_FIRST;
        let over = self.link.over().clone();
        while !over.is_cancelled() {
            let begun = Instant::now();
            let end = match first.take() {
                Some(connection) => connection.run().await,
                None => match over.run_until_cancelled(self.dial_again(index)).await {
                    None => return,
                    Some(Ok(connection)) => connection.run().await,
                    Some(Err(end)) => end,
                },
            };
            tracing::debug!(hub = %self.link.far(), lane = index, reason = end.code(), "lane ended");
            self.link.note_end(end);
            if leaves_hub(end) || self.link.is_bare() {
                return over.cancel();
            }
            pause = if begun.elapsed() > REDIAL_MAX { REDIAL_FIRST } else { (pause * 2).min(REDIAL_MAX) };
            // Lanes that fell together do not come back in one instant.
            let spread = Duration::from_millis(7 * index as u64);
            if over.run_until_cancelled(sleep(pause / 2 + spread)).await.is_none() {
                return;
            }
        }
    }

    /// A further lane of the link, to the same hub in the same term.
    async fn dial_again(&self, index: usize) -> Result<Connection, LaneEnd> {
        let connection = self.dial(index).await.map_err(|unwelcome| match unwelcome {
            Unwelcome::Standby { .. } => LaneEnd::RefusedByFar(Refusal::Standby),
            Unwelcome::Ended(end) => end,
        })?;
        match self.proof.term_of(&connection.mandate, self.link.far(), &self.keyring) {
            Ok(term) if term == self.link.term() => Ok(connection),
            Ok(_) => connection.refuse(Refusal::TermStale).await,
            Err(refusal) => connection.refuse(refusal).await,
        }
    }

    async fn greet(&self, socket: Socket, index: usize) -> Result<Connection, Unwelcome> {
        let shown = self.keyring.generation();
        let config = self.keyring.client(self.link.far()).map_err(|_| LaneEnd::TlsFailed)?;
        // The verifier looks for the far side's identity; the name that TLS wants is not sent.
        let name = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
        let connector = TlsConnector::from(config);
        let mut io = connector.connect(name, socket).await.map_err(|_| LaneEnd::TlsFailed)?;
        let seat = self.link.seat(index).map_err(LaneEnd::Refused)?;
        let hello = Hello {
            version: VERSION,
            lane: index as u8,
            link: *self.link.id(),
            name: self.keyring.identity().name().to_owned(),
        };
        match greeting::introduce(&mut io, hello, self.link.far().name()).await? {
            Greeted::Welcome { mandate, decoder } => {
                let (far, connection) = (self.link.far(), io.get_ref().1);
                let papers = Papers::new(&self.keyring, shown, far, Side::Dialer, connection);
                let papers = papers.ok_or(LaneEnd::TlsFailed)?;
                Ok(Connection { seat, io, greeted: lane::Greeted { decoder, papers }, mandate })
            }
            Greeted::Standby { term, active } => Err(Unwelcome::Standby { term, active }),
        }
    }
}

impl Connection {
    /// Runs the lane to its end.
    async fn run(self) -> LaneEnd {
        self.seat.run(self.io, Side::Dialer, self.greeted).await
    }

    /// Tells the hub why it is not wanted, and leaves.
    pub(crate) async fn refuse<T>(mut self, reason: Refusal) -> Result<T, LaneEnd> {
        let _ = timeout(HANDSHAKE_DEADLINE, greeting::say(&mut self.io, &Frame::Refuse(reason))).await;
        Err(LaneEnd::Refused(reason))
    }
}

impl From<LaneEnd> for Unwelcome {
    fn from(end: LaneEnd) -> Self {
        Self::Ended(end)
    }
}

/// Does a lane that ended so mean that this hub is not, or no longer, the one to be linked with?
fn leaves_hub(end: LaneEnd) -> bool {
    match end {
        LaneEnd::Refused(reason) | LaneEnd::RefusedByFar(reason) => match reason {
            Refusal::ShuttingDown
            | Refusal::Standby
            | Refusal::NotActive
            | Refusal::TermStale
            | Refusal::MandateInvalid
            | Refusal::IdentityTaken
            | Refusal::VersionUnsupported
            | Refusal::WrongRole
            | Refusal::WrongName
            | Refusal::NotPermitted => true,
            Refusal::ServiceUnknown
            | Refusal::ServiceNotOffered
            | Refusal::ServiceUnreachable
            | Refusal::ServiceReset
            | Refusal::LinkDown
            | Refusal::LaneLost
            | Refusal::HubBusy
            | Refusal::Violation
            | Refusal::Cancelled
            | Refusal::Deadline
            | Refusal::LaneTaken
            | Refusal::CertificateExpired
            | Refusal::ResumeUnknown
            | Refusal::ServiceDraining
            | Refusal::FlowLimit
            | Refusal::SessionsFull => false,
        },
        LaneEnd::Unreachable(_)
        | LaneEnd::TlsFailed
        | LaneEnd::HandshakeDeadline
        | LaneEnd::HalfOpenFull
        | LaneEnd::Violation(_)
        | LaneEnd::Closed
        | LaneEnd::Broken(_)
        | LaneEnd::Silent
        | LaneEnd::Stalled
        | LaneEnd::Stopped => false,
    }
}
