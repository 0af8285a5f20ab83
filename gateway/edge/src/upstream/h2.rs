//! HTTP/2 to services that speak it: few fabric connections per holder, many requests at a time on each.
//!
//! By the `h2` crate itself, which hyper's server stands on, too. hyper's client would put a task and a channel beside each
//! request, and would hide what decides whether a request may be sent twice: a refused stream, and the last stream that a
//! GOAWAY names. Here, as with HTTP/1.1, whoever waits for an answer drives its exchange; only the connection has a task.

mod connection;
mod exchange;
mod keeping;
mod lines;
mod replay;

use std::sync::{Arc, Mutex, PoisonError};

use defense::Reason;
use fabric::FabricStream;
use http::{request, response};
use state::Name;
use tokio::time::Instant;

use super::caller::Holder;
use super::outgoing::{Boxed, Outgoing, Progress};
use super::{Patience, head};
use crate::bounds::UPSTREAM_H2_TRIES;
use connection::{Connection, Seat};
pub(super) use exchange::Exchange;
use exchange::Fault;
use lines::Lines;
use replay::Replay;

/// One worker's HTTP/2 connections to services.
#[derive(Default)]
pub(super) struct Calls(Mutex<Lines<Arc<Connection>>>);

impl Calls {
    /// Sends a request and waits for its answer's head. One that the service surely never saw is sent again, if its body is
    /// still there from the beginning. `connect` opens a fabric connection for this holder.
    ///
    /// # Errors
    /// As [`super::Upstream::send`].
    pub(super) async fn ask<C: Future<Output = Result<FabricStream, Reason>>>(
        &self,
        of: (&Name, Holder),
        parts: request::Parts,
        body: Outgoing<Boxed>,
        progress: &Progress,
        patience: Patience,
        connect: impl Fn() -> C,
    ) -> Result<(response::Parts, Exchange), Reason> {
        let asked = exchange::request(parts, &body)?;
        let mut body = Replay::new(body);
        let mut tries = UPSTREAM_H2_TRIES;
        loop {
            tries -= 1;
            let seat = self.seat(of)?;
            let sender = seat.sender(&connect).await?;
            let mut exchange = Exchange::new(seat, sender, asked.clone(), body);
            match head(progress, patience, |cx| exchange.poll_head(cx)).await? {
                Ok(parts) => return Ok((parts, exchange)),
                Err(Fault::Client) => return Err(progress.fault(Reason::RequestMalformed)),
                Err(Fault::Service) => return Err(progress.fault(Reason::UpstreamClosed)),
                Err(Fault::Unprocessed) => {
                    let again = exchange.into_body().and_then(Replay::rewound).filter(|_| tries > 0);
                    body = again.ok_or_else(|| progress.fault(Reason::UpstreamClosed))?;
                }
            }
        }
    }

    /// Lets go of connections that are over, or were idle for too long: those say goodbye by themselves.
    pub(super) fn sweep(&self) {
        self.lock().sweep(Instant::now());
    }

    /// A place for one request.
    fn seat(&self, (service, holder): (&Name, Holder)) -> Result<Seat, Reason> {
        let mut lines = self.lock();
        let line = lines.choose(service, holder, Instant::now(), Connection::new).ok_or(Reason::HubBusy)?;
        Ok(Seat::on(line))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines<Arc<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
