//! A small zone for tests: one ordinary client, one agent, two shapes of decoys.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use rotator::label_book::Naming;
use rotator::{
    Cut, GrantId, KeyEpochs, Keyring, Label, LeaseTable, Plan, Pool, Root, Schedule, Tenure, Term, UnixTime,
};

use crate::answer::{Answer, Question, answer};
use crate::decoy::{DecoySecret, Decoys, Shape};
use crate::view::{Unknown, View};
use crate::zone::{NameServer, Zone};

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub(crate) const NAMED: u32 = 1;
pub(crate) const AGENT: u32 = 2;
pub(crate) const STABLE: Label = Label::stable([0x5a; 16]);

pub(crate) fn keys(now: UnixTime) -> Keyring {
    let overlap_s = Schedule::NAME.key_life_s();
    Keyring::around(&Root::new([7; 32]), KeyEpochs::WEEKLY, overlap_s, now)
}

pub(crate) fn pool(id: &str, range: &str) -> Pool {
    Pool { id: id.into(), range: range.parse().unwrap() }
}

pub(crate) fn terms(schedule: Schedule) -> Vec<Term> {
    vec![Term { from: UnixTime::ZERO, generation: 0, schedule, cut: Cut::Grace }]
}

pub(crate) fn shapes() -> Vec<Shape> {
    let wide: Arc<[Pool]> = [pool("six", "2001:db8:42::/64")].into();
    let both: Arc<[Pool]> = [pool("six", "2001:db8:42::/64"), pool("four", "203.0.113.0/24")].into();
    let named = Shape { terms: terms(Schedule::NAME), pools: wide };
    vec![named, Shape { terms: terms(Schedule::AGENT), pools: both }]
}

pub(crate) fn plan(grant: u32) -> Plan {
    let shape = &shapes()[grant as usize - 1];
    let id = GrantId { device: [grant as u8; 16], service: "web".into() };
    Plan { tenure: Tenure::new(id.phase(), shape.terms.clone()), id, pools: Arc::clone(&shape.pools) }
}

pub(crate) fn zone() -> Zone {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let ns = NameServer { name: "ns1.u.example".into(), addresses: vec![ip("192.0.2.1"), ip("2001:db8::1")] };
    Zone::new("u.example", &[ns], &[ip("192.0.2.2"), ip("2001:db8::2")]).unwrap()
}

pub(crate) fn empty(zone: Zone, unknown: Unknown, leases: Arc<LeaseTable>) -> View {
    let mut view = View::new(zone, unknown, Decoys::new(&DecoySecret([9; 32])), keys(NOW), leases);
    view.set_shapes(shapes());
    view.advance(NOW);
    view
}

/// An ordinary client under [`STABLE`], and an agent under a label that rotates.
pub(crate) fn view(unknown: Unknown) -> View {
    let mut view = empty(zone(), unknown, Arc::default());
    view.put(NAMED, plan(NAMED), Naming::Stable(STABLE), NOW);
    let Plan { id, tenure, .. } = plan(AGENT);
    view.put(AGENT, plan(AGENT), Naming::Rotating { id, tenure }, NOW);
    view
}

/// The agent's label at `now`.
pub(crate) fn rotating(now: UnixTime) -> Label {
    let Plan { id, tenure, .. } = plan(AGENT);
    let window = tenure.window_at(now, rotator::tenure::Rhythm::Label).unwrap();
    Label::rotating(&keys(now).grant_key(window.origin, &id, 0).unwrap(), window.number)
}

pub(crate) fn question(name: &str, kind: RecordType) -> Question {
    Question { name: Name::from_ascii(name).unwrap(), class: DNSClass::IN, kind }
}

pub(crate) fn ask(view: &View, name: &str, kind: RecordType, now: UnixTime) -> Answer {
    answer(&question(name, kind), view, now)
}

pub(crate) fn addresses(records: &[Record]) -> Vec<IpAddr> {
    let address = |record: &Record| {
        let data = &record.data;
        if let RData::A(four) = data {
            Some(IpAddr::V4(four.0))
        } else if let RData::AAAA(six) = data {
            Some(IpAddr::V6(six.0))
        } else {
            None
        }
    };
    records.iter().filter_map(address).collect()
}
