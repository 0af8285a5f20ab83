//! What the hub does for a link that is up: takes its offers, and joins the streams it asks for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Shared, exit};
use crate::bounds::{OPEN_ATTEMPTS, OPEN_DEADLINE};
use crate::identity::{Identity, Role};
use crate::lane::Class;
use crate::lane::driver::LinkEvent;
use crate::lane::stream::LaneStream;
use crate::link::Link;
use crate::refusal::Refusal;
use crate::session::Position;
use crate::splice::{Passing, splice};
use crate::wire::{Frame, Offering, Open, Opened, Shape};
use crate::wiring::Wiring;

/// Serves one link until it is over.
pub(super) async fn serve(shared: Arc<Shared>, link: Arc<Link>, mut events: mpsc::Receiver<LinkEvent>) {
    let (over, mut lanes) = (link.over().clone(), link.changes());
    let mut was_established = false;
    // A lane may have been faster than this task.
    lanes.mark_changed();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => handle(&shared, &link, event),
                None => break,
            },
            // The link holds the sender.
            _ = lanes.changed() => {
                shared.rebuild_routes();
                match link.far().role() {
                    Role::Edge if link.has_control() => shared.tell_edge(&link),
                    Role::LocalHub if link.is_established() != was_established => shared.tell_edges(&link),
                    Role::Edge | Role::LocalHub | Role::Hub | Role::Server => {}
                }
                was_established = link.is_established();
            }
            () = over.cancelled() => break,
        }
    }
    if link.far().role() == Role::LocalHub {
        shared.tell_edges(&link);
    }
}

fn handle(shared: &Arc<Shared>, link: &Arc<Link>, event: LinkEvent) {
    match event {
        LinkEvent::Incoming { stream, open } => {
            shared.tasks.spawn(join(shared.clone(), link.clone(), stream, *open));
        }
        LinkEvent::Offer(offering) => take_offer(shared, link, offering),
        // Only hubs answer offers, and only hubs hand them on.
        LinkEvent::Accepted(_) | LinkEvent::Notice(_, _) => link.close(Refusal::Violation),
    }
}

fn take_offer(shared: &Shared, link: &Arc<Link>, offering: Offering) {
    if link.far().role() != Role::LocalHub {
        return link.close(Refusal::WrongRole);
    }
    let Offering { incarnation, sequence, services } = offering;
    if !link.note_offered(incarnation, sequence) {
        return tracing::debug!(member = %link.far(), sequence, "an older offer is ignored");
    }
    let wiring = shared.wiring.load();
    let accepted = services.iter().filter(|service| wiring.may_offer(link.far(), service)).cloned().collect();
    for service in services.iter().filter(|service| !wiring.may_offer(link.far(), service)) {
        if shared.refused.tell_stream(Refusal::NotPermitted.code(), service, &link.far().to_string()) {
            tracing::warn!(member = %link.far(), service, "offered what the wiring does not permit");
        }
    }
    // The whole offer is kept: a later wiring may permit more of it.
    link.set_services(services.into_iter().collect::<BTreeSet<_>>());
    link.announce(Frame::Accepted { services: accepted });
    shared.rebuild_routes();
    if link.is_established() {
        shared.tell_edges(link);
    }
}

/// One stream, from the request to its end.
async fn join(shared: Arc<Shared>, from: Arc<Link>, stream: LaneStream, mut open: Open) {
    let claimed = std::mem::replace(&mut open.caller, from.far().to_string());
    let asked = (open.service.clone(), open.caller.clone());
    // Ways out are no sessions: nobody resumes from inside.
    let is_session = open.shape == Shape::Bytes && from.far().role() == Role::Edge;
    let had = open.resume.as_ref().map_or(Position::default(), |resume| resume.received);
    let class = stream.class();
    let opening = timeout(OPEN_DEADLINE, async {
        match from.far().role() {
            Role::Edge => reach(&shared, &from, class, open).await,
            Role::LocalHub => exit::reach(&shared, &from, class, &claimed, open).await,
            Role::Hub | Role::Server => Err(Refusal::NotPermitted),
        }
    });
    let reached = tokio::select! {
        opened = opening => opened.unwrap_or(Err(Refusal::Deadline)),
        reason = stream.gone() => Err(reason),
    };
    let (onward, opened) = match reached {
        Ok(reached) => reached,
        Err(reason) => {
            let (name, member) = asked;
            if from.far().role() != Role::LocalHub {
                shared.refused.add_stream(reason.code(), &name, &member);
            } else if shared.refused.tell_stream(reason.code(), &name, &member) {
                tracing::warn!(member, who = claimed, name, reason = reason.code(), "no way out");
            }
            return stream.reset(reason);
        }
    };
    let mut service = Passing::service(onward, is_session, opened.received);
    stream.accept(opened);
    let mut caller = Passing::caller(stream, is_session, had);
    shared.opened.fetch_add(1, Ordering::Relaxed);
    shared.streams.fetch_add(1, Ordering::Relaxed);
    let ended = splice(&mut caller, &mut service).await;
    shared.streams.fetch_sub(1, Ordering::Relaxed);
    if let Err(reason) = ended {
        shared.refused.add(reason.code());
    }
}

