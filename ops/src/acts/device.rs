//! Devices: a lost one is taken out without touching the user's others.

use defense::Reason;
use rotator::GrantNo;
use state::records::{Device, Revoked, User};
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
