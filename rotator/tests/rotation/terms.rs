//! Terms and key periods: what counts when changes meet, and how short an epoch may be.

use rotator::tenure::Rhythm;
use rotator::{Cut, KeyEpochs, Newcomer, Plan, Planner, Schedule, Tenure};

use crate::stage::{at, grant, pools, ring, tenure, term};

const BEGIN: u64 = 1_800_000_000;

#[test]
fn of_two_changes_at_one_second_the_later_stands_but_a_leak_stays_a_leak() {
    let changes = vec![
        term(BEGIN, 0, Schedule::NAME, Cut::Grace),
        term(BEGIN + 100, 1, Schedule::NAME, Cut::Now),
        term(BEGIN + 100, 1, Schedule::AGENT, Cut::Grace),
    ];
    let tenure = Tenure::new(0, changes);
    assert_eq!(tenure.terms().len(), 2);
    assert_eq!((tenure.terms()[1].schedule, tenure.terms()[1].cut), (Schedule::AGENT, Cut::Now));
    let leaked = tenure.window_at(at(BEGIN + 99), Rhythm::Address).unwrap().lease(0);
    assert_eq!(leaked.newcomer(at(BEGIN + 99)), Newcomer::Accept);
    assert_eq!(leaked.newcomer(at(BEGIN + 100)), Newcomer::Reset);
}

#[test]
fn a_leak_closes_the_window_before_the_last_though_its_grace_had_long_to_go() {
    let tenure = Tenure::new(
        0,
        vec![
            term(0, 0, Schedule::NAME, Cut::Grace),
            term(1810, 1, Schedule::NAME, Cut::Now),
            term(1820, 2, Schedule::NAME, Cut::Grace),
        ],
    );
    let first = tenure.window_at(at(1799), Rhythm::Address).unwrap();
    assert_eq!((first.end, first.lease(0).closes()), (at(1800), at(1810)));
    let cut = tenure.window_at(at(1809), Rhythm::Address).unwrap();
    assert_eq!((cut.end, cut.lease(0).closes()), (at(1810), at(1810)));
    let after = tenure.window_at(at(1815), Rhythm::Address).unwrap();
    assert_eq!(
        (after.end, after.lease(0).closes()),
        (at(1820), at(1820 + 1800)),
        "what comes after keeps its grace"
    );
}

#[test]
fn a_change_that_leaves_the_address_as_it_is_keeps_it_through_the_longer_grace() {
    let shorter = Schedule { grace_s: 31, tombstone_s: 0, max_session_s: 0, ..Schedule::NAME };
    let id = grant(4);
    let plain = tenure(&id, vec![term(BEGIN, 0, Schedule::NAME, Cut::Grace)]);
    let end = plain.window_at(at(BEGIN + 9000), Rhythm::Address).unwrap().end.secs();
    let change = end - 10;
    let terms = vec![term(BEGIN, 0, Schedule::NAME, Cut::Grace), term(change, 0, shorter, Cut::Grace)];
    let keys = |t| ring(KeyEpochs::WEEKLY, &terms, t);
    let plan = Plan { tenure: tenure(&id, terms.clone()), id: id.clone(), pools: pools() };
    let mut planner = Planner::new();
    let _ = planner.put(4, plan, &keys(change - 100), at(change - 100));
    let of =
        |t| rotator::announce(&id, &tenure(&id, terms.clone()), &pools(), &keys(t), at(t)).unwrap().unwrap();
    assert_eq!(of(change - 1).addresses, of(change).addresses);
    let address = of(change).addresses[0];
    for t in change - 100..change + 1800 + 5 {
        let _ = planner.advance(&keys(t), at(t));
        let leases: Vec<_> = planner.leases_of(4).iter().filter(|(a, _)| *a == address).collect();
        let accepted = leases.iter().any(|(_, lease)| lease.newcomer(at(t)) == Newcomer::Accept);
        assert!(leases.len() <= 1, "one lease says it all");
        assert_eq!(accepted, t < change + 1800, "at {t}, changed at {change}");
    }
}

#[test]
fn the_least_key_period_is_enough_for_clocks_a_lead_apart_and_a_second_less_is_not() {
    let schedule = Schedule { period_s: 60, lead_s: 40, grace_s: 50, ..Schedule::AGENT }.checked().unwrap();
    assert_eq!(KeyEpochs::least_s(&schedule), 80);
    let terms = [term(0, 0, schedule, Cut::Grace)];
    let opens_without_key = |period: u64| {
        (BEGIN..BEGIN + 2 * period).any(|t| {
            // An edge whose clock is a lead ahead of the rotator's opens what begins another lead later.
            !ring(KeyEpochs::every(period), &terms, t).holds(KeyEpochs::every(period).at(at(t + 80)))
        })
    };
    assert!(!opens_without_key(80));
    assert!(opens_without_key(79));
    let ring_bound = Schedule { period_s: 3_000_000 / 2, grace_s: 2_000_000, ..Schedule::NAME };
    let least = KeyEpochs::least_s(&ring_bound);
    let terms = [term(0, 0, ring_bound, Cut::Grace)];
    let oldest = |period: u64| ring(KeyEpochs::every(period), &terms, BEGIN).held().unwrap().0;
    let needed = |period: u64| KeyEpochs::every(period).at(at(BEGIN - ring_bound.key_life_s()));
    assert_eq!(oldest(least), needed(least));
    assert!(oldest(least - 2) > needed(least - 2), "a ring never holds more than its bound");
}

#[test]
fn a_window_takes_the_key_of_the_epoch_of_its_first_second_on_both_sides_of_the_boundary() {
    let epochs = KeyEpochs::every(100);
    let keys = ring(epochs, &[term(0, 0, Schedule::AGENT, Cut::Grace)], BEGIN + 200);
    let of = |t: u64| keys.grant_key(at(t), &grant(1), 7).unwrap();
    let expected = |epoch: u64| crate::stage::root().epoch_key(epoch).grant_key(&grant(1), 7);
    assert_eq!(of(BEGIN + 199).expose(), expected((BEGIN + 100) / 100).expose());
    assert_eq!(of(BEGIN + 200).expose(), expected((BEGIN + 200) / 100).expose());
    assert_ne!(of(BEGIN + 199).expose(), of(BEGIN + 200).expose());
}
