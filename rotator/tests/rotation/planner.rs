//! The planner: turns add up to what a fresh one would say, whatever happened on the way.

use std::sync::Arc;

use rotator::{Cut, GrantNo, KeyEpochs, Keyring, LeaseTable, Plan, Planner, Pool, Schedule, Turn};

use crate::stage::{Dice, at, grant, pools, ring, root, sorted, tenure, term};

const BEGIN: u64 = 1_800_000_000;

fn plan(n: u64, schedule: Schedule) -> Plan {
    plan_of(n, 0, schedule)
}

fn plan_of(n: u64, generation: u32, schedule: Schedule) -> Plan {
    let id = grant(n);
    Plan { tenure: tenure(&id, vec![term(BEGIN, generation, schedule, Cut::Grace)]), id, pools: pools() }
}

fn weekly(now: u64) -> Keyring {
    ring(KeyEpochs::WEEKLY, &[term(BEGIN, 0, Schedule::NAME, Cut::Grace)], now)
}

fn fresh(no: GrantNo, plan: &Plan, now: u64) -> Vec<(std::net::IpAddr, rotator::Lease)> {
    let mut planner = Planner::new();
    let _ = planner.put(no, plan.clone(), &weekly(now), at(now));
    sorted(planner.leases_of(no))
}

#[test]
fn after_a_long_sleep_one_turn_brings_all_up_to_date() {
    let mut planner = Planner::new();
    let table = LeaseTable::new();
    for no in 0..50 {
        let plan = plan(u64::from(no), Schedule::AGENT);
        table.apply(&planner.put(no, plan, &weekly(BEGIN), at(BEGIN)));
    }
    let later = BEGIN + 400_000;
    let turn = planner.advance(&weekly(later), at(later));
    table.apply(&turn);
    for no in 0..50 {
        assert_eq!(sorted(planner.leases_of(no)), fresh(no, &plan(u64::from(no), Schedule::AGENT), later));
    }
    let most: usize = (0..50).map(|no| planner.leases_of(no).len()).sum();
    assert_eq!(turn.opened.len(), most, "each lease opens once, not once for every window slept through");
    assert!(table.len() <= most);
    assert_eq!(planner.advance(&weekly(later), at(later)), Turn::default(), "nothing is left to do");
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let mut planner = Planner::new();
    let _ = planner.put(1, plan(1, Schedule::AGENT), &weekly(BEGIN), at(BEGIN + 1000));
    let before = planner.leases_of(1).to_vec();
    for back in [1, 60, 1000, BEGIN] {
        assert_eq!(planner.advance(&weekly(BEGIN), at(BEGIN + 1000 - back)), Turn::default());
    }
    assert_eq!(planner.leases_of(1), before);
}

#[test]
fn a_clock_that_ran_ahead_and_was_set_right_is_healed_by_a_restart() {
    let (mut planner, table) = (Planner::new(), LeaseTable::new());
    table.apply(&planner.put(1, plan(1, Schedule::AGENT), &weekly(BEGIN), at(BEGIN + 100)));
    let ahead = BEGIN + 300_000;
    table.apply(&planner.advance(&weekly(ahead), at(ahead)));
    table.apply(&planner.restart(&weekly(BEGIN), at(BEGIN + 130)));
    assert_eq!(sorted(planner.leases_of(1)), fresh(1, &plan(1, Schedule::AGENT), BEGIN + 130));
    for t in 131..400 {
        table.apply(&planner.advance(&weekly(BEGIN), at(BEGIN + t)));
        assert_eq!(sorted(planner.leases_of(1)), fresh(1, &plan(1, Schedule::AGENT), BEGIN + t));
    }
}

