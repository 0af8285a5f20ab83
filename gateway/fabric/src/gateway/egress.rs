//! The edge's end of a way out: a name leads to one fixed address, and nothing else leads anywhere (requirement 0.18).

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Shared;
use crate::bounds::DIAL_DEADLINE;
use crate::lane::stream::LaneStream;
use crate::refusal::Refusal;
use crate::splice::{Service, splice};
use crate::wire::{Open, Opened, Shape};

/// Carries one stream of the inside to where its name leads.
pub(super) async fn lead_out(shared: Arc<Shared>, mut stream: LaneStream, open: Open) {
    let reached = tokio::select! {
        reached = reach(&shared, &open) => reached,
        reason = stream.gone() => Err(reason),
    };
    let tcp = match reached {
        Ok(tcp) => tcp,
        Err(reason) => {
            if shared.refused.tell_stream(reason.code(), &open.service, &open.caller) {
                tracing::warn!(
                    name = open.service,
                    caller = open.caller,
                    reason = reason.code(),
                    "no way out"
                );
            }
            return stream.reset(reason);
        }
    };
    stream.accept(Opened::default());
    if let Err(reason) = splice(&mut stream, &mut Service::new(tcp)).await {
        shared.refused.add(reason.code());
    }
}

async fn reach(shared: &Shared, open: &Open) -> Result<TcpStream, Refusal> {
    if open.shape != Shape::Bytes || open.resume.is_some() {
        return Err(Refusal::NotPermitted);
    }
    let to = *shared.egress.load().get(&open.service).ok_or(Refusal::NotPermitted)?;
    let connected = timeout(DIAL_DEADLINE, TcpStream::connect(to)).await;
    let tcp = connected.map_err(|_| Refusal::ServiceUnreachable)?.map_err(|_| Refusal::ServiceUnreachable)?;
    tcp.set_nodelay(true).map_err(|_| Refusal::ServiceUnreachable)?;
    Ok(tcp)
}
