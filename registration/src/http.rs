//! The routes of `join.<zone>`: bodies in, JSON or pages out, the same strict headers on all.

mod reply;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Form, FromRequest, Path, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use defense::{HookPoint, Reason};
use http::{Method, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use state::Refusal;

use crate::bounds::{BODY_MAX, BODY_TIMEOUT, URI_MAX};
use crate::challenge::Purpose;
use crate::client::{EnrollBody, RenewBody};
use crate::desk::{Desk, Visit};
use crate::invite::Code;
use crate::page;
use reply::{Face, json, plain_refusal};

/// Where a connection comes from; put on each request by the shell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(pub(crate) IpAddr);

/// On a response: give none, and close.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hangup;

type Shared = State<Arc<Desk>>;

pub(crate) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/i", get(invite_typed))
        .route("/i/{code}", get(invite_page).post(invite_redeem))
        .route("/j/v1/challenge", get(challenge))
        .route("/j/v1/enroll", post(enroll))
        .route("/j/v1/renew", post(renew))
        .fallback(async || plain_refusal(&Reason::NotFound.into()))
        .method_not_allowed_fallback(async || plain_refusal(&Reason::MethodNotAllowed.into()))
        .layer(from_fn_with_state(Arc::clone(&desk), gate))
        .with_state(desk)
}

/// What holds for every request: our host, a short path; and for every answer: strict headers.
async fn gate(State(desk): Shared, request: Request, next: Next) -> Response {
    let refusal = if request.uri().to_string().len() > URI_MAX {
        Some(Refusal::from(Reason::UriTooLong))
    } else if !ours(&desk, &request) {
        Some(Refusal::new(Reason::HostMismatch, format!("only join.{} is served here", desk.terms.zone)))
    } else {
        None
    };
    let answer = match refusal {
        Some(refusal) => {
            desk.counts.refuse(refusal.reason);
            plain_refusal(&refusal)
        }
        None => next.run(request).await,
    };
    reply::strict(answer)
}

/// Whether the request names `join.<zone>`, with or without a port.
fn ours(desk: &Desk, request: &Request) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let written = hosts.next().and_then(|v| v.to_str().ok());
    // Two hosts are a trick on whoever stands in between.
    if hosts.next().is_some() {
        return false;
    }
    let host = request.uri().host().or_else(|| written.map(without_port));
    let zone = host.and_then(|h| h.trim_end_matches('.').split_once('.'));
    zone.is_some_and(|(first, rest)| {
        first.eq_ignore_ascii_case("join") && rest.eq_ignore_ascii_case(&desk.terms.zone)
    })
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

async fn front(State(desk): Shared) -> Response {
    reply::page(200, page::front(&desk.terms.zone, desk.terms.open))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    code: String,
}

async fn invite_typed(State(desk): Shared, request: Request) -> Response {
    let typed = Query::<Typed>::try_from_uri(request.uri());
    shown(&desk, typed.map(|Query(typed)| typed.code).unwrap_or_default())
}

async fn invite_page(State(desk): Shared, code: Option<Path<String>>) -> Response {
    shown(&desk, code.map(|Path(code)| code).unwrap_or_default())
}

