//! A record of any kind, its identity, and what may become of it: put, or deleted.

use std::fmt;

use rotator::GrantNo;
use uuid::Uuid;

use super::kinds::{Device, Grant, Invite, InviteHash, PoolRecord, ScheduleRecord, Service, User};
use crate::names::Name;

/// A record of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    User(User),
    Device(Device),
    Grant(GrantNo, Grant),
    Invite(InviteHash, Invite),
    Schedule(ScheduleRecord),
    Pool(PoolRecord),
    Service(Service),
}

/// A record's identity. Its text is the key on disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    User(Uuid),
    Device(Uuid),
    Grant(GrantNo),
    Invite(InviteHash),
    Schedule(Name),
    Pool(Name),
    Service(Name),
}

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put(Record),
    Delete(Key),
}

impl Record {
    pub fn key(&self) -> Key {
        match self {
            Self::User(user) => Key::User(user.id),
            Self::Device(device) => Key::Device(device.id),
            Self::Grant(no, _) => Key::Grant(*no),
            Self::Invite(hash, _) => Key::Invite(*hash),
            Self::Schedule(schedule) => Key::Schedule(schedule.name.clone()),
            Self::Pool(pool) => Key::Pool(pool.name.clone()),
            Self::Service(service) => Key::Service(service.name.clone()),
        }
    }

    /// The JSON under the key.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::User(r) => serde_json::to_vec(r),
            Self::Device(r) => serde_json::to_vec(r),
            Self::Grant(_, r) => serde_json::to_vec(r),
            Self::Invite(_, r) => serde_json::to_vec(r),
            Self::Schedule(r) => serde_json::to_vec(r),
            Self::Pool(r) => serde_json::to_vec(r),
            Self::Service(r) => serde_json::to_vec(r),
        }
    }

    /// Reads what [`Record::encode`] wrote under `key`. `None` for a key or body that is none of ours.
    pub fn decode(key: &str, body: &[u8]) -> Option<Self> {
        let (kind, id) = key.split_once('/')?;
        Some(match kind {
            "user" => Self::User(serde_json::from_slice(body).ok()?),
            "device" => Self::Device(serde_json::from_slice(body).ok()?),
            "grant" => Self::Grant(id.parse().ok()?, serde_json::from_slice(body).ok()?),
            "invite" => Self::Invite(id.to_owned().try_into().ok()?, serde_json::from_slice(body).ok()?),
            "schedule" => Self::Schedule(serde_json::from_slice(body).ok()?),
            "pool" => Self::Pool(serde_json::from_slice(body).ok()?),
            "service" => Self::Service(serde_json::from_slice(body).ok()?),
            _ => return None,
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user/{id}"),
            Self::Device(id) => write!(f, "device/{id}"),
            Self::Grant(no) => write!(f, "grant/{no:010}"),
            Self::Invite(hash) => write!(f, "invite/{hash}"),
            Self::Schedule(name) => write!(f, "schedule/{name}"),
            Self::Pool(name) => write!(f, "pool/{name}"),
            Self::Service(name) => write!(f, "service/{name}"),
        }
    }
}

impl Change {
    pub fn key(&self) -> Key {
        match self {
            Self::Put(record) => record.key(),
            Self::Delete(key) => key.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_was_stored_with_one_port_is_read_as_https_at_it() {
        let old = r#"{"name":"web","origin":"config","to":"127.0.0.1:3000","port":8443,"auth":"name",
            "schedule":"standard","pools":["v6"]}"#;
        let Some(Record::Service(service)) = Record::decode("service/web", old.as_bytes()) else {
            panic!("it is not read")
        };
        assert_eq!((service.listen.to_string().as_str(), service.handling.is_usual()), ("https/8443", true));
        let new = Record::Service(service).encode().unwrap();
        let text = String::from_utf8(new.clone()).unwrap();
        assert!(text.contains(r#""listen":["https/8443"]"#) && !text.contains("port"), "{text}");
        assert!(Record::decode("service/web", &new).is_some());
    }
}
