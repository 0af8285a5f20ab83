//! How each role is started: what of the configuration it is told, and on which runtime it lives.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use dns_front::{DecoySecret, Front, FrontConfig, NameServer, Supplies, Unknown};
use edge::budgets::Allowance;
use edge::edge::Parts;
use edge::sockets::{Hold, Sockets as Inheritance};
use edge::{Balancers, Edge, EdgeConfig, EdgeError, LogConfig, Unbound};
use ops::http::{Ops, OpsConfig, Token, bind_unix};
use registration::{Registration, RegistrationConfig};

use super::shared::Shared;
use super::sockets::taken;
use crate::config::{Config, Fabric, UnknownLabel};
use crate::eyes::Sight;
use crate::inside::Inside;
use crate::inside::edge_end::EdgeEnd;
use crate::inside::single::Single;
use crate::whereabouts::Whereabouts;

/// How long a start waits for the fabric's lanes before it serves without them.
const FABRIC_PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn inside(config: &Config, shared: &Shared, hub: Option<TcpListener>) -> Result<Arc<Inside>> {
    let inside = {
        let _here = shared.runtimes.fabric.enter();
        match (&config.fabric, hub) {
            (Fabric::Own { .. }, Some(hub)) => {
                let name = &config.edge.name;
                let (store, clock) = (Arc::clone(&shared.store), shared.clock.clone());
                Inside::Single(Single::start(&config.state.dir, name, hub, store, clock, &shared.inside)?)
            }
            (Fabric::Own { .. }, None) => anyhow::bail!("the hub has no listener"),
            (Fabric::Joined(joined), _) => Inside::Joined(EdgeEnd::start(joined, &shared.inside)?),
        }
    };
    if let Inside::Single(single) = &inside {
        single.set_streams_max(shared.shares.services);
    }
    Ok(Arc::new(inside))
}

/// Lets users in as soon as the fabric can carry them. One that is late is no reason to stay away: requests are answered with
/// `link_down` until it is there.
pub(super) async fn open(edge: &Edge, inside: &Inside) {
    let _ = tokio::time::timeout(FABRIC_PATIENCE, inside.ready()).await;
    edge.open();
}

pub(super) fn edge(
    config: &Config,
    shared: &Shared,
    inside: &Inside,
    sockets: Arc<Inheritance>,
) -> Result<Edge> {
    let told = EdgeConfig {
        name: config.edge.name.clone(),
        zone: config.edge.zone.clone(),
        listen: config.edge.listen.clone(),
        device: config.edge.device.clone(),
        places: shared.shares.edge,
        drain_max: Duration::from_secs(config.edge.drain_max_s.into()),
        workers: std::thread::available_parallelism().map_or(1, usize::from),
        access_log: config
            .edge
            .access_log
            .clone()
            .map(|path| LogConfig { path, sample: config.edge.access_sample }),
        allowance: allowance(config),
        pressure: edge::pressure::Thresholds::default(),
        memory_max: config.edge.memory_max,
        balancers: Balancers::new(config.edge.trusted_proxies.clone()),
        http3: config.edge.http3,
    };
    let parts = Parts {
        store: Arc::clone(&shared.store),
        keys: shared.keys.clone(),
        certificates: shared.certificates.clone(),
        fabric: Arc::clone(inside.gateway()),
        hooks: shared.hooks(),
        journal: Arc::clone(&shared.journal),
        clock: shared.clock.clone(),
        sockets,
    };
    Edge::start(told, parts, shared.stop.clone()).map_err(|error| match error {
        EdgeError::Listen(Unbound { address, port, error }) => taken("edge", (address, port).into(), &error),
        EdgeError::Log { .. } | EdgeError::Worker(_) => error.into(),
    })
}

/// A service's own budget comes first; then what the file grants every lease.
fn allowance(config: &Config) -> Allowance {
    let per_s = |rate: crate::config::Rate| rate.count.div_ceil(rate.per_s.max(1)).max(1);
    Allowance {
        connections_per_s: per_s(config.defense.lease_connections),
        requests_per_s: per_s(config.defense.lease_requests),
        ..Allowance::default()
    }
}

