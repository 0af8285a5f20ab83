//! An admitted connection's life: requests until the client leaves, or one of the reasons to end it comes.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use defense::{HookPoint, Reason, VerdictKind};
use tokio::time::Instant;

use super::Established;
use super::speaks::speaks;
use crate::bounds::{DRAIN_IDLE_MAX, LOOK_EVERY, PARTING_MAX};
use crate::gate::Gate;
use crate::http::Visit;
use crate::pressure::{Pressure, Shed};
use crate::pulse::{Pulse, Waits};
use crate::upstream::Upstream;

/// Everything that can wake a connection's loop.
enum Wake {
    /// The client has left or broken the protocol; what can be answered was answered.
    Done,
    /// The grant is gone, or the session is over.
    Seat(Reason),
    /// A verdict to drop, or too many requests withdrawn.
    Cut(Option<Reason>),
    Drain,
    Look,
}

/// Carries requests until the client leaves, the session is over, the grant is gone, or nothing moves any more.
pub(super) async fn serve(
    established: Box<Established>,
    gate: &Arc<Gate>,
    upstream: Arc<Upstream>,
    source: SocketAddr,
) {
    let Established { tls, seat, purse, candidate, server_name, pulse } = *established;
    let grant = candidate.card.grant;
    let pulse_of_visit = Arc::clone(&pulse);
    let visit = Visit::new(Arc::clone(gate), upstream, candidate, source, server_name, pulse_of_visit, purse);
    let mut speaks = speaks(tls, visit, &pulse);
    let note = |reason| {
        gate.note(HookPoint::Connection, VerdictKind::Drop, reason, source.ip(), Some(grant), None);
    };
    let mut parting = Parting::default();
    let mut is_cut = false;
    loop {
        let next =
            parting.next().unwrap_or_else(|| pulse.patience_within(gate.pressure.idle_max()).min(LOOK_EVERY));
        let wake = tokio::select! {
            // Whoever is told that access has ended sees no request answered after that.
            biased;
            reason = seat.ended() => Wake::Seat(reason),
            unwritten = pulse.ended(), if !is_cut => Wake::Cut(unwritten),
            () = poll_fn(|cx| speaks.poll(cx)) => Wake::Done,
            () = gate.drain.begun.cancelled(), if parting.limit.is_none() => Wake::Drain,
            () = tokio::time::sleep(next) => Wake::Look,
        };
        let part_within = match wake {
            Wake::Done => {
                // It may have ended because of it, sooner than we were told.
                if !is_cut {
                    pulse.unwritten().into_iter().for_each(note);
                }
                return;
            }
            Wake::Seat(reason) => {
                note(reason);
                return pulse.reset_on_close();
            }
            Wake::Cut(unwritten) => {
                unwritten.into_iter().for_each(note);
                is_cut = true;
                PARTING_MAX
            }
            Wake::Drain => {
                speaks.drain();
                parting.drain(gate.drain.max);
                continue;
            }
            Wake::Look if parting.is_idle_over() => {
                if parting.still_idles(pulse.waits()) {
                    speaks.graceful_shutdown();
                }
                continue;
            }
            Wake::Look => match look(&pulse, parting.limit, &gate.pressure) {
                Looked::GoOn => continue,
                Looked::Idle => PARTING_MAX,
                Looked::Over => return,
                Looked::Slow => {
                    note(Reason::RequestTimeout);
                    return pulse.reset_on_close();
                }
            },
        };
        speaks.graceful_shutdown();
        parting.within(part_within);
    }
}

/// When a connection has to part.
#[derive(Default)]
struct Parting {
    /// Once it is set, the connection takes no new request and ends then at the latest.
    limit: Option<Instant>,
    /// In a drain: until when a client that asks for nothing is waited for.
    idle_until: Option<Instant>,
}

impl Parting {
    /// Until the next look, if it has to part at all.
    fn next(&self) -> Option<Duration> {
        let next = self.limit.map(|limit| limit.min(self.idle_until.unwrap_or(limit)));
        next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// The edge cuts what is left after `max`, and counts it.
    fn drain(&mut self, max: Duration) {
        self.limit = Some(Instant::now() + max + PARTING_MAX);
        self.idle_until = Some(Instant::now() + DRAIN_IDLE_MAX);
    }

    fn is_idle_over(&self) -> bool {
        self.idle_until.is_some_and(|until| until <= Instant::now())
    }

    /// Whether it has been idle for too long; one that is not is looked at again.
    fn still_idles(&mut self, waits: Waits) -> bool {
        let is_idle = waits == Waits::Idle;
        self.idle_until = (!is_idle).then(|| Instant::now() + LOOK_EVERY);
        is_idle
    }

    fn within(&mut self, within: Duration) {
        let part_by = Instant::now() + within;
        self.limit = Some(self.limit.map_or(part_by, |limit| limit.min(part_by)));
    }
}

/// What a look at a connection comes to.
enum Looked {
    GoOn,
    /// Nothing was asked for a long time.
    Idle,
    /// A head or a body does not move on.
    Slow,
    /// Its time to part is over.
    Over,
}

fn look(pulse: &Pulse, limit: Option<Instant>, pressure: &Pressure) -> Looked {
    let is_patient = !pulse.patience_within(pressure.idle_max()).is_zero();
    match (limit, pulse.waits()) {
        (Some(limit), _) if limit <= Instant::now() => Looked::Over,
        (Some(_), _) => Looked::GoOn,
        (None, _) if pulse.is_dragging() => Looked::Slow,
        (None, _) if is_patient => Looked::GoOn,
        (None, Waits::Idle) => {
            if !pulse.patience().is_zero() {
                pressure.shed(Shed::Idle);
            }
            Looked::Idle
        }
        (None, Waits::Head | Waits::Bytes) => Looked::Slow,
    }
}
