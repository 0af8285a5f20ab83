//! Invites: made and withdrawn by registration's own rules; here is how operators call them.

use defense::Reason;
use registration::invite::{self, Created, Wanted};
use state::records::{Invite, InviteHash};
use state::{Records, Refusal};

use super::{Decided, Order};

pub use registration::bounds::CODE_BYTES;

/// Hexadecimal digits of an invite's hash that name it to people: 64 bits, no secret.
pub const ID_CHARS: usize = 16;

/// What people call an invite: the first digits of its hash. The code itself is nowhere on a server.
pub fn id(hash: &InviteHash) -> String {
    let mut text = hash.to_string();
    text.truncate(ID_CHARS);
    text
}

/// # Errors
/// `unknown_target`.
pub fn with_id<'a>(records: &'a Records, wanted: &str) -> Result<(&'a InviteHash, &'a Invite), Refusal> {
    let found = records.invites().find(|(hash, _)| id(hash) == wanted);
    found.ok_or_else(|| Refusal::new(Reason::UnknownTarget, format!("There is no invite \"{wanted}\".")))
}

/// Makes an invite; its code is in the answer and kept nowhere.
///
/// # Errors
/// `user_revoked`, `unknown_service`, `body_invalid` (no or too many services, a life out of bounds).
pub fn create(
    records: &Records,
    order: &Order,
    wanted: &Wanted,
    random: [u8; CODE_BYTES],
) -> Decided<Created> {
    invite::create(records, order.now, wanted, random, &order.actor)
}

/// Withdraws an invite that nobody has used; answers what it was.
///
/// # Errors
/// `unknown_target`, `invite_used`.
pub fn withdraw(records: &Records, order: &Order, wanted: &str) -> Decided<Invite> {
    let (hash, invite) = with_id(records, wanted)?;
    Ok((invite::withdraw(records, order.now, hash, &order.actor)?, invite.clone()))
}
