//! The client's half, pure: key, signed requests, and where its services are at any second.

use std::net::IpAddr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rotator::{Class, GrantId, GrantKey, Label, Pool, UnixTime};
use serde::{Deserialize, Serialize};
use state::records::PublicKey;

use crate::answer::{Enrolled, ServiceTerms};
use crate::challenge::Purpose;
use crate::invite::Code;
use crate::keys::{Statement, class_name};

/// A device's key pair. It is made on the device and stays there.
pub struct DeviceKey(Ed25519KeyPair);

impl DeviceKey {
    /// From 32 random bytes, which are the private key itself: keep them like one. `None` cannot happen for 32 bytes
    /// in the library as it is, and is left to the caller rather than to a panic.
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// The proof of possession: a signature over the statement, in hex.
    pub fn sign(&self, statement: &Statement<'_>) -> String {
        HEXLOWER.encode(self.0.sign(&statement.bytes()).as_ref())
    }
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceKey({:?}, private half masked)", self.public())
    }
}

/// The answer to `GET /j/v1/challenge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    pub schema: String,
    pub purpose: String,
    pub challenge: String,
    /// Find a number so that SHA-256(challenge ":" number) begins with so many zero bits.
    pub bits: u8,
    pub algorithm: String,
    /// Seconds since 1970.
    pub expires: UnixTime,
}

/// The body of `POST /j/v1/enroll`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrollBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
    /// Without an invite: a challenge, its solution, and the name of the new user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solution: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub device: String,
    /// `name` or `agent`.
    pub class: String,
    /// 64 hex digits; an agent's is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The signature over the statement, 128 hex digits; goes with `public_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

// The invite is worth a device: it reaches no log.
impl std::fmt::Debug for EnrollBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnrollBody({:?}, {:?}, masked)", self.device, self.class)
    }
}

/// The body of `POST /j/v1/renew`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewBody {
    pub challenge: String,
    pub public_key: String,
    pub proof: String,
    /// The address has leaked: end it at once and give another.
    #[serde(default)]
    pub reissue: bool,
}

/// By what a device enrolls.
#[derive(Clone, Copy, Debug)]
pub enum Ticket<'a> {
    Invite(Code),
    /// A challenge, its solution, and the new user's name.
    Open {
        challenge: &'a str,
        solution: u64,
        user: &'a str,
    },
}

/// The request of a device with a key.
pub fn enroll_body(
    zone: &str,
    ticket: Ticket<'_>,
    device: &str,
    class: Class,
    key: &DeviceKey,
) -> EnrollBody {
    let (invite, challenge) = match ticket {
        Ticket::Invite(code) => (Some(code), ""),
        Ticket::Open { challenge, .. } => (None, challenge),
    };
    let statement = Statement {
        zone,
        purpose: Purpose::Enrollment,
        challenge,
        invite: invite.map(|code| code.hash()),
        public_key: key.public(),
        device,
        class: Some(class),
        reissue: false,
    };
    EnrollBody {
        public_key: Some(key.public().to_string()),
        proof: Some(key.sign(&statement)),
        ..plain_body(ticket, device, class)
    }
}

/// The request of an ordinary client, which has no key.
pub fn plain_body(ticket: Ticket<'_>, device: &str, class: Class) -> EnrollBody {
    let (device, class) = (device.to_owned(), class_name(class).to_owned());
    match ticket {
        Ticket::Invite(code) => {
            EnrollBody { invite: Some(code.to_string()), device, class, ..EnrollBody::default() }
        }
        Ticket::Open { challenge, solution, user } => EnrollBody {
            challenge: Some(challenge.to_owned()),
            solution: Some(solution),
            user: Some(user.to_owned()),
            device,
            class,
            ..EnrollBody::default()
        },
    }
}

/// The request for the next keys.
pub fn renew_body(zone: &str, challenge: &str, key: &DeviceKey, reissue: bool) -> RenewBody {
    let statement = Statement {
        zone,
        purpose: Purpose::Renewal,
        challenge,
        invite: None,
        public_key: key.public(),
        device: "",
        class: None,
        reissue,
    };
    RenewBody {
        challenge: challenge.to_owned(),
        public_key: key.public().to_string(),
        proof: key.sign(&statement),
        reissue,
    }
}

/// Where one service is in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The rotating label, for when DNS has to be asked.
    pub label: Label,
    /// One address per pool, in the order of the answer.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub window: u64,
    /// The first second of the next window.
    pub until: UnixTime,
}

/// An agent's address and label at `now`, computed from the answer alone. `None` for an ordinary client, for a service
/// that is not among the answer's, and when its keys have run out: then it is time to renew.
pub fn place(answer: &Enrolled, service: &str, now: UnixTime) -> Option<Place> {
    let terms = answer.services.iter().find(|terms| terms.service.as_str() == service)?;
    let id = GrantId { device: *answer.device_id.as_bytes(), service: service.into() };
    let (window, origin, until) = window(id.phase(), terms.schedule.period_s, now);
    let (label_window, label_origin, _) = window_of_label(id.phase(), terms, now);
    let key = key_at(answer, service, origin)?;
    let addresses = terms.pools.iter().filter_map(|pool| {
        let pool = Pool { id: pool.id.as_str().into(), range: pool.range.parse().ok()? };
        Some(pool.address(&key, window))
    });
    let label = Label::rotating(&key_at(answer, service, label_origin)?, label_window);
    Some(Place { label, addresses: addresses.collect(), port: terms.port, window, until })
}

fn window_of_label(phase: u64, terms: &ServiceTerms, now: UnixTime) -> (u64, UnixTime, UnixTime) {
    window(phase, terms.schedule.label_period_s, now)
}

/// `n = floor((unix + phase) / period)`, its first second, and the next one's.
fn window(phase: u64, period_s: u32, now: UnixTime) -> (u64, UnixTime, UnixTime) {
    let period = u64::from(period_s.max(1));
    let phase = phase % period;
    let number = now.secs().saturating_add(phase) / period;
    let start = |n: u64| UnixTime::from_secs(n.saturating_mul(period).saturating_sub(phase));
    (number, start(number), start(number + 1))
}

fn key_at(answer: &Enrolled, service: &str, origin: UnixTime) -> Option<GrantKey> {
    let epoch = origin.secs() / answer.epochs.period_s.max(1);
    let text = answer.epochs.keys.iter().find(|k| k.epoch == epoch && k.service.as_str() == service)?;
    let bytes = HEXLOWER_PERMISSIVE.decode(text.key.as_bytes()).ok()?;
    bytes.try_into().ok().map(GrantKey::from_bytes)
}
