//! Native servers: programs on this computer that join the local hub with six lanes of their own.
//!
//! The door is on loopback or a Unix socket and nowhere else (requirement 0.02); who may join, and serve what, is in the
//! wiring.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::shelf::Shelf;
use crate::bounds::{NATIVES_MAX, OPEN_DEADLINE};
use crate::door::half_open::HalfOpens;
use crate::door::members::Members;
use crate::door::{Admission, Answer, Door, Listener};
use crate::fence::Fence;
use crate::identity::{Identity, Role};
use crate::lane::Class;
use crate::lane::driver::LinkEvent;
use crate::lane::stream::LaneStream;
use crate::link::Link;
use crate::link::follower::Follower;
use crate::refusal::{Fault, Refusal};
use crate::socket::DoorAddress;
use crate::splice::splice;
use crate::status::{LinkStatus, Tally};
use crate::tls::Keyring;
use crate::wire::{Frame, Open, Opened, Shape};
use crate::wiring::Wiring;

/// A door that a local hub cannot open.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Servers join from this computer only.
    #[error(
        "{0} is not on loopback: servers join their local hub from the same computer, over loopback or a Unix socket"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(DoorAddress, io::Error),
}

/// The native servers of a local hub.
pub(super) struct Natives {
    pub(super) keyring: Arc<Keyring>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) planes: Vec<Arc<Follower>>,
    pub(super) refused: Tally,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    members: Members,
    half_opens: HalfOpens,
    wiring: ArcSwap<Wiring>,
}

impl Natives {
    pub(super) fn new(
        keyring: Arc<Keyring>,
        shelf: Arc<Shelf>,
        planes: Vec<Arc<Follower>>,
        refused: Tally,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let (members, half_opens) = (Members::new(NATIVES_MAX), HalfOpens::default());
        let wiring = ArcSwap::default();
        Arc::new(Self { keyring, shelf, planes, refused, stop, tasks, members, half_opens, wiring })
    }

    /// Begins to accept, until the local hub stops; where it listens.
    pub(super) fn open_door(self: &Arc<Self>, at: &DoorAddress) -> Result<DoorAddress, DoorError> {
        let (listener, at) = listen(at)?;
        let door = Door {
            owner: self.clone(),
            keyring: self.keyring.clone(),
            half_opens: self.half_opens.clone(),
            refused: self.refused.clone(),
            stop: self.stop.clone(),
            tasks: self.tasks.clone(),
        };
        let (natives, path) = (self.clone(), at.clone());
        self.tasks.spawn(async move {
            door.keep(listener).await;
            natives.members.all().iter().for_each(|link| link.close(Refusal::ShuttingDown));
            if let DoorAddress::Unix(path) = path {
                // Whoever comes next removes what is left.
                let _ = fs::remove_file(path);
            }
        });
        Ok(at)
    }

    /// Replaces the wiring at once: what it no longer permits ends with [`Refusal::NotPermitted`].
    pub(super) fn set_wiring(&self, wiring: Wiring) {
        let wiring = Arc::new(wiring);
        self.wiring.store(wiring.clone());
        for link in self.members.all() {
            self.shelf.set_native(&link, &self.permitted(&link), Some(Refusal::NotPermitted));
            link.cut(Refusal::NotPermitted, |name, _| {
                !wiring.may_serve(link.far(), self.me(), name)
                    && !wiring.may_leave(link.far(), self.me(), name)
            });
            if !wiring.knows_server(link.far(), self.me()) {
                link.close(Refusal::NotPermitted);
            }
        }
    }

    pub(super) fn status(&self) -> Vec<LinkStatus> {
        let mut links: Vec<_> = self.members.all().iter().map(|link| link.status()).collect();
        links.sort_by(|a, b| a.far.cmp(&b.far));
        links
    }

    fn me(&self) -> &Identity {
        self.keyring.identity()
    }

    /// Of what a server offers, what the wiring lets it serve here.
    fn permitted(&self, link: &Link) -> BTreeSet<String> {
        let wiring = self.wiring.load();
        let offered = link.services();
        offered.iter().filter(|name| wiring.may_serve(link.far(), self.me(), name)).cloned().collect()
    }

    async fn reach_out(&self, who: &Identity, class: Class, open: &Open) -> Result<LaneStream, Refusal> {
        if !self.wiring.load().may_leave(who, self.me(), &open.service) || open.shape != Shape::Bytes {
            return Err(Refusal::NotPermitted);
        }
        let mut failure = Refusal::LinkDown;
        for link in self.planes.iter().filter_map(|plane| plane.link()).filter(|link| link.is_established()) {
            let (service, caller) = (open.service.clone(), who.to_string());
            let open = Open { service, caller, session: open.session, ..Open::default() };
            let stream = link.open(class, open)?;
            match stream.opened().await {
                Ok(_) => return Ok(stream),
                Err(reason) if reason.fault() == Fault::Fabric => failure = reason,
                Err(reason) => return Err(reason),
            }
        }
        Err(failure)
    }