#[test]
fn a_turn_is_due_at_the_second_of_each_change_and_at_no_other() {
    let mut planner = Planner::new();
    let only_six: Arc<[Pool]> = Arc::new([pools()[0].clone()]);
    let plan = Plan { pools: only_six, ..plan(1, Schedule::AGENT) };
    let _ = planner.put(1, plan, &weekly(BEGIN), at(BEGIN));
    for t in BEGIN + 1..BEGIN + 1000 {
        let due = planner.next_due().unwrap();
        assert!(due >= at(t), "never late");
        let turn = planner.advance(&weekly(t), at(t));
        assert_eq!(turn != Turn::default(), due == at(t), "at {t}");
    }
}

#[test]
fn keys_that_come_late_open_what_waited_for_them() {
    let schedule = Schedule { period_s: 60, ..Schedule::AGENT };
    let epochs = KeyEpochs::every(1000);
    let stale = Keyring::of(epochs, vec![]);
    let (mut planner, table) = (Planner::new(), LeaseTable::new());
    let now = BEGIN + 5000;
    let turn = planner.put(1, plan(1, schedule), &stale, at(now));
    assert_eq!(
        turn.epochs_missing,
        [epochs.at(at(now)) - 1],
        "the windows open now began in the epoch before"
    );
    assert!(turn.opened.is_empty());
    for t in 1..30 {
        let turn = planner.advance(&stale, at(now + t));
        assert!(turn.opened.is_empty() && !turn.epochs_missing.is_empty());
        assert_eq!(planner.next_due(), Some(at(now + t + 1)), "it is asked again at the next second");
    }
    let keys = ring(epochs, &[term(BEGIN, 0, schedule, Cut::Grace)], now);
    let turn = planner.advance(&keys, at(now + 30));
    assert!(turn.epochs_missing.is_empty());
    table.apply(&turn);
    let mut whole = Planner::new();
    let _ = whole.put(1, plan(1, schedule), &keys, at(now + 30));
    assert_eq!(sorted(planner.leases_of(1)), sorted(whole.leases_of(1)));
    assert!(!table.is_empty());
    assert!(planner.next_due() > Some(at(now + 31)), "and then no more");
}

#[test]
fn a_grant_put_again_follows_its_new_generation_pools_and_identity() {
    let now = BEGIN + 5000;
    let first = plan(1, Schedule::NAME);
    let only_six: Arc<[Pool]> = Arc::new([pools()[0].clone()]);
    let renamed: Arc<[Pool]> = Arc::new([Pool { id: "other".into(), ..pools()[0].clone() }]);
    let others = [
        plan_of(1, 1, Schedule::NAME),
        Plan { pools: only_six, ..first.clone() },
        Plan { pools: renamed, ..first.clone() },
        plan(2, Schedule::NAME),
        Plan { pools: Arc::new([]), ..first.clone() },
        first.clone(),
    ];
    let (mut planner, table) = (Planner::new(), LeaseTable::new());
    table.apply(&planner.put(7, first, &weekly(now), at(now)));
    for other in others {
        table.apply(&planner.put(7, other.clone(), &weekly(now), at(now)));
        assert_eq!(sorted(planner.leases_of(7)), fresh(7, &other, now));
        assert_eq!(table.len(), planner.leases_of(7).len(), "nothing of the former plan stays");
    }
}

#[test]
fn a_grant_put_again_unchanged_turns_nothing() {
    let now = BEGIN + 5000;
    let mut planner = Planner::new();
    let _ = planner.put(7, plan(1, Schedule::NAME), &weekly(now), at(now));
    for _ in 0..100 {
        assert_eq!(planner.put(7, plan(1, Schedule::NAME), &weekly(now), at(now)), Turn::default());
    }
}

#[test]
fn a_removed_grant_is_closed_and_never_due_again() {
    let now = BEGIN + 5000;
    let (mut planner, table) = (Planner::new(), LeaseTable::new());
    table.apply(&planner.put(7, plan(1, Schedule::NAME), &weekly(now), at(now)));
    table.apply(&planner.remove(7));
    assert!(table.is_empty() && planner.is_empty());
    assert_eq!(planner.next_due(), None);
    assert_eq!(planner.advance(&weekly(now), at(now + 100_000)), Turn::default());
    assert_eq!(planner.remove(7), Turn::default());
}

