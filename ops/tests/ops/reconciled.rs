//! The file and the records agree after every reload, in one transaction, and the API's own is left alone.

use defense::Reason;
use ops::acts::reconcile::{Desired, DesiredSchedule, DesiredService, reconcile};
use ops::acts::service::{NewService, add};
use rotator::Schedule;
use state::Records;
use state::records::{Auth, Origin};

use crate::fixture::{done, name, order, records};

fn schedule(called: &str) -> DesiredSchedule {
    DesiredSchedule { name: name(called), for_names: Schedule::NAME, for_agents: Schedule::AGENT }
}

/// What the fixture's world came from.
fn desired() -> Desired {
    Desired {
        pools: vec![
            (name("six"), "2001:db8:42::/64".parse().unwrap()),
            (name("four"), "203.0.113.0/24".parse().unwrap()),
        ],
        schedules: vec![schedule("fixed")],
        default_schedules: vec![schedule("standard")],
        services: vec![DesiredService {
            name: name("web"),
            to: "127.0.0.1:3000".parse().unwrap(),
            listen: state::Listen::https(443).unwrap(),
            auth: Auth::Name,
            schedule: name("standard"),
            pools: vec![name("six")],
            max_session_s: None,
            handling: state::records::Handling::default(),
        }],
    }
}

fn refused(records: &Records, desired: &Desired) -> Option<Reason> {
    reconcile(records, &order(), desired).err().map(|r| r.reason)
}

#[test]
fn the_same_file_changes_nothing_and_an_empty_store_takes_all_of_it() {
    let (txn, nothing) = reconcile(&records(), &order(), &desired()).unwrap();
    assert!(txn.changes.is_empty() && nothing.written.is_empty() && nothing.deleted.is_empty());
    let mut fresh = Records::default();
    let taken = reconcile(&fresh, &order(), &desired());
    let taken = done(&mut fresh, taken);
    assert_eq!(
        taken.written,
        ["pool/six", "pool/four", "schedule/fixed", "schedule/standard", "service/web"]
    );
    assert_eq!(fresh.schedule(&name("standard")).map(|s| s.origin), Some(Origin::Api));
    assert_eq!(fresh.schedule(&name("fixed")).map(|s| s.origin), Some(Origin::Config));
}

#[test]
fn what_vanished_from_the_file_is_deleted_and_the_apis_own_stays() {
    let mut all = records();
    let own = NewService {
        name: name("own"),
        to: "127.0.0.1:9".parse().unwrap(),
        listen: Some(state::Listen::https(9).unwrap()),
        auth: None,
        schedule: name("standard"),
        pools: vec![name("six")],
        handling: state::records::Handling::default(),
    };
    let added = add(&all, &order(), &own);
    done(&mut all, added);
    let mut less = desired();
    less.services.clear();
    less.schedules.clear();
    less.pools.retain(|(pool, _)| *pool == name("six"));
    let taken = reconcile(&all, &order(), &less);
    let taken = done(&mut all, taken);
    assert_eq!(taken.deleted, ["service/web", "schedule/fixed", "pool/four"]);
    assert!(all.service(&name("own")).is_some());
    less.pools.clear();
    assert_eq!(refused(&all, &less), Some(Reason::ConfigConflict), "own would stand on nothing");
}

#[test]
fn a_changed_schedule_becomes_a_new_version_and_a_changed_service_is_replaced() {
    let mut all = records();
    let mut other = desired();
    other.schedules[0].for_names.period_s = 600;
    other.services[0].listen = state::Listen::https(8443).unwrap();
    let taken = reconcile(&all, &order(), &other);
    assert_eq!(done(&mut all, taken).written, ["schedule/fixed", "service/web"]);
    assert_eq!(all.schedule(&name("fixed")).map(|s| s.versions.len()), Some(2));
    assert_eq!(all.service(&name("web")).map(|s| s.listen.main_port()), Some(8443));
    other.schedules[0].for_names.period_s = 1;
    assert_eq!(refused(&all, &other), Some(Reason::ScheduleInvalid));
}

#[test]
fn a_schedule_passes_to_the_file_when_declared_and_back_when_not() {
    let mut all = records();
    let mut declared = desired();
    declared.schedules.push(schedule("standard"));
    declared.default_schedules.clear();
    let taken = reconcile(&all, &order(), &declared);
    done(&mut all, taken);
    assert_eq!(all.schedule(&name("standard")).map(|s| s.origin), Some(Origin::Config));
    let back = reconcile(&all, &order(), &desired());
    done(&mut all, back);
    assert_eq!(all.schedule(&name("standard")).map(|s| s.origin), Some(Origin::Api));
}
