//! What an enrolled device is told: its services, and for an agent the keys from which it derives address and name.
//!
//! The server writes it, clients read it; both through the types here.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use defense::Reason;
use rotator::tenure::Rhythm;
use rotator::{Class, GrantNo, KeyEpochs, Keyring, Schedule, UnixTime};
use serde::{Deserialize, Serialize};
use state::records::{Auth, Device, Records};
use state::{GrantView, Listen, Name, Refusal};
use uuid::Uuid;

/// Its `schema` member.
pub const SCHEMA: &str = "wandergate.enrolled/1";

/// The answer to an enrollment or a renewal. Of secrets it holds labels and grant keys: it goes to the device alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    pub schema: String,
    pub user: Name,
    pub device: Name,
    pub device_id: Uuid,
    pub class: Class,
    pub zone: String,
    pub services: Vec<ServiceTerms>,
    /// Keys of an agent; without keys for an ordinary client.
    pub epochs: Epochs,
    /// Seconds since 1970, by the server's clock.
    pub server_time: UnixTime,
}

/// One service, and how its address moves.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTerms {
    pub service: Name,
    /// The full private name of an ordinary client, without a dot at its end; `null` for an agent.
    pub name: Option<String>,
    /// The port that stands for the service where only one can be told.
    pub port: u16,
    /// All of its protocols and ports; never where they lead inside.
    pub listen: Listen,
    pub auth: Auth,
    pub generation: u32,
    pub grant: GrantNo,
    pub pools: Vec<PoolTerms>,
    /// All in seconds.
    pub schedule: Schedule,
}

/// A pool, as addresses are derived from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolTerms {
    pub id: String,
    pub range: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epochs {
    pub period_s: u64,
    pub keys: Vec<GrantKeyText>,
}

/// `G[e]` of one service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantKeyText {
    pub epoch: u64,
    pub service: Name,
    /// 32 bytes in lower-case hex.
    pub key: String,
}

/// The full private name of a label in a zone.
pub fn private_name(label: rotator::Label, zone: &str) -> String {
    format!("{label}.{zone}")
}

/// Whether `keys` can serve an agent at `now`: the present epoch's and the next one's are held.
///
/// # Errors
/// `epoch_key_missing`.
pub fn holds_epochs(keys: &Keyring, now: UnixTime) -> Result<(), Refusal> {
    let epoch = keys.epochs().at(now);
    let held = keys.held().is_some_and(|(first, last)| first <= epoch && epoch < last);
    if held { Ok(()) } else { Err(Reason::EpochKeyMissing.into()) }
}

/// What `device` is to be told at `now`. Revoked devices have no grant to be told of.
///
/// # Errors
/// `user_unknown` without its user, `epoch_key_missing` when the rotator's keys are late.
pub fn enrolled(
    records: &Records,
    device: &Device,
    zone: &str,
    epochs: KeyEpochs,
    keys: &Keyring,
    now: UnixTime,
) -> Result<Enrolled, Refusal> {
    let user = records.user(device.user).ok_or(Refusal::from(Reason::UserUnknown))?;
    let views: Vec<GrantView> =
        records.grants_of(device.id).filter_map(|(no, _)| records.grant_view(no)).collect();
    let mut texts = Vec::new();
    if device.class == Class::Agent {
        for view in &views {
            key_texts(view, epochs, keys, now, &mut texts)?;
        }
    }
    Ok(Enrolled {
        schema: SCHEMA.to_owned(),
        user: user.name.clone(),
        device: device.name.clone(),
        device_id: device.id,
        class: device.class,
        zone: zone.to_owned(),
        services: views.iter().filter_map(|view| terms(records, view, zone, now)).collect(),
        epochs: Epochs { period_s: epochs.period_s(), keys: texts },
        server_time: now,
    })
}

fn terms(records: &Records, view: &GrantView, zone: &str, now: UnixTime) -> Option<ServiceTerms> {
    let card = &view.card;
    // A grant's term begins at its enrollment; a schedule's next version is told when it is in force.
    let term = view.plan.tenure.term_at(now).or(view.plan.tenure.terms().first())?;
    let label = records.grant(card.grant)?.label;
    let pool = |pool: &rotator::Pool| PoolTerms { id: pool.id.to_string(), range: pool.range.to_string() };
    Some(ServiceTerms {
        service: card.service.clone(),
        name: label.filter(|_| card.class == Class::Name).map(|label| private_name(label, zone)),
        port: card.listen.main_port(),
        listen: card.listen.outside(),
        auth: card.auth,
        generation: term.generation,
        grant: card.grant,
        pools: view.plan.pools.iter().map(pool).collect(),
        schedule: term.schedule,
    })
}

/// The keys of every window that may begin in this epoch or the next, and of those that are open now: shortly after
/// an epoch's start, the present window still has the key of the epoch before.
fn key_texts(
    view: &GrantView,
    epochs: KeyEpochs,
    keys: &Keyring,
    now: UnixTime,
    texts: &mut Vec<GrantKeyText>,
) -> Result<(), Refusal> {
    let Some(term) = view.plan.tenure.term_at(now) else { return Ok(()) };
    let open = [Rhythm::Address, Rhythm::Label].map(|rhythm| view.plan.tenure.window_at(now, rhythm));
    let origins = open.into_iter().flatten().map(|window| epochs.at(window.origin));
    let wanted: BTreeSet<u64> = origins.chain([epochs.at(now), epochs.at(now) + 1]).collect();
    for epoch in wanted {
        let key = keys.grant_key(epochs.start(epoch), &view.plan.id, term.generation);
        let key = key.map_err(|_| Refusal::from(Reason::EpochKeyMissing))?;
        let service = view.card.service.clone();
        texts.push(GrantKeyText { epoch, service, key: HEXLOWER.encode(key.expose()) });
    }
    Ok(())
}

// Names and keys are the device's secrets: no Debug shows them.
impl std::fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enrolled({}/{}, masked)", self.user, self.device)
    }
}

impl std::fmt::Debug for ServiceTerms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServiceTerms({}, masked)", self.service)
    }
}

impl std::fmt::Debug for GrantKeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GrantKeyText({}, masked)", self.epoch)
    }
}

#[cfg(test)]
#[path = "answer/tests.rs"]
mod tests;
