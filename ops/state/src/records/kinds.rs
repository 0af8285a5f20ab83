//! The kinds of record, as they are stored: JSON with stable keys.

use std::fmt;
use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use rotator::{Class, Cut, Label, Schedule, UnixTime};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::listen::Listen;
use crate::names::Name;

/// A person or program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: Uuid,
    pub name: Name,
    pub created: UnixTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
}

/// When and why access ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    pub at: UnixTime,
    pub why: String,
}

/// One of a user's key pairs; an ordinary client (browser, curl) has a private name in place of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub id: Uuid,
    pub user: Uuid,
    pub name: Name,
    pub class: Class,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKey>,
    pub enrolled: UnixTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
}

/// A device's permission for one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub device: Uuid,
    pub service: Name,
    /// The stable label of an ordinary client; agents' labels rotate and are computed.
    #[serde(default, with = "label_text", skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Oldest first; the last one is in force from its second on.
    pub generations: Vec<GenerationRecord>,
}

/// A generation of a grant: a new one moves the grant at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationRecord {
    pub number: u32,
    pub from: UnixTime,
    /// True when the address before has leaked and ends without grace.
    #[serde(default)]
    pub leaked: bool,
}

impl GenerationRecord {
    pub fn cut(&self) -> Cut {
        if self.leaked { Cut::Now } else { Cut::Grace }
    }
}

/// A single-use permission to enroll one device. Only the hash of its code is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    pub user: Name,
    pub services: Vec<Name>,
    pub created: UnixTime,
    pub expires: UnixTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Use>,
}

/// Which device an invite became, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    pub at: UnixTime,
    pub device: Uuid,
    pub device_name: Name,
}

/// Who may change a record: the configuration file owns what it declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Config,
    Api,
}

/// A named schedule: for each class of client, and its history as far as leases of it can be alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRecord {
    pub name: Name,
    pub origin: Origin,
    /// Oldest first, never empty.
    pub versions: Vec<ScheduleVersion>,
}

/// What a schedule says from a second on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleVersion {
    pub from: UnixTime,
    pub name: Schedule,
    pub agent: Schedule,
}

impl ScheduleVersion {
    pub fn of(&self, class: Class) -> Schedule {
        match class {
            Class::Name => self.name,
            Class::Agent => self.agent,
        }
    }
}

impl ScheduleRecord {
    /// The version in force at `now`; before the first, the first.
    pub fn at(&self, now: UnixTime) -> Option<&ScheduleVersion> {
        self.versions.iter().rev().find(|v| v.from <= now).or(self.versions.first())
    }
}

/// A named prefix or range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRecord {
    pub name: Name,
    pub origin: Origin,
    /// As `rotator::pool::Range` reads and prints it.
    pub range: String,
}

/// What an edge demands beyond a leased destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// The private address is enough (IPv6 only: there the space is the secret).
    Address,
    /// The TLS server name must be a label of the same grant.
    Name,
    /// Besides the name, the handshake must prove the key with which the device is enrolled.
    Key,
}

/// The place of a service whose address only the local hub that offers it knows.
pub const BEHIND_FABRIC: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// Something behind the fabric that users may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub name: Name,
    pub origin: Origin,
    /// Where the local hub of this process finds it, or [`BEHIND_FABRIC`].
    pub to: SocketAddr,
    /// What users reach at their addresses. Records of before there was a list have one port, of HTTPS.
    #[serde(alias = "port")]
    pub listen: Listen,
    pub auth: Auth,
    pub schedule: Name,
    pub pools: Vec<Name>,
    /// In place of the schedule's own, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_session_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Handling::is_usual")]
    pub handling: Handling,
}

/// Which HTTP a service is asked in. What its users speak is another matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Speaks {
    #[default]
    #[serde(rename = "http/1.1")]
    Http1,
    /// HTTP/2 without TLS and without asking first (RFC 9113 §3.3).
    #[serde(rename = "h2")]
    Http2,
}

impl Speaks {
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

/// How requests and connections of a service are treated, where that is not the usual way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handling {
    /// The service is told who is at the other end, in front of what each connection carries (PROXY protocol, version 2).
    /// Where local hubs run elsewhere, their wiring says it.
    #[serde(default)]
    pub proxy: bool,
    /// Requests of its `https` entries reach it in this protocol.
    #[serde(default)]
    pub speaks: Speaks,
    /// While it is there, requests are answered with it, and nothing reaches the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
    /// Longest request body, in bytes; at most [`crate::bounds::BODY_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body: Option<u64>,
    /// Longest time for one request with its answer, in seconds; at most [`crate::bounds::REQUEST_TIME_S_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_time_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Budget::is_usual")]
    pub budget: Budget,
}

/// What each lease of a service may take, where that is not the usual. Counts are at most
/// [`crate::bounds::BUDGET_COUNT_MAX`], bytes at least [`crate::bounds::BUDGET_BYTES_MIN`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// At a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_per_s: Option<u32>,
    /// Under way at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_s: Option<u32>,
    /// From the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_in_per_s: Option<u64>,
    /// To the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_out_per_s: Option<u64>,
}

impl Budget {
    /// Nothing was said.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Handling {
    /// Nothing was said.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Service {
    /// A schedule as this service has it.
    pub fn schedule_of(&self, schedule: Schedule) -> Schedule {
        Schedule { max_session_s: self.max_session_s.unwrap_or(schedule.max_session_s), ..schedule }
    }
}

/// SHA-256 of an invite's code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InviteHash(pub [u8; 32]);

/// A device's Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

macro_rules! hex_form {
    ($type:ident) => {
        impl TryFrom<String> for $type {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| "not lower-case hex")?;
                Ok(Self(bytes.try_into().map_err(|_| "not 32 bytes")?))
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                HEXLOWER.encode(&value.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($type), HEXLOWER.encode(&self.0[..4]))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }
    };
}

hex_form!(InviteHash);
hex_form!(PublicKey);

mod label_text {
    //! A label in records is its text.

    use rotator::Label;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(label: &Option<Label>, to: S) -> Result<S::Ok, S::Error> {
        match label {
            Some(label) => to.serialize_str(&label.to_string()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Label>, D::Error> {
        let text: Option<String> = Option::deserialize(from)?;
        text.map(|t| Label::parse(t.as_bytes()).ok_or_else(|| D::Error::custom("not a label"))).transpose()
    }
}
