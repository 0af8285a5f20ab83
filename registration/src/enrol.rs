//! The decision on a new device: its user, its record, its grants, its invite used up; all in one transaction.

use std::fmt;

use data_encoding::HEXLOWER;
use defense::Reason;
use ring::hmac;
use rotator::enc::enc;
use rotator::{Class, Label, UnixTime};
use state::bounds::DEVICES_PER_USER_MAX;
use state::records::{Device, GenerationRecord, Grant, Invite, InviteHash, PublicKey, Records, Use, User};
use state::txn::Record;
use state::{Act, Name, Refusal, Txn};
use uuid::Uuid;

/// By what right somebody comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// An invite, which names the user and the services. `stub` is its first group, for messages.
    Invite { hash: InviteHash, stub: String },
    /// Registration is open: a user of a new name, with the services that everybody gets.
    Open { user: Name, services: Vec<Name> },
}

/// A request whose proofs have been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    pub right: Right,
    pub device: Name,
    pub class: Class,
    pub public_key: Option<PublicKey>,
}

/// Randomness of one enrollment, from the shell's random source.
#[derive(Clone)]
pub struct Fresh {
    pub user: [u8; 16],
    pub device: [u8; 16],
    /// Stable labels are derived from this; it is kept nowhere.
    pub labels: [u8; 32],
}

impl Fresh {
    /// The stable label of one service, 128 bits.
    pub fn label(&self, service: &Name) -> Label {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.labels);
        let tag = hmac::sign(&key, &enc("stable-label", &[service.as_str().as_bytes()]));
        let mut bits = [0; 16];
        bits.copy_from_slice(&tag.as_ref()[..16]);
        Label::stable(bits)
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh(masked)")
    }
}

/// Decides. The answer is the new device's id.
///
/// # Errors
/// Whatever speaks against it, as a closed reason with a sentence. Nothing has changed then.
pub fn decide(
    records: &Records,
    now: UnixTime,
    newcomer: &Newcomer,
    fresh: &Fresh,
) -> Result<(Txn, Uuid), Refusal> {
    let entitled = entitled(records, now, &newcomer.right)?;
    let known = records.user_named(&entitled.user);
    if let Some(user) = known {
        admits(records, user, newcomer)?;
    }
    if newcomer.class == Class::Agent && newcomer.public_key.is_none() {
        return Err(Refusal::new(Reason::KeyInvalid, "a device of class agent has a public key"));
    }
    if newcomer.public_key.is_some_and(|key| records.device_with_key(&key).is_some()) {
        return Err(Reason::KeyAlreadyEnrolled.into());
    }
    let user = known.map_or_else(|| random_id(fresh.user), |user| user.id);
    let device = random_id(fresh.device);
    let target = format!("{}/{}", entitled.user, newcomer.device);
    let act = act(now, "device.enroll", target, entitled.why);
    let mut txn = Txn::new(act);
    if known.is_none() {
        txn = txn.put(Record::User(User { id: user, name: entitled.user, created: now, revoked: None }));
    }
    txn = txn.put(Record::Device(Device {
        id: device,
        user,
        name: newcomer.device.clone(),
        class: newcomer.class,
        public_key: newcomer.public_key,
        enrolled: now,
        revoked: None,
    }));
    for (no, service) in (records.next_grant()..).zip(entitled.services) {
        let label = (newcomer.class == Class::Name).then(|| fresh.label(&service));
        let first = GenerationRecord { number: 1, from: now, leaked: false };
        txn = txn.put(Record::Grant(no, Grant { device, service, label, generations: vec![first] }));
    }
    if let Some((hash, invite)) = entitled.invite {
        let used = Some(Use { at: now, device, device_name: newcomer.device.clone() });
        txn = txn.put(Record::Invite(hash, Invite { used, ..invite }));
    }
    Ok((txn, device))
}

/// What a right opens.
struct Entitled {
    user: Name,
    services: Vec<Name>,
    invite: Option<(InviteHash, Invite)>,
    why: String,
}

fn entitled(records: &Records, now: UnixTime, right: &Right) -> Result<Entitled, Refusal> {
    let (user, wanted, invite, why) = match right {
        Right::Invite { hash, stub } => {
            let invite = redeemable(records, now, hash)?;
            let (user, services) = (invite.user.clone(), invite.services.clone());
            (user, services, Some((*hash, invite.clone())), format!("invite {stub}"))
        }
        Right::Open { user, services } => {
            if records.user_named(user).is_some() {
                return Err(Refusal::new(Reason::UserNameTaken, format!("the name {user} is taken")));
            }
            (user.clone(), services.clone(), None, "open registration".to_owned())
        }
    };
    // A service that was removed since the invite was written is left out; the others are still good.
    let services: Vec<Name> = wanted.into_iter().filter(|s| records.service(s).is_some()).collect();
    if services.is_empty() {
        return Err(Refusal::new(Reason::UnknownService, "none of the services exists any more"));
    }
    if records.next_grant().checked_add(services.len() as u32).is_none() {
        return Err(Reason::StoreFull.into());
    }
    Ok(Entitled { user, services, invite, why })
}

/// The invite, if it may be redeemed at `now`.
///
/// # Errors
/// `invite_unknown`, `invite_used` (names when and by which device), `invite_expired`.
pub fn redeemable<'a>(records: &'a Records, now: UnixTime, hash: &InviteHash) -> Result<&'a Invite, Refusal> {
    let invite = records.invite(hash).ok_or(Refusal::from(Reason::InviteUnknown))?;
    if let Some(used) = &invite.used {
        let detail =
            format!("it was used on {} by the device {:?}", date(used.at), used.device_name.as_str());
        return Err(Refusal::new(Reason::InviteUsed, detail));
    }
    if now >= invite.expires {
        return Err(Refusal::new(Reason::InviteExpired, format!("it expired on {}", date(invite.expires))));
    }
    Ok(invite)
}

/// Whether a user that exists may have this device too.
fn admits(records: &Records, user: &User, newcomer: &Newcomer) -> Result<(), Refusal> {
    if let Some(revoked) = &user.revoked {
        let detail = format!("access of {} ended on {}", user.name, date(revoked.at));
        return Err(Refusal::new(Reason::UserRevoked, detail));
    }
    let living = || records.devices_of(user.id).filter(|device| device.revoked.is_none());
    if living().any(|device| device.name == newcomer.device) {
        let detail = format!("{} has a device {:?} already", user.name, newcomer.device.as_str());
        return Err(Refusal::new(Reason::DeviceNameTaken, detail));
    }
    if living().count() >= DEVICES_PER_USER_MAX {
        let detail = format!("{} has {DEVICES_PER_USER_MAX} devices, which is the most", user.name);
        return Err(Refusal::new(Reason::DeviceLimit, detail));
    }
    Ok(())
}

pub(crate) fn act(now: UnixTime, verb: &str, target: String, why: String) -> Act {
    Act { at: now, actor: "registration".to_owned(), verb: verb.to_owned(), target, why }
}

/// `2026-11-21 12:04 UTC`; the bare second for a year beyond 9999.
pub(crate) fn date(at: UnixTime) -> String {
    let stamp = i64::try_from(at.secs()).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    stamp.map_or_else(|| at.secs().to_string(), |t| t.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn random_id(bytes: [u8; 16]) -> Uuid {
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// A short, stable mark of a key for the audit: the first 8 bytes of it, in hex.
pub(crate) fn key_mark(key: &PublicKey) -> String {
    HEXLOWER.encode(&key.0[..8])
}

#[cfg(test)]
#[path = "enrol/tests.rs"]
mod tests;
