//! Wildcard sockets: one per address family, port and core, so that cores share nothing.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use futures_util::FutureExt;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::session;
use crate::bounds::{ACCEPT_PAUSE, ACCEPTS_AT_ONCE, BACKLOG};
use crate::gate::Gate;
use crate::sockets::Hold;
use crate::upstream::Upstream;

/// Binds one listening socket that may share its address with those of other cores.
///
/// `device` limits it to one interface (`lo` for rehearsals): a wildcard socket would otherwise be reachable from
/// everywhere.
///
/// # Errors
/// The address is taken or not ours, the device unknown, or the port not permitted.
pub fn bind(address: IpAddr, port: u16, device: Option<&str>) -> io::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // IPv4 has its own socket, so that a lease's address is never seen in its mapped form.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if let Some(device) = device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts until cancelled; drops `hold` with the listener. An error of one connection, or of a full table, never ends the loop.
pub async fn accept(
    gate: Arc<Gate>,
    upstream: Arc<Upstream>,
    listener: TcpListener,
    hold: Hold,
    stop: CancellationToken,
) {
    let _hold = hold;
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(event = "edge.listen_failed", %error),
    };
    let mut failures = 0_u64;
    let admit = |stream: TcpStream, source| {
        let Ok(local) = stream.local_addr() else { return };
        // Small answers must not wait for acknowledgements; failing to say so only costs time.
        let _ = stream.set_nodelay(true);
        tokio::spawn(session::run(Arc::clone(&gate), Arc::clone(&upstream), stream, source, local));
    };
    let mut queue = Queue::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = queue.next(&gate, &listener) => accepted,
        };
        match accepted {
            Ok((stream, source)) => {
                failures = 0;
                admit(stream, source);
            }
            Err(error) if concerns_one(&error) => {}
            // EMFILE and its kind last: go on, but not at full speed.
            Err(error) => {
                failures += 1;
                // A full table lasts: one line when it begins, then fewer and fewer.
                if failures.is_power_of_two() {
                    tracing::warn!(event = "edge.accept_failed", %error, failures);
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Who is in the queue was told by the kernel that it is connected: closing the listener would reset it.
    for _ in 0..BACKLOG {
        match listener.accept().now_or_never() {
            Some(Ok((stream, source))) => admit(stream, source),
            Some(Err(error)) if concerns_one(&error) => {}
            Some(Err(_)) | None => return,
        }
    }
}

/// The accept queue as its loop finds it: since when has it not been empty?
#[derive(Default)]
struct Queue {
    standing_since: Option<Instant>,
    at_once: u32,
}

impl Queue {
    async fn next(
        &mut self,
        gate: &Gate,
        listener: &tokio::net::TcpListener,
    ) -> io::Result<(TcpStream, SocketAddr)> {
        if self.at_once == ACCEPTS_AT_ONCE {
            self.at_once = 0;
            tokio::task::yield_now().await;
        }
        // Unconstrained: whoever has to wait here has found the queue empty, and was not told so by the scheduler.
        let accepted = tokio::task::unconstrained(poll_fn(|cx| {
            let polled = listener.poll_accept(cx);
            if polled.is_pending() {
                (self.standing_since, self.at_once) = (None, 0);
            }
            polled
        }))
        .await;
        self.at_once += 1;
        let since = *self.standing_since.get_or_insert_with(Instant::now);
        gate.pressure.queued(u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX));
        accepted
    }
}

/// One client's connection broke before it was accepted. A pause would let such clients slow everyone down.
fn concerns_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
