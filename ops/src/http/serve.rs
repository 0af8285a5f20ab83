//! Listeners and connections: who may connect at all, how many at once, and for how long.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::colon::slashed;
use super::guard::Credential;
use super::token::Token;
use crate::bounds::{
    ACCEPT_PAUSE, CONNECTION_LIFE, CONNECTIONS_MAX, DRAIN_WAIT, HEAD_BYTES_MAX, HEAD_FIELDS_MAX, HEAD_WAIT,
};

/// Why the API was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "{0} is not loopback: the ops API is reached on this machine only (forward it by SSH, or use the socket)"
    )]
    NotLoopback(SocketAddr),
    #[error("{0} needs a token")]
    TokenMissing(SocketAddr),
    #[error("the socket {path} has mode {mode:04o}: only its owner may open it (0600)")]
    SocketOpen { path: String, mode: u32 },
    #[error("the listener can't be used: {0}")]
    Listener(#[from] io::Error),
}

/// The running listeners.
pub struct Serving {
    tasks: TaskTracker,
}

impl Serving {
    /// Waits until everything has ended after the cancellation.
    pub async fn ended(&self) {
        self.tasks.wait().await;
    }
}

/// Binds the operators' socket, mode 0600; one that a dead process left is replaced, one that answers is not.
///
/// # Errors
/// Another process serves there, something else has that name, or the folder does not let us.
pub async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(known) if known.file_type().is_socket() => {
            if UnixStream::connect(path).await.is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves this socket"));
            }
            std::fs::remove_file(path)?;
        }
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else has that name")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

pub(super) fn check(
    unix: Option<&UnixListener>,
    tcp: Option<&TcpListener>,
    token: Option<&Token>,
) -> Result<(), StartError> {
    if let Some(tcp) = tcp {
        let here = tcp.local_addr()?;
        if !here.ip().is_loopback() {
            return Err(StartError::NotLoopback(here));
        }
        token.ok_or(StartError::TokenMissing(here))?;
    }
    if let Some(path) = unix.map(UnixListener::local_addr).transpose()?.as_ref().and_then(|a| a.as_pathname())
    {
        let mode = std::fs::metadata(path)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(StartError::SocketOpen { path: path.display().to_string(), mode });
        }
    }
    Ok(())
}

pub(super) fn start(
    router: Router,
    unix: Option<UnixListener>,
    tcp: Option<TcpListener>,
    cancel: &CancellationToken,
) -> Result<Serving, StartError> {
    let tasks = TaskTracker::new();
    if let Some(unix) = unix {
        // The owner of this process, as the kernel has it.
        let own = std::fs::metadata("/proc/self")?.uid();
        tasks.spawn(accept_unix(unix, own, Door::new(&router, &tasks, cancel)));
    }
    if let Some(tcp) = tcp {
        let here = tcp.local_addr()?;
        tasks.spawn(accept_tcp(tcp, here, Door::new(&router, &tasks, cancel)));
    }
    tasks.close();
    Ok(Serving { tasks })
}

/// One listener's connections.
struct Door {
    router: Router,
    tasks: TaskTracker,
    cancel: CancellationToken,
    places: Arc<Semaphore>,
}

async fn accept_unix(listener: UnixListener, own: u32, door: Door) {
    while let Some(stream) = door.next(async || listener.accept().await.map(|(stream, _)| stream)).await {
        match stream.peer_cred().map(|peer| peer.uid()) {
            Ok(uid) if uid == 0 || uid == own => door.open(stream, Credential::Local { uid }).await,
            Ok(uid) => tracing::warn!(event = "ops.peer_refused", uid),
            Err(e) => tracing::warn!(event = "ops.peer_unknown", error = %e),
        }
    }
}

async fn accept_tcp(listener: TcpListener, here: SocketAddr, door: Door) {
    while let Some((stream, from)) = door.next(async || listener.accept().await).await {
        if from.ip().is_loopback() {
            door.open(stream, Credential::Loopback { here }).await;
        }
    }
}

impl Door {
    fn new(router: &Router, tasks: &TaskTracker, cancel: &CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { router: router.clone(), tasks: tasks.clone(), cancel: cancel.clone(), places }
    }

    /// The next connection; `None` at the end.
    async fn next<T, F: Future<Output = io::Result<T>>>(&self, accept: impl Fn() -> F) -> Option<T> {
        loop {
            let accepted = tokio::select! {
                () = self.cancel.cancelled() => return None,
                accepted = accept() => accepted,
            };
            match accepted {
                Ok(stream) => return Some(stream),
                Err(e) => {
                    tracing::warn!(event = "ops.accept_failed", error = %e);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection in a task of its own, once there is a place.
    async fn open<S>(&self, stream: S, credential: Credential)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // The semaphore is never closed, so a place always comes; the end of the API ends the wait.
        let place = tokio::select! {
            () = self.cancel.cancelled() => return,
            place = Arc::clone(&self.places).acquire_owned() => place,
        };
        let router = self.router.clone().layer(Extension(credential));
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            let _place = place;
            serve(stream, router, cancel).await;
        });
    }
}

async fn serve<S>(stream: S, router: Router, cancel: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_FIELDS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.map_request(slashed)));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A client that breaks the protocol got its answer from hyper; there is nobody else to tell.
        _ = connection.as_mut() => return,
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(CONNECTION_LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(DRAIN_WAIT, connection).await);
}
