//! Connections to services: HTTP/1.1 over fabric streams, pooled per worker. The only place that asks the fabric.
//!
//! A connection says to the service on whose behalf it is (who wants it reads it as PROXY protocol), so it carries the
//! requests of one grant from one address only.

mod answer;
mod outgoing;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use defense::Reason;
use fabric::{Class, Gateway, OpenRequest, Origin, Refusal, Suspicion};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rotator::GrantNo;
use state::{Card, Name};
use tokio::time::{Instant, sleep_until, timeout};

use crate::bounds::{
    OPEN_MAX, RESPONSE_HEAD_MAX, RESPONSE_HEADERS_MAX, UPSTREAM_BUFFER, UPSTREAM_IDLE_MAX,
    UPSTREAM_IDLE_PER_SERVICE_MAX,
};
pub use answer::{Answer, Broken};
pub use outgoing::Asked;
use outgoing::{Boxed, Outgoing, Progress};

type Sender = SendRequest<Outgoing<Boxed>>;

/// One worker's upstream connections. Idle ones: at most [`UPSTREAM_IDLE_PER_SERVICE_MAX`] a service.
pub struct Upstream {
    fabric: Arc<Gateway>,
    idle: Mutex<HashMap<Name, Vec<Idle>>>,
}

/// A connection to a service, and whether what carries it fell silent.
struct Upward {
    sender: Sender,
    suspicion: Suspicion,
}

struct Idle {
    upward: Upward,
    holder: Holder,
    since: Instant,
}

/// Whose requests a connection carries.
type Holder = (GrantNo, IpAddr);

/// A connection in use; given back when its response has been read to the end.
pub struct Lent {
    upstream: Arc<Upstream>,
    service: Name,
    holder: Holder,
    upward: Upward,
    progress: Arc<Progress>,
    /// Where the service has switched protocols.
    switched: Option<OnUpgrade>,
}

/// The bytes of a service that has switched protocols.
pub type Line = TokioIo<Upgraded>;

impl Upstream {
    pub fn new(fabric: Arc<Gateway>) -> Arc<Self> {
        Arc::new(Self { fabric, idle: Mutex::default() })
    }

    /// Sends a request and waits for the response's head, up to [`RESPONSE_HEAD_MAX`] after the last piece of the body.
    ///
    /// A pooled connection that turns out to be closed before the request was written is replaced once; a request that
    /// may have reached the service is never sent twice.
    ///
    /// # Errors
    /// Why there is no response: the upstream's part of the vocabulary, or the client's fault in its body.
    pub async fn send<B: Asked>(
        self: &Arc<Self>,
        card: &Card,
        source: SocketAddr,
        request: Request<B>,
    ) -> Result<(Response<Answer>, Lent), Reason> {
        let (parts, body) = request.into_parts();
        let (body, progress) = Outgoing::new(Boxed::new(body));
        let request = Request::from_parts(parts, body);
        let mut answer = std::pin::pin!(self.send_once_or_again(card, source, request));
        let (response, upward) = loop {
            let moved = progress.moved();
            tokio::select! {
                answer = answer.as_mut() => break answer.map_err(|reason| progress.fault(reason))?,
                () = sleep_until(moved + RESPONSE_HEAD_MAX) => if progress.moved() == moved {
                    return Err(progress.late());
                }
            }
        };
        let (service, holder) = (card.service.clone(), (card.grant, source.ip()));
        let switched = response.extensions().get().cloned();
        let lent = Lent { upstream: Arc::clone(self), service, holder, upward, progress, switched };
        Ok((response.map(Answer::Hyper), lent))
    }

    /// Closes what has been idle for too long.
    pub fn sweep(&self) {
        self.lock().retain(|_, pool| {
            pool.retain(Idle::is_fresh);
            !pool.is_empty()
        });
    }

