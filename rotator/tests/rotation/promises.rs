//! Make before break, and every answer outlived by its address, whatever changes when.

use std::collections::HashSet;

use proptest::prelude::*;
use rotator::tenure::Term;
use rotator::{Cut, KeyEpochs, Schedule};

use crate::stage::{Dice, World, at, grant, pools, ring, tenure, term};

const BEGIN: u64 = 1_800_000_000;

fn quick() -> Schedule {
    Schedule {
        period_s: 8,
        lead_s: 3,
        grace_s: 4,
        tombstone_s: 6,
        ttl_s: 2,
        label_period_s: 40,
        ..Schedule::AGENT
    }
    .checked()
    .unwrap()
}

#[test]
fn r0_22_an_address_changes_by_itself_for_10_000_windows_and_no_answer_outlives_it() {
    // The shortest grace that is allowed, key epochs of 100 s, clocks a full lead apart.
    let mut world =
        World::new(KeyEpochs::every(100), 3, vec![vec![term(BEGIN, 0, quick(), Cut::Grace)]], BEGIN);
    let mut keys = world.keys(BEGIN);
    for t in BEGIN..BEGIN + 80_000 {
        if t % 10 == 0 {
            keys = world.keys(t);
        }
        world.step(t, &keys);
        if t % 7 == 0 && t > BEGIN + 10 {
            world.one_live_address(t, &keys);
        }
        if t % 97 == 0 {
            world.as_if_fresh(t, &keys);
        }
    }
    assert_eq!(world.changes_of_address, 10_000);
    assert_eq!(world.answers, 160_000);
}

#[test]
fn r0_22_ten_thousand_key_epochs_pass_without_an_operator_and_never_repeat_an_address() {
    let id = grant(1);
    let epochs = KeyEpochs::every(60);
    let terms = vec![term(BEGIN, 0, Schedule::AGENT, Cut::Grace)];
    let (tenure, pools) = (tenure(&id, terms.clone()), pools());
    let mut seen = HashSet::new();
    for epoch in 0..10_000u64 {
        let now = BEGIN + 60 * epoch;
        let keys = ring(epochs, &terms, now);
        let answer = rotator::announce(&id, &tenure, &pools, &keys, at(now)).unwrap().unwrap();
        assert!(seen.insert(answer.addresses[0]), "epoch {epoch}");
        assert!(keys.held().unwrap().1 == epochs.at(at(now)) + 1);
    }
}

#[test]
fn changes_at_random_seconds_that_roles_learn_of_at_different_times_break_nothing() {
    let mut dice = Dice(7);
    let epochs = KeyEpochs::every(100);
    for round in 0..6 {
        let first = dice.schedule();
        let mut world = World::new(epochs, 1, vec![vec![term(BEGIN, 0, first, Cut::Grace)]; 2], BEGIN);
        let mut keys = world.keys(BEGIN);
        let (mut t, mut learn_dns, mut learn_edges) = (BEGIN, None, None);
        let mut next_change = BEGIN + 50;
        while t < BEGIN + 4000 {
            if t == next_change {
                // The news takes up to 5 s to each role, in either order.
                let changed = changed(&world, 0, t, &mut dice);
                learn_dns = Some((t + dice.roll(0, 5), changed.clone()));
                learn_edges = Some((t + dice.roll(0, 5), changed));
                next_change = t + dice.roll(60, 300);
            }
            if let Some((_, changed)) = learn_edges.take_if(|(when, _)| *when == t) {
                let known = std::mem::replace(&mut world.tenures[0], changed);
                world.edges_learn(0, t);
                world.tenures[0] = known;
            }
            if let Some((_, changed)) = learn_dns.take_if(|(when, _)| *when == t) {
                world.tenures[0] = changed;
            }
            if t % 10 == 0 || t == BEGIN {
                keys = world.keys(t);
            }
            world.step(t, &keys);
            if learn_dns.is_none() && learn_edges.is_none() && t > BEGIN + 10 && t % 5 == 0 {
                world.one_live_address(t, &keys);
                world.as_if_fresh(t, &keys);
            }
            t += 1;
        }
        assert!(world.changes_of_address > 60, "round {round}: {}", world.changes_of_address);
    }
}

/// The grant's tenure with one more term, at the soonest second that is safe, or later.
fn changed(world: &World, no: usize, t: u64, dice: &mut Dice) -> rotator::Tenure {
    let schedule = dice.schedule();
    let from = world.tenures[no].soonest(at(t + 5), &schedule).secs() + dice.roll(0, 3);
    let mut terms = world.tenures[no].terms().to_vec();
    let last = *terms.last().unwrap();
    let generation = last.generation + dice.roll(0, 1) as u32;
    // Sometimes only what does not move the address: the window goes on under other rules.
    let schedule = if dice.roll(0, 2) == 0 {
        Schedule { period_s: last.schedule.period_s, ttl_s: 1, ..schedule }.checked().unwrap_or(schedule)
    } else {
        schedule
    };
    terms.push(term(from, generation, schedule, Cut::Grace));
    tenure(&world.ids[no], terms)
}