/// A stream to a local hub that reached the service: the least busy first, the next when one fails before any byte.
async fn reach(
    shared: &Shared,
    from: &Link,
    class: Class,
    open: Open,
) -> Result<(LaneStream, Opened), Refusal> {
    let service = open.service.as_str();
    let wiring = shared.wiring.load_full();
    if !wiring.may_open(from.far(), service) {
        return Err(Refusal::NotPermitted);
    }
    let missing = if wiring.knows(service) { Refusal::ServiceNotOffered } else { Refusal::ServiceUnknown };
    let routes = shared.routes.load_full();
    let mut failure = missing;
    let candidates: Vec<_> = match &open.resume {
        // Its server may be draining or ill, and so be offered to nobody new.
        Some(resume) => local_hub(shared, &resume.at).into_iter().collect(),
        None => {
            let offering = routes.get(service).ok_or(missing)?;
            let order = in_turn(offering, shared.next.fetch_add(1, Ordering::Relaxed));
            order.into_iter().take(OPEN_ATTEMPTS).cloned().collect()
        }
    };
    for link in &candidates {
        let may =
            |wiring: &Wiring| wiring.may_open(from.far(), service) && wiring.may_offer(link.far(), service);
        match open_on(shared, link, class, open.clone(), may).await {
            Ok(reached) => return Ok(reached),
            Err(reason) => failure = reason,
        }
    }
    Err(failure)
}

/// The local hub of that name, if its link carries streams.
fn local_hub(shared: &Shared, name: &str) -> Option<Arc<Link>> {
    let link = shared.members.find(&Identity::new(Role::LocalHub, name)?)?;
    link.is_established().then_some(link)
}

/// A stream on that link, if the wiring permits it now: what asked may have waited for others before.
pub(super) async fn open_on(
    shared: &Shared,
    link: &Link,
    class: Class,
    open: Open,
    may: impl Fn(&Wiring) -> bool,
) -> Result<(LaneStream, Opened), Refusal> {
    // Whoever asked may be lost before the answer, but the session that it wanted to go on with may have moved already:
    // it is told that this way is lost, not that nobody wants it.
    let farewell = if open.resume.is_some() { Refusal::LaneLost } else { Refusal::Cancelled };
    let mut asked = Asked(Some(link.open(class, open)?), farewell);
    let Some(stream) = &asked.0 else { return Err(Refusal::LinkDown) };
    // A wiring that is replaced from here on finds the stream, and cuts it.
    if !may(&shared.wiring.load()) {
        stream.reset(Refusal::NotPermitted);
        return Err(Refusal::NotPermitted);
    }
    let opened = stream.opened().await?;
    let at = link.far().name().to_owned();
    asked.0.take().map(|stream| (stream, Opened { at, ..opened })).ok_or(Refusal::LinkDown)
}

/// A stream that was asked for and is not answered yet; reset when it is dropped.
struct Asked(Option<LaneStream>, Refusal);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.iter().for_each(|stream| stream.reset(self.1));
    }
}

/// Least streams first; equals take turns.
fn in_turn(offering: &[Arc<Link>], turn: usize) -> Vec<&Arc<Link>> {
    let (after, before) = offering.split_at(turn % offering.len().max(1));
    let mut order: Vec<_> = before.iter().chain(after).collect();
    if order.len() > 1 {
        order.sort_by_cached_key(|link| link.streams());
    }
    order
}
