//! The library for native servers: a program joins the local hub of its computer and takes calls as streams.
//!
//! Six lanes, dialed and dialed again (requirement 0.01); a server accepts no connection. It is ready with all six.

use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::task::{Context, Poll};

use arc_swap::{ArcSwap, ArcSwapOption};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounds::{CALLS_WAITING, DRAIN_LOOK, LANES, OPEN_DEADLINE, SERVICES_MAX};
use crate::gateway::OpenError;
use crate::identity::{Identity, Role};
use crate::lane::Class;
use crate::lane::stream::LaneStream;
use crate::link::Link;
use crate::link::dialer::DialerError;
use crate::link::proof::Proof;
use crate::origin::{Asked, Origin};
use crate::refusal::{LaneEnd, Refusal, is_name};
use crate::socket::DoorAddress;
use crate::status::NativeStatus;
use crate::tls::Keyring;
use crate::wire::{Open, Opened};

mod joining;

/// Where the local hub of this computer is, and who it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalHubAddress {
    /// Its door for servers.
    pub at: DoorAddress,
    /// The name in its certificate.
    pub name: String,
}

/// A native server. Cheap to clone; dropping it does not stop it, the token does.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

/// A server that cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// The dialing side.
    #[error(transparent)]
    Dialer(#[from] DialerError),
    /// A name breaks the rules of names.
    #[error("{0:?} is no name: 1 to 255 ASCII letters, digits, and . _ - :")]
    NotAName(String),
    /// More than [`SERVICES_MAX`].
    #[error("more than {SERVICES_MAX} services")]
    TooMany,
}

/// One call of a service.
#[derive(Debug)]
pub struct Call {
    /// The service that was asked for.
    pub service: String,
    /// Which of its ports; 0 when it has only one.
    pub port: u16,
    /// The gateway that asks, as the hub verified it.
    pub caller: Identity,
    /// The user behind it, as the gateway says; `None` when it says nothing.
    pub origin: Option<Origin>,
    /// The call's bytes.
    pub stream: CallStream,
}

/// The bytes of one call. Works on any runtime.
///
/// As of [`crate::FabricStream`]: `shutdown` ends our direction, dropping resets what was not shut down, errors carry a
/// [`Refusal`], and an end of file is always the caller's own end.
#[derive(Debug)]
pub struct CallStream(LaneStream);

/// A call that waits to be accepted.
type Waiting = (LaneStream, Open, Identity);

