//! Schedules: checked, begun late enough, never lost to somebody who was faster.

use defense::Reason;
use http::{Method, StatusCode};
use ops::acts::Order;
use ops::acts::schedule::{Delta, Deltas, put, set};
use ops::foresight::foresee;
use rotator::{Class, Schedule};
use serde_json::json;
use state::bounds::SCHEDULE_VERSIONS_MAX;

use crate::fixture::{ALICE, Api, NOW, done, name, order, records};

fn names(delta: Delta) -> Deltas {
    Deltas { name: delta, agent: Delta::default() }
}

fn window(seconds: u32) -> Deltas {
    names(Delta { window_s: Some(seconds), grace_s: Some(60), lead_s: Some(10), ..Delta::default() })
}

#[test]
fn a_change_begins_when_no_answer_given_before_is_left_and_other_parts_stay() {
    let mut all = records();
    let changed = set(&all, &order(), &name("standard"), &window(600));
    let changed = done(&mut all, changed);
    // Twice the longest lead (30) and the longest TTL (30), a second, and two for the news.
    assert_eq!(changed.after.from, NOW.plus(2 * 30 + 30 + 1 + 2));
    assert_eq!((changed.after.name.period_s, changed.after.agent), (600, Schedule::AGENT));
    assert_eq!(changed.schedule.versions.len(), 2);
    let tenure = all.grant_view(ALICE).unwrap().plan.tenure;
    let soonest = tenure.soonest(NOW, &changed.after.agent);
    assert!(changed.after.from >= soonest, "as the rotator asks");
}

#[test]
fn thresholds_are_refused_just_below_and_taken_at_them() {
    let all = records();
    let reason = |deltas| set(&all, &order(), &name("standard"), &deltas).map_err(|r| r.reason).map(|_| ());
    // Window at least four times the TTL of 30 s.
    assert_eq!(reason(window(119)), Err(Reason::ScheduleInvalid));
    assert_eq!(reason(window(120)), Ok(()));
    let grace = |s| names(Delta { grace_s: Some(s), ..Delta::default() });
    assert_eq!((reason(grace(30)), reason(grace(31))), (Err(Reason::ScheduleInvalid), Ok(())));
    let refused = set(&all, &order(), &name("standard"), &window(20)).unwrap_err();
    assert!(refused.detail.starts_with("name.window"), "{}", refused.detail);
}

#[test]
fn nothing_changed_is_no_new_version_and_the_file_owns_its_own() {
    let all = records();
    let (txn, same) = set(&all, &order(), &name("standard"), &window(1800).name_only_window()).unwrap();
    assert!(txn.changes.is_empty() && !same.changed);
    assert_eq!(set(&all, &order(), &name("fixed"), &window(600)).unwrap_err().reason, Reason::OwnedByConfig);
    let pair = (Schedule::NAME, Schedule::AGENT);
    assert_eq!(put(&all, &order(), &name("fixed"), pair).unwrap_err().reason, Reason::OwnedByConfig);
    assert_eq!(set(&all, &order(), &name("none"), &window(600)).unwrap_err().reason, Reason::UnknownSchedule);
}

trait Only {
    fn name_only_window(self) -> Self;
}

impl Only for Deltas {
    fn name_only_window(self) -> Self {
        names(Delta { window_s: self.name.window_s, ..Delta::default() })
    }
}

#[test]
fn versions_stay_bounded_without_dropping_one_whose_addresses_stand() {
    let mut all = records();
    let mut at = NOW;
    let mut taken = 1;
    loop {
        at = at.plus(200);
        let order = Order { now: at, ..order() };
        match set(&all, &order, &name("standard"), &window(600 + taken)) {
            Ok((txn, _)) => all.apply(&txn.changes),
            Err(refused) => {
                assert_eq!(refused.reason, Reason::ScheduleInvalid);
                break;
            }
        }
        taken += 1;
    }
    assert_eq!(taken as usize, SCHEDULE_VERSIONS_MAX);
    let long_after = Order { now: at.plus(24 * 3600), ..order() };
    let later = set(&all, &long_after, &name("standard"), &window(900));
    assert_eq!(done(&mut all, later).schedule.versions.len(), 2, "what is silent is forgotten");
}

