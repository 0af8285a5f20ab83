//! The one place where the parts meet: all roles of one configuration, in one process.

mod runtimes;
mod shared;
mod sockets;
mod start;

use std::sync::Arc;

use anyhow::{Context, Result};
use defense::{Journal, Limits, Rate};
use dns_front::Front;
use edge::sockets::{Hold, Sockets as Inheritance};
use edge::{Certificates, Edge};
use registration::Registration;
use state::{Clock, Store};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config};
use crate::handover::Given;
use crate::inside::Inside;
use crate::whereabouts::Whereabouts;
use shared::Shared;
pub use sockets::Sockets;

/// All roles of one process.
pub struct Assembly {
    whereabouts: Whereabouts,
    shared: Shared,
    inside: Arc<Inside>,
    edge: Arc<Edge>,
    front: Arc<Front>,
    registration: Arc<Registration>,
    running: Config,
    inheritance: Arc<Inheritance>,
    /// Sockets that a successor gets. They go with the drain: nobody must wait in a queue that nobody looks at.
    holds: Vec<Hold>,
}

/// Seconds of its budget that a lease may spend at once.
const LEASE_BURST_S: u32 = 5;

impl Assembly {
    /// Starts every role, in the order in which they need each other; all works when this returns.
    ///
    /// # Errors
    /// A file, a port or the state is not usable. What was started ends with the stop token.
    pub async fn start(
        config: &Config,
        sockets: Sockets,
        limits: Limits,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Self> {
        let whereabouts = sockets.whereabouts(config)?;
        let Sockets { dns_udp, dns_tcp, join, hub, ops_tcp, ops_unix, shared: inheritance, mut holds } =
            sockets;
        let shared = Shared::open(config, &limits, clock, stop).await?;
        let inside = start::inside(config, &shared, hub)?;
        let edge = Arc::new(start::edge(config, &shared, &inside, Arc::clone(&inheritance))?);
        let front = Arc::new(start::front(config, &shared, &edge, dns_udp, dns_tcp).await?);
        let registration = Arc::new(start::registration(config, &shared, join)?);
        let sight = start::sight(config, &shared, &whereabouts, &inside, &edge, &front, &registration);
        // Operators first: whatever the others wait for, they can be asked.
        let ops = (ops_tcp, ops_unix);
        holds.extend(start::ops(config, &shared, sight, ops, Arc::clone(&inheritance), &whereabouts).await?);
        start::open(&edge, &inside).await;
        let running = config.clone();
        Ok(Self { whereabouts, shared, inside, edge, front, registration, running, inheritance, holds })
    }

    pub fn whereabouts(&self) -> &Whereabouts {
        &self.whereabouts
    }

    pub fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    pub fn front(&self) -> &Front {
        &self.front
    }

    pub fn registration(&self) -> &Registration {
        &self.registration
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    pub fn journal(&self) -> &Arc<Journal> {
        &self.shared.journal
    }

    /// What a successor is given.
    pub fn given(&self) -> Given {
        Given {
            sockets: Arc::clone(&self.inheritance),
            store: Arc::clone(&self.shared.embedded),
            edge: Arc::clone(&self.edge),
        }
    }

    /// Whether a successor can take over while this process still carries what it has under way.
    pub fn can_be_succeeded(&self) -> bool {
        matches!(*self.inside, Inside::Single(_))
    }

    /// A successor has everything now: operators are its own from here on.
    pub fn hand_over(&self) {
        self.shared.desk.cancel();
    }

    /// A predecessor's sockets that this configuration has no use for are closed; all others are served.
    pub fn settle(&self) -> usize {
        self.inheritance.close_rest()
    }

    /// Ends with the inside of this process.
    pub fn ending(&self) -> CancellationToken {
        self.shared.inside.clone()
    }

    /// Takes what can change in a running process: pools, schedules, services, certificates. Names what has to wait for
    /// a restart.
    ///
    /// # Errors
    /// The state refuses it, or a certificate does not hold; all stays as it was.
    pub async fn reload(&self, config: &Config) -> Result<Vec<&'static str>> {
        // Whatever can be refused is looked at before anything is changed.
        let pem = shared::certificate(config, &self.shared.clock)?;
        let (chain, key) = (pem.chain.as_bytes(), pem.key.as_bytes());
        Certificates::from_pem(chain, key).context("the new certificate does not hold")?;
        self.inside.check()?;
        shared::declare(config, self.shared.store.as_ref(), &self.shared.clock).await?;
        self.shared.certificates.replace(chain, key).context("the new certificate does not hold")?;
        let moved = self.inside.reload()?;
        let (old, new) = (&self.running, config);
        let waits = [
            ("edge", old.edge != new.edge),
            ("dns", old.dns != new.dns),
            ("join", old.join != new.join),
            ("fabric", old.fabric != new.fabric || moved),
            ("state", old.state != new.state),
            ("ops", old.ops != new.ops),
            ("defense", old.defense != new.defense),
            ("log", old.log.format != new.log.format),
        ];
        Ok(waits.into_iter().filter(|(_, differs)| *differs).map(|(section, _)| section).collect())
    }

    /// Says from now on that it is leaving, while it goes on to serve: a balancer in front needs time to see it.
    pub fn leave(&self) {
        self.shared.leaving.cancel();
    }

    /// Drains: no newcomers, then until connections have ended or the drain's limit has passed; the inside ends last,
    /// since requests under way still need it. `hurry` ends it at once. Tells how many connections had to be cut.
    pub async fn stop(mut self, hurry: impl Future<Output = ()>) -> usize {
        self.leave();
        self.holds.clear();
        self.shared.stop.cancel();
        let edge = Arc::clone(&self.edge);
        // The workers' threads end by themselves; waiting for them must not block this runtime.
        let mut ended = tokio::task::spawn_blocking(move || edge.join());
        let cut = tokio::select! {
            ended = &mut ended => ended,
            () = hurry => {
                self.edge.hasten();
                ended.await
            }
        };
        self.shared.inside.cancel();
        cut.unwrap_or(0)
    }
}

/// The limits that a configuration asks for. On loopback everybody has one address: there only leases tell users apart.
pub fn limits(config: &Config) -> Limits {
    let mut limits = Limits::default();
    if config.edge.device.as_deref() == Some("lo") {
        limits = limits.without_prefixes();
    }
    let join = config.join.rate;
    let every_ms = u64::from(join.per_s) * 1000 / u64::from(join.count.max(1));
    limits.enrolment.global = Some(Rate::every_ms(every_ms.max(1), join.count));
    limits.connection.lease = Some(lease_rate(config.defense.lease_connections));
    limits.request.lease = Some(lease_rate(config.defense.lease_requests));
    limits
}

/// A rate of which five seconds' worth may come at once.
fn lease_rate(rate: config::Rate) -> Rate {
    let per_second = rate.count.div_ceil(rate.per_s.max(1)).max(1);
    Rate::per_second(per_second, per_second.saturating_mul(LEASE_BURST_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_may_spend_what_the_file_says_and_five_seconds_of_it_at_once() {
        let text = |more: &str| {
            format!("[edge]\nzone = \"a.example.net\"\n[pool.v6]\nrange = \"2001:db8:42::/64\"\n{more}")
        };
        let limits = |more: &str| limits(&config::parse(&text(more), "w.toml").unwrap());
        let defaults = Limits::default();
        assert_eq!(limits("").request.lease, defaults.request.lease);
        let set = limits("[defense]\nlease_requests = \"600/min\"\nlease_connections = \"7/s\"\n");
        assert_eq!(set.request.lease, Some(Rate::per_second(10, 50)));
        assert_eq!(set.connection.lease, Some(Rate::per_second(7, 35)));
        assert_eq!(set.request.proven, defaults.request.proven);
    }
}
