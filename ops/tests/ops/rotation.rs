//! Rotation by hand: new addresses at once, leaks never forgotten, the stable name kept unless asked.

use std::collections::BTreeSet;

use defense::Reason;
use http::StatusCode;
use ops::acts::Order;
use ops::acts::rotate::{Rotation, Scope, rotate};
use rotator::Cut;
use serde_json::json;
use state::Records;
use state::bounds::GENERATIONS_MAX;

use crate::fixture::{ALICE, Api, BOB, NOW, alice_laptop, bob_label, done, name, order, records};

fn asked(scope: Scope) -> Rotation {
    Rotation { scope, leaked: false, confirmed: false, new_names: None }
}

fn numbers(records: &Records, grant: u32) -> Vec<u32> {
    records.grant(grant).unwrap().generations.iter().map(|g| g.number).collect()
}

#[test]
fn a_rotation_begins_a_second_from_now_for_its_scope_alone() {
    let mut all = records();
    let rotated = rotate(&all, &order(), &asked(Scope::User(name("alice"))));
    let rotated = done(&mut all, rotated);
    assert_eq!((rotated.from, rotated.grants), (NOW.plus(1), vec![ALICE]));
    assert_eq!((rotated.agents, rotated.name_clients), (1, 0));
    assert_eq!((numbers(&all, ALICE), numbers(&all, BOB)), (vec![0, 1], vec![0]));
    let tenure = all.grant_view(ALICE).unwrap().plan.tenure;
    assert_eq!(
        tenure.terms().last().map(|t| (t.from, t.generation, t.cut)),
        Some((NOW.plus(1), 1, Cut::Grace))
    );
}

#[test]
fn every_scope_reaches_its_grants_and_unknown_ones_are_refused() {
    let all = records();
    let grants =
        |scope| rotate(&all, &order(), &Rotation { confirmed: true, ..asked(scope) }).map(|(_, r)| r.grants);
    assert_eq!(grants(Scope::Service(name("web"))), Ok(vec![ALICE, BOB]));
    assert_eq!(grants(Scope::Device(alice_laptop())), Ok(vec![ALICE]));
    assert_eq!(grants(Scope::All), Ok(vec![ALICE, BOB]));
    assert_eq!(grants(Scope::User(name("x"))).unwrap_err().reason, Reason::UnknownUser);
    assert_eq!(grants(Scope::Service(name("x"))).unwrap_err().reason, Reason::UnknownService);
    let nobody = Scope::Device(uuid::Uuid::from_u128(99));
    assert_eq!(grants(nobody).unwrap_err().reason, Reason::UnknownTarget);
}

#[test]
fn everybody_at_once_needs_a_confirmation() {
    let all = records();
    let refused = rotate(&all, &order(), &asked(Scope::All)).unwrap_err();
    assert_eq!(refused.reason, Reason::NeedsConfirmation);
    assert!(rotate(&all, &order(), &Rotation { confirmed: true, ..asked(Scope::All) }).is_ok());
}

#[test]
fn a_leak_cuts_at_once_and_a_second_rotation_in_the_same_second_does_not_undo_that() {
    let mut all = records();
    let leaked = Rotation { leaked: true, ..asked(Scope::User(name("alice"))) };
    let first = rotate(&all, &order(), &leaked);
    done(&mut all, first);
    let second = rotate(&all, &order(), &asked(Scope::User(name("alice"))));
    done(&mut all, second);
    let generations = &all.grant(ALICE).unwrap().generations;
    assert_eq!(generations.iter().map(|g| (g.number, g.leaked)).collect::<Vec<_>>(), [(0, false), (2, true)]);
    let tenure = all.grant_view(ALICE).unwrap().plan.tenure;
    assert_eq!(tenure.terms().last().map(|t| t.cut), Some(Cut::Now));
}

#[test]
fn numbers_are_never_given_twice_and_generations_stay_bounded() {
    let mut all = records();
    let mut seen = BTreeSet::from([0]);
    for second in 0..20 {
        let order = Order { now: NOW.plus(second * 2), ..order() };
        let rotated = rotate(&all, &order, &asked(Scope::User(name("alice"))));
        done(&mut all, rotated);
        assert!(seen.insert(*numbers(&all, ALICE).last().unwrap()));
        assert!(numbers(&all, ALICE).len() <= GENERATIONS_MAX);
    }
    assert_eq!(numbers(&all, ALICE).len(), GENERATIONS_MAX);
}

#[test]
fn a_planned_rotation_never_cuts_an_answer_off_where_grace_is_short() {
    let mut all = records();
    let mut schedule = all.schedule(&name("standard")).unwrap().clone();
    schedule.versions[0].agent.grace_s = 11;
    let (lead, ttl, grace) = (10, 5, 11);
    all.apply(&[state::txn::Change::Put(state::txn::Record::Schedule(schedule))]);
    let (_, planned) = rotate(&all, &order(), &asked(Scope::User(name("alice")))).unwrap();
    assert_eq!(planned.from, NOW.plus(1 + lead + ttl - grace));
    let leaked = Rotation { leaked: true, ..asked(Scope::User(name("alice"))) };
    assert_eq!(rotate(&all, &order(), &leaked).unwrap().1.from, NOW.plus(1), "a leak waits for nobody");
}

#[test]
fn a_stable_name_stays_unless_a_new_one_is_asked_for() {
    let mut all = records();
    let plain = rotate(&all, &order(), &asked(Scope::User(name("bob"))));
    assert!(done(&mut all, plain).names.is_empty());
    assert_eq!(all.grant(BOB).unwrap().label, Some(bob_label()));
    let renamed = Rotation { new_names: Some([3; 32]), ..asked(Scope::All) };
    let renamed = rotate(&all, &order(), &Rotation { confirmed: true, ..renamed });
    let renamed = done(&mut all, renamed);
    assert_eq!(renamed.names.len(), 1, "agents have no stable name");
    let label = all.grant(BOB).unwrap().label.unwrap();
    assert_eq!(renamed.names, [(BOB, label)]);
    assert_ne!(label, bob_label());
    assert_eq!(all.grant_labeled(bob_label()), None);
}

#[tokio::test]
async fn rotation_over_the_api_asks_for_confirmation_and_hands_out_new_names_with_the_zone() {
    let api = Api::start().await;
    let refused = api.post("/v1/rotations", json!({ "scope": "all" })).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::PRECONDITION_REQUIRED, &json!("W-7113"))
    );
    let body = json!({ "scope": "user:bob", "new_name": true, "leaked": true, "reason": "pasted in a chat" });
    let answer = api.post("/v1/rotations", body).await;
    assert_eq!((answer.status, &answer.body["grants"]), (StatusCode::OK, &json!(1)));
    let host = answer.body["names"][0]["host"].as_str().unwrap();
    assert!(host.ends_with(".edge.test") && !host.starts_with(&bob_label().to_string()));
    let wrong = api.post("/v1/rotations", json!({ "scope": "planet:earth" })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
}
