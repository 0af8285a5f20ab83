//! Records for this crate's own tests.

use rotator::{Root, Schedule, UnixTime};
use state::records::{Auth, Origin, PoolRecord, ScheduleRecord, ScheduleVersion, Service};
use state::txn::{Change, Record};
use state::{Name, Records, Txn};

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The services `web` and `ssh` on one pool and one schedule.
pub(crate) fn records() -> Records {
    let mut records = Records::default();
    let version = ScheduleVersion { from: UnixTime::ZERO, name: Schedule::NAME, agent: Schedule::AGENT };
    let service = |called: &str, port| {
        Record::Service(Service {
            name: name(called),
            origin: Origin::Config,
            to: "127.0.0.1:8080".parse().unwrap(),
            listen: state::Listen::https(port).unwrap(),
            auth: Auth::Name,
            schedule: name("default"),
            pools: vec![name("main")],
            max_session_s: None,
            handling: state::records::Handling::default(),
        })
    };
    let schedule = ScheduleRecord { name: name("default"), origin: Origin::Config, versions: vec![version] };
    let pool = PoolRecord { name: name("main"), origin: Origin::Config, range: "2001:db8:42::/64".into() };
    records.apply(&[
        Change::Put(Record::Schedule(schedule)),
        Change::Put(Record::Pool(pool)),
        Change::Put(service("web", 443)),
        Change::Put(service("ssh", 22)),
    ]);
    records
}

pub(crate) fn root() -> Root {
    Root::new([42; 32])
}

pub(crate) fn apply(records: &mut Records, txn: &Txn) {
    records.apply(&txn.changes);
}
