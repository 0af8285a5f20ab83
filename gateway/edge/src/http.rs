//! One request: hook, host, forwarding, response. Exactly one result or failure for each that passed.

mod reply;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use defense::{Asked, Evidence, Facts, Finding, HookPoint, Moment, Passed, Reason, Verdict, ask};
use http::{Request, Response};
use hyper::body::Incoming;
use state::Card;

use crate::admission::ServerName;
use crate::bounds::DELAY_MAX;
use crate::headers::{self, Asker};
use crate::metered::Pulse;
use crate::session::Gate;
use crate::upstream::Upstream;
pub use reply::Reply;

/// An admitted connection, as its requests see it.
pub struct Visit {
    pub gate: Arc<Gate>,
    pub upstream: Arc<Upstream>,
    pub card: Arc<Card>,
    pub source: SocketAddr,
    /// The server name that the handshake proved to be the grant's own.
    pub server_name: Option<Box<str>>,
    pub pulse: Arc<Pulse>,
}

/// The verdict was to drop: the stream is reset without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped by verdict")]
pub struct Dropped;

/// Answers one request.
///
/// # Errors
/// [`Dropped`], which makes the transport close without a byte.
pub async fn handle(visit: Arc<Visit>, request: Request<Incoming>) -> Result<Response<Reply>, Dropped> {
    let underway = visit.pulse.request();
    let id = uuid::Uuid::new_v4().as_u128();
    let now = visit.moment();
    let facts = Facts::new(HookPoint::Request, visit.source.ip(), Evidence::Proven)
        .lease(visit.card.grant)
        .service(visit.card.service.as_str())
        .request(request.method().as_str(), request.uri().path());
    let passed = match ask(&visit.gate.hooks, &facts, now) {
        Asked::Passed(passed) => passed,
        Asked::Refused(refused) => return visit.carry_out(refused.finding, id),
    };
    if let Err(reason) = visit.hold(&passed).await {
        return Ok(visit.fail(passed, reason, id).await);
    }
    match visit.forward(request, id).await {
        Ok((response, lent)) => {
            let finish = reply::Finish::new(passed, response.status().as_u16(), lent, underway, visit);
            Ok(response.map(|body| Reply::service(body, finish)))
        }
        Err(reason) => Ok(visit.fail(passed, reason, id).await),
    }
}

impl Visit {
    fn moment(&self) -> Moment {
        Moment::from_nanos(self.gate.clock.monotonic_ns())
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        id: u128,
    ) -> Result<(Response<Incoming>, crate::upstream::Lent), Reason> {
        let (mut parts, body) = request.into_parts();
        headers::check(&parts)?;
        self.check_host(headers::host(&parts))?;
        let request_id = format!("{id:032x}");
        let asker = Asker {
            source: self.source.ip(),
            user: self.card.user.as_str(),
            device: self.card.device.as_str(),
            request_id: &request_id,
        };
        headers::to_service(&mut parts, &asker)?;
        let request = Request::from_parts(parts, body);
        let (mut response, lent) = self.upstream.send(&self.card.service, request).await?;
        headers::to_client(response.headers_mut());
        Ok((response, lent))
    }

    /// A connection of one grant must not carry requests in the name of another.
    fn check_host(&self, host: Option<&str>) -> Result<(), Reason> {
        let host = host.map(|h| h.rsplit_once(':').map_or(h, |(name, _)| name));
        if let (Some(host), Some(proven)) = (host, &self.server_name)
            && host.eq_ignore_ascii_case(proven)
        {
            return Ok(());
        }
        match self.gate.roster.server_name(host, self.gate.clock.now()) {
            ServerName::Ours(Some(grant)) if grant == self.card.grant => Ok(()),
            ServerName::Foreign if self.card.auth == state::records::Auth::Address => Ok(()),
            ServerName::Ours(_) | ServerName::Foreign | ServerName::Missing => Err(Reason::HostMismatch),
        }
    }

    /// Waits out a delay that the verdict asked for, if there is room to wait.
    async fn hold(&self, passed: &Passed) -> Result<(), Reason> {
        let floor = Duration::from_millis(passed.floor_ms().into()).min(DELAY_MAX);
        if floor.is_zero() {
            return Ok(());
        }
        let _place = self.gate.delayed.try_acquire().map_err(|_| Reason::Overload)?;
        let waited = Duration::from_nanos(self.moment().nanos_since(passed.ticket().since));
        tokio::time::sleep(floor.saturating_sub(waited)).await;
        Ok(())
    }

    fn carry_out(&self, finding: Finding, id: u128) -> Result<Response<Reply>, Dropped> {
        self.gate.note(
            HookPoint::Request,
            finding.verdict.kind(),
            finding.reason,
            self.source.ip(),
            Some(self.card.grant),
            Some(id),
        );
        match finding.verdict {
            Verdict::Drop => Err(Dropped),
            Verdict::Pass | Verdict::Delay { .. } | Verdict::Reauth | Verdict::Reject => {
                Ok(reply::refusal(finding.reason, id, finding.retry_after_ms))
            }
        }
    }

    async fn fail(&self, passed: Passed, reason: Reason, id: u128) -> Response<Reply> {
        self.gate.note(
            HookPoint::Request,
            defense::VerdictKind::Reject,
            reason,
            self.source.ip(),
            Some(self.card.grant),
            Some(id),
        );
        let since = passed.ticket().since;
        if let Some(floor_ms) = passed.fail(reason, self.moment())
            && let Ok(_place) = self.gate.delayed.try_acquire()
        {
            let floor = Duration::from_millis(floor_ms.into()).min(DELAY_MAX);
            let waited = Duration::from_nanos(self.moment().nanos_since(since));
            tokio::time::sleep(floor.saturating_sub(waited)).await;
        }
        reply::refusal(reason, id, None)
    }

    pub(crate) fn finished(&self, passed: Passed, status: u16, bytes_out: u64) {
        let outcome = defense::Outcome { status: Some(status), bytes_in: 0, bytes_out };
        passed.result(&outcome, self.moment());
    }

    pub(crate) fn broken(&self, passed: Passed) {
        self.gate.note(
            HookPoint::Request,
            defense::VerdictKind::Reject,
            Reason::UpstreamClosed,
            self.source.ip(),
            Some(self.card.grant),
            None,
        );
        // The head is out already: nothing is left to delay.
        let _ = passed.fail(Reason::UpstreamClosed, self.moment());
    }
}