    /// Serves one link until it is over.
    async fn serve(self: Arc<Self>, link: Arc<Link>, mut events: mpsc::Receiver<LinkEvent>) {
        let (over, mut lanes) = (link.over().clone(), link.changes());
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.handle(&link, event),
                    None => break,
                },
                // The link holds the sender.
                _ = lanes.changed() => self.shelf.refresh(),
                () = over.cancelled() => break,
            }
        }
        self.shelf.set_native(&link, &BTreeSet::new(), None);
    }

    fn handle(self: &Arc<Self>, link: &Arc<Link>, event: LinkEvent) {
        match event {
            LinkEvent::Offer(offering) => self.take_offer(link, offering.services),
            LinkEvent::Incoming { stream, open } => {
                self.tasks.spawn(leave(self.clone(), link.far().clone(), stream, *open));
            }
            // Only hubs answer offers, and only hubs hand them on.
            LinkEvent::Accepted(_) | LinkEvent::Notice(_, _) => link.close(Refusal::Violation),
        }
    }

    fn take_offer(&self, link: &Arc<Link>, services: Vec<String>) {
        let offered: BTreeSet<_> = services.into_iter().collect();
        link.set_services(offered.clone());
        let permitted = self.permitted(link);
        for service in offered.difference(&permitted) {
            if self.refused.tell_stream(Refusal::NotPermitted.code(), service, &link.far().to_string()) {
                tracing::warn!(server = %link.far(), service, "offered what the wiring does not permit");
            }
        }
        self.shelf.set_native(link, &permitted, None);
        link.announce(Frame::Accepted { services: permitted.into_iter().collect() });
    }
}

impl Admission for Natives {
    fn answer(self: &Arc<Self>, who: &Identity, hello: &crate::wire::Hello) -> Answer {
        match who.role() {
            Role::Server => {}
            Role::Hub | Role::LocalHub | Role::Edge => return Answer::Refuse(Refusal::WrongRole),
        }
        if !self.wiring.load().knows_server(who, self.me()) {
            return Answer::Refuse(Refusal::NotPermitted);
        }
        match self.members.join(who, hello.link, usize::from(hello.lane), &Fence::none(), &self.stop) {
            Ok((seat, begun)) => {
                if let Some((link, events)) = begun {
                    self.tasks.spawn(self.clone().serve(link, events));
                }
                Answer::Welcome(seat, Bytes::new())
            }
            Err(reason) => Answer::Refuse(reason),
        }
    }

    fn lane_ended(&self) {
        self.members.sweep();
    }
}

/// Takes a server's stream to the hub, if the wiring gives that server a way out of this name.
async fn leave(natives: Arc<Natives>, who: Identity, mut stream: LaneStream, open: Open) {
    let reached = tokio::select! {
        reached = timeout(OPEN_DEADLINE, natives.reach_out(&who, stream.class(), &open)) => {
            reached.unwrap_or(Err(Refusal::Deadline))
        }
        reason = stream.gone() => Err(reason),
    };
    let mut onward = match reached {
        Ok(onward) => onward,
        Err(reason) => {
            if natives.refused.tell_stream(reason.code(), &open.service, &who.to_string()) {
                tracing::warn!(server = %who, name = open.service, reason = reason.code(), "no way out");
            }
            return stream.reset(reason);
        }
    };
    stream.accept(Opened::default());
    if let Err(reason) = splice(&mut stream, &mut onward).await {
        natives.refused.add_stream(reason.code(), &open.service, &who.to_string());
    }
}

fn listen(at: &DoorAddress) -> Result<(Listener, DoorAddress), DoorError> {
    let failed = |error| DoorError::Listen(at.clone(), error);
    match at {
        DoorAddress::Tcp(address) => {
            if !address.ip().to_canonical().is_loopback() {
                return Err(DoorError::NotLoopback(*address));
            }
            let listener = std::net::TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let listener = TcpListener::from_std(listener).map_err(failed)?;
            let at = listener.local_addr().map_err(failed)?.into();
            Ok((Listener::Tcp(listener), at))
        }
        DoorAddress::Unix(path) => {
            remove_stale(path);
            let listener = UnixListener::bind(path).map_err(failed)?;
            // Servers run as other users; the certificate says who may join, and the folder who may try.
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(failed)?;
            Ok((Listener::Unix(listener), at.clone()))
        }
    }
}

/// Removes the socket of a process that is no more; anything else stays, and stands in the way.
fn remove_stale(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let is_dead = || {
        let connected = std::os::unix::net::UnixStream::connect(path);
        connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if is_socket && is_dead() {
        let _ = fs::remove_file(path);
    }
}
