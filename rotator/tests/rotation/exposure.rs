//! The arithmetic of a stranger's guess, against brute force.

use std::collections::HashSet;
use std::sync::Arc;

use rotator::exposure::{Exposure, Share, accepted_per_grant, figures, weak};
use rotator::pool::Range;
use rotator::{Cut, KeyEpochs, Newcomer, Plan, Planner, Pool, Schedule};

use crate::stage::{Dice, at, grant, ring, tenure, term};

fn range(text: &str) -> Range {
    text.parse().unwrap()
}

fn near(value: f64, expected: f64, tolerance: f64) {
    assert!((value / expected - 1.0).abs() < tolerance, "{value}, expected {expected}");
}

#[test]
fn the_accepted_share_of_a_small_pool_is_what_a_planner_really_accepts() {
    let schedule = Schedule::AGENT;
    let pool = Pool { id: "four".into(), range: range("192.0.2.0-192.0.2.199") };
    let terms = vec![term(0, 0, schedule, Cut::Grace)];
    let pools: Arc<[Pool]> = Arc::new([pool.clone()]);
    let mut accepted = 0usize;
    for sample in 0..300u64 {
        let now = 1_800_000_000 + sample * 7919;
        let keys = ring(KeyEpochs::WEEKLY, &terms, now);
        let mut open = HashSet::new();
        for n in 0..60u64 {
            let id = grant(n);
            let plan = Plan { tenure: tenure(&id, terms.clone()), id, pools: Arc::clone(&pools) };
            let mut planner = Planner::new();
            let _ = planner.put(n as u32, plan, &keys, at(now));
            let leases = planner.leases_of(n as u32);
            open.extend(
                leases.iter().filter(|(_, l)| l.newcomer(at(now)) == Newcomer::Accept).map(|(a, _)| *a),
            );
        }
        accepted += open.len();
    }
    let exposure = Exposure::of(&pool.range, &[Share { range: pool.range, grants: 60, schedule }]);
    near(accepted as f64 / 300.0, exposure.accepted, 0.02);
}

#[test]
fn the_chance_within_some_guesses_is_what_throwing_dice_gives() {
    let exposure = Exposure { space: 1000.0, accepted: 7.0 };
    let mut dice = Dice(1);
    let (rounds, guesses) = (20_000, 100);
    let hits = (0..rounds).filter(|_| (0..guesses).any(|_| dice.roll(1, 1000) <= 7)).count();
    near(hits as f64 / f64::from(rounds), exposure.within(f64::from(guesses)), 0.02);
    let tries: u64 = (0..rounds).map(|_| (1..).find(|_| dice.roll(1, 1000) <= 7).unwrap()).sum();
    near(tries as f64 / f64::from(rounds), exposure.guesses_until_hit(), 0.02);
}

#[test]
fn chances_too_small_for_a_plain_subtraction_are_still_exact() {
    let exposure = Exposure { space: 2f64.powi(64), accepted: 2.0 };
    near(exposure.within(1.0), 2f64.powi(-63), 1e-12);
    near(exposure.within(1e6), 1e6 * 2f64.powi(-63), 1e-9);
    assert_eq!(exposure.guesses_until_hit(), 2f64.powi(63));
    near(exposure.seconds_until_hit(1e7), 2f64.powi(63) / 1e7, 1e-12);
}

#[test]
fn the_limits_are_no_nonsense() {
    let none = Exposure { space: 100.0, accepted: 0.0 };
    assert_eq!((none.per_guess(), none.within(1e9)), (0.0, 0.0));
    assert!(none.guesses_until_hit().is_infinite() && none.seconds_until_hit(10.0).is_infinite());
    let full = Exposure { space: 10.0, accepted: 20.0 };
    assert_eq!((full.per_guess(), full.within(1.0), full.within(0.0)), (1.0, 1.0, 0.0));
    assert_eq!(Exposure { space: 0.0, accepted: 0.0 }.per_guess(), 0.0);
    let crowd = Share { range: range("192.0.2.0/28"), grants: u64::MAX, schedule: Schedule::NAME };
    near(Exposure::of(&crowd.range, &[crowd]).accepted, 14.0, 1e-9);
}

#[test]
fn ipv6_is_a_secret_and_ipv4_is_called_weak() {
    for strong in ["2001:db8::/64", "2001:db8::/96", "2001:db8::/32"] {
        assert!(!weak(&range(strong)), "{strong}");
    }
    for poor in ["192.0.2.0/24", "10.0.0.0/8", "0.0.0.0/0", "192.0.2.10-192.0.2.99"] {
        assert!(weak(&range(poor)), "{poor}");
    }
}

#[test]
fn figures_are_told_for_each_range_over_all_that_share_it() {
    let (six, four) = (range("2001:db8::/64"), range("192.0.2.0/24"));
    let shares = [
        Share { range: six, grants: 1000, schedule: Schedule::NAME },
        Share { range: four, grants: 10, schedule: Schedule::AGENT },
        Share { range: six, grants: 500, schedule: Schedule::AGENT },
    ];
    let told = figures(&shares, 1e7);
    assert_eq!(
        told.iter().map(|f| (f.range, f.grants, f.weak)).collect::<Vec<_>>(),
        [(six, 1500, false), (four, 10, true)]
    );
    let accepted =
        1000.0 * accepted_per_grant(&Schedule::NAME) + 500.0 * accepted_per_grant(&Schedule::AGENT);
    near(accepted_per_grant(&Schedule::NAME), 3630.0 / 1800.0, 1e-12);
    near(told[0].exposure.accepted, accepted, 1e-9);
    near(told[0].per_guess, accepted / 2f64.powi(64), 1e-9);
    near(told[0].expected_guesses, 2f64.powi(64) / accepted, 1e-9);
    near(told[0].per_window, 1e7 * 1800.0 * accepted / 2f64.powi(64), 1e-3);
    assert_eq!(told[0].window_s, 1800);
    assert!(told[1].seconds_until_hit < 0.001, "a /24 falls in a millisecond: {}", told[1].seconds_until_hit);
    near(told[1].exposure.space, 254.0, 1e-12);
    assert!(figures(&[], 1.0).is_empty());
}
