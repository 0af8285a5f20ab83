//! Services: what users may reach, added and removed while everything runs.

use std::net::SocketAddr;

use defense::Reason;
use rotator::GrantNo;
use rotator::pool::Range;
use state::records::{Auth, BEHIND_FABRIC, Origin, Service};
use state::txn::{Key, Record};
use state::{Name, Records, Refusal, Txn};

use super::{Decided, Order};
use crate::bounds::SERVICE_POOLS_MAX;

/// HTTPS.
pub const PORT_DEFAULT: u16 = 443;

/// A service to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewService {
    pub name: Name,
    pub to: SocketAddr,
    /// The port at which users reach it. If not said, the one that all other services share, else [`PORT_DEFAULT`].
    pub port: Option<u16>,
    pub auth: Auth,
    pub schedule: Name,
    /// Every pool when empty.
    pub pools: Vec<Name>,
}

/// What became of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    pub service: Service,
    /// Grants that open or close with it.
    pub grants: Vec<GrantNo>,
}

/// Adds a service. Grants of an earlier one of that name come back to life.
///
/// # Errors
/// `already_exists`, `unknown_schedule`, `unknown_target` (a pool), `body_invalid` (an impossible address or port),
/// `config_conflict` (an IPv4 pool without `auth = name`: IPv4 space is no secret).
pub fn add(records: &Records, order: &Order, new: &NewService) -> Decided<Served> {
    if records.service(&new.name).is_some() {
        let detail = format!("There is a service \"{}\" already.", new.name);
        return Err(Refusal::new(Reason::AlreadyExists, detail));
    }
    let pools = match new.pools.as_slice() {
        [] => records.pools().map(|p| p.name.clone()).collect(),
        named => named.to_vec(),
    };
    let service = Service {
        name: new.name.clone(),
        origin: Origin::Api,
        to: new.to,
        port: new.port.unwrap_or_else(|| shared_port(records)),
        auth: new.auth,
        schedule: new.schedule.clone(),
        pools,
        max_session_s: None,
    };
    check(records, &service)?;
    let grants = records.grants_for(&new.name).collect();
    let txn = Txn::new(order.act("service.add", &format!("service/{}", new.name)));
    Ok((txn.put(Record::Service(service.clone())), Served { service, grants }))
}

/// Removes a service. Its grants stay written, and mean nothing until it is added again.
///
/// # Errors
/// `unknown_service`, `owned_by_config`.
pub fn remove(records: &Records, order: &Order, name: &Name) -> Decided<Served> {
    let service = named(records, name)?.clone();
    match service.origin {
        Origin::Config => {
            let detail = format!("The service \"{name}\" stands in the file: remove [service.{name}] there.");
            Err(Refusal::new(Reason::OwnedByConfig, detail))
        }
        Origin::Api => {
            let grants = records.grants_for(name).collect();
            let txn = Txn::new(order.act("service.rm", &format!("service/{name}")));
            Ok((txn.delete(Key::Service(name.clone())), Served { service, grants }))
        }
    }
}

/// # Errors
/// `unknown_service`.
pub fn named<'a>(records: &'a Records, name: &Name) -> Result<&'a Service, Refusal> {
    records
        .service(name)
        .ok_or_else(|| Refusal::new(Reason::UnknownService, format!("There is no service \"{name}\".")))
}

fn shared_port(records: &Records) -> u16 {
    let mut ports = records.services().map(|s| s.port);
    let first = ports.next().unwrap_or(PORT_DEFAULT);
    if ports.all(|port| port == first) { first } else { PORT_DEFAULT }
}

fn check(records: &Records, service: &Service) -> Result<(), Refusal> {
    let refused = |reason, detail: String| Err(Refusal::new(reason, detail));
    if service.port == 0 {
        return refused(Reason::BodyInvalid, "port: 1 to 65535.".into());
    }
    let ip = service.to.ip();
    let unreachable = service.to.port() == 0 || ip.is_unspecified() || ip.is_multicast();
    if unreachable && service.to != BEHIND_FABRIC {
        let detail = format!("to: {} is not where a server can be reached.", service.to);
        return refused(Reason::BodyInvalid, detail);
    }
    if records.schedule(&service.schedule).is_none() {
        return refused(Reason::UnknownSchedule, format!("There is no schedule \"{}\".", service.schedule));
    }
    if service.pools.is_empty() || service.pools.len() > SERVICE_POOLS_MAX {
        return refused(Reason::BodyInvalid, format!("pools: 1 to {SERVICE_POOLS_MAX}, each of them once."));
    }
    for (i, name) in service.pools.iter().enumerate() {
        let Some(pool) = records.pool(name) else {
            return refused(Reason::UnknownTarget, format!("There is no pool \"{name}\"."));
        };
        if service.pools[..i].contains(name) {
            return refused(Reason::BodyInvalid, format!("pools: \"{name}\" is named twice."));
        }
        let v4 = pool.range.parse::<Range>().is_ok_and(|range| !range.is_v6());
        if v4 && service.auth == Auth::Address {
            let detail = format!(
                "The pool \"{name}\" is IPv4, where an address is soon guessed: it asks for auth = \"name\"."
            );
            return refused(Reason::ConfigConflict, detail);
        }
    }
    Ok(())
}
