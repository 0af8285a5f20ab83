//! Bytes of `tls` and `tcp` services: both ways over one stream of the fabric, until both sides have ended, or either broke.
//!
//! An end of one direction goes on as an end, and the other direction lives on; a reset goes on as a reset.

use std::sync::Arc;

use defense::{HookPoint, Reason, VerdictKind};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep};

use crate::bounds::{LOOK_EVERY, RAW_BUFFER, RAW_IDLE_MAX};
use crate::connections::Seat;
use crate::gate::Gate;
use crate::pulse::Pulse;
use crate::upstream::{Caller, Upstream};

/// What wakes a connection's loop.
enum Wake {
    /// Both ways have ended (`true`), or one side broke.
    Over(bool),
    Seat(Reason),
    Drained,
    Look,
}

/// Carries a client's bytes to the end of the connection. `client` resets when its pulse says so.
///
/// # Errors
/// Why there is no way to the service; no byte was carried then.
pub(crate) async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    gate: &Gate,
    upstream: &Upstream,
    caller: Caller<'_>,
    seat: &Seat,
    pulse: &Arc<Pulse>,
    mut client: S,
) -> Result<(), Reason> {
    if caller.card.handling.maintenance.is_some() {
        pulse.reset_on_close();
        return Err(Reason::Maintenance);
    }
    let opened = tokio::select! {
        opened = upstream.open(caller) => opened,
        reason = seat.ended() => Err(reason),
    };
    let mut service = opened.inspect_err(|_| pulse.reset_on_close())?;
    let mut copying =
        std::pin::pin!(copy_bidirectional_with_sizes(&mut client, &mut service, RAW_BUFFER, RAW_BUFFER));
    let drained = async {
        gate.drain.begun.cancelled().await;
        sleep(gate.drain.max).await;
    };
    let mut drained = std::pin::pin!(drained);
    let (mut moved, mut since) = (pulse.bytes(), Instant::now());
    loop {
        let wake = tokio::select! {
            over = copying.as_mut() => Wake::Over(over.is_ok()),
            reason = seat.ended() => Wake::Seat(reason),
            () = drained.as_mut() => Wake::Drained,
            () = sleep(LOOK_EVERY) => Wake::Look,
        };
        let why = match wake {
            Wake::Over(true) => return Ok(()),
            // Whichever side broke: the other is dropped without an end of its own, which is a reset.
            Wake::Over(false) | Wake::Drained => None,
            Wake::Seat(reason) => Some(reason),
            Wake::Look if pulse.bytes() != moved => {
                (moved, since) = (pulse.bytes(), Instant::now());
                continue;
            }
            Wake::Look if since.elapsed() < RAW_IDLE_MAX => continue,
            Wake::Look => Some(Reason::RequestTimeout),
        };
        let (source, grant) = (caller.source.ip(), caller.card.grant);
        if let Some(reason) = why {
            gate.note(HookPoint::Connection, VerdictKind::Drop, reason, source, Some(grant), None);
        }
        pulse.reset_on_close();
        return Ok(());
    }
}
