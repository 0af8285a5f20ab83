//! The shell: own listeners, TLS, and limits on connections, so that a flood here takes nothing from users.

mod connection;
mod places;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use defense::{Hooks, Journal};
use ring::rand::SystemRandom;
use rotator::{KeyEpochs, Keyring};
use rustls::ServerConfig;
use state::{Clock, Name, Store};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounds::{ACCEPT_PAUSE, POW_BITS_MAX};
use crate::challenge::Mint;
use crate::counts::{Counts, Status, count};
use crate::desk::Desk;
use crate::examine::Terms;
use crate::http::router;
use crate::spent::Spent;
use connection::Shell;
use places::Places;

/// What the operator decides.
pub struct RegistrationConfig {
    /// The zone; the door is `join.<zone>`.
    pub zone: String,
    /// Whether a proof of work does in place of an invite.
    pub open: bool,
    /// Leading zero bits of the proof; at most [`POW_BITS_MAX`].
    pub pow_bits: u8,
    /// What a user of open registration gets.
    pub default_services: Vec<Name>,
    /// Seals challenges: `Root::purpose_key("challenge")`, or random.
    pub challenge_secret: [u8; 32],
    pub epochs: KeyEpochs,
}

/// What it is built of. Certificates are swapped by the resolver in `tls`.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub keys: watch::Receiver<Keyring>,
    pub clock: Clock,
    pub hooks: Arc<dyn Hooks>,
    pub journal: Arc<Journal>,
    pub tls: Arc<ServerConfig>,
    pub listeners: Vec<std::net::TcpListener>,
    /// Connections at once; at most [`crate::bounds::CONNECTIONS_MAX`].
    pub places: usize,
    pub cancel: CancellationToken,
}

/// A running registration. Dropping it does not end it: its token does.
pub struct Registration {
    desk: Arc<Desk>,
    addresses: Vec<SocketAddr>,
    tasks: TaskTracker,
}

impl Registration {
    /// Starts it on the runtime that calls.
    ///
    /// # Errors
    /// A listener can't be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(config: RegistrationConfig, parts: Parts) -> io::Result<Self> {
        let Parts { store, keys, clock, hooks, journal, tls, listeners, places, cancel } = parts;
        let zone = config.zone.trim_end_matches('.').to_ascii_lowercase();
        let desk = Arc::new(Desk {
            mint: Mint::new(&config.challenge_secret, &zone),
            terms: Terms {
                zone: zone.into_boxed_str(),
                open: config.open,
                default_services: config.default_services,
            },
            pow_bits: config.pow_bits.min(POW_BITS_MAX),
            epochs: config.epochs,
            enrollments: Mutex::new(Spent::new()),
            renewals: Mutex::new(Spent::new()),
            store,
            keys,
            clock,
            hooks,
            journal,
            counts: Counts::new(),
            random: SystemRandom::new(),
        });
        let shell = Arc::new(Shell::new(Arc::clone(&desk), router(Arc::clone(&desk)), acceptor(&tls)));
        let tasks = TaskTracker::new();
        let places = Places::new(places);
        let mut addresses = Vec::with_capacity(listeners.len());
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            addresses.push(listener.local_addr()?);
            let door = Door {
                listener,
                shell: Arc::clone(&shell),
                places: places.clone(),
                tasks: tasks.clone(),
                cancel: cancel.clone(),
            };
            tasks.spawn(door.run());
        }
        tasks.close();
        Ok(Self { desk, addresses, tasks })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn status(&self) -> Status {
        self.desk.counts.read()
    }

    /// Until every listener and connection has ended, after the token was canceled.
    pub async fn ended(&self) {
        self.tasks.wait().await;
    }
}

/// HTTP/2 and HTTP/1.1 are offered, whatever the configuration at hand says.
fn acceptor(tls: &Arc<ServerConfig>) -> TlsAcceptor {
    let mut tls = ServerConfig::clone(tls);
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(tls))
}

/// One listener.
struct Door {
    listener: TcpListener,
    shell: Arc<Shell>,
    places: Places,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

/// All that can wake a door.
enum Wake {
    Knock(io::Result<(TcpStream, SocketAddr)>),
    End,
}

impl Door {
    async fn run(self) {
        loop {
            let wake = tokio::select! {
                biased;
                () = self.cancel.cancelled() => Wake::End,
                knock = self.listener.accept() => Wake::Knock(knock),
            };
            match wake {
                Wake::End => return,
                Wake::Knock(Ok((stream, source))) => self.admit(stream, source),
                // Out of descriptors, most likely: accepting at once again would only burn the processor.
                Wake::Knock(Err(_)) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn admit(&self, stream: TcpStream, source: SocketAddr) {
        let counts = &self.shell.desk.counts;
        count(&counts.connections);
        let Some(place) = self.places.take(source.ip()) else {
            // No place: closed at once, so that it waits in no queue.
            count(&counts.shed);
            return;
        };
        counts.open.fetch_add(1, Ordering::Relaxed);
        let (shell, cancel) = (Arc::clone(&self.shell), self.cancel.clone());
        self.tasks.spawn(async move {
            shell.serve(stream, source.ip(), cancel).await;
            shell.desk.counts.open.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
    }
}
