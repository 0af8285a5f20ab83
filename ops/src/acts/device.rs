//! Devices: a lost one is taken out without touching the user's others.

use defense::Reason;
use rotator::{Class, GrantNo};
use state::records::{Device, PublicKey, Revoked, User};
use state::txn::Record;
use state::{Name, Records, Refusal, Txn};
use uuid::Uuid;

use super::{Decided, Order};

/// What became of a device's access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAccess {
    pub id: Uuid,
    pub user: Name,
    pub device: Name,
    /// False when it was so already.
    pub changed: bool,
    /// Set while access is ended.
    pub revoked: Option<Revoked>,
    pub grants: Vec<GrantNo>,
}

/// Ends one device's access.
///
/// # Errors
/// `unknown_target`.
pub fn revoke(records: &Records, order: &Order, id: Uuid) -> Decided<DeviceAccess> {
    let (device, user) = with_id(records, id)?;
    let kept = device.revoked.clone();
    let revoked = kept.unwrap_or(Revoked { at: order.now, why: order.why.clone() });
    decide(records, order, "device.revoke", (device, user), Some(revoked))
}

/// Gives access back to a revoked device, as far as its user has it.
///
/// # Errors
/// `unknown_target`.
pub fn restore(records: &Records, order: &Order, id: Uuid) -> Decided<DeviceAccess> {
    let found = with_id(records, id)?;
    decide(records, order, "device.restore", found, None)
}

/// Enrolls a device with another key, or takes its key away. What the old key opened ends.
///
/// # Errors
/// `unknown_target`, `key_already_enrolled` (of another device), `key_invalid` (an agent can't be without).
pub fn set_key(records: &Records, order: &Order, id: Uuid, key: Option<PublicKey>) -> Decided<DeviceAccess> {
    let (device, user) = with_id(records, id)?;
    let other = key.and_then(|key| records.device_with_key(&key)).filter(|other| other.id != id);
    if other.is_some() {
        return Err(Refusal::from(Reason::KeyAlreadyEnrolled));
    }
    if key.is_none() && device.class == Class::Agent {
        return Err(Refusal::new(Reason::KeyInvalid, "A device of class agent has a public key."));
    }
    let mut txn = Txn::new(order.act("device.key", &format!("device/{}/{}", user.name, device.name)));
    let changed = device.public_key != key;
    if changed {
        txn = txn.put(Record::Device(Device { public_key: key, ..device.clone() }));
    }
    let grants = records.grants_of(id).map(|(no, _)| no).collect();
    let (user, name, revoked) = (user.name.clone(), device.name.clone(), device.revoked.clone());
    Ok((txn, DeviceAccess { id, user, device: name, changed, revoked, grants }))
}

/// A device and its user.
///
/// # Errors
/// `unknown_target`.
pub fn with_id(records: &Records, id: Uuid) -> Result<(&Device, &User), Refusal> {
    let device = records.device(id);
    device
        .and_then(|d| Some((d, records.user(d.user)?)))
        .ok_or_else(|| Refusal::new(Reason::UnknownTarget, format!("There is no device {id}.")))
}

fn decide(
    records: &Records,
    order: &Order,
    verb: &str,
    (device, user): (&Device, &User),
    revoked: Option<Revoked>,
) -> Decided<DeviceAccess> {
    let mut txn = Txn::new(order.act(verb, &format!("device/{}/{}", user.name, device.name)));
    let changed = device.revoked != revoked;
    if changed {
        txn = txn.put(Record::Device(Device { revoked: revoked.clone(), ..device.clone() }));
    }
    let grants = records.grants_of(device.id).map(|(no, _)| no).collect();
    let (user, name) = (user.name.clone(), device.name.clone());
    Ok((txn, DeviceAccess { id: device.id, user, device: name, changed, revoked, grants }))
}