#[test]
fn an_old_term_of_short_windows_under_a_new_one_of_a_long_life_costs_what_stands() {
    let short = Schedule { period_s: 5, lead_s: 1, grace_s: 2, ttl_s: 1, tombstone_s: 0, ..Schedule::AGENT };
    let day = 24 * 3600;
    let long = Schedule {
        period_s: 20 * day,
        label_period_s: 30 * day,
        grace_s: 30 * day,
        tombstone_s: 30 * day,
        ..Schedule::NAME
    };
    let id = grant(1);
    let terms = vec![
        term(BEGIN, 0, short.checked().unwrap(), Cut::Grace),
        term(BEGIN + 80 * u64::from(day), 0, long.checked().unwrap(), Cut::Grace),
    ];
    let plan = Plan { tenure: tenure(&id, terms), id, pools: pools() };
    for now in [BEGIN + 80 * u64::from(day) - 1, BEGIN + 80 * u64::from(day), BEGIN + 80 * u64::from(day) + 3]
    {
        let mut planner = Planner::new();
        let _ = planner.put(1, plan.clone(), &ring(KeyEpochs::WEEKLY, plan.tenure.terms(), now), at(now));
        let open = planner.leases_of(1);
        assert!((2..=6).contains(&open.len()), "{}", open.len());
        assert!(open.iter().any(|(_, lease)| lease.life(at(now)) == rotator::Life::Live));
    }
}

#[test]
fn grants_that_meet_on_one_address_share_it_until_one_of_them_goes() {
    let tiny: Arc<[Pool]> =
        Arc::new([Pool { id: "four".into(), range: "192.0.2.16-192.0.2.31".parse().unwrap() }]);
    let (mut planner, table) = (Planner::new(), LeaseTable::new());
    let mut dice = Dice(5);
    let mut t = BEGIN + 1000;
    for no in 0..40 {
        let plan = Plan { pools: Arc::clone(&tiny), ..plan(u64::from(no), Schedule::AGENT) };
        table.apply(&planner.put(no, plan, &weekly(t), at(t)));
    }
    for step in 0..2000 {
        t += dice.roll(1, 20);
        table.apply(&planner.advance(&weekly(t), at(t)));
        if step == 1000 {
            for no in 0..35 {
                table.apply(&planner.remove(no));
            }
        }
        let mut held = 0;
        for last in 16..32 {
            let address = std::net::IpAddr::from([192, 0, 2, last]);
            let found = match table.find(address) {
                rotator::Found::Never => vec![],
                rotator::Found::One(lease) => vec![lease],
                rotator::Found::Shared(leases) => leases,
            };
            held += found.len();
            for lease in found {
                assert!(planner.leases_of(lease.grant).contains(&(address, lease)), "a lease nobody planned");
            }
        }
        assert_eq!(held, (0..40).map(|no| planner.leases_of(no).len()).sum::<usize>());
    }
}

#[test]
fn a_ring_holds_this_epoch_and_the_next_and_what_still_lives() {
    let epochs = KeyEpochs::WEEKLY;
    let week = epochs.period_s();
    let ring = |now| Keyring::around(&root(), epochs, 7230, at(now)).held().unwrap();
    assert_eq!(ring(10 * week + 7230), (10, 11));
    assert_eq!(ring(10 * week + 7229), (9, 11));
    assert_eq!(ring(10 * week), (9, 11));
    assert_eq!(ring(10 * week - 1), (9, 10));
    let keys = [12, 3, 12, 5].map(|e| root().epoch_key(e)).to_vec();
    let ring = Keyring::of(epochs, keys);
    assert!(ring.holds(3) && ring.holds(5) && ring.holds(12) && !ring.holds(4));
    assert_eq!(ring.grant_key(at(4 * week), &grant(1), 0), Err(rotator::keys::EpochMissing(4)));
}
