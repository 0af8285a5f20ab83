//! Invites: their codes as people type them, their creation and their withdrawal.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{BitOrder, Encoding, Specification};
use defense::Reason;
use ring::digest::{SHA256, digest};
use rotator::UnixTime;
use rotator::enc::enc;
use state::records::{Invite, InviteHash};
use state::txn::{Key, Record};
use state::{Act, Name, Records, Refusal, Txn};

use crate::bounds::{
    CODE_BYTES, CODE_CHARS_MAX, INVITE_TTL_MAX_S, INVITE_TTL_MIN_S, SERVICES_PER_INVITE_MAX,
};

/// The secret of one invite: 160 random bits. Written `7QK2-MZ4W-…` in Crockford's base32, which has no letter that
/// could be taken for a digit; read in any case, with or without separators, `O` as 0 and `I`, `L` as 1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code([u8; CODE_BYTES]);

impl Code {
    pub const fn new(random: [u8; CODE_BYTES]) -> Self {
        Self(random)
    }

    /// What is kept of it: `SHA-256(enc("invite", code))`.
    pub fn hash(&self) -> InviteHash {
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, &enc("invite", &[&self.0])).as_ref());
        InviteHash(out)
    }

    /// The path of the page that redeems it.
    pub fn path(&self) -> String {
        format!("/i/{self}")
    }

    /// Its first group: enough to tell invites apart in a message, and worth nothing.
    pub fn stub(&self) -> String {
        self.to_string().chars().take(4).collect()
    }
}

/// The text is no invite's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an invite is 32 letters and digits, as in 7QK2-MZ4W-…")]
pub struct NoCode;

impl FromStr for Code {
    type Err = NoCode;

    fn from_str(text: &str) -> Result<Self, NoCode> {
        if text.len() > CODE_CHARS_MAX {
            return Err(NoCode);
        }
        let plain: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'-' | b' ')).collect();
        let bytes = ALPHABET.decode(&plain).map_err(|_| NoCode)?;
        bytes.try_into().map(Self).map_err(|_| NoCode)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = ALPHABET.encode(&self.0);
        for (at, letter) in text.chars().enumerate() {
            if at > 0 && at % 4 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{letter}")?;
        }
        Ok(())
    }
}

// A code is worth a device: it reaches no log.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(masked)")
    }
}

static ALPHABET: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    spec.translate.from.push_str("abcdefghjkmnpqrstvwxyzOoIiLl");
    spec.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    spec.bit_order = BitOrder::MostSignificantFirst;
    // The specification above is complete and constant: `encoding` refuses only malformed ones.
    #[expect(clippy::expect_used, reason = "constant input")]
    spec.encoding().expect("a valid base32 alphabet")
});

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whose device it will be; created when the invite is redeemed, if there is no such user yet.
    pub user: Name,
    pub services: Vec<Name>,
    /// Seconds, [`INVITE_TTL_MIN_S`] to [`INVITE_TTL_MAX_S`].
    pub ttl_s: u64,
}

/// A new invite. The code is shown once and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    pub code: Code,
    pub hash: InviteHash,
    /// Below `https://join.<zone>`.
    pub path: String,
    pub expires: UnixTime,
}

/// Decides on a new invite. `random` is from the shell's random source, `actor` as [`Act::actor`] has it.
///
/// # Errors
/// A revoked user, a service that does not exist, none or too many of them, a life out of bounds.
pub fn create(
    records: &Records,
    now: UnixTime,
    wanted: &Wanted,
    random: [u8; CODE_BYTES],
    actor: &str,
) -> Result<(Txn, Created), Refusal> {
    if records.user_named(&wanted.user).is_some_and(|user| user.revoked.is_some()) {
        return Err(Refusal::new(
            Reason::UserRevoked,
            format!("{} was revoked: restore the user first", wanted.user),
        ));
    }
    if !(INVITE_TTL_MIN_S..=INVITE_TTL_MAX_S).contains(&wanted.ttl_s) {
        let bounds =
            format!("an invite lives {INVITE_TTL_MIN_S}s to {INVITE_TTL_MAX_S}s, not {}s", wanted.ttl_s);
        return Err(Refusal::new(Reason::BodyInvalid, bounds));
    }
    let services = services(records, &wanted.services)?;
    let code = Code::new(random);
    let hash = code.hash();
    let expires = now.plus(wanted.ttl_s);
    let invite = Invite { user: wanted.user.clone(), services, created: now, expires, used: None };
    let act = act(now, actor, "invite.create", &invite, &code.stub());
    let txn = Txn::new(act).put(Record::Invite(hash, invite));
    Ok((txn, Created { code, hash, path: code.path(), expires }))
}

/// Decides on taking back an invite that was not used.
///
/// # Errors
/// There is none of that hash, or it was used: then the device is what has to be revoked.
pub fn withdraw(records: &Records, now: UnixTime, hash: &InviteHash, actor: &str) -> Result<Txn, Refusal> {
    let invite = records.invite(hash).ok_or(Refusal::from(Reason::InviteUnknown))?;
    if let Some(used) = &invite.used {
        let detail = format!("it became the device {:?}: revoke that", used.device_name.as_str());
        return Err(Refusal::new(Reason::InviteUsed, detail));
    }
    let act = act(now, actor, "invite.withdraw", invite, "");
    Ok(Txn::new(act).delete(Key::Invite(*hash)))
}

/// Each once, in order; all of them must exist.
fn services(records: &Records, wanted: &[Name]) -> Result<Vec<Name>, Refusal> {
    let mut services: Vec<Name> = Vec::with_capacity(wanted.len());
    for name in wanted {
        if records.service(name).is_none() {
            return Err(Refusal::new(
                Reason::UnknownService,
                format!("there is no service {name:?}", name = name.as_str()),
            ));
        }
        if !services.contains(name) {
            services.push(name.clone());
        }
    }
    match services.len() {
        1..=SERVICES_PER_INVITE_MAX => Ok(services),
        n => Err(Refusal::new(
            Reason::BodyInvalid,
            format!("an invite opens 1 to {SERVICES_PER_INVITE_MAX} services, not {n}"),
        )),
    }
}

fn act(now: UnixTime, actor: &str, verb: &str, invite: &Invite, why: &str) -> Act {
    Act {
        at: now,
        actor: actor.to_owned(),
        verb: verb.to_owned(),
        target: invite.user.to_string(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
#[path = "invite/tests.rs"]
mod tests;