    async fn send_once_or_again(
        &self,
        card: &Card,
        source: SocketAddr,
        request: Request<Outgoing<Boxed>>,
    ) -> Result<(Response<Incoming>, Upward), Reason> {
        let mut request = request;
        if let Some(mut upward) = self.pooled(&card.service, (card.grant, source.ip())) {
            match upward.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, upward)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Reason::UpstreamClosed),
                },
            }
        }
        let mut upward = self.connect(card, source).await?;
        let response = upward.sender.send_request(request).await.map_err(|_| Reason::UpstreamClosed)?;
        Ok((response, upward))
    }

    /// The holder's youngest idle connection that is ready this very moment: one that still waits for the end of somebody's
    /// request must not make another wait. One whose plane fell silent waits in the pool until that is heard again, or gone.
    fn pooled(&self, service: &Name, holder: Holder) -> Option<Upward> {
        let mut idle = self.lock();
        let pool = idle.get_mut(service)?;
        let mut others = Vec::new();
        let found = loop {
            match pool.pop().map(|idle| (idle.is_usable(), idle)) {
                None => break None,
                Some((false, _)) => {}
                Some((true, idle)) if idle.holder != holder || idle.upward.suspicion.is_suspect() => {
                    others.push(idle);
                }
                Some((true, idle)) => break Some(idle.upward),
            }
        };
        pool.extend(others.into_iter().rev());
        found
    }

    async fn connect(&self, card: &Card, source: SocketAddr) -> Result<Upward, Reason> {
        let request = OpenRequest {
            service: card.service.as_str(),
            class: Class::Interactive,
            origin: Some(origin(card, source)),
        };
        let opened = timeout(OPEN_MAX, self.fabric.open_with(request));
        let stream =
            opened.await.map_err(|_| Reason::ServiceTimeout)?.map_err(|error| reason(error.refusal))?;
        let mut http = http1::Builder::new();
        http.max_headers(RESPONSE_HEADERS_MAX).max_buf_size(UPSTREAM_BUFFER);
        let suspicion = stream.suspicion();
        let handshake = http.handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|_| Reason::UpstreamClosed)?;
        tokio::spawn(async move {
            // Its error reaches whoever waits on the sender; there is nothing to do with it here.
            let _ = connection.with_upgrades().await;
        });
        Ok(Upward { sender, suspicion })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < UPSTREAM_IDLE_MAX
    }

    fn is_usable(&self) -> bool {
        self.is_fresh() && self.upward.sender.is_ready()
    }
}

impl Lent {
    /// Bytes of the request's body that the service was sent.
    pub fn bytes_in(&self) -> u64 {
        self.progress.bytes()
    }

    /// The connection itself, after a 101: what the service said after its head comes first.
    ///
    /// # Errors
    /// `upstream_closed`: it has gone in between.
    pub async fn into_line(self) -> Result<Line, Reason> {
        let switched = self.switched.ok_or(Reason::UpstreamClosed)?;
        switched.await.map(TokioIo::new).map_err(|_| Reason::UpstreamClosed)
    }

    /// Keeps the connection for the next request. Only after the response has ended.
    pub fn give_back(self) {
        // A service may answer before it has read the request: what is left of it must not meet the next one.
        if self.upward.sender.is_closed() || !self.progress.is_done() {
            return;
        }
        let mut idle = self.upstream.lock();
        let pool = idle.entry(self.service).or_default();
        // The oldest gives way: it may be of somebody who left.
        if pool.len() >= UPSTREAM_IDLE_PER_SERVICE_MAX {
            pool.remove(0);
        }
        pool.push(Idle { upward: self.upward, holder: self.holder, since: Instant::now() });
    }
}

/// What the service may know of whoever asks. The address that was reached is the user's own secret; its port is not.
fn origin(card: &Card, source: SocketAddr) -> Origin {
    let reached: IpAddr = match source.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let origin = Origin::new(source, SocketAddr::new(reached, card.port));
    origin.clone().with_names(card.user.as_str(), card.device.as_str()).unwrap_or(origin)
}

/// The fabric's refusal in the product's words.
fn reason(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::ServiceUnknown | Refusal::ServiceNotOffered => Reason::ServiceUnknown,
        Refusal::ServiceUnreachable | Refusal::ServiceDraining => Reason::ServiceUnreachable,
        Refusal::ServiceReset | Refusal::Cancelled | Refusal::Violation | Refusal::ResumeUnknown => {
            Reason::UpstreamClosed
        }
        Refusal::Deadline => Reason::ServiceTimeout,
        Refusal::NotPermitted | Refusal::WrongRole | Refusal::WrongName => Reason::NotPermitted,
        Refusal::HubBusy | Refusal::FlowLimit | Refusal::SessionsFull => Reason::HubBusy,
        Refusal::LaneTaken | Refusal::IdentityTaken | Refusal::VersionUnsupported => Reason::LaneRefused,
        Refusal::LinkDown
        | Refusal::LaneLost
        | Refusal::ShuttingDown
        | Refusal::Standby
        | Refusal::NotActive
        | Refusal::TermStale
        | Refusal::MandateInvalid
        | Refusal::CertificateExpired => Reason::LinkDown,
    }
}
