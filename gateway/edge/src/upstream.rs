//! Connections to services: HTTP/1.1 or HTTP/2 over fabric streams, pooled per worker. The only place that asks the fabric.
//!
//! A connection says to the service on whose behalf it is (who wants it reads it as PROXY protocol), so it carries the
//! requests of one grant from one address only. Nor would it be shared without: what a service leaves unread of one
//! user's request must never meet another's.

mod answer;
mod caller;
mod h2;
mod outgoing;
mod pool;
mod relay;

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use defense::Reason;
use fabric::{Class, FabricStream, Gateway, OpenRequest, Refusal};
use http::{Request, Response, StatusCode, request};
use state::Name;
use state::records::Speaks;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, sleep_until, timeout};

use crate::bounds::OPEN_MAX;
use crate::h1::client::{self, Fault};
use answer::Home;
pub use answer::{Answer, Broken, Line};
pub use caller::Caller;
use caller::Holder;
use h2::Calls;
pub use outgoing::Asked;
use outgoing::{Boxed, Outgoing, Progress};
use pool::{Pool, Worth};
use relay::{Relay, Waiting};

/// One worker's upstream connections.
pub struct Upstream {
    fabric: Arc<Gateway>,
    idle: Mutex<Pool<FabricStream>>,
    relay: Arc<Relay>,
    calls: Calls,
}

/// How a request goes to its service.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub speaks: Speaks,
    /// Bytes.
    pub body_max: u64,
    pub patience: Patience,
}

/// How long a response's head is waited for, after the last piece of the request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(pub Duration);

/// What is known of a request that was sent.
pub struct Sent(Arc<Progress>);

impl Upstream {
    /// Call it on the worker's runtime.
    pub fn new(fabric: Arc<Gateway>) -> Arc<Self> {
        let relay = Arc::<Relay>::default();
        tokio::spawn(Arc::clone(&relay).run());
        Arc::new(Self { fabric, idle: Mutex::default(), relay, calls: Calls::default() })
    }

    /// Sends a request and waits for the response's head, as long as `terms` have patience.
    ///
    /// A body of more than `body_max` bytes breaks off, or is not sent at all if it says so. A request that may have been
    /// processed is never sent twice.
    ///
    /// # Errors
    /// Why there is no response: the upstream's part of the vocabulary, or the client's fault in its body.
    pub async fn send<B: Asked>(
        self: &Arc<Self>,
        caller: Caller<'_>,
        request: Request<B>,
        terms: Terms,
    ) -> Result<(Response<Answer>, Sent), Reason> {
        let (parts, body) = request.into_parts();
        if body.size_hint().lower() > terms.body_max {
            return Err(Reason::BodyTooLarge);
        }
        let (body, progress) = Outgoing::new(Boxed::new(body), terms.body_max);
        let sent = Sent(Arc::clone(&progress));
        let response = match terms.speaks {
            Speaks::Http1 => self.by_http1(caller, parts, body, &progress, terms.patience).await?,
            Speaks::Http2 => {
                let of = (&caller.card.service, caller.holder());
                let connect = || self.connect(caller);
                let asked = self.calls.ask(of, parts, body, &progress, terms.patience, connect).await;
                let (head, exchange) = asked?;
                Response::from_parts(head, Answer::of_http2(exchange))
            }
        };
        Ok((response, sent))
    }

