//! One stream joined to its server, from the request to its end.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt;

use super::Shared;
use super::onward::Onward;
use super::server::{Way, header};
use super::sessions::{Admitted, Parkable};
use super::shelf::Reached;
use crate::lane::stream::LaneStream;
use crate::refusal::Refusal;
use crate::session::Position;
use crate::splice::{End, splice};
use crate::wire::{Open, Opened};

/// A stream of bytes: a new session, or another carrier for one.
pub(super) async fn join(shared: Arc<Shared>, stream: LaneStream, mut open: Open) {
    if let Some(resume) = open.resume.take() {
        if let Err(reason) = shared.sessions.offer(stream, &open, resume) {
            shared.refused.add_stream(reason.code(), &open.service, &open.caller);
        }
        return;
    }
    let place = match shared.sessions.admit(&open) {
        Ok(place) => place,
        Err(reason) => return refuse(&shared, &stream, &open, reason),
    };
    let Some(Reached { way, running, .. }) = reach(&shared, &stream, &open).await else { return };
    match way {
        Way::Tcp(tcp) => run(&shared, place, stream, Onward::tcp(tcp, running)).await,
        Way::Native(native) => run(&shared, place, stream, Onward::native(native, running)).await,
        // The shelf gives streams of bytes no such way.
        Way::Udp(_) => stream.reset(Refusal::NotPermitted),
    }
}

async fn run(shared: &Shared, place: Admitted, stream: LaneStream, mut onward: impl End) {
    let mut session = Parkable::new(place, stream);
    let ended = count(shared, splice(&mut session, &mut onward)).await;
    drop(onward);
    if let Err(reason) = ended {
        shared.refused.add(reason.code());
        session.settle(reason).await;
    }
}

/// A flow of datagrams.
pub(super) async fn join_flow(shared: Arc<Shared>, mut stream: LaneStream, open: Open) {
    let place = match shared.flows.enter(&open.service) {
        Ok(place) => place,
        Err(reason) => return refuse(&shared, &stream, &open, reason),
    };
    let Some(Reached { way, running, service }) = reach(&shared, &stream, &open).await else { return };
    let Way::Udp(udp) = way else { return stream.reset(Refusal::NotPermitted) };
    let header = header(&service, &open).unwrap_or_default();
    let gone = running.gone().clone();
    let ended = tokio::select! {
        ended = count(&shared, place.carry(&mut stream, udp, &header)) => ended,
        () = gone.cancelled() => Err(running.why_gone()),
    };
    match ended {
        // It was idle for long, or the far side ended: the Fin says that this is in order.
        Ok(()) => drop(stream.shutdown().await),
        Err(reason) => {
            shared.refused.add(reason.code());
            stream.reset(reason);
        }
    }
}

/// The way to a server, and the stream told that it is open; or told why not.
async fn reach(shared: &Shared, stream: &LaneStream, open: &Open) -> Option<Reached> {
    if shared.streams.load(Ordering::Relaxed) >= shared.streams_max.load(Ordering::Relaxed) {
        refuse(shared, stream, open, Refusal::SessionsFull);
        return None;
    }
    let reached = tokio::select! {
        reached = shared.shelf.reach(stream.class(), open) => reached,
        reason = stream.gone() => Err(reason),
    };
    match reached {
        Ok(reached) => {
            let at = shared.keyring.identity().name().to_owned();
            stream.accept(Opened { at, received: Position::default() });
            Some(reached)
        }
        Err(reason) => {
            refuse(shared, stream, open, reason);
            None
        }
    }
}

fn refuse(shared: &Shared, stream: &LaneStream, open: &Open, reason: Refusal) {
    tracing::debug!(service = open.service, caller = open.caller, reason = reason.code(), "stream refused");
    shared.refused.add_stream(reason.code(), &open.service, &open.caller);
    stream.reset(reason);
}

/// Counts a stream while it runs.
async fn count<T>(shared: &Shared, run: impl Future<Output = T>) -> T {
    shared.opened.fetch_add(1, Ordering::Relaxed);
    shared.streams.fetch_add(1, Ordering::Relaxed);
    let ended = run.await;
    shared.streams.fetch_sub(1, Ordering::Relaxed);
    ended
}
