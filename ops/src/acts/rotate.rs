//! Rotation by hand: a new generation of grants, so that their addresses move at once.

use defense::Reason;
use ring::hmac;
use rotator::{Class, GrantNo, Label, UnixTime, enc::enc};
use state::bounds::{CHANGES_PER_TXN_MAX, GENERATIONS_MAX};
use state::records::{GenerationRecord, Grant, Service};
use state::txn::Record;
use state::{Name, Records, Refusal, Txn};
use uuid::Uuid;

use super::{Decided, Order, device, service, user};

/// Whose addresses move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    User(Name),
    Service(Name),
    Device(Uuid),
    All,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    pub scope: Scope,
    /// The addresses have leaked: the old ones end at once, without grace.
    pub leaked: bool,
    /// Needed for [`Scope::All`].
    pub confirmed: bool,
    /// 256 random bits: stable names of ordinary clients are replaced as well, and their users need the new ones.
    pub new_names: Option<[u8; 32]>,
}

/// What was rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The first second of the new addresses, of the latest grant.
    pub from: UnixTime,
    pub grants: Vec<GrantNo>,
    /// How many of them follow by themselves, by derivation.
    pub agents: usize,
    /// How many follow by their DNS name.
    pub name_clients: usize,
    /// New stable names, where they were asked for. Secrets.
    pub names: Vec<(GrantNo, Label)>,
}

/// Begins a new generation of every grant in the scope, those of revoked users too: a leak outlives a revocation.
///
/// # Errors
/// `unknown_user`, `unknown_service`, `unknown_target`; `needs_confirmation` for everybody at once; `store_full` for more
/// grants than one transaction takes.
pub fn rotate(records: &Records, order: &Order, asked: &Rotation) -> Decided<Rotated> {
    let target = target(records, &asked.scope)?;
    if asked.scope == Scope::All && !asked.confirmed {
        let detail = format!("This moves the addresses of all {} grants.", records.grants().count());
        return Err(Refusal::new(Reason::NeedsConfirmation, detail));
    }
    let grants = grants_in(records, &asked.scope);
    if grants.len() > CHANGES_PER_TXN_MAX {
        let detail = format!(
            "{} grants are more than the {CHANGES_PER_TXN_MAX} that one rotation takes: rotate by service.",
            grants.len()
        );
        return Err(Refusal::new(Reason::StoreFull, detail));
    }
    let verb = if asked.leaked { "rotate.leaked" } else { "rotate" };
    let mut txn = Txn::new(order.act(verb, &target));
    let mut rotated =
        Rotated { from: order.now.plus(1), grants, agents: 0, name_clients: 0, names: Vec::new() };
    for no in rotated.grants.clone() {
        let Some((mut grant, class)) = known(records, no) else { continue };
        let from = begins(records, &grant, class, order.now, asked.leaked);
        rotated.from = rotated.from.max(from);
        bump(&mut grant.generations, from, asked.leaked);
        match class {
            Class::Agent => rotated.agents += 1,
            Class::Name => rotated.name_clients += 1,
        }
        if let (Some(seed), true) = (&asked.new_names, grant.label.is_some()) {
            let label = new_name(seed, no);
            grant.label = Some(label);
            rotated.names.push((no, label));
        }
        txn = txn.put(Record::Grant(no, grant));
    }
    Ok((txn, rotated))
}

/// Adds a generation from `from` on. One that was to begin then or later is overtaken, and its leak is not forgotten.
/// Of more than [`GENERATIONS_MAX`] the oldest go, and what they still had in grace falls silent: who rotates that often
/// within one grace means it.
fn bump(generations: &mut Vec<GenerationRecord>, from: UnixTime, leaked: bool) {
    let number = generations.iter().map(|g| g.number).max().map_or(0, |n| n.saturating_add(1));
    let overtaken = generations.iter().any(|g| g.from >= from && g.leaked);
    generations.retain(|g| g.from < from);
    generations.push(GenerationRecord { number, from, leaked: leaked || overtaken });
    let surplus = generations.len().saturating_sub(GENERATIONS_MAX);
    generations.drain(..surplus);
}

/// The first second of the new generation: one second from now, so that edges accept it before DNS announces it; and
/// without a leak not before every answer already given fits into the old address's grace.
fn begins(records: &Records, grant: &Grant, class: Class, now: UnixTime, leaked: bool) -> UnixTime {
    let service: Option<&Service> = records.service(&grant.service);
    let schedule = service.and_then(|s| records.schedule(&s.schedule)?.at(now)).map(|v| v.of(class));
    let soon = now.plus(1);
    match schedule {
        Some(s) if !leaked => {
            let outlives_s = (u64::from(s.ttl_s) + u64::from(s.lead_s)).saturating_sub(u64::from(s.grace_s));
            soon.plus(outlives_s)
        }
        Some(_) | None => soon,
    }
}

fn new_name(seed: &[u8; 32], no: GrantNo) -> Label {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, seed), &enc("new-name", &[&no.to_be_bytes()]));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&tag.as_ref()[..16]);
    Label::stable(bytes)
}

fn known(records: &Records, no: GrantNo) -> Option<(Grant, Class)> {
    let grant = records.grant(no)?;
    Some((grant.clone(), records.device(grant.device)?.class))
}

fn grants_in(records: &Records, scope: &Scope) -> Vec<GrantNo> {
    match scope {
        Scope::User(name) => records.user_named(name).map_or_else(Vec::new, |u| user::grants_of(records, u)),
        Scope::Service(name) => records.grants_for(name).collect(),
        Scope::Device(id) => records.grants_of(*id).map(|(no, _)| no).collect(),
        Scope::All => records.grants().map(|(no, _)| no).collect(),
    }
}

fn target(records: &Records, scope: &Scope) -> Result<String, Refusal> {
    Ok(match scope {
        Scope::User(name) => format!("user/{}", user::named(records, name)?.name),
        Scope::Service(name) => format!("service/{}", service::named(records, name)?.name),
        Scope::Device(id) => {
            let (device, user) = device::with_id(records, *id)?;
            format!("device/{}/{}", user.name, device.name)
        }
        Scope::All => "all".to_owned(),
    })
}
