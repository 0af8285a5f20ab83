//! A trusted balancer's connection, until its header has said whose it is.

use std::net::SocketAddr;

use defense::{HookPoint, Reason, VerdictKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{Newcomer, door, reset};
use crate::admission::Door;
use crate::gate::Gate;
use crate::tcp::proxied::{self, Told};

/// Which address was reached; the newcomer's source is from then on who really comes. `None`: it is over, and not one byte
/// was sent.
pub(super) async fn introduced(
    gate: &Gate,
    newcomer: &mut Newcomer,
    local: SocketAddr,
) -> Option<SocketAddr> {
    let deadline = newcomer.begun + gate.pressure.handshake_max();
    let told = timeout_at(deadline, proxied::read(&mut newcomer.stream)).await;
    match told.unwrap_or(Err(Reason::ProxyMissing)) {
        Ok(Told::Passed { source, destination }) => {
            newcomer.source = source;
            Some(destination)
        }
        // Its own connection goes to where it really went (section 2.2 of the specification).
        Ok(Told::Local) => match door(gate, local) {
            Door::Open(_) => Some(local),
            Door::Reset(_) | Door::Dark(..) => {
                part(&mut newcomer.stream, deadline).await;
                None
            }
        },
        Err(reason) => {
            let balancer = newcomer.source.ip();
            gate.note(HookPoint::Connection, VerdictKind::Drop, reason, balancer, None, None);
            reset(&newcomer.stream);
            None
        }
    }
}

/// The end of a health check: in order, since a reset would say that we are ill.
async fn part(stream: &mut TcpStream, deadline: Instant) {
    let leaves = async {
        let _ = stream.shutdown().await;
        while matches!(stream.read(&mut [0; 256]).await, Ok(1..)) {}
    };
    let _ = timeout_at(deadline, leaves).await;
}
