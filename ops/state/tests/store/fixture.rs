//! Records and transactions for the tests.

use rotator::{Class, Label, Schedule, UnixTime};
use state::records::{
    Auth, Device, GenerationRecord, Grant, Origin, PoolRecord, ScheduleRecord, ScheduleVersion, Service, User,
};
use state::txn::{Record, Txn};
use state::{Act, CommitError, Name, Refusal, Store};
use uuid::Uuid;

pub(crate) const START: UnixTime = UnixTime::from_secs(1_800_000_000);

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn act(verb: &str, target: &str) -> Act {
    Act { at: START, actor: "test".into(), verb: verb.into(), target: target.into(), why: String::new() }
}

pub(crate) fn user(n: u128) -> User {
    User { id: Uuid::from_u128(n), name: name(&format!("user-{n}")), created: START, revoked: None }
}

pub(crate) fn device(n: u128, user: u128, class: Class) -> Device {
    Device {
        id: Uuid::from_u128(n),
        user: Uuid::from_u128(user),
        name: name(&format!("device-{n}")),
        class,
        public_key: None,
        enrolled: START,
        revoked: None,
    }
}

pub(crate) fn grant(device: u128, service: &str, label: Option<Label>) -> Grant {
    let first = GenerationRecord { number: 1, from: START, leaked: false };
    Grant { device: Uuid::from_u128(device), service: name(service), label, generations: vec![first] }
}

pub(crate) fn schedule() -> ScheduleRecord {
    let version = ScheduleVersion { from: UnixTime::ZERO, name: Schedule::NAME, agent: Schedule::AGENT };
    ScheduleRecord { name: name("default"), origin: Origin::Config, versions: vec![version] }
}

pub(crate) fn pool() -> PoolRecord {
    PoolRecord { name: name("main"), origin: Origin::Config, range: "2001:db8:42::/64".into() }
}

pub(crate) fn service(called: &str) -> Service {
    Service {
        name: name(called),
        origin: Origin::Api,
        to: "127.0.0.1:8080".parse().unwrap(),
        listen: state::Listen::https(443).unwrap(),
        auth: Auth::Name,
        schedule: name("default"),
        pools: vec![name("main")],
        max_session_s: None,
        handling: state::records::Handling::default(),
    }
}

/// A schedule, a pool and the service `web`.
pub(crate) fn layout() -> Txn {
    Txn::new(act("layout", "all"))
        .put(Record::Schedule(schedule()))
        .put(Record::Pool(pool()))
        .put(Record::Service(service("web")))
}

pub(crate) fn put_user(n: u128) -> Txn {
    Txn::new(act("user.add", &n.to_string())).put(Record::User(user(n)))
}

/// Commits a ready transaction.
pub(crate) async fn put(store: &dyn Store, txn: Txn) -> Result<u64, CommitError> {
    store.commit(Box::new(move |_| Ok::<_, Refusal>(txn.clone()))).await
}

/// Everything that the records hold, in one comparable text.
pub(crate) fn whole(records: &state::Records) -> String {
    format!(
        "{} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        records.revision(),
        records.users().collect::<Vec<_>>(),
        records.devices().collect::<Vec<_>>(),
        records.grants().collect::<Vec<_>>(),
        records.invites().collect::<Vec<_>>(),
        records.schedules().collect::<Vec<_>>(),
        records.pools().collect::<Vec<_>>(),
        records.services().collect::<Vec<_>>(),
    )
}
