//! The ops API as the verbs call it: over the Unix socket, or loopback TCP with a token. JSON in, JSON out.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use defense::Reason;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, IF_MATCH};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::config::ConfigErrors;

/// How long a connection may take.
const CONNECT_WAIT: Duration = Duration::from_secs(3);
/// How long an answer may take: a change waits 2 s for everybody who serves it.
const ANSWER_WAIT: Duration = Duration::from_secs(35);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of a token file.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Where the API is.
#[derive(Clone, Debug)]
pub struct Client {
    server: Server,
}

#[derive(Clone)]
enum Server {
    Socket(PathBuf),
    Loopback { authority: String, token: String },
}

/// What came back of a call that was obeyed.
#[derive(Clone, Debug)]
pub struct Reply {
    pub body: Value,
    pub etag: Option<String>,
}

/// Why a verb did not do its work.
#[derive(Clone, Debug)]
pub enum Failure {
    /// Nobody answers there.
    Unreachable { at: String, why: String },
    /// The API said no: a problem document.
    Refused(Value),
    /// What was typed is not possible.
    Usage(String),
    /// A file has mistakes.
    File(Box<ConfigErrors>),
    /// An answer that is none.
    Odd(String),
    /// It was done, and not everybody serves it yet.
    Partly,
    /// It answered, and is not well.
    Unhealthy,
}

impl Client {
    pub fn socket(path: &Path) -> Self {
        Self { server: Server::Socket(path.to_owned()) }
    }

    /// `url` is `http://127.0.0.1:7780`; the file holds the token alone.
    ///
    /// # Errors
    /// The URL is none of plain HTTP, or the file can't be read.
    pub fn loopback(url: &str, token_file: &Path) -> Result<Self, Failure> {
        let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let authority = authority.filter(|a| !a.is_empty() && !a.contains(['/', '?', '#', '@']));
        let wrong =
            || Failure::Usage(format!("--server {url}: write http://127.0.0.1:7780 (loopback, no path)."));
        let authority = authority.ok_or_else(wrong)?.to_owned();
        let unreadable =
            |why: String| Failure::Usage(format!("--token-file {}: {why}", token_file.display()));
        let size = std::fs::metadata(token_file).map_err(|e| unreadable(e.to_string()))?.len();
        if size > TOKEN_BYTES_MAX {
            return Err(unreadable("is too large for a token".into()));
        }
        let text = std::fs::read_to_string(token_file).map_err(|e| unreadable(e.to_string()))?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(unreadable("holds no token: one line, without blanks".into()));
        }
        Ok(Self { server: Server::Loopback { authority, token: token.to_owned() } })
    }

    pub async fn read(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.call(Method::GET, path, None, None).await?.body)
    }

    /// # Errors
    /// Nobody answers, or the API refuses.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        if_match: Option<&str>,
    ) -> Result<Reply, Failure> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.host());
        if let Server::Loopback { token, .. } = &self.server {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(tag) = if_match {
            request = request.header(IF_MATCH, tag);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let bytes = body.map_or_else(Bytes::new, |value| Bytes::from(value.to_string()));
        let request = request.body(Full::new(bytes)).map_err(|e| Failure::Usage(e.to_string()))?;
        match timeout(ANSWER_WAIT, self.exchange(request)).await {
            Ok(reply) => reply,
            Err(_) => Err(self.unreachable(format!("no answer within {} s", ANSWER_WAIT.as_secs()))),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, Failure> {
        match &self.server {
            Server::Socket(path) => {
                let stream = self.connected(UnixStream::connect(path)).await?;
                self.converse(stream, request).await
            }
            Server::Loopback { authority, .. } => {
                let stream = self.connected(TcpStream::connect(authority.as_str())).await?;
                self.converse(stream, request).await
            }
        }
    }

    async fn connected<S>(&self, connecting: impl Future<Output = std::io::Result<S>>) -> Result<S, Failure> {
        match timeout(CONNECT_WAIT, connecting).await {
            Ok(stream) => stream.map_err(|e| self.unreachable(e.to_string())),
            Err(_) => Err(self.unreachable("no connection in time".into())),
        }
    }

    async fn converse<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<Reply, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let lost = |e: hyper::Error| self.unreachable(e.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // It ends with the answer; what breaks it is reported by the sender's side.
        let carried = tokio::spawn(async move { drop(connection.await) });
        let reply = match sender.send_request(request).await {
            Ok(response) => reply(response).await,
            Err(e) => Err(lost(e)),
        };
        drop(sender);
        carried.abort();
        reply
    }

    fn host(&self) -> &str {
        match &self.server {
            Server::Socket(_) => "localhost",
            Server::Loopback { authority, .. } => authority,
        }
    }

    fn unreachable(&self, why: String) -> Failure {
        let at = match &self.server {
            Server::Socket(path) => path.display().to_string(),
            Server::Loopback { authority, .. } => format!("http://{authority}"),
        };
        Failure::Unreachable { at, why }
    }
}

async fn reply(response: Response<Incoming>) -> Result<Reply, Failure> {
    let (head, body) = response.into_parts();
    let odd = |why: &str| Failure::Odd(format!("The answer can't be read ({}): {why}.", head.status));
    let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|e| odd(&e.to_string()))?;
    let body: Value = serde_json::from_slice(&whole.to_bytes()).map_err(|e| odd(&e.to_string()))?;
    let etag = head.headers.get(ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned);
    match head.status.is_success() || body.get("schema").is_some() {
        true => Ok(Reply { body, etag }),
        false => Err(Failure::Refused(body)),
    }
}

impl Failure {
    pub fn refused(reason: Reason, detail: &str) -> Self {
        Self::Refused(serde_json::json!({
            "status": reason.http_status(),
            "code": reason.code(),
            "reason": reason.name(),
            "title": reason.what(),
            "detail": detail,
            "why": reason.why(),
            "fix": reason.fix(),
        }))
    }

    /// 1 failed, 2 usage, 3 not found, 4 not allowed, 5 unreachable, 6 conflict, 7 partly, 8 needs confirmation, 9 unhealthy.
    pub fn exit(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(problem) => match problem["status"].as_u64() {
                Some(400 | 413 | 422) => 2,
                Some(404) => 3,
                Some(401 | 403 | 421) => 4,
                Some(409 | 410 | 412) => 6,
                Some(428) => 8,
                Some(_) | None => 1,
            },
            Self::Odd(_) => 1,
            Self::Usage(_) | Self::File(_) => 2,
            Self::Unreachable { .. } => 5,
            Self::Partly => 7,
            Self::Unhealthy => 9,
        })
    }

    /// What kind of failure it is, for programs: `unreachable` and the like.
    const fn title(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Refused(_) => "refused",
            Self::Usage(_) => "usage",
            Self::File(_) => "file",
            Self::Odd(_) => "odd_answer",
            Self::Partly => "partly_done",
            Self::Unhealthy => "unhealthy",
        }
    }

    pub fn to_json(&self) -> Value {
        match self {
            Self::Refused(problem) => problem.clone(),
            Self::File(errors) => errors.to_json(),
            Self::Unreachable { .. } | Self::Usage(_) | Self::Odd(_) | Self::Partly | Self::Unhealthy => {
                serde_json::json!({ "title": self.title(), "detail": self.to_string() })
            }
        }
    }
}