pub(super) async fn front(
    config: &Config,
    shared: &Shared,
    edge: &Edge,
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
) -> Result<Front> {
    let zone = &config.edge.zone;
    let nameservers = config.dns.nameservers.iter();
    let told = FrontConfig {
        zone: zone.clone(),
        nameservers: nameservers
            .map(|(name, addresses)| NameServer {
                name: format!("{name}.{zone}"),
                addresses: addresses.clone(),
            })
            .collect(),
        join: vec![config.join.address],
        unknown: match config.dns.unknown {
            UnknownLabel::Decoy => Unknown::Decoy,
            UnknownLabel::Nxdomain => Unknown::NxDomain,
        },
        decoy_secret: DecoySecret(*shared.decoy_secret),
        tcp_places: shared.shares.dns,
    };
    let supplies = Supplies {
        store: Arc::clone(&shared.store),
        keys: shared.keys.clone(),
        clock: shared.clock.clone(),
        hooks: shared.hooks(),
        journal: Some(Arc::clone(&shared.journal)),
        leases: Some(Arc::clone(edge.roster().leases())),
    };
    let sockets = dns_front::Sockets { udp, tcp };
    let started = Front::start(told, supplies, sockets, shared.stop.clone());
    Ok(shared.runtimes.dns.spawn(started).await??)
}

pub(super) fn registration(config: &Config, shared: &Shared, listener: TcpListener) -> Result<Registration> {
    let services = config.services.keys().filter_map(|name| name.parse().ok());
    let told = RegistrationConfig {
        zone: config.edge.zone.clone(),
        open: config.join.open,
        pow_bits: config.join.pow_bits,
        default_services: services.collect(),
        challenge_secret: *shared.challenge_secret,
        epochs: shared.epochs,
    };
    let parts = registration::Parts {
        store: Arc::clone(&shared.store),
        keys: shared.keys.clone(),
        clock: shared.clock.clone(),
        hooks: shared.hooks(),
        journal: Arc::clone(&shared.journal),
        tls: shared.certificates.server_config(),
        listeners: vec![listener],
        places: shared.shares.join,
        cancel: shared.stop.clone(),
    };
    let _here = shared.runtimes.join.enter();
    Ok(Registration::start(told, parts)?)
}

pub(super) fn sight(
    config: &Config,
    shared: &Shared,
    whereabouts: &Whereabouts,
    inside: &Arc<Inside>,
    edge: &Arc<Edge>,
    front: &Arc<Front>,
    registration: &Arc<Registration>,
) -> Sight {
    Sight {
        edge: Arc::clone(edge),
        edge_name: config.edge.name.clone(),
        front: Arc::clone(front),
        registration: Arc::clone(registration),
        open: config.join.open,
        pow_bits: config.join.pow_bits,
        inside: Arc::clone(inside),
        engine: Arc::clone(&shared.engine),
        journal: Arc::clone(&shared.journal),
        clock: shared.clock.clone(),
        whereabouts: whereabouts.clone(),
        leaving: shared.leaving.clone(),
        runtimes: shared.runtimes.handles(),
    }
}

pub(super) async fn ops(
    config: &Config,
    shared: &Shared,
    sight: Sight,
    (tcp, unix): (TcpListener, Option<UnixListener>),
    inheritance: Arc<Inheritance>,
    whereabouts: &Whereabouts,
) -> Result<Option<Hold>> {
    let told = OpsConfig {
        name: config.edge.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        join_url: Some(whereabouts.join_url()),
    };
    let token = Token::create(&whereabouts.ops_token_file).context("can't write the operators' token")?;
    let (store, clock, stop) = (Arc::clone(&shared.store), shared.clock.clone(), shared.desk.clone());
    let socket = whereabouts.ops_socket.clone();
    let started = shared.runtimes.ops.spawn(async move {
        let (unix, hold) = match unix {
            // It was noted when it was taken over.
            Some(unix) => {
                unix.set_nonblocking(true)?;
                (tokio::net::UnixListener::from_std(unix)?, None)
            }
            None => {
                let bound = bind_unix(&socket).await;
                let unix = bound.with_context(|| format!("can't listen on {}", socket.display()))?;
                let hold = inheritance.hold(&unix)?;
                (unix, Some(hold))
            }
        };
        let tcp = tokio::net::TcpListener::from_std(tcp)?;
        Ops::start(told, store, clock, Arc::new(sight), Some(unix), Some(tcp), Some(token), stop)?;
        anyhow::Ok(hold)
    });
    started.await?
}
