//! Whose a grant is, also when access has ended: `Records::grant_view` answers only for what is served.

use rotator::GrantNo;
use state::records::{Device, Revoked};
use state::{Name, Records};

use crate::views::Owner;

pub(super) fn device_named<'a>(records: &'a Records, user: &Name, device: &Name) -> Option<&'a Device> {
    let user = records.user_named(user)?;
    records.devices_of(user.id).find(|d| d.name == *device)
}

pub(super) fn owner(records: &Records, no: GrantNo) -> Option<Owner> {
    let grant = records.grant(no)?;
    let device = records.device(grant.device)?;
    let user = records.user(device.user)?;
    Some(Owner {
        user: user.name.to_string(),
        device: device.name.to_string(),
        service: grant.service.to_string(),
    })
}

/// Why a grant is not served, if so: its user, then its device.
pub(super) fn ended(records: &Records, no: GrantNo) -> Option<Revoked> {
    let device = records.device(records.grant(no)?.device)?;
    let user = records.user(device.user)?;
    user.revoked.clone().or_else(|| device.revoked.clone())
}
