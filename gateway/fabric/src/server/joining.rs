//! Keeps a native server joined: a link to the local hub, and another when it is over; offers, and takes calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Shared, Waiting};
use crate::bounds::{REDIAL_FIRST, REDIAL_MAX};
use crate::identity::Identity;
use crate::lane::driver::LinkEvent;
use crate::lane::stream::LaneStream;
use crate::link::Link;
use crate::link::dialer::{Dialer, Unwelcome, new_id};
use crate::refusal::{LaneEnd, Refusal};
use crate::wire::{Frame, Offering, Open, Shape};

/// One link after the other, until the server stops.
pub(super) async fn keep(shared: Arc<Shared>, calls: mpsc::Sender<Waiting>) {
    let mut pause = REDIAL_FIRST;
    while !shared.stop.is_cancelled() {
        match shared.stop.run_until_cancelled(begin(&shared)).await {
            None => return,
            Some(Ok((link, events))) => {
                pause = REDIAL_FIRST;
                shared.link.store(Some(link.clone()));
                shared.changed.send_replace(());
                tokio::join!(offer(&shared, &link), take(&link, events, &calls));
                shared.link.store(None);
                shared.changed.send_replace(());
                link.last_end().into_iter().for_each(|end| shared.note_end(end));
            }
            Some(Err(end)) => {
                shared.note_end(end);
                tracing::debug!(local_hub = %shared.local_hub, reason = end.code(), "cannot join");
            }
        }
        if shared.stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
        pause = (pause * 2).min(REDIAL_MAX);
    }
}

/// A link whose first lane is up; the others follow.
async fn begin(shared: &Arc<Shared>) -> Result<(Arc<Link>, mpsc::Receiver<LinkEvent>), LaneEnd> {
    let id = new_id().map_err(|_| LaneEnd::Stopped)?;
    let (link, events) = Link::new(shared.local_hub.clone(), id, shared.stop.child_token());
    let (keyring, proof) = (shared.keyring.clone(), shared.proof.clone());
    let dialer = Dialer { link: link.clone(), keyring, at: shared.at.clone(), proof };
    let connection = dialer.dial(0).await.map_err(|unwelcome| match unwelcome {
        Unwelcome::Standby { .. } => LaneEnd::RefusedByFar(Refusal::Standby),
        Unwelcome::Ended(end) => end,
    })?;
    dialer.keep_lanes(connection, &shared.stop, &shared.tasks);
    Ok((link, events))
}

/// Says what is offered, whenever that or the control lane changes.
async fn offer(shared: &Shared, link: &Link) {
    let (mut lanes, mut changes) = (link.changes(), shared.changed.subscribe());
    let (mut was_up, mut is_new, mut sequence) = (false, true, 0);
    while !link.over().is_cancelled() {
        let is_up = link.has_control();
        if is_up && (is_new || !was_up) {
            sequence += u64::from(is_new);
            let services = shared.services.load().iter().cloned().collect();
            link.announce(Frame::Offer(Offering { incarnation: *link.id(), sequence, services }));
        }
        if !is_up {
            link.set_services(BTreeSet::new());
        }
        was_up = is_up;
        tokio::select! {
            _ = lanes.changed() => is_new = false,
            _ = changes.changed() => is_new = true,
            () = link.over().cancelled() => {}
        }
    }
}

/// Takes what arrives until the link is over.
async fn take(link: &Link, mut events: mpsc::Receiver<LinkEvent>, calls: &mpsc::Sender<Waiting>) {
    let over = link.over().clone();
    while let Some(Some(event)) = over.run_until_cancelled(events.recv()).await {
        match event {
            LinkEvent::Incoming { stream, open } => take_call(stream, *open, calls),
            LinkEvent::Accepted(services) => link.set_services(services.into_iter().collect()),
            // A local hub offers nothing.
            LinkEvent::Offer(_) | LinkEvent::Notice(_, _) => link.close(Refusal::Violation),
        }
    }
}

fn take_call(stream: LaneStream, open: Open, calls: &mpsc::Sender<Waiting>) {
    let Some(caller) = Identity::from_text(&open.caller) else { return stream.reset(Refusal::Violation) };
    // Flows go to addresses; the shelf of a local hub asks for none here.
    if open.shape == Shape::Datagrams {
        return stream.reset(Refusal::NotPermitted);
    }
    if let Err(full) = calls.try_send((stream, open, caller)) {
        full.into_inner().0.reset(Refusal::HubBusy);
    }
}