#[test]
fn r0_22_a_leak_closes_the_address_and_every_older_one_in_its_grace_at_once() {
    let mut dice = Dice(11);
    for _ in 0..40 {
        let mut terms = vec![term(BEGIN, 0, dice.schedule(), Cut::Grace)];
        let mut world = World::new(KeyEpochs::every(100), 1, vec![terms.clone()], BEGIN);
        let mut t = BEGIN;
        for generation in 1..6 {
            let leak = t + dice.roll(20, 200);
            while t < leak {
                let keys = world.keys(t);
                world.step(t, &keys);
                t += 1;
            }
            terms.push(term(t, generation, terms[0].schedule, Cut::Now));
            world.tenures[0] = tenure(&world.ids[0], terms.clone());
            world.edges_learn(0, t);
            world.leaked(0, t);
        }
        assert!(world.answers > 200);
    }
}

fn schedules() -> impl Strategy<Value = Schedule> {
    any::<u64>().prop_map(|seed| Dice(seed).schedule())
}

fn terms() -> impl Strategy<Value = Vec<Term>> {
    let one = (1..200u64, 0..2u32, schedules(), any::<bool>());
    prop::collection::vec(one, 1..6).prop_map(|parts| {
        let (mut from, mut generation) = (BEGIN - 100, 0);
        let terms = parts.into_iter().map(|(after, bump, schedule, now)| {
            from += after;
            generation += bump;
            term(from, generation, schedule, if now { Cut::Now } else { Cut::Grace })
        });
        terms.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dns_never_announces_what_an_edge_refuses(
        tenures in prop::collection::vec(terms(), 1..4), key_period in 20..400u64, skew in 0..9u32,
    ) {
        // Clocks may differ by the shortest lead of all.
        let leads = tenures.iter().flatten().map(|term| term.schedule.lead_s);
        let skew = skew.min(leads.min().unwrap());
        let begin = BEGIN - 120;
        let mut world = World::new(KeyEpochs::every(key_period), skew, tenures, begin);
        for t in begin..begin + 700 {
            let keys = world.keys(t);
            world.step(t, &keys);
            if t % 13 == 0 {
                world.one_live_address(t, &keys);
                world.as_if_fresh(t, &keys);
            }
        }
    }

    #[test]
    fn every_second_of_a_tenure_lies_in_one_window_and_windows_do_not_overlap(
        terms in terms(), from in 0..900u64,
    ) {
        let tenure = tenure(&grant(3), terms.clone());
        for rhythm in [rotator::tenure::Rhythm::Address, rotator::tenure::Rhythm::Label] {
            let from = at(BEGIN - 100 + from);
            let windows: Vec<_> = tenure.windows_from(from, rhythm).take(40).collect();
            prop_assert!(windows[0].start <= from.max(terms[0].from) && from.max(terms[0].from) < windows[0].end);
            for pair in windows.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
            }
            for window in &windows {
                prop_assert!(window.origin <= window.start && window.start < window.end);
                prop_assert_eq!(tenure.window_at(window.start, rhythm), Some(*window));
                prop_assert_eq!(tenure.window_at(window.end.minus(1), rhythm), Some(*window));
            }
        }
    }
}

#[test]
fn r0_21_each_grant_has_an_address_of_its_own_and_anothers_names_another() {
    let epochs = KeyEpochs::WEEKLY;
    let tenures = vec![vec![term(BEGIN, 0, Schedule::NAME, Cut::Grace)]; 200];
    let mut world = World::new(epochs, 30, tenures, BEGIN + 10_000);
    let keys = world.keys(BEGIN + 10_000);
    world.step(BEGIN + 10_000, &keys);
    let mut six = HashSet::new();
    let edge = &world.edges[1];
    for no in 0..200u32 {
        for (address, _) in edge.planner.leases_of(no).iter().filter(|(a, _)| a.is_ipv6()) {
            assert!(six.insert(*address), "two grants or windows on one address");
            for other in (0..200).filter(|other| *other != no) {
                assert!(!edge.accepts(other, *address, BEGIN + 10_000));
            }
        }
    }
    assert!(six.len() >= 800, "window, grace and two tombstones each: {}", six.len());
}

#[test]
fn the_ends_of_time_are_no_panic() {
    let id = grant(0);
    for far in [0, 1, u64::MAX - 1, u64::MAX] {
        for epochs in
            [KeyEpochs::every(0), KeyEpochs::every(1), KeyEpochs::every(u64::MAX), KeyEpochs::WEEKLY]
        {
            let wild = Schedule {
                period_s: 0,
                lead_s: u32::MAX,
                grace_s: u32::MAX,
                tombstone_s: u32::MAX,
                ..quick()
            };
            for schedule in [quick(), wild] {
                let terms = vec![term(0, 0, schedule, Cut::Grace), term(far, 1, schedule, Cut::Now)];
                let keys = rotator::Keyring::around(&crate::stage::root(), epochs, 100, at(far));
                let tenure = tenure(&id, terms);
                let _ = rotator::announce(&id, &tenure, &pools(), &keys, at(far));
                let plan = rotator::Plan { id: id.clone(), tenure, pools: pools() };
                let mut planner = rotator::Planner::new();
                let turn = planner.put(0, plan, &keys, at(far));
                assert!(turn.opened.len() <= 2 * 4 * rotator::bounds::LEASES_PER_TURN_MAX);
                let _ = planner.advance(&keys, at(u64::MAX));
            }
        }
    }
}
