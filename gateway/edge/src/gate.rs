//! What every connection shares: the roster, the hooks, the clock, the places.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use defense::{Event, HookPoint, Hooks, Journal, Moment, Passed, Reason, VerdictKind};
use rotator::GrantNo;
use rustls::ServerConfig;
use state::Clock;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::bounds::{CONNECTIONS_MAX, DARK_MAX, DELAY_MAX, DELAYED_MAX};
use crate::connections::Connections;
use crate::roster::Roster;

/// One for all cores.
pub struct Gate {
    pub roster: Arc<Roster>,
    pub connections: Arc<Connections>,
    pub hooks: Arc<dyn Hooks>,
    pub journal: Arc<Journal>,
    pub clock: Clock,
    pub tls: Arc<ServerConfig>,
    /// Places for connections of every kind.
    pub places: Semaphore,
    /// Places for connections to dark addresses.
    pub dark: Semaphore,
    /// Places for calls that a verdict holds back.
    pub delayed: Semaphore,
    /// Cancelled when the edge begins to drain.
    pub draining: CancellationToken,
}

impl Gate {
    pub fn new(
        roster: Arc<Roster>,
        hooks: Arc<dyn Hooks>,
        journal: Arc<Journal>,
        clock: Clock,
        tls: Arc<ServerConfig>,
        draining: CancellationToken,
    ) -> Self {
        Self {
            roster,
            connections: Connections::new(),
            hooks,
            journal,
            clock,
            tls,
            places: Semaphore::new(CONNECTIONS_MAX),
            dark: Semaphore::new(DARK_MAX),
            delayed: Semaphore::new(DELAYED_MAX),
            draining,
        }
    }

    /// Writes a refusal down: exact counters always, a sample as the journal's bounds allow.
    pub fn note(
        &self,
        point: HookPoint,
        verdict: VerdictKind,
        reason: Reason,
        source: IpAddr,
        lease: Option<GrantNo>,
        request: Option<u128>,
    ) {
        let at_unix_s = self.clock.now().secs();
        self.journal.record(&Event { at_unix_s, point, verdict, reason, source, lease, request, count: 1 });
    }

    pub fn moment(&self) -> Moment {
        Moment::from_nanos(self.clock.monotonic_ns())
    }

    /// Waits out a delay that a verdict asked for, if there is room to wait: a floor since the call's arrival.
    ///
    /// # Errors
    /// `overload`: too many are held back already.
    pub async fn hold(&self, passed: &Passed) -> Result<(), Reason> {
        self.hold_until(passed.ticket().since, passed.floor_ms()).await
    }

    /// As [`Gate::hold`], for any floor since any moment; at most [`DELAY_MAX`].
    ///
    /// # Errors
    /// As [`Gate::hold`].
    pub async fn hold_until(&self, since: Moment, floor_ms: u32) -> Result<(), Reason> {
        let floor = Duration::from_millis(floor_ms.into()).min(DELAY_MAX);
        if floor.is_zero() {
            return Ok(());
        }
        let _place = self.delayed.try_acquire().map_err(|_| Reason::Overload)?;
        let waited = Duration::from_nanos(self.moment().nanos_since(since));
        tokio::time::sleep(floor.saturating_sub(waited)).await;
        Ok(())
    }
}
