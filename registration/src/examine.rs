//! Are all proofs of a request in order? Cheapest first, and nothing is remembered on the way.

use std::net::IpAddr;

use defense::Reason;
use rotator::{Class, UnixTime};
use state::records::PublicKey;
use state::{Name, Refusal};

use crate::challenge::{Mint, Purpose, Sound};
use crate::client::{EnrollBody, RenewBody};
use crate::enrol::{Newcomer, Right};
use crate::invite::Code;
use crate::keys::{Statement, public_key};

/// What this door asks for.
#[derive(Clone, Debug)]
pub struct Terms {
    pub zone: Box<str>,
    /// Whether a proof of work does in place of an invite.
    pub open: bool,
    /// What a user of open registration gets.
    pub default_services: Vec<Name>,
}

/// A request whose proofs hold. `sound` is still to be taken from the store of answered challenges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    pub newcomer: Newcomer,
    pub sound: Option<Sound>,
}

/// Examines an enrollment.
///
/// # Errors
/// The first thing that is missing, malformed or wrong.
pub fn enrollment(
    terms: &Terms,
    mint: &Mint,
    source: IpAddr,
    now: UnixTime,
    body: &EnrollBody,
) -> Result<Examined, Refusal> {
    let class = class(&body.class)?;
    let device = name(&body.device, "device")?;
    let code = code(body.invite.as_deref())?;
    let sound = match (&body.challenge, code) {
        (None, None) if terms.open => return Err(lacks("challenge")),
        (_, None) if !terms.open => return Err(Reason::InviteRequired.into()),
        (None, _) => None,
        (Some(challenge), _) => Some(worked(mint, challenge, body.solution, source, now)?),
    };
    let statement = |public_key| Statement {
        zone: &terms.zone,
        purpose: Purpose::Enrollment,
        challenge: body.challenge.as_deref().unwrap_or_default(),
        invite: code.map(|code| code.hash()),
        public_key,
        device: &body.device,
        class: Some(class),
        reissue: false,
    };
    let public_key = possessed(body, class, statement)?;
    let right = match code {
        Some(code) => Right::Invite { hash: code.hash(), stub: code.stub() },
        None => {
            let user = name(body.user.as_deref().ok_or_else(|| lacks("user"))?, "user")?;
            Right::Open { user, services: terms.default_services.clone() }
        }
    };
    Ok(Examined { newcomer: Newcomer { right, device, class, public_key }, sound })
}

/// Examines a renewal; gives the key that asks.
///
/// # Errors
/// The first thing that is malformed or wrong.
pub fn renewal(
    terms: &Terms,
    mint: &Mint,
    source: IpAddr,
    now: UnixTime,
    body: &RenewBody,
) -> Result<(PublicKey, Sound), Refusal> {
    let sound = mint.verify(&body.challenge, Purpose::Renewal, source, now)?;
    let statement = Statement {
        zone: &terms.zone,
        purpose: Purpose::Renewal,
        challenge: &body.challenge,
        invite: None,
        public_key: public_key(&body.public_key)?,
        device: "",
        class: None,
        reissue: body.reissue,
    };
    statement.verify(&body.proof)?;
    Ok((statement.public_key, sound))
}

/// A request of a page's form: an ordinary client without a key.
///
/// # Errors
/// `name_invalid` for a device name without any letter or digit.
pub fn form(code: Code, device: &str) -> Result<Newcomer, Refusal> {
    let right = Right::Invite { hash: code.hash(), stub: code.stub() };
    Ok(Newcomer { right, device: name(&tidied(device), "device")?, class: Class::Name, public_key: None })
}

/// A name as people write it (`My Phone`), as a name that is possible (`my-phone`).
pub fn tidied(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars().take(state::bounds::NAME_CHARS_MAX) {
        match letter.to_ascii_lowercase() {
            sound @ ('a'..='z' | '0'..='9') => out.push(sound),
            _ if out.is_empty() || out.ends_with('-') => {}
            _ => out.push('-'),
        }
    }
    out.trim_end_matches('-').to_owned()
}

fn worked(
    mint: &Mint,
    challenge: &str,
    solution: Option<u64>,
    source: IpAddr,
    now: UnixTime,
) -> Result<Sound, Refusal> {
    let sound = mint.verify(challenge, Purpose::Enrollment, source, now)?;
    let solution = solution.ok_or_else(|| lacks("solution"))?;
    if sound.solved_by(challenge, solution) { Ok(sound) } else { Err(Reason::ProofWrong.into()) }
}

fn possessed<'a>(
    body: &EnrollBody,
    class: Class,
    statement: impl FnOnce(PublicKey) -> Statement<'a>,
) -> Result<Option<PublicKey>, Refusal> {
    let (key, proof) = match (&body.public_key, &body.proof) {
        (Some(key), Some(proof)) => (key, proof),
        (Some(_), None) => return Err(lacks("proof")),
        (None, Some(_)) => return Err(lacks("public_key")),
        (None, None) => {
            return match class {
                Class::Name => Ok(None),
                Class::Agent => {
                    Err(Refusal::new(Reason::KeyInvalid, "a device of class agent has a public key"))
                }
            };
        }
    };
    let key = public_key(key)?;
    statement(key).verify(proof)?;
    Ok(Some(key))
}

fn class(text: &str) -> Result<Class, Refusal> {
    match text {
        "name" => Ok(Class::Name),
        "agent" => Ok(Class::Agent),
        _ => Err(Refusal::new(Reason::BodyInvalid, "class is \"name\" or \"agent\"")),
    }
}

fn code(text: Option<&str>) -> Result<Option<Code>, Refusal> {
    let parsed = text.map(|t| t.parse().map_err(|e| Refusal::new(Reason::InviteUnknown, format!("{e}"))));
    parsed.transpose()
}

fn name(text: &str, member: &str) -> Result<Name, Refusal> {
    text.parse().map_err(|e| Refusal::new(Reason::NameInvalid, format!("{member}: {e}")))
}

fn lacks(member: &str) -> Refusal {
    Refusal::new(Reason::BodyInvalid, format!("the member {member:?} is missing"))
}

#[cfg(test)]
#[path = "examine/tests.rs"]
mod tests;
