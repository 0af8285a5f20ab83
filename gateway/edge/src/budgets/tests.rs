//! Budgets: what one lease spends is not another's, and what is held comes back.

use defense::{Moment, Reason};

use super::*;
use crate::bounds::{
    DELAYED_PER_GRANT_MAX, KNOCKS_PER_GRANT_MAX, QUANTUM_MIN, RECENT, SHARE_FLOOR, SHARE_SHIFT,
};

const T0: Moment = Moment::from_nanos(5_000_000_000);

fn after_ms(ms: u64) -> Moment {
    T0.plus_nanos(ms * 1_000_000)
}

fn small() -> Allowance {
    Allowance {
        connections: 3,
        connections_per_s: 2,
        requests: 4,
        requests_per_s: 10,
        bytes_in_per_s: 10_000,
        bytes_out_per_s: 20_000,
    }
}

#[test]
fn requests_over_the_rate_are_told_when_to_come_back_and_let_in_then() {
    let budgets = Budgets::new();
    let purse = budgets.purse(1, small());
    let at_once = 10 * crate::bounds::BURST_S;
    for _ in 0..at_once {
        drop(purse.request(T0).unwrap());
    }
    let over = purse.request(T0).unwrap_err();
    assert_eq!((over.reason, over.retry_after_ms), (Reason::RateLease, Some(100)));
    assert_eq!(purse.holds(Kind::Stream), 0, "a refused request holds nothing");
    assert!(budgets.purse(2, small()).request(T0).is_ok(), "another lease has its own");
    assert!(purse.request(after_ms(100)).is_ok());
}

#[test]
fn requests_and_connections_at_a_time_are_bounded_and_a_place_that_is_left_is_free_again() {
    let budgets = Budgets::new();
    let purse = budgets.purse(1, small());
    let mut streams: Vec<Taken> = (0..4).map(|_| purse.request(T0).unwrap()).collect();
    assert_eq!(purse.request(T0).unwrap_err().reason, Reason::RequestConcurrency);
    assert_eq!(purse.stream().unwrap_err().reason, Reason::RequestConcurrency);
    streams.pop();
    assert!(purse.stream().is_ok());
    let seats: Vec<Taken> = (0..3).map(|_| purse.connect(T0).unwrap()).collect();
    assert_eq!(purse.connect(T0).unwrap_err().reason, Reason::LeaseConcurrency);
    drop((seats, streams));
    for kind in [Kind::Connection, Kind::Stream] {
        assert_eq!((purse.holds(kind), budgets.pot(kind).used()), (0, 0));
    }
}

#[test]
fn new_connections_per_second_are_bounded_although_each_is_closed_at_once() {
    let purse = Budgets::new().purse(1, small());
    for _ in 0..2 * crate::bounds::BURST_S {
        drop(purse.connect(T0).unwrap());
    }
    let over = purse.connect(T0).unwrap_err();
    assert_eq!((over.reason, over.retry_after_ms), (Reason::LeaseBudget, Some(500)));
    assert_eq!(purse.holds(Kind::Connection), 0);
    assert!(purse.connect(after_ms(500)).is_ok());
}

#[test]
fn a_crowd_of_leaked_addresses_leaves_places_of_every_kind_to_others() {
    let budgets = Budgets::new();
    let greedy = Allowance { connections: u32::MAX, requests: u32::MAX, ..Allowance::default() };
    let mut held = Vec::new();
    for leaked in 0..100 {
        let purse = budgets.purse(leaked, greedy);
        held.extend(std::iter::from_fn(|| purse.knock().ok()));
        held.extend(std::iter::from_fn(|| purse.connect(T0).ok()));
        held.extend(std::iter::from_fn(|| purse.stream().ok()));
        held.extend(std::iter::from_fn(|| purse.delay().ok()));
    }
    let user = budgets.purse(1_000_000, Allowance::default());
    held.push(user.knock().unwrap());
    held.push(user.connect(T0).unwrap());
    held.push(user.request(T0).unwrap());
    held.push(user.delay().unwrap());
    for kind in [Kind::Knock, Kind::Connection, Kind::Stream, Kind::Delay] {
        assert!(budgets.pot(kind).used() < budgets.pot(kind).max(), "{kind:?}");
    }
}

