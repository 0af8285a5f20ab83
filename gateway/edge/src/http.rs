//! One request: hook, host, forwarding, response. Exactly one result or failure for each that passed.

mod alternative;
pub mod frames;
mod grpc;
pub mod headers;
mod ids;
mod maintenance;
mod reply;
mod trail;
pub mod upgrade;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use defense::{Asked, Evidence, Facts, Finding, HookPoint, Passed, Reason, Verdict, ask};
use http::{Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use rotator::UnixTime;
use state::records::{Handling, Speaks};
use state::{Card, Reached};
use tokio::time::{Instant, timeout_at};

use crate::access_log::{Entry, Who};
use crate::admission::{Candidate, ServerName};
use crate::budgets::{Over, Purse};
use crate::gate::Gate;
use crate::pulse::{Pulse, Underway};
use crate::upstream::{Answer, Asked as Body, Caller, Line, Sent, Terms, Upstream};
use headers::Asker;
pub use reply::Reply;
use trail::{End, Trail};
use upgrade::Bridge;

/// An admitted connection, as its requests see it.
pub struct Visit {
    pub gate: Arc<Gate>,
    pub upstream: Arc<Upstream>,
    pub card: Arc<Card>,
    /// Which of the service's ports was reached.
    pub reached: Reached,
    /// When its lease takes no newcomers any more.
    closes: UnixTime,
    pub source: SocketAddr,
    /// The server name that the handshake proved to be the grant's own.
    pub server_name: Option<Box<str>>,
    pub pulse: Arc<Pulse>,
    pub purse: Arc<Purse>,
    /// Rendered with the first line of the log.
    who: OnceLock<Who>,
    /// Rendered with the first request.
    asker: OnceLock<Result<Asker, Reason>>,
}

/// The verdict was to drop: the stream is reset without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped by verdict")]
pub struct Dropped;

/// Answers one request, by whichever protocol it came.
///
/// # Errors
/// [`Dropped`], which makes the transport close without a byte.
pub async fn handle<B: Body>(visit: Arc<Visit>, request: Request<B>) -> Result<Response<Reply>, Dropped> {
    let is_call = grpc::is_call(request.version(), request.headers());
    let answered = answer(visit, request).await;
    if is_call { answered.map(grpc::told) } else { answered }
}

async fn answer<B: Body>(visit: Arc<Visit>, request: Request<B>) -> Result<Response<Reply>, Dropped> {
    let mut underway = visit.pulse.request();
    let id = ids::fresh();
    let now = visit.gate.moment();
    let facts = Facts::new(HookPoint::Request, visit.source.ip(), Evidence::Proven)
        .lease(visit.card.grant)
        .service(visit.card.service.as_str())
        .request(request.method().as_str(), request.uri().path());
    let mut trail = Trail::new(&visit, &request, id, now);
    let handling = visit.handling();
    let notice =
        handling.maintenance.as_deref().map(|text| maintenance::Notice::new(text, request.headers()));
    let passed = match ask(&visit.gate.hooks, &facts, now) {
        Asked::Passed(passed) => passed,
        Asked::Refused(refused) => {
            underway.answered();
            let carried_out = visit.carry_out(refused.finding, id);
            let status = carried_out.as_ref().ok().map(|answer| answer.status().as_u16());
            trail.end(End { status, reason: Some(refused.finding.reason), ..End::default() });
            return carried_out;
        }
    };
    if let Err(over) = visit.admit(&passed, &mut underway).await {
        let reason = Some(over.reason);
        let answer = visit.fail(passed, over, id).await;
        underway.answered();
        trail.end(End { status: Some(answer.status().as_u16()), reason, ..End::default() });
        return Ok(answer);
    }
    if let Some(notice) = notice {
        let answer = visit.fail(passed, Over { reason: Reason::Maintenance, retry_after_ms: None }, id).await;
        underway.answered();
        trail.end(End {
            status: Some(answer.status().as_u16()),
            reason: Some(Reason::Maintenance),
            ..End::default()
        });
        return Ok(notice.on(answer));
    }
    let limit = handling.max_time_s.map(|s| Instant::now() + Duration::from_secs(s.into()));
    match within(limit, visit.forward(request, &handling, id, &mut trail)).await {
        Ok(Forwarded::Answered(response, sent)) => {
            let call = reply::Call { passed, status: response.status().as_u16(), id, sent, underway, trail };
            let finish = reply::Finish::new(call, visit, limit);
            Ok(response.map(|body| Reply::service(body, finish)))
        }
        Ok(Forwarded::Switched(head, line, stream)) => {
            trail.switched();
            let bridge = Bridge::new(line, passed, visit, underway, trail);
            Ok(head.map(|()| Reply::switched(bridge, stream)))
        }
        Err(reason) => {
            let answer = visit.fail(passed, reason.into(), id).await;
            underway.answered();
            trail.end(End { status: Some(answer.status().as_u16()), reason: Some(reason), ..End::default() });
            Ok(answer)
        }
    }
}

/// The service's own limit of time for one request, if it has one. It holds until the last byte of an answer, but not
/// for what follows a switch of protocols.
async fn within<T>(
    limit: Option<Instant>,
    work: impl Future<Output = Result<T, Reason>>,
) -> Result<T, Reason> {
    match limit {
        Some(limit) => timeout_at(limit, work).await.unwrap_or(Err(Reason::ServiceTimeout)),
        None => work.await,
    }
}

/// What a service made of a request.
enum Forwarded {
    Answered(Response<Answer>, Sent),
    /// It switched to the protocol that the client asked for; the stream is the client's, where hyper hands it over.
    Switched(Response<()>, Line, Option<OnUpgrade>),
}

impl Visit {
    pub fn new(
        gate: Arc<Gate>,
        upstream: Arc<Upstream>,
        candidate: Candidate,
        source: SocketAddr,
        server_name: Option<Box<str>>,
        pulse: Arc<Pulse>,
        purse: Arc<Purse>,
    ) -> Arc<Self> {
        let Candidate { card, reached, lease } = candidate;
        let (closes, who, asker) = (lease.closes(), OnceLock::new(), OnceLock::new());
        Arc::new(Self {
            gate,
            upstream,
            card,
            reached,
            closes,
            source,
            server_name,
            pulse,
            purse,
            who,
            asker,
        })
    }

    /// How the service is treated now: what its operators change holds for connections that are there already.
    fn handling(&self) -> Arc<Handling> {
        let card = self.gate.roster.card(self.card.grant);
        Arc::clone(&card.as_ref().unwrap_or(&self.card).handling)
    }

    /// What all lines of this connection in the access log say of it.
    fn who(&self) -> &Who {
        let card = &self.card;
        self.who.get_or_init(|| {
            let (user, device, service) = (card.user.as_str(), card.device.as_str(), card.service.as_str());
            Who::new(self.source.ip(), user, device, service, card.grant)
        })
    }

    /// What all requests of this connection tell the service of whoever asks.
    fn asker(&self) -> Result<&Asker, Reason> {
        let card = &self.card;
        let render = || Asker::new(self.source.ip(), card.user.as_str(), card.device.as_str());
        self.asker.get_or_init(render).as_ref().map_err(|reason| *reason)
    }

    /// Takes the request's place in its lease's budget, then waits out a delay by verdict. In this order: what a lease
    /// sends too much of does not wait as well.
    async fn admit(&self, passed: &Passed, underway: &mut Underway) -> Result<(), Over> {
        underway.take(self.purse.request(self.gate.moment())?);
        Ok(self.gate.hold(passed, &self.purse).await?)
    }

    async fn forward<B: Body>(
        &self,
        request: Request<B>,
        handling: &Handling,
        id: u128,
        trail: &mut Trail,
    ) -> Result<Forwarded, Reason> {
        let (mut parts, body) = request.into_parts();
        let random = ids::fresh;
        let wish = upgrade::wish(&mut parts, !body.is_end_stream(), random)?;
        headers::check(&parts)?;
        let terms = Terms {
            // A service that speaks HTTP/2 is asked for a WebSocket as any other: who takes one at all takes both.
            speaks: if wish.is_some() { Speaks::Http1 } else { handling.speaks },
            body_max: handling.max_body.unwrap_or(u64::MAX),
            patience: grpc::patience(&parts),
        };
        self.check_host(headers::host_name(&parts)?)?;
        let request_id = format!("{id:032x}");
        headers::to_service(&mut parts, self.asker()?, request_id)?;
        wish.iter().for_each(|wish| wish.to_service(&mut parts.headers));
        let request = Request::from_parts(parts, body);
        trail.sent();
        let caller = Caller { card: &self.card, reached: self.reached, source: self.source };
        let (mut response, sent) = self.upstream.send(caller, request, terms).await?;
        trail.headed();
        let is_switched = match &wish {
            Some(wish) => wish.is_granted(response.status(), response.headers())?,
            // A service that switches protocols unasked speaks to nobody.
            None if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                return Err(Reason::UpstreamClosed);
            }
            None => false,
        };
        *response.version_mut() = Version::HTTP_11;
        response.extensions_mut().clear();
        headers::to_client(response.headers_mut());
        match wish {
            Some(wish) if is_switched => {
                wish.to_client(&mut response);
                let (head, answer) = response.into_parts();
                let head = Response::from_parts(head, ());
                Ok(Forwarded::Switched(head, answer.into_line()?, wish.into_stream()))
            }
            Some(_) | None => {
                alternative::tell(self, response.headers_mut());
                Ok(Forwarded::Answered(response, sent))
            }
        }
    }

    /// The answer to what is no request: no hook was asked about it.
    pub fn refuse(&self, reason: Reason) -> Response<Reply> {
        let id = ids::fresh();
        self.note(defense::VerdictKind::Reject, reason, id);
        if let Some(log) = &self.gate.log {
            let entry = Entry {
                protocol: "h1",
                request: Some(id),
                asked: None,
                status: Some(reason.http_status()),
                reason: Some(reason),
                bytes_in: 0,
                bytes_out: 0,
                total_us: 0,
                service_us: None,
            };
            log.take(self.who(), &entry);
        }
        reply::refusal(reason, id, None)
    }

    fn note(&self, verdict: defense::VerdictKind, reason: Reason, id: u128) {
        let (source, grant) = (self.source.ip(), Some(self.card.grant));
        self.gate.note(HookPoint::Request, verdict, reason, source, grant, Some(id));
    }

    /// A connection of one grant must not carry requests in the name of another. `host` has no port.
    fn check_host(&self, host: &str) -> Result<(), Reason> {
        if self.server_name.as_ref().is_some_and(|proven| host.eq_ignore_ascii_case(proven)) {
            return Ok(());
        }
        match self.gate.roster.server_name(Some(host), self.gate.clock.now()) {
            ServerName::Ours(Some(grant)) if grant == self.card.grant => Ok(()),
            ServerName::Foreign if self.card.auth == state::records::Auth::Address => Ok(()),
            ServerName::Ours(_) | ServerName::Foreign | ServerName::Missing => Err(Reason::HostMismatch),
        }
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
            Verdict::Drop => {
                self.pulse.end();
                Err(Dropped)
            }
            Verdict::Reauth => Ok(reply::reauth(finding.reason, id)),
            Verdict::Pass | Verdict::Delay { .. } | Verdict::Reject => {
                Ok(reply::refusal(finding.reason, id, finding.retry_after_ms))
            }
        }
    }

    async fn fail(&self, passed: Passed, over: Over, id: u128) -> Response<Reply> {
        let Over { reason, retry_after_ms } = over;
        self.gate.note(
            HookPoint::Request,
            defense::VerdictKind::Reject,
            reason,
            self.source.ip(),
            Some(self.card.grant),
            Some(id),
        );
        let since = passed.ticket().since;
        if let Some(floor_ms) = passed.fail(reason, self.gate.moment()) {
            // Without room to wait it is answered at once: the floor must not become the outage.
            let _ = self.gate.hold_until(since, floor_ms, &self.purse, self.source.ip()).await;
        }
        reply::refusal(reason, id, retry_after_ms)
    }

    pub(crate) fn finished(&self, passed: Passed, status: u16, bytes_in: u64, bytes_out: u64) {
        let outcome = defense::Outcome { status: Some(status), bytes_in, bytes_out };
        passed.result(&outcome, self.gate.moment());
    }

    pub(crate) fn broken(&self, passed: Passed, reason: Reason, id: u128) {
        self.gate.note(
            HookPoint::Request,
            defense::VerdictKind::Reject,
            reason,
            self.source.ip(),
            Some(self.card.grant),
            Some(id),
        );
        // The head is out already: nothing is left to delay.
        let _ = passed.fail(reason, self.gate.moment());
    }
}
