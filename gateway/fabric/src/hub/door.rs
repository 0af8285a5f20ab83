//! The hub's listener: who gets in, and as which lane of which link.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Shared;
use super::half_open::HalfOpen;
use crate::bounds::{ACCEPT_PAUSE, HANDSHAKE_DEADLINE, LANES};
use crate::identity::{Identity, Role};
use crate::lane::greeting;
use crate::link::Seat;
use crate::mux::Side;
use crate::refusal::{LaneEnd, Refusal, Violation};
use crate::tls::identity_of;
use crate::wire::{Decoder, Frame, Hello, VERSION};

/// Accepts until the hub stops; then closes every link, saying so.
pub(super) async fn keep(shared: Arc<Shared>, listener: TcpListener) {
    while let Some(accepted) = shared.stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((tcp, source)) => match shared.half_open.enter(source.ip()) {
                Some(half_open) => drop(shared.tasks.spawn(admit(shared.clone(), tcp, half_open))),
                None => shared.refused.add(LaneEnd::HalfOpenFull.code()),
            },
            Err(error) => {
                tracing::warn!(%error, "the hub cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    shared.all_links().iter().for_each(|link| link.close(Refusal::ShuttingDown));
    shared.tasks.close();
}

async fn admit(shared: Arc<Shared>, tcp: TcpStream, half_open: HalfOpen) {
    let greeted = shared.stop.run_until_cancelled(timeout(HANDSHAKE_DEADLINE, greet(&shared, tcp))).await;
    drop(half_open);
    let end = match greeted {
        None => return,
        Some(Err(_)) => LaneEnd::HandshakeDeadline,
        Some(Ok(Err(end))) => end,
        Some(Ok(Ok(lane))) => {
            let Lane { who, seat, io, decoder } = lane;
            tracing::debug!(member = %who, "lane up");
            let end = seat.run(io, Side::Listener, decoder).await;
            tracing::debug!(member = %who, reason = end.code(), "lane ended");
            end
        }
    };
    shared.sweep();
    shared.refused.add(end.code());
}

/// A connection that said who it is and got its place.
struct Lane {
    who: Identity,
    seat: Seat,
    io: TlsStream<TcpStream>,
    decoder: Decoder,
}

async fn greet(shared: &Arc<Shared>, tcp: TcpStream) -> Result<Lane, LaneEnd> {
    tcp.set_nodelay(true).map_err(|error| LaneEnd::Broken(error.kind()))?;
    let acceptor = TlsAcceptor::from(shared.keyring.server());
    let mut io = acceptor.accept(tcp).await.map_err(|_| LaneEnd::TlsFailed)?;
    let mut decoder = Decoder::new();
    let greeted = match greeting::hear_hello(&mut io, &mut decoder).await {
        Ok(hello) => seat_for(shared, &io, &hello),
        Err(LaneEnd::Violation(violation)) => Err(LaneEnd::Violation(violation)),
        Err(end) => return Err(end),
    };
    match greeted {
        Ok((who, seat)) => {
            let name = shared.keyring.identity().name().to_owned();
            greeting::say(&mut io, &Frame::Welcome { version: VERSION, name }).await?;
            decoder.greeted();
            Ok(Lane { who, seat, io, decoder })
        }
        Err(end) => {
            greeting::say(&mut io, &Frame::Refuse(end.for_streams())).await?;
            // A close over unread bytes would take the reason with it.
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut io).await;
            Err(end)
        }
    }
}

fn seat_for(
    shared: &Arc<Shared>,
    io: &TlsStream<TcpStream>,
    hello: &Hello,
) -> Result<(Identity, Seat), LaneEnd> {
    let certificate = io.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let who = certificate.and_then(identity_of).ok_or(LaneEnd::Refused(Refusal::WrongName))?;
    if hello.version != VERSION {
        return Err(LaneEnd::Refused(Refusal::VersionUnsupported));
    }
    match who.role() {
        Role::LocalHub | Role::Edge => {}
        Role::Hub => return Err(LaneEnd::Refused(Refusal::WrongRole)),
    }
    if who.name() != hello.name {
        return Err(LaneEnd::Refused(Refusal::WrongName));
    }
    let lane = usize::from(hello.lane);
    if lane >= LANES {
        return Err(LaneEnd::Violation(Violation::Malformed));
    }
    let seat = shared.join(&who, hello.link, lane).map_err(LaneEnd::Refused)?;
    Ok((who, seat))
}