#[test]
fn one_lease_alone_gets_its_own_limits_and_no_more() {
    let budgets = Budgets::new();
    let purse = budgets.purse(1, Allowance { connections_per_s: 1000, ..Allowance::default() });
    let knocks: Vec<Taken> = std::iter::from_fn(|| purse.knock().ok()).collect();
    let own = budgets.pot(Kind::Knock).max() >> SHARE_SHIFT;
    assert!(knocks.len() as u32 <= KNOCKS_PER_GRANT_MAX && knocks.len() as u32 > own / 2);
    let delays: Vec<Taken> = std::iter::from_fn(|| purse.delay().ok()).collect();
    assert_eq!(delays.len() as u32, DELAYED_PER_GRANT_MAX);
    let seats: Vec<Taken> = std::iter::from_fn(|| purse.connect(T0).ok()).collect();
    assert_eq!(seats.len(), CONNECTIONS_PER_GRANT_MAX);
    assert!(purse.is_over_half());
}

#[test]
fn bytes_over_the_budget_rest_until_they_are_earned_and_the_other_way_goes_on() {
    let purse = Budgets::new().purse(1, small());
    let mut pace = Pace::new(Arc::clone(&purse));
    let mut moved = 0;
    while pace.rest(Direction::In, || T0).is_none() {
        pace.moved(Direction::In, 500, || T0);
        moved += 500;
    }
    assert!(
        (10_000 - QUANTUM_MIN..=10_000 + QUANTUM_MIN).contains(&moved),
        "a second's worth at once: {moved}"
    );
    assert_eq!(pace.rest(Direction::Out, || T0), None);
    let rest = pace.rest(Direction::In, || T0).unwrap();
    assert!(rest > std::time::Duration::ZERO && rest.as_millis() < 300, "{rest:?}");
    let earned = T0.plus_nanos(rest.as_nanos() as u64);
    assert_eq!(pace.rest(Direction::In, || earned), None);
    assert!(!purse.datagram(Direction::In, 1000, T0), "a datagram can't rest: it is lost");
    assert!(purse.datagram(Direction::Out, 1000, T0));
}

#[test]
fn connections_share_their_leases_bytes_and_a_short_one_pays_for_what_it_moved_only() {
    let budgets = Budgets::new();
    let purse = budgets.purse(1, small());
    // More than a quantum's worth of connections within one moment.
    for _ in 0..50 {
        let mut pace = Pace::new(Arc::clone(&purse));
        pace.moved(Direction::Out, 100, || T0);
        assert_eq!(pace.rest(Direction::Out, || T0), None);
    }
    let mut others: Vec<Pace> = (0..8).map(|_| Pace::new(Arc::clone(&purse))).collect();
    for pace in &mut others {
        pace.moved(Direction::Out, 4000, || T0);
    }
    assert!(others.iter_mut().any(|pace| pace.rest(Direction::Out, || T0).is_some()));
    let mut stranger = Pace::new(budgets.purse(2, small()));
    stranger.moved(Direction::Out, 100, || T0);
    assert_eq!(stranger.rest(Direction::Out, || T0), None);
}

#[test]
fn new_limits_hold_for_whoever_comes_next_and_keep_what_was_spent() {
    let budgets = Budgets::new();
    let purse = budgets.purse(1, small());
    let kept: Vec<Taken> = (0..3).map(|_| purse.connect(T0).unwrap()).collect();
    budgets.tune(1, Allowance { connections: 1, ..small() });
    assert_eq!(purse.connect(T0).unwrap_err().reason, Reason::LeaseConcurrency);
    budgets.tune(1, Allowance { connections: 9, ..small() });
    assert!(purse.connect(T0).is_ok());
    assert_eq!(purse.holds(Kind::Connection), 3);
    drop(kept);
    budgets.tune(77, small());
    assert_eq!(budgets.len(), 1, "limits alone make no purse");
    budgets.forget(1);
    assert!(budgets.is_empty());
}

#[test]
fn a_lease_counts_as_in_use_while_it_has_a_few_connections_and_a_while_afterwards() {
    let purse = Budgets::new().purse(1, Allowance::default());
    assert!(!purse.is_established(T0), "never seen");
    let mut seats = vec![purse.connect(T0).unwrap()];
    assert!(purse.is_established(T0));
    seats.extend((1..SHARE_FLOOR).map(|_| purse.connect(T0).unwrap()));
    assert!(!purse.is_established(T0), "it has enough");
    drop(seats);
    let recent = RECENT.as_millis() as u64;
    assert!(purse.is_established(after_ms(recent)));
    assert!(!purse.is_established(after_ms(recent + 1)));
}