#[test]
fn a_new_schedule_is_in_force_at_once() {
    let mut all = records();
    let made = put(&all, &order(), &name("brisk"), (Schedule::NAME, Schedule::AGENT));
    let made = done(&mut all, made);
    assert!(made.before.is_none() && made.after.from == NOW);
}

#[test]
fn a_preview_shows_real_grants_before_and_after_and_changes_nothing() {
    let all = records();
    let seen = foresee(&all, NOW, &name("standard"), &window(600), 3600, 1e7).unwrap();
    assert_eq!(seen.rows.len(), 2);
    let bob = seen.rows.iter().find(|r| r.class == Class::Name).unwrap();
    let moves = |list: &[rotator::preview::Previewed]| list.iter().filter(|w| w.start >= NOW).count();
    assert!(
        moves(&bob.before) <= 3 && moves(&bob.after) >= 5,
        "{} {}",
        moves(&bob.before),
        moves(&bob.after)
    );
    assert_eq!((seen.name.moves_per_hour_before, seen.name.moves_per_hour_after), (2.0, 6.0));
    assert!(seen.exposure.iter().all(|(_, after)| after.is_some()));
    let idle = foresee(&all, NOW, &name("standard"), &Deltas::default(), 3600, 1e7).unwrap();
    assert!(idle.after.is_none() && idle.rows.iter().all(|r| r.after.is_empty()));
    let nobody = foresee(&all, NOW, &name("fixed"), &Deltas::default(), 3600, 1e7).unwrap();
    assert!(nobody.rows.iter().all(|r| r.owner.is_none() && !r.before.is_empty()));
}

#[tokio::test]
async fn a_change_based_on_an_old_version_is_refused_and_one_on_the_present_is_taken() {
    let api = Api::start().await;
    let path = "/v1/schedules/standard";
    let tag = api.get(path).await.header("etag").to_owned();
    let patch = |window_s: u32| Some(json!({ "name": { "window_s": window_s } }));
    let first = api.ask(Method::PATCH, path, &[("if-match", &tag)], patch(900)).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.body["undo"], json!(["wandergate", "schedule", "set", "standard", "window=1800s"]));
    let second = api.ask(Method::PATCH, path, &[("if-match", &tag)], patch(1200)).await;
    assert_eq!((second.status, &second.body["code"]), (StatusCode::PRECONDITION_FAILED, &json!("W-7107")));
    let fresh = first.header("etag").to_owned();
    assert_eq!(api.get(path).await.header("etag"), fresh);
    let third = api.ask(Method::PATCH, path, &[("if-match", &fresh)], patch(1200)).await;
    assert_eq!((third.status, third.body["pending"].as_array().map(Vec::len)), (StatusCode::OK, Some(1)));
}

#[tokio::test]
async fn a_tag_outlives_changes_of_everything_else() {
    let api = Api::start().await;
    let tag = api.get("/v1/schedules/standard").await.header("etag").to_owned();
    api.post("/v1/users/alice/revoke", json!({})).await;
    assert_eq!(api.get("/v1/schedules/standard").await.header("etag"), tag);
    assert_ne!(api.get("/v1/schedules/fixed").await.header("etag"), tag);
}

#[tokio::test]
async fn a_preview_over_the_api_counts_from_now() {
    let api = Api::start().await;
    let body = json!({ "change": { "name": { "window_s": 600 } }, "for_s": 3600 });
    let answer = api.post("/v1/schedules/standard/preview", body).await;
    assert_eq!(
        (answer.status, &answer.body["schema"]),
        (StatusCode::OK, &json!("wandergate.schedule.preview/1"))
    );
    assert_eq!(answer.body["rows"][0]["user"], "bob");
    assert!(answer.body["rows"][0]["after"].as_array().unwrap().len() > 3);
    let long = api.post("/v1/schedules/standard/preview", json!({ "for_s": 86_401 })).await;
    assert_eq!(long.status, StatusCode::UNPROCESSABLE_ENTITY);
}
