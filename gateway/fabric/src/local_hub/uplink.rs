//! The links to the planes: what arrives on them, and what is offered over them.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::shelf::Offered;
use super::{Shared, join};
use crate::lane::driver::LinkEvent;
use crate::link::Link;
use crate::link::follower::Begun;
use crate::refusal::Refusal;
use crate::wire::{Frame, Offering, Shape};

/// Serves the links to one plane, one after the other.
pub(super) async fn keep(shared: Arc<Shared>, mut links: mpsc::Receiver<Begun>) {
    while let Some((link, events)) = links.recv().await {
        tokio::join!(serve(&shared, &link, events), offer(&shared, &link));
    }
}

/// Says over one link what is offered, whenever that or the control lane changes.
async fn offer(shared: &Shared, link: &Link) {
    let (mut lanes, mut changes) = (link.changes(), shared.shelf.offered());
    let (mut was_up, mut is_new) = (false, true);
    while !link.over().is_cancelled() {
        let is_up = link.has_control();
        if is_up && (is_new || !was_up) {
            let Offered { sequence, services } = changes.borrow_and_update().clone();
            let services = services.into_iter().collect();
            let incarnation = shared.incarnation;
            link.announce(Frame::Offer(Offering { incarnation, sequence, services }));
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

/// Serves what arrives on one link, until it is over.
async fn serve(shared: &Arc<Shared>, link: &Link, mut events: mpsc::Receiver<LinkEvent>) {
    let over = link.over().clone();
    while let Some(Some(event)) = over.run_until_cancelled(events.recv()).await {
        match event {
            LinkEvent::Incoming { stream, open } => {
                match open.shape {
                    Shape::Bytes => shared.tasks.spawn(join::join(shared.clone(), stream, *open)),
                    Shape::Datagrams => shared.tasks.spawn(join::join_flow(shared.clone(), stream, *open)),
                };
            }
            LinkEvent::Accepted(services) => link.set_services(services.into_iter().collect()),
            // A hub offers nothing, and tells only edges what others offer.
            LinkEvent::Offer(_) | LinkEvent::Notice(_, _) => link.close(Refusal::Violation),
        }
    }
}