    /// A pooled connection that turns out to be closed before a byte was written is replaced once.
    async fn by_http1(
        self: &Arc<Self>,
        caller: Caller<'_>,
        parts: request::Parts,
        body: Outgoing<Boxed>,
        progress: &Progress,
        patience: Patience,
    ) -> Result<Response<Answer>, Reason> {
        let (service, holder) = (caller.card.service.clone(), caller.holder());
        let (stream, is_kept) = match self.pooled(&service, holder) {
            Some(stream) => (stream, true),
            None => (self.connect(caller).await?, false),
        };
        let mut exchange = Box::new(client::Exchange::new(stream, &parts, body));
        drop(parts);
        let mut waiting = Waiting::new(&self.relay);
        let mut poll = |exchange: &mut answer::Exchange, cx: &mut Context<'_>| {
            exchange.poll_head(&mut Context::from_waker(waiting.waker(cx.waker())))
        };
        let mut head = head(progress, patience, |cx| poll(&mut exchange, cx)).await?;
        if is_kept && head.as_ref().is_err_and(|fault| *fault == Fault::Unsent) {
            exchange.replace(self.connect(caller).await?);
            head = self::head(progress, patience, |cx| poll(&mut exchange, cx)).await?;
        }
        let head = head.map_err(|fault| match fault {
            Fault::Client => progress.fault(Reason::RequestMalformed),
            Fault::Unsent | Fault::Service => progress.fault(Reason::UpstreamClosed),
        })?;
        let home = Home { upstream: Arc::clone(self), service, holder, waiting };
        let answer = Answer::new(exchange, home, head.status == StatusCode::SWITCHING_PROTOCOLS);
        Ok(Response::from_parts(head, answer))
    }

    /// Closes what has been idle for too long, or was closed by its service.
    pub fn sweep(&self) {
        let swept = self.lock().sweep(Instant::now());
        swept.into_iter().for_each(close);
        self.calls.sweep();
    }

    /// The holder's youngest idle connection that can be used this very moment. One whose plane fell silent waits in the
    /// pool until that is heard again, or gone.
    fn pooled(&self, service: &Name, holder: Holder) -> Option<FabricStream> {
        self.lock().take(service, &holder, Instant::now(), |stream| match stream.is_suspect() {
            true => Worth::Waits,
            false if client::is_quiet(stream) => Worth::Usable,
            false => Worth::Gone,
        })
    }

    /// A connection that only this caller's bytes will be on.
    ///
    /// # Errors
    /// The upstream's part of the vocabulary.
    pub async fn open(&self, caller: Caller<'_>) -> Result<FabricStream, Reason> {
        self.connect(caller).await
    }

    async fn connect(&self, caller: Caller<'_>) -> Result<FabricStream, Reason> {
        let request = OpenRequest {
            service: caller.card.service.as_str(),
            class: Class::Interactive,
            port: caller.port(),
            origin: Some(caller.origin()),
        };
        let opened = timeout(OPEN_MAX, self.fabric.open_with(request));
        opened.await.map_err(|_| Reason::ServiceTimeout)?.map_err(|error| reason(error.refusal))
    }

    /// Keeps the connection of an exchange that is over, if it can carry another.
    fn take_back(&self, over: answer::Exchange, service: &Name, holder: Holder) {
        let stream = match over.into_stream() {
            (stream, true) => stream,
            (stream, false) => return close(stream),
        };
        let gave_way = self.lock().put(service, holder, Instant::now(), stream);
        gave_way.into_iter().for_each(close);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pool<FabricStream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    /// Bytes of the request's body that the service was sent.
    pub fn bytes_in(&self) -> u64 {
        self.0.bytes()
    }
}

/// Drives an exchange to its response's head, or until the time for it is over.
async fn head<T>(
    progress: &Progress,
    Patience(patience): Patience,
    mut poll_head: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Reason> {
    let mut due = pin!(sleep_until(progress.moved() + patience));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(head) = poll_head(cx) {
            return Poll::Ready(Ok(head));
        }
        while due.as_mut().poll(cx).is_ready() {
            let next = progress.moved() + patience;
            if next <= Instant::now() {
                return Poll::Ready(Err(progress.late()));
            }
            due.as_mut().reset(next);
        }
        Poll::Pending
    })
    .await
}

/// Says goodbye where a mere drop would be a reset, which an idle service might take for a failure.
fn close(mut stream: FabricStream) {
    // The fabric delivers it after the drop.
    let _ = pin!(&mut stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
}

/// The fabric's refusal in the product's words.
pub(crate) fn reason(refusal: Refusal) -> Reason {
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
