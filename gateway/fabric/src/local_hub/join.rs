//! One stream joined to its service, from the request to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Shared;
use crate::bounds::SERVICE_DEADLINE;
use crate::lane::stream::LaneStream;
use crate::refusal::Refusal;
use crate::splice::{Service, splice};
use crate::wire::{Open, Opened};

pub(super) async fn join(shared: Arc<Shared>, stream: LaneStream, open: Open) {
    let Open { service, caller, .. } = open;
    let reached = tokio::select! {
        reached = reach(&shared, &service) => reached,
        reason = stream.gone() => Err(reason),
    };
    let tcp = match reached {
        Ok(tcp) => tcp,
        Err(reason) => {
            tracing::debug!(service, caller, reason = reason.code(), "stream refused");
            shared.refused.add_stream(reason.code(), &service, &caller);
            return stream.reset(reason);
        }
    };
    let at = shared.keyring.identity().name().to_owned();
    stream.accept(Opened { at, received: 0 });
    shared.opened.fetch_add(1, Ordering::Relaxed);
    shared.streams.fetch_add(1, Ordering::Relaxed);
    let ended = splice(stream, Service::new(tcp)).await;
    shared.streams.fetch_sub(1, Ordering::Relaxed);
    if let Err(reason) = ended {
        shared.refused.add(reason.code());
    }
}

async fn reach(shared: &Shared, service: &str) -> Result<TcpStream, Refusal> {
    let address = shared.shelf.address(service).ok_or(Refusal::ServiceNotOffered)?;
    let connected = timeout(SERVICE_DEADLINE, TcpStream::connect(address)).await;
    let tcp = connected.map_err(|_| Refusal::ServiceUnreachable)?.map_err(|_| Refusal::ServiceUnreachable)?;
    tcp.set_nodelay(true).map_err(|_| Refusal::ServiceUnreachable)?;
    Ok(tcp)
}
