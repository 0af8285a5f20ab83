//! Bytes of `tls` and `tcp` services: both ways over one stream of the fabric, until both sides have ended, or either broke.
//!
//! An end of one direction goes on as an end, and the other direction lives on; a reset goes on as a reset.

use std::io;
use std::sync::Arc;

use defense::{HookPoint, Reason, VerdictKind};
use fabric::Refusal;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep};

use crate::bounds::{LOOK_EVERY, RAW_BUFFER, RAW_IDLE_MAX};
use crate::connections::Seat;
use crate::gate::Gate;
use crate::pulse::Pulse;
use crate::upstream::{self, Caller, Upstream};

/// Carries a client's bytes to the end of the connection. `client` resets when its pulse says so. Tells why it was cut, or
/// broke off; `None`: both sides have ended.
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
) -> Result<Option<Reason>, Reason> {
    if caller.card.handling.maintenance.is_some() {
        pulse.reset_on_close();
        return Err(Reason::Maintenance);
    }
    let opened = tokio::select! {
        opened = upstream.open(caller) => opened,
        reason = seat.ended() => Err(reason),
    };
    let mut service = opened.inspect_err(|_| pulse.reset_on_close())?;
    let told = async {
        let drained = async {
            gate.drain.begun.cancelled().await;
            sleep(gate.drain.max).await;
        };
        tokio::select! {
            reason = seat.ended() => reason,
            () = drained => Reason::DrainingEdge,
        }
    };
    let broke = relay(&mut client, &mut service, pulse, told).await;
    // A client that leaves is nobody's refusal.
    if let Some(reason) = broke.filter(|reason| *reason != Reason::Abandoned) {
        let (source, grant) = (caller.source.ip(), caller.card.grant);
        gate.note(HookPoint::Connection, VerdictKind::Drop, reason, source, Some(grant), None);
    }
    if broke.is_some() {
        // Both are dropped without an end of their own, which is a reset.
        pulse.reset_on_close();
    }
    Ok(broke)
}

/// What wakes a connection's loop.
enum Wake {
    /// Both ways have ended, or one side broke.
    Over(io::Result<(u64, u64)>),
    Told(Reason),
    Look,
}

/// Both ways until both have ended (`None`), one side broke, `told` says why to end, or no byte has moved for
/// [`RAW_IDLE_MAX`].
async fn relay(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    service: &mut (impl AsyncRead + AsyncWrite + Unpin),
    pulse: &Pulse,
    told: impl Future<Output = Reason>,
) -> Option<Reason> {
    let copying = copy_bidirectional_with_sizes(client, service, RAW_BUFFER, RAW_BUFFER);
    let (mut copying, mut told) = (std::pin::pin!(copying), std::pin::pin!(told));
    let (mut moved, mut since) = (pulse.bytes(), Instant::now());
    loop {
        let wake = tokio::select! {
            biased;
            reason = told.as_mut() => Wake::Told(reason),
            over = copying.as_mut() => Wake::Over(over),
            () = sleep(LOOK_EVERY) => Wake::Look,
        };
        match wake {
            Wake::Over(Ok(_)) => return None,
            Wake::Over(Err(error)) => return Some(broke(&error)),
            Wake::Told(reason) => return Some(reason),
            Wake::Look if pulse.bytes() != moved => (moved, since) = (pulse.bytes(), Instant::now()),
            Wake::Look if since.elapsed() < RAW_IDLE_MAX => {}
            Wake::Look => return Some(Reason::IdleTimeout),
        }
    }
}

/// Which side broke: the fabric says what became of the service; all else is the client's.
fn broke(error: &io::Error) -> Reason {
    Refusal::of(error).map_or(Reason::Abandoned, upstream::reason)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_lives_for_as_long_as_a_byte_moves_now_and_then() {
        let ((mut client, near), (far, mut service)) = (duplex(64), duplex(64));
        let pulse = Pulse::new();
        let begun = Instant::now();
        let seen = Arc::clone(&pulse);
        let talks = tokio::spawn(async move {
            for _ in 0..3 {
                sleep(RAW_IDLE_MAX - 2 * LOOK_EVERY).await;
                client.write_all(b"x").await.unwrap();
                service.read_exact(&mut [0; 1]).await.unwrap();
                seen.came(1);
            }
            (client, service)
        });
        let (mut near, mut far) = (near, far);
        assert_eq!(relay(&mut near, &mut far, &pulse, pending()).await, Some(Reason::IdleTimeout));
        assert!(begun.elapsed() >= 4 * RAW_IDLE_MAX - 6 * LOOK_EVERY);
        assert!(begun.elapsed() < 4 * RAW_IDLE_MAX);
        talks.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_direction_that_ended_leaves_the_other_alone_and_both_are_an_end_in_order() {
        for is_clients in [true, false] {
            let ((client, near), (far, service)) = (duplex(64), duplex(64));
            let talks = tokio::spawn(async move {
                let (mut first, mut second) = if is_clients { (client, service) } else { (service, client) };
                first.shutdown().await.unwrap();
                assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0, "the end goes on");
                second.write_all(b"still").await.unwrap();
                let mut heard = [0; 5];
                first.read_exact(&mut heard).await.unwrap();
                assert_eq!(&heard, b"still");
                second.shutdown().await.unwrap();
                (first, second)
            });
            let (mut near, mut far) = (near, far);
            let told = async {
                sleep(Duration::from_secs(60)).await;
                Reason::SessionOver
            };
            assert_eq!(relay(&mut near, &mut far, &Pulse::new(), told).await, None);
            talks.await.unwrap();
        }
    }

    #[test]
    fn whoever_broke_it_is_told_apart() {
        assert_eq!(broke(&io::ErrorKind::ConnectionReset.into()), Reason::Abandoned);
    }
}