/// Code, what, why, fix.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { at, why } => write!(
                f,
                "No gateway answers at {at} ({why}). fix: start `wandergate run`, or name its socket: --socket PATH."
            ),
            Self::Refused(problem) => {
                let said = |key: &str| crate::output::plain(problem[key].as_str().unwrap_or_default());
                write!(
                    f,
                    "{} {} {} fix: {}",
                    said("code"),
                    sentence(&said("detail")),
                    said("why"),
                    said("fix")
                )
            }
            Self::Usage(text) | Self::Odd(text) => f.write_str(text),
            Self::File(errors) => f.write_str(errors.to_string().trim_end()),
            Self::Partly => f.write_str(
                "It is done and durable, but not everybody serves it yet: see `wandergate status`.",
            ),
            Self::Unhealthy => f.write_str("It answers, and some part of it does not serve."),
        }
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let text: String = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect();
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => f.debug_tuple("Socket").field(path).finish(),
            Self::Loopback { authority, .. } => f.debug_tuple("Loopback").field(authority).finish(),
        }
    }
}

/// One segment of a path or value of a query: everything but unreserved characters is escaped (RFC 3986 §2.3).
pub fn escaped(text: &str) -> String {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|b| if unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stand_for_themselves() {
        assert_eq!(escaped("2001:db8::/32 a%b~c"), "2001%3Adb8%3A%3A%2F32%20a%25b~c");
    }

    #[test]
    fn each_kind_of_refusal_has_its_exit_code() {
        let code = |reason| format!("{:?}", Failure::refused(reason, "x").exit());
        for (reason, exit) in [
            (Reason::BodyInvalid, 2),
            (Reason::UnknownUser, 3),
            (Reason::NotAuthorized, 4),
            (Reason::OwnedByConfig, 6),
            (Reason::PreconditionFailed, 6),
            (Reason::NeedsConfirmation, 8),
            (Reason::StoreFull, 1),
        ] {
            assert_eq!(code(reason), format!("{:?}", ExitCode::from(exit)), "{reason}");
        }
    }
}
