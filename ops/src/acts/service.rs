//! Services: what users may reach, added and removed while everything runs.

use std::net::SocketAddr;

use defense::Reason;
use rotator::GrantNo;
use rotator::pool::Range;
use state::bounds::{BODY_BYTES_MAX, REQUEST_TIME_S_MAX, TEXT_CHARS_MAX};
use state::listen::Kind;
use state::records::{Auth, BEHIND_FABRIC, Handling, Origin, Service, Speaks};
use state::txn::{Key, Record};
use state::{Listen, Name, Protocol, Records, Refusal, Txn};

use super::{Decided, Order};
use crate::bounds::SERVICE_POOLS_MAX;

/// A service to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewService {
    pub name: Name,
    pub to: SocketAddr,
    /// If not said, HTTPS at the port that all other HTTPS services share, else at 443.
    pub listen: Option<Listen>,
    /// If not said, `name`; where no protocol of it carries a name, `address`.
    pub auth: Option<Auth>,
    pub schedule: Name,
    /// Every pool when empty.
    pub pools: Vec<Name>,
    pub handling: Handling,
}

/// What changes of a service; what is `None` stays, and an inner `None` takes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    pub to: Option<SocketAddr>,
    pub listen: Option<Listen>,
    pub auth: Option<Auth>,
    pub schedule: Option<Name>,
    pub pools: Option<Vec<Name>>,
    pub proxy: Option<bool>,
    pub speaks: Option<Speaks>,
    pub maintenance: Option<Option<String>>,
    pub max_body: Option<Option<u64>>,
    pub max_time_s: Option<Option<u32>>,
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
/// `config_conflict` (an IPv4 pool without `auth = name`, or with a protocol that carries none: IPv4 space is no secret).
pub fn add(records: &Records, order: &Order, new: &NewService) -> Decided<Served> {
    if records.service(&new.name).is_some() {
        let detail = format!("There is a service \"{}\" already.", new.name);
        return Err(Refusal::new(Reason::AlreadyExists, detail));
    }
    let pools = match new.pools.as_slice() {
        [] => records.pools().map(|p| p.name.clone()).collect(),
        named => named.to_vec(),
    };
    let listen = match &new.listen {
        Some(listen) => listen.clone(),
        None => usual_listen(records)?,
    };
    let service = Service {
        name: new.name.clone(),
        origin: Origin::Api,
        to: new.to,
        auth: new.auth.unwrap_or_else(|| usual_auth(&listen)),
        listen,
        schedule: new.schedule.clone(),
        pools,
        max_session_s: None,
        handling: new.handling.clone(),
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

/// A service that changed, and what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub service: Service,
    pub before: Service,
}

/// Changes parts of a service while everything runs. Connections that stand go on.
///
/// # Errors
/// `unknown_service`, `owned_by_config`, and as [`add`].
pub fn set(records: &Records, order: &Order, name: &Name, edit: &Edit) -> Decided<Changed> {
    let before = named(records, name)?.clone();
    if before.origin == Origin::Config {
        let detail = format!("The service \"{name}\" stands in the file: change [service.{name}] there.");
        return Err(Refusal::new(Reason::OwnedByConfig, detail));
    }
    let service = edit.on(before.clone());
    check(records, &service)?;
    let mut txn = Txn::new(order.act("service.set", &format!("service/{name}")));
    if service != before {
        txn = txn.put(Record::Service(service.clone()));
    }
    Ok((txn, Changed { service, before }))
}

impl Edit {
    fn on(&self, service: Service) -> Service {
        let handling = Handling {
            proxy: self.proxy.unwrap_or(service.handling.proxy),
            speaks: self.speaks.unwrap_or(service.handling.speaks),
            maintenance: self.maintenance.clone().unwrap_or(service.handling.maintenance),
            max_body: self.max_body.unwrap_or(service.handling.max_body),
            max_time_s: self.max_time_s.unwrap_or(service.handling.max_time_s),
            budget: service.handling.budget,
        };
        Service {
            to: self.to.unwrap_or(service.to),
            listen: self.listen.clone().unwrap_or(service.listen),
            auth: self.auth.unwrap_or(service.auth),
            schedule: self.schedule.clone().unwrap_or(service.schedule),
            pools: self.pools.clone().unwrap_or(service.pools),
            handling,
            ..service
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

/// What is asked of clients where nobody says it: the most that every protocol can give.
pub fn usual_auth(listen: &Listen) -> Auth {
    let named = listen.entries().iter().any(|entry| entry.protocol().carries_name());
    if named { Auth::Name } else { Auth::Address }
}

/// HTTPS at the port that all others share.
fn usual_listen(records: &Records) -> Result<Listen, Refusal> {
    let entries = records.services().flat_map(|s| s.listen.entries());
    let mut ports = entries.filter(|e| e.protocol() == Protocol::Https).map(|e| e.first());
    let first = ports.next().filter(|first| ports.all(|port| port == *first));
    Kind::Http.listen(first, 0).map_err(|_| Refusal::from(Reason::InternalError))
}

fn check(records: &Records, service: &Service) -> Result<(), Refusal> {
    let refused = |reason, detail: String| Err(Refusal::new(reason, detail));
    if let Some(detail) = unfit(&service.handling) {
        return refused(Reason::BodyInvalid, detail);
    }
    if service.auth != Auth::Address && usual_auth(&service.listen) == Auth::Address {
        let detail =
            format!("auth: nothing of {} carries a name: it takes auth = \"address\".", service.listen);
        return refused(Reason::ConfigConflict, detail);
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
    if service.auth == Auth::Key && !service.listen.carries_names() {
        let detail =
            format!("auth: a key is shown within https and tls only, and {} has more.", service.listen);
        return refused(Reason::ConfigConflict, detail);
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
        if v4 && !service.listen.carries_names() {
            let detail = format!(
                "The pool \"{name}\" is IPv4, where an address is soon guessed, and {} carries no name that could prove \
                 more: name IPv6 pools only, or listen with https and tls alone.",
                service.listen
            );
            return refused(Reason::ConfigConflict, detail);
        }
        if v4 && service.auth == Auth::Address {
            let detail = format!(
                "The pool \"{name}\" is IPv4, where an address is soon guessed: it asks for auth = \"name\"."
            );
            return refused(Reason::ConfigConflict, detail);
        }
    }
    Ok(())
}

/// What is wrong with it, if anything is.
fn unfit(handling: &Handling) -> Option<String> {
    let Handling { proxy: _, speaks: _, maintenance, max_body, max_time_s, budget: _ } = handling;
    let is_text = |text: &String| {
        (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    if !maintenance.as_ref().is_none_or(is_text) {
        return Some(format!("maintenance: 1 to {TEXT_CHARS_MAX} characters on one line."));
    }
    if max_body.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Some(format!("max_body: at most {BODY_BYTES_MAX} bytes."));
    }
    if max_time_s.is_some_and(|s| !(1..=REQUEST_TIME_S_MAX).contains(&s)) {
        return Some(format!("max_time_s: 1 to {REQUEST_TIME_S_MAX} seconds."));
    }
    None
}
