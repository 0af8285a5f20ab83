//! Users: access ends at once and everywhere, and can be given back.

use defense::Reason;
use rotator::GrantNo;
use state::records::{Revoked, User};
use state::txn::Record;
use state::{Name, Records, Refusal, Txn};

use super::{Decided, Order};

/// What became of a user's access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub user: Name,
    /// False when it was so already.
    pub changed: bool,
    /// Set while access is ended.
    pub revoked: Option<Revoked>,
    /// Grants that open or close with it.
    pub grants: Vec<GrantNo>,
}

/// Ends a user's access: every grant of every device.
///
/// # Errors
/// `unknown_user`.
pub fn revoke(records: &Records, order: &Order, name: &Name) -> Decided<Access> {
    let revoked = Revoked { at: order.now, why: order.why.clone() };
    let user = named(records, name)?;
    let kept = user.revoked.clone();
    decide(records, order, "user.revoke", user, Some(kept.unwrap_or(revoked)))
}

/// Gives access back to a revoked user. Devices that were revoked by themselves stay so.
///
/// # Errors
/// `unknown_user`.
pub fn restore(records: &Records, order: &Order, name: &Name) -> Decided<Access> {
    decide(records, order, "user.restore", named(records, name)?, None)
}

/// Numbers of all grants of a user, those of revoked devices too.
pub fn grants_of(records: &Records, user: &User) -> Vec<GrantNo> {
    records.devices_of(user.id).flat_map(|d| records.grants_of(d.id)).map(|(no, _)| no).collect()
}

/// # Errors
/// `unknown_user`.
pub fn named<'a>(records: &'a Records, name: &Name) -> Result<&'a User, Refusal> {
    records
        .user_named(name)
        .ok_or_else(|| Refusal::new(Reason::UnknownUser, format!("There is no user \"{name}\".")))
}

fn decide(
    records: &Records,
    order: &Order,
    verb: &str,
    user: &User,
    revoked: Option<Revoked>,
) -> Decided<Access> {
    let mut txn = Txn::new(order.act(verb, &format!("user/{}", user.name)));
    let changed = user.revoked != revoked;
    if changed {
        txn = txn.put(Record::User(User { revoked: revoked.clone(), ..user.clone() }));
    }
    let grants = grants_of(records, user);
    Ok((txn, Access { user: user.name.clone(), changed, revoked, grants }))
}