struct Shared {
    keyring: Arc<Keyring>,
    local_hub: Identity,
    at: DoorAddress,
    proof: Arc<Proof>,
    link: ArcSwapOption<Link>,
    services: ArcSwap<BTreeSet<String>>,
    /// Told when the services or the link change.
    changed: watch::Sender<()>,
    calls: Mutex<mpsc::Receiver<Waiting>>,
    last_end: StdMutex<Option<LaneEnd>>,
    accepted: AtomicU64,
    is_draining: AtomicBool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Begins to join on the current runtime, until `stop`, and offers these services.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn join(
        local_hub: &LocalHubAddress,
        keyring: Arc<Keyring>,
        services: &[&str],
        stop: CancellationToken,
    ) -> Result<Self, ServerError> {
        if keyring.identity().role() != Role::Server {
            return Err(DialerError::WrongRole.into());
        }
        let far = Identity::new(Role::LocalHub, &local_hub.name)
            .ok_or_else(|| ServerError::NotAName(local_hub.name.clone()))?;
        if services.len() > SERVICES_MAX {
            return Err(ServerError::TooMany);
        }
        if let Some(bad) = services.iter().find(|name| !is_name(name)) {
            return Err(ServerError::NotAName((*bad).to_owned()));
        }
        let (arrived, calls) = mpsc::channel(CALLS_WAITING);
        let shared = Arc::new(Shared {
            keyring,
            local_hub: far,
            at: local_hub.at.clone(),
            proof: Arc::new(Proof::unneeded()),
            link: ArcSwapOption::empty(),
            services: ArcSwap::from_pointee(services.iter().map(|name| (*name).to_owned()).collect()),
            changed: watch::Sender::new(()),
            calls: Mutex::new(calls),
            last_end: StdMutex::default(),
            accepted: AtomicU64::new(0),
            is_draining: AtomicBool::new(false),
            stop,
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(joining::keep(shared.clone(), arrived));
        shared.tasks.close();
        Ok(Self { shared })
    }

    /// Waits until all six lanes are up.
    pub async fn ready(&self) {
        loop {
            let mut changed = self.shared.changed.subscribe();
            let link = self.shared.link.load_full();
            let is_ready = async {
                match link {
                    Some(link) => drop(link.changes().wait_for(|up| *up == LANES).await),
                    None => pending().await,
                }
            };
            tokio::select! {
                () = is_ready => return,
                // The sender lives in self.
                _ = changed.changed() => {}
            }
        }
    }

    /// The next call; `None` once the server has stopped. May be called from several tasks; nothing is lost if it is
    /// dropped before it is ready.
    pub async fn accept(&self) -> Option<Call> {
        let (lane, open, caller) = self.shared.calls.lock().await.recv().await?;
        lane.accept(Opened::default());
        self.shared.accepted.fetch_add(1, Ordering::Relaxed);
        let Asked { port, origin } = Asked::decode(&open.origin).unwrap_or_default();
        Some(Call { service: open.service, port, caller, origin, stream: CallStream(lane) })
    }

    /// A stream out of the inside, by the name of a way that the wiring gives this server: it leads to one fixed address
    /// at an edge. Returns when that is connected.
    ///
    /// # Errors
    /// [`OpenError`], within [`OPEN_DEADLINE`]; [`Refusal::NotPermitted`] without an explicit grant (requirement 0.18).
    pub async fn open(&self, name: &str) -> Result<CallStream, OpenError> {
        let opened = timeout(OPEN_DEADLINE, self.try_open(name)).await.unwrap_or(Err(Refusal::Deadline));
        opened.map(CallStream).map_err(|refusal| OpenError { service: name.to_owned(), refusal })
    }

    async fn try_open(&self, name: &str) -> Result<LaneStream, Refusal> {
        if !is_name(name) {
            return Err(Refusal::NotPermitted);
        }
        let link = self.shared.link.load_full().ok_or(Refusal::LinkDown)?;
        let mut session = [0; 16];
        SystemRandom::new().fill(&mut session).map_err(|_| Refusal::LinkDown)?;
        let open = Open { service: name.to_owned(), session, ..Open::default() };
        let stream = link.open(Class::Interactive, open)?;
        stream.opened().await?;
        Ok(stream)
    }

    /// Withdraws all offers, and waits until no call runs. Calls that run, and those that were under way, go on;
    /// [`Server::accept`] has to be called as before.
    pub async fn drain(&self) {
        self.shared.is_draining.store(true, Ordering::Relaxed);
        self.shared.services.store(Arc::default());
        self.shared.changed.send_replace(());
        let is_idle = || match self.shared.link.load().as_ref() {
            Some(link) => link.services().is_empty() && link.streams() == 0,
            None => true,
        };
        // Twice, because a call may be on its way while the last one ends.
        let mut idle = 0;
        while idle < 2 {
            sleep(DRAIN_LOOK).await;
            idle = if is_idle() { idle + 1 } else { 0 };
        }
    }

    /// Its state now.
    pub fn status(&self) -> NativeStatus {
        NativeStatus {
            identity: self.shared.keyring.identity().clone(),
            link: self.shared.link.load().as_ref().map(|link| link.status()),
            last_end: self.shared.last_end().map(LaneEnd::code),
            accepted: self.shared.accepted.load(Ordering::Relaxed),
            is_draining: self.shared.is_draining.load(Ordering::Relaxed),
        }
    }

    /// Waits, after the stop token, until every connection is closed.
    pub async fn stopped(&self) {
        self.shared.tasks.wait().await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("identity", self.shared.keyring.identity()).finish_non_exhaustive()
    }
}

impl Shared {
    fn last_end(&self) -> Option<LaneEnd> {
        *self.last_end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_end(&self, end: LaneEnd) {
        *self.last_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }
}

impl CallStream {
    /// Ends it at once and tells the caller why.
    pub fn reset(self, reason: Refusal) {
        self.0.reset(reason);
    }
}

impl AsyncRead for CallStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for CallStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
