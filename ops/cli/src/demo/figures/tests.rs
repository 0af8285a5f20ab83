//! The figures' arithmetic, and what spoils a demo.

use serde_json::Value;

use super::*;
use crate::rehearsal::tally::Phase;

fn quiet_user() -> Tally {
    let mut tally = Tally { rotations: 2, ..Tally::default() };
    tally.success(Phase::Quiet, Duration::from_millis(3));
    tally
}

fn of(tallies: &[Tally], mischief: &Mischief) -> Figures {
    Figures::of(
        tallies,
        mischief,
        Times { ran: Duration::from_secs(40), first_success: Some(Duration::from_secs(1)) },
    )
}

#[test]
fn without_errors_and_hits_a_demo_is_good_and_its_attack_figures_are_null() {
    let figures = of(&[quiet_user(), quiet_user()], &Mischief::default());
    assert!(figures.ok && figures.why.is_empty());
    let json: Value = serde_json::from_str(&figures.to_json()).unwrap();
    assert_eq!((&json["schema"], &json["rotations"]), (&"wandergate.demo/1".into(), &4.into()));
    assert_eq!((&json["users"]["requests"], &json["users"]["errors"]), (&2.into(), &0.into()));
    assert!(json["users"]["p99_quiet_ms"].is_number() && json["users"]["p99_attack_ms"].is_null());
    for key in ["probes", "hits", "expected_address_hits"] {
        assert!(json["strangers"][key].is_number(), "{key}");
    }
    for key in ["flood", "shed", "enrolled_during_attack"] {
        assert!(json["registration"][key].is_number(), "{key}");
    }
    for key in ["running", "survived", "cut"] {
        assert!(json["downloads"][key].is_number(), "{key}");
    }
    for key in ["probed", "dead", "answered"] {
        assert!(json["old_addresses"][key].is_number(), "{key}");
    }
}

#[test]
fn one_error_one_hit_one_enrolled_flood_or_one_live_old_address_spoils_it() {
    let spoilt = |tally: Tally, mischief: Mischief, word: &str| {
        let figures = of(&[quiet_user(), tally], &mischief);
        assert!(!figures.ok && figures.why.iter().any(|why| why.contains(word)), "{word}: {:?}", figures.why);
    };
    let mut failed = quiet_user();
    failed.failure("connect: reset");
    spoilt(failed, Mischief::default(), "connect: reset (1)");
    let mut alive = quiet_user();
    alive.found_alive();
    spoilt(alive, Mischief::default(), "old address");
    let knock = Knocks { probes: 9, hits: 1, ..Knocks::default() };
    spoilt(quiet_user(), Mischief { scan: knock, ..Mischief::default() }, "1 answer");
    spoilt(quiet_user(), Mischief { stale: knock, ..Mischief::default() }, "1 answer");
    spoilt(quiet_user(), Mischief { crossed: knock, ..Mischief::default() }, "1 answer");
    let flood = Floods { attempts: 1, accepted: 1, ..Floods::default() };
    spoilt(quiet_user(), Mischief { flood, ..Mischief::default() }, "flood enrolled");
}

#[test]
fn a_demo_in_which_nobody_got_a_page_is_not_good() {
    assert!(!of(&[Tally::default()], &Mischief::default()).ok);
}

#[test]
fn an_attack_that_did_not_take_place_proves_nothing() {
    let mut figures = of(&[quiet_user()], &Mischief::default());
    figures.expect_strangers();
    assert!(!figures.ok && figures.why.len() == 2);
    let scan = Knocks { probes: 1, reset: 1, ..Knocks::default() };
    let flood = Floods { attempts: 1, shed: 1, ..Floods::default() };
    let mut figures = of(&[quiet_user()], &Mischief { scan, flood, ..Mischief::default() });
    figures.expect_strangers();
    assert!(figures.ok);
}

#[test]
fn a_refusal_after_a_revocation_is_no_error() {
    let mut revoked = quiet_user();
    revoked.refused = 7;
    let figures = of(&[quiet_user(), revoked], &Mischief::default());
    assert!(figures.ok && figures.users.refused_after_revocation == 7);
}

#[test]
fn phases_are_measured_apart_and_sums_are_of_all() {
    let mut tally = quiet_user();
    tally.success(Phase::Attack, Duration::from_millis(8));
    tally.downloads = Downloads {
        begun: 3,
        running: 1,
        running_outlived: 1,
        whole: 1,
        whole_outlived: 1,
        ..Downloads::default()
    };
    let scan = Knocks { probes: 6553, reset: 6553, ..Knocks::default() };
    let stale = Knocks { probes: 10, reset: 10, ..Knocks::default() };
    let flood = Floods { attempts: 100, shed: 90, refused: 10, ..Floods::default() };
    let mischief = Mischief {
        scan,
        stale,
        flood,
        chance_per_guess: 1e-3,
        newcomers: 3,
        enrolled: 2,
        ..Mischief::default()
    };
    let figures = of(&[quiet_user(), tally], &mischief);
    assert_eq!((figures.users.requests_quiet, figures.users.requests_attack), (2, 1));
    assert!(figures.users.p99_attack_ms.unwrap() >= 8.0 && figures.users.p99_quiet_ms.unwrap() < 4.0);
    assert_eq!((figures.strangers.probes, figures.downloads.survived), (6563, 2));
    assert!((figures.strangers.expected_address_hits - 6.553).abs() < 1e-9);
    assert_eq!((figures.registration.shed, figures.registration.enrolled_during_attack), (90, 2));
    let text = figures.to_text();
    assert!(text.contains("6563 probes, 0 hits") && text.contains("90 shed"), "{text}");
}
