//! What a grant means across revocation, restoration, new generations and new schedules.

use rotator::label_book::Naming;
use rotator::{Class, Cut, Label, Schedule};
use state::records::{GenerationRecord, Revoked, ScheduleVersion};
use state::txn::{Change, Key, Record};
use state::{GrantView, Records};

use super::fixture::{START, device, grant, name, pool, schedule, service, user};

fn records(class: Class, label: Option<Label>) -> Records {
    let mut records = Records::default();
    let all = [
        Record::Schedule(schedule()),
        Record::Pool(pool()),
        Record::Service(service("web")),
        Record::User(user(1)),
        Record::Device(device(2, 1, class)),
        Record::Grant(5, grant(2, "web", label)),
    ];
    records.apply(&all.map(Change::Put));
    records
}

fn put(records: &mut Records, record: Record) -> Option<GrantView> {
    let change = Change::Put(record);
    assert_eq!(records.grants_touched(&change), [5], "whoever serves the grant is not told");
    records.apply(&[change]);
    records.grant_view(5)
}

fn revoked() -> Option<Revoked> {
    Some(Revoked { at: START, why: "left".into() })
}

#[test]
fn a_grant_is_served_only_while_neither_its_device_nor_its_user_is_revoked() {
    let mut records = records(Class::Agent, None);
    let before = records.grant_view(5).expect("served");
    assert_eq!((before.card.user.as_str(), before.card.service.as_str()), ("user-1", "web"));

    let mut device = device(2, 1, Class::Agent);
    device.revoked = revoked();
    assert!(put(&mut records, Record::Device(device.clone())).is_none());
    device.revoked = None;
    assert_eq!(put(&mut records, Record::Device(device)).expect("restored").plan, before.plan);

    let mut user = user(1);
    user.revoked = revoked();
    assert!(put(&mut records, Record::User(user.clone())).is_none());
    user.revoked = None;
    assert_eq!(put(&mut records, Record::User(user)).expect("restored").card, before.card);
}

#[test]
fn a_grant_without_its_service_schedule_or_device_is_not_served() {
    for gone in
        [Key::Service(name("web")), Key::Schedule(name("default")), Key::Device(uuid::Uuid::from_u128(2))]
    {
        let mut records = records(Class::Agent, None);
        let change = Change::Delete(gone);
        assert_eq!(records.grants_touched(&change), [5]);
        records.apply(&[change]);
        assert!(records.grant_view(5).is_none());
    }
}

#[test]
fn a_services_own_longest_session_takes_the_place_of_its_schedules() {
    let mut records = records(Class::Agent, None);
    let longest = |view: GrantView| view.plan.tenure.terms()[0].schedule.max_session_s;
    assert_eq!(longest(records.grant_view(5).unwrap()), Schedule::AGENT.max_session_s);
    let mut own = service("web");
    own.max_session_s = Some(60);
    assert_eq!(longest(put(&mut records, Record::Service(own)).unwrap()), 60);
}

#[test]
fn a_new_version_of_the_schedule_is_a_new_term_with_the_grace_of_the_old() {
    let mut records = records(Class::Agent, None);
    let mut changed = schedule();
    let agent = Schedule { period_s: 300, ..Schedule::AGENT };
    changed.versions.push(ScheduleVersion { from: START.plus(1000), name: Schedule::NAME, agent });
    let view = put(&mut records, Record::Schedule(changed)).unwrap();
    let terms = view.plan.tenure.terms();
    let of = |at: usize| (terms[at].from, terms[at].schedule.period_s, terms[at].generation, terms[at].cut);
    assert_eq!(terms.len(), 2);
    assert_eq!(of(0), (START, 60, 1, Cut::Grace));
    assert_eq!(of(1), (START.plus(1000), 300, 1, Cut::Grace));
}

#[test]
fn a_leaked_generation_cuts_at_once_and_a_moved_one_leaves_grace() {
    for (leaked, cut) in [(true, Cut::Now), (false, Cut::Grace)] {
        let mut records = records(Class::Agent, None);
        let mut moved = grant(2, "web", None);
        moved.generations.push(GenerationRecord { number: 2, from: START.plus(77), leaked });
        let view = put(&mut records, Record::Grant(5, moved)).unwrap();
        let last = view.plan.tenure.terms().last().unwrap();
        assert_eq!((last.from, last.generation, last.cut), (START.plus(77), 2, cut));
    }
}

#[test]
fn an_ordinary_client_keeps_its_stable_name_and_an_agents_rotates() {
    let label = Label::stable([7; 16]);
    let name_view = records(Class::Name, Some(label)).grant_view(5).unwrap();
    assert_eq!(name_view.naming, Naming::Stable(label));
    let stable = records(Class::Name, Some(label));
    assert_eq!(stable.grant_labeled(label), Some(5));
    let agent = records(Class::Agent, None).grant_view(5).unwrap();
    assert!(matches!(agent.naming, Naming::Rotating { .. }));
}

#[test]
fn a_replaced_label_no_longer_leads_anywhere() {
    let (old, new) = (Label::stable([7; 16]), Label::stable([8; 16]));
    let mut records = records(Class::Name, Some(old));
    put(&mut records, Record::Grant(5, grant(2, "web", Some(new))));
    assert_eq!((records.grant_labeled(old), records.grant_labeled(new)), (None, Some(5)));
}
