//! Connections to services: HTTP/1.1 over fabric streams, pooled per worker. The only place that asks the fabric.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use defense::Reason;
use fabric::{Gateway, Refusal};
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use state::Name;
use tokio::time::{Instant, timeout};

use crate::bounds::{
    HEADERS_MAX, OPEN_MAX, RESPONSE_HEAD_MAX, UPSTREAM_IDLE_MAX, UPSTREAM_IDLE_PER_SERVICE_MAX,
};

/// One worker's upstream connections. Idle ones: at most [`UPSTREAM_IDLE_PER_SERVICE_MAX`] a service.
pub struct Upstream {
    fabric: Arc<Gateway>,
    idle: Mutex<HashMap<Name, Vec<Idle>>>,
}

struct Idle {
    sender: SendRequest<Incoming>,
    since: Instant,
}

/// A connection in use; given back when its response has been read to the end.
pub struct Lent {
    upstream: Arc<Upstream>,
    service: Name,
    sender: SendRequest<Incoming>,
}

impl Upstream {
    pub fn new(fabric: Arc<Gateway>) -> Arc<Self> {
        Arc::new(Self { fabric, idle: Mutex::default() })
    }

    /// Sends a request and waits for the response's head.
    ///
    /// A pooled connection that turns out to be closed before the request was written is replaced once; a request that
    /// may have reached the service is never sent twice.
    ///
    /// # Errors
    /// Why there is no response, in the upstream's part of the vocabulary.
    pub async fn send(
        self: &Arc<Self>,
        service: &Name,
        request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, Lent), Reason> {
        let has_body = !request.body().is_end_stream();
        let answer = self.send_once_or_again(service, request);
        // A body may take longer to send than a service to answer: then only the stall limit of the connection holds.
        if has_body {
            return answer.await;
        }
        timeout(RESPONSE_HEAD_MAX, answer).await.map_err(|_| Reason::ServiceTimeout)?
    }

    async fn send_once_or_again(
        self: &Arc<Self>,
        service: &Name,
        request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, Lent), Reason> {
        let mut request = request;
        if let Some(mut sender) = self.pooled(service).await {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, self.lend(service, sender))),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Reason::UpstreamClosed),
                },
            }
        }
        let mut sender = self.connect(service).await?;
        let response = sender.send_request(request).await.map_err(|_| Reason::UpstreamClosed)?;
        Ok((response, self.lend(service, sender)))
    }

    async fn pooled(&self, service: &Name) -> Option<SendRequest<Incoming>> {
        loop {
            let mut idle = self.lock().get_mut(service)?.pop()?;
            if idle.since.elapsed() < UPSTREAM_IDLE_MAX && idle.sender.ready().await.is_ok() {
                return Some(idle.sender);
            }
        }
    }

    async fn connect(&self, service: &Name) -> Result<SendRequest<Incoming>, Reason> {
        let opened = timeout(OPEN_MAX, self.fabric.open(service.as_str()));
        let stream =
            opened.await.map_err(|_| Reason::ServiceTimeout)?.map_err(|error| reason(error.refusal))?;
        let handshake = http1::Builder::new().max_headers(HEADERS_MAX * 2).handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|_| Reason::UpstreamClosed)?;
        tokio::spawn(async move {
            // Its error reaches whoever waits on the sender; there is nothing to do with it here.
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn lend(self: &Arc<Self>, service: &Name, sender: SendRequest<Incoming>) -> Lent {
        Lent { upstream: Arc::clone(self), service: service.clone(), sender }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    /// Keeps the connection for the next request. Only after the response has ended.
    pub fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        let mut idle = self.upstream.lock();
        let pool = idle.entry(self.service).or_default();
        if pool.len() < UPSTREAM_IDLE_PER_SERVICE_MAX {
            pool.push(Idle { sender: self.sender, since: Instant::now() });
        }
    }
}

/// The fabric's refusal in the product's words.
fn reason(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::ServiceUnknown | Refusal::ServiceNotOffered => Reason::ServiceUnknown,
        Refusal::ServiceUnreachable => Reason::ServiceUnreachable,
        Refusal::ServiceReset | Refusal::Cancelled | Refusal::Violation => Reason::UpstreamClosed,
        Refusal::Deadline => Reason::ServiceTimeout,
        Refusal::NotPermitted | Refusal::WrongRole | Refusal::WrongName => Reason::NotPermitted,
        Refusal::HubBusy => Reason::HubBusy,
        Refusal::LaneTaken | Refusal::IdentityTaken | Refusal::VersionUnsupported => Reason::LaneRefused,
        Refusal::LinkDown | Refusal::LaneLost | Refusal::ShuttingDown => Reason::LinkDown,
    }
}
