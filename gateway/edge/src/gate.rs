//! What every connection shares: the roster, the hooks, the clock, the places.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use defense::{Event, HookPoint, Hooks, Journal, Moment, Passed, Reason, VerdictKind};
use rotator::GrantNo;
use rustls::ServerConfig;
use state::records::Auth;
use state::{Card, Clock};
use tokio::sync::Semaphore;

use crate::access_log::{AccessLog, Entry, Who};
use crate::admission::Candidate;
use crate::bounds::{DARK_MAX, DELAY_MAX};
use crate::budgets::{Allowance, Budgets, Kind, Over, Purse, Taken};
use crate::connections::Connections;
use crate::delays::Delays;
use crate::drain::Drain;
use crate::pressure::{Level, Pressure, Shed, Thresholds};
use crate::roster::Roster;
use crate::tcp::proxied::Balancers;

/// One for all cores.
pub struct Gate {
    pub roster: Arc<Roster>,
    pub connections: Arc<Connections>,
    pub hooks: Arc<dyn Hooks>,
    pub journal: Arc<Journal>,
    pub clock: Clock,
    pub tls: Tls,
    /// Places for connections of every kind; each takes a descriptor.
    pub places: Semaphore,
    /// Places for connections to dark addresses.
    pub dark: Semaphore,
    /// What each lease may take, and how the rest is divided.
    pub budgets: Arc<Budgets>,
    /// What a lease may take whose service says nothing else.
    pub allowance: Allowance,
    /// Calls that a verdict holds back.
    pub delays: Arc<Delays>,
    /// How hard pressed the edge is.
    pub pressure: Arc<Pressure>,
    pub drain: Drain,
    /// Whose connections begin with a word about whose they are.
    pub balancers: Balancers,
    /// `None`: nobody asked for an access log.
    pub log: Option<AccessLog>,
    /// HTTP/3 is spoken, and clients are told of it.
    pub http3: bool,
}

/// How handshakes are done.
pub struct Tls {
    pub plain: Arc<ServerConfig>,
    /// For services with `auth = "key"`: see [`crate::auth`].
    pub keyed: Arc<ServerConfig>,
}

impl Tls {
    pub fn of(&self, auth: Auth) -> &Arc<ServerConfig> {
        match auth {
            Auth::Address | Auth::Name => &self.plain,
            Auth::Key => &self.keyed,
        }
    }
}

impl Gate {
    pub fn new(
        roster: Arc<Roster>,
        hooks: Arc<dyn Hooks>,
        journal: Arc<Journal>,
        clock: Clock,
        tls: Tls,
        places: usize,
        drain: Drain,
    ) -> Self {
        Self {
            roster,
            connections: Connections::new(),
            hooks,
            journal,
            clock,
            tls,
            places: Semaphore::new(places),
            dark: Semaphore::new(DARK_MAX.min(places)),
            budgets: Budgets::of(places),
            allowance: Allowance::default(),
            delays: Delays::new(),
            pressure: Arc::new(Pressure::new(Thresholds::default())),
            drain,
            balancers: Balancers::default(),
            log: None,
            http3: false,
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

    /// A line of the access log for a session of bytes that is over, or was refused. `since` is its arrival.
    pub fn log_session(
        &self,
        candidate: &Candidate,
        source: IpAddr,
        since: Moment,
        (bytes_in, bytes_out): (u64, u64),
        reason: Option<Reason>,
    ) {
        let Some(log) = &self.log else { return };
        let Candidate { card, reached, .. } = candidate;
        let (user, device, service) = (card.user.as_str(), card.device.as_str(), card.service.as_str());
        let entry = Entry {
            protocol: reached.protocol.as_str(),
            request: None,
            asked: None,
            status: None,
            reason,
            bytes_in,
            bytes_out,
            total_us: self.moment().nanos_since(since) / 1000,
            service_us: None,
        };
        log.take(&Who::new(source, user, device, service, card.grant), &entry);
    }

    pub fn moment(&self) -> Moment {
        Moment::from_nanos(self.clock.monotonic_ns())
    }

    /// The budget of a grant that is served.
    pub fn purse(&self, card: &Card) -> Arc<Purse> {
        let purse = self.budgets.purse(card.grant, self.allowance_of(card));
        // The follower takes a card away before the purse: one that was made in between would stay for good.
        if self.roster.card(card.grant).is_none() {
            self.budgets.forget(card.grant);
        }
        purse
    }

    /// What a grant may take: as its service says, else as usual here.
    pub fn allowance_of(&self, card: &Card) -> Allowance {
        self.allowance.or(&card.handling.budget)
    }

    /// A place for a new connection (or QUIC connection, or datagram flow) of a grant that has named itself, if its budget
    /// and the pressure allow it.
    ///
    /// # Errors
    /// As [`Purse::connect`]; under pressure `overload_share` and `overload_newcomer` as well.
    pub fn enter(&self, card: &Card) -> Result<Taken, Over> {
        let (purse, now) = (self.purse(card), self.moment());
        let level = self.pressure.level();
        if level >= Level::Severe && !purse.is_established(now) {
            self.pressure.shed(Shed::Newcomer);
            return Err(Reason::OverloadNewcomer.into());
        }
        if level >= Level::High && purse.is_over_half() {
            self.pressure.shed(Shed::Share);
            return Err(Reason::OverloadShare.into());
        }
        purse.connect(now)
    }

    /// The fullest of what all share, in thousandths.
    pub fn places_taken(&self) -> u32 {
        let part = |used: u64, max: u64| u32::try_from(used * 1000 / max.max(1)).unwrap_or(u32::MAX);
        let all = self.budgets.pot(Kind::Connection).max().into();
        let sockets = part(u64::saturating_sub(all, self.places.available_permits() as u64), all);
        let pots = [Kind::Connection, Kind::Stream].map(|kind| self.budgets.pot(kind));
        pots.map(|pot| part(pot.used().into(), pot.max().into())).into_iter().fold(sockets, u32::max)
    }

    /// Waits out a delay that a verdict asked for, if there is room to wait: a floor since the call's arrival.
    ///
    /// # Errors
    /// `overload_delay`: too many are held back already, of all, of this lease or of this source. The call is refused.
    pub async fn hold(&self, passed: &Passed, purse: &Arc<Purse>) -> Result<(), Reason> {
        let ticket = passed.ticket();
        self.hold_until(ticket.since, passed.floor_ms(), purse, ticket.source).await
    }

    /// As [`Gate::hold`], for any floor since any moment; at most [`DELAY_MAX`].
    ///
    /// # Errors
    /// As [`Gate::hold`].
    pub async fn hold_until(
        &self,
        since: Moment,
        floor_ms: u32,
        purse: &Arc<Purse>,
        source: IpAddr,
    ) -> Result<(), Reason> {
        let floor = Duration::from_millis(floor_ms.into()).min(DELAY_MAX);
        if floor.is_zero() {
            return Ok(());
        }
        if !self.pressure.delays() {
            return Err(Reason::OverloadDelay);
        }
        let _waiting = self.delays.wait(purse, source)?;
        let waited = Duration::from_nanos(self.moment().nanos_since(since));
        tokio::time::sleep(floor.saturating_sub(waited)).await;
        Ok(())
    }
}