/// Shows what an invite is for. Redeems nothing: link previews come by GET.
fn shown(desk: &Desk, code: String) -> Response {
    let code = code.parse::<Code>().map_err(|e| Refusal::new(Reason::InviteUnknown, e.to_string()));
    match code.and_then(|code| Ok((code, desk.offer(code)?))) {
        Ok((code, invite)) => reply::page(200, page::invitation(&desk.terms.zone, code, &invite)),
        Err(refusal) => {
            desk.counts.refuse(refusal.reason);
            reply::refusal(Face::Page, &refusal, None)
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceForm {
    device: String,
}

async fn invite_redeem(State(desk): Shared, code: Option<Path<String>>, request: Request) -> Response {
    let request = Opened::from(request);
    let work = async {
        let code = code.map(|Path(code)| code).unwrap_or_default();
        let code: Code = code.parse().map_err(|e| Refusal::new(Reason::InviteUnknown, format!("{e}")))?;
        let form: DeviceForm = request.form().await?;
        desk.redeem(code, &form.device).await
    };
    let judged = desk.judged(&request.visit(HookPoint::Enrolment), 201, work).await;
    reply::answer(Face::Page, judged, |answer| reply::page(201, page::redeemed(&answer)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default, rename = "for")]
    purpose: Option<String>,
}

async fn challenge(State(desk): Shared, request: Request) -> Response {
    let wish = Query::<Wish>::try_from_uri(request.uri()).map(|Query(wish)| wish.purpose);
    let purpose = match wish.as_ref().map(Option::as_deref) {
        Ok(None | Some("enrollment")) => Ok((Purpose::Enrollment, HookPoint::Enrolment)),
        Ok(Some("renewal")) => Ok((Purpose::Renewal, HookPoint::Renewal)),
        Ok(Some(_)) | Err(_) => {
            Err(Refusal::new(Reason::BodyInvalid, "the query is for=enrollment or for=renewal"))
        }
    };
    let (purpose, point) = match purpose {
        Ok(purpose) => purpose,
        Err(refusal) => return plain_refusal(&refusal),
    };
    let request = Opened::from(request);
    let source = request.source;
    let judged = desk.judged(&request.visit(point), 200, async { desk.challenge(purpose, source) }).await;
    reply::answer(Face::Json, judged, |challenge| json(200, &challenge))
}

async fn enroll(State(desk): Shared, request: Request) -> Response {
    let request = Opened::from(request);
    let work = async {
        let body: EnrollBody = request.json().await?;
        desk.enroll(request.source, &body).await
    };
    let judged = desk.judged(&request.visit(HookPoint::Enrolment), 201, work).await;
    reply::answer(Face::Json, judged, |answer| json(201, &answer))
}

async fn renew(State(desk): Shared, request: Request) -> Response {
    let request = Opened::from(request);
    let work = async {
        let body: RenewBody = request.json().await?;
        desk.renew(request.source, &body).await
    };
    let judged = desk.judged(&request.visit(HookPoint::Renewal), 200, work).await;
    reply::answer(Face::Json, judged, |answer| json(200, &answer))
}

/// A request whose body is read only when its turn comes.
struct Opened {
    source: IpAddr,
    method: Method,
    path: String,
    length: Option<u64>,
    kind: String,
    body: tokio::sync::Mutex<Option<Body>>,
}

impl From<Request> for Opened {
    fn from(request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let text =
            |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        // The shell puts a source on every request; without it the unspecified address is judged.
        let source = parts.extensions.get::<Source>().map_or(IpAddr::from([0, 0, 0, 0]), |s| s.0);
        let kind = text(header::CONTENT_TYPE);
        Self {
            source,
            length: text(header::CONTENT_LENGTH).parse().ok(),
            kind: kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(),
            method: parts.method,
            path: parts.uri.path().to_owned(),
            body: tokio::sync::Mutex::new(Some(body)),
        }
    }
}

impl Opened {
    fn visit(&self, point: HookPoint) -> Visit<'_> {
        // An invite's code is no business of a log: what is judged is the route.
        let path = if self.path.starts_with("/i/") { "/i/" } else { &self.path };
        Visit { point, source: self.source, method: self.method.as_str(), path, bytes: self.length }
    }

    async fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let bytes = self.read("application/json").await?;
        serde_json::from_slice(&bytes).map_err(|e| Refusal::new(Reason::BodyInvalid, e.to_string()))
    }

    async fn form<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        const FORM: &str = "application/x-www-form-urlencoded";
        let bytes = self.read(FORM).await?;
        let request = http::Request::post("/").header(header::CONTENT_TYPE, FORM).body(Body::from(bytes));
        let request = request.map_err(|_| Refusal::from(Reason::InternalError))?;
        let form = Form::<T>::from_request(request, &()).await;
        form.map(|Form(form)| form).map_err(|e| Refusal::new(Reason::BodyInvalid, e.body_text()))
    }

    async fn read(&self, kind: &str) -> Result<Bytes, Refusal> {
        if self.kind != kind {
            return Err(Refusal::new(Reason::BodyInvalid, format!("the content type is {kind}")));
        }
        if self.length.is_some_and(|n| n > BODY_MAX as u64) {
            return Err(Reason::BodyTooLarge.into());
        }
        let body = self.body.lock().await.take().unwrap_or_default();
        let read = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_MAX).collect());
        match read.await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(e)) if e.is::<LengthLimitError>() => Err(Reason::BodyTooLarge.into()),
            Ok(Err(_)) => Err(Reason::RequestMalformed.into()),
            Err(_) => Err(Reason::RequestTimeout.into()),
        }
    }
}
