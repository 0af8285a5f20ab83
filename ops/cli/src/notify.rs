//! What the system's service manager is told (`sd_notify`): ready, reloading, stopping, alive, and who is the main process now.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

/// Where the manager listens, and how often it wants to hear that we are alive. Without one, nobody is told anything.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<UnixDatagram>,
    alive_every: Option<Duration>,
}

impl Notify {
    /// As the manager's environment says (`NOTIFY_SOCKET`, `WATCHDOG_USEC`).
    pub fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                _ => SocketAddr::from_pathname(Path::new(&name)),
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            socket.connect_addr(&address.ok()?).ok()?;
            Some(socket)
        });
        let watchdog = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        // Twice in the time allowed, so that one late word is no death.
        Self { socket, alive_every: watchdog.map(|us: u64| Duration::from_micros(us / 2)) }
    }

    pub fn ready(&self) {
        self.say("READY=1");
    }

    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let us = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={us}"));
    }

    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Another process of ours is the service from now on.
    pub fn replaced_by(&self, pid: u32) {
        self.say(&format!("MAINPID={pid}\nREADY=1"));
    }

    /// Says that we are alive as long as this runtime turns, until `stop`.
    pub async fn keep_alive(&self, stop: CancellationToken) {
        let Some(every) = self.alive_every.filter(|_| self.socket.is_some()) else { return };
        let mut turns = tokio::time::interval(every.max(Duration::from_millis(100)));
        while stop.run_until_cancelled(turns.tick()).await.is_some() {
            self.say("WATCHDOG=1");
        }
    }

    fn say(&self, text: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(text.as_bytes())
        {
            tracing::warn!(event = "process.notify_failed", %error);
        }
    }
}
