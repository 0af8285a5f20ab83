//! The choice between planes.

use proptest::prelude::*;

use super::*;

const CALM: Facts = Facts {
    is_usable: true,
    srtt: Some(Duration::from_micros(400)),
    is_suspect: false,
    is_backlogged: false,
    streams: 0,
    failed_ago: None,
    says: Says::Offered,
};

fn rtt(us: u64) -> Facts {
    Facts { srtt: Some(Duration::from_micros(us)), ..CALM }
}

#[test]
fn the_shorter_round_trip_is_chosen_and_the_other_stands_by() {
    assert_eq!(order(&[rtt(9_000), rtt(2_000)], None), [1, 0]);
    assert_eq!(order(&[rtt(2_000), rtt(9_000)], Some(1)), [0, 1], "clearly better: the choice moves");
}

#[test]
fn noise_does_not_move_the_choice() {
    for (stays, other) in [(700, 400), (10_000, 8_000), (2_000, 1_300)] {
        assert_eq!(order(&[rtt(stays), rtt(other)], Some(0)), [0, 1], "{stays} against {other}");
    }
    assert_eq!(
        order(&[rtt(1_126), rtt(500)], Some(0)),
        [1, 0],
        "a quarter and half a millisecond are enough"
    );
    assert_eq!(order(&[rtt(1_125), rtt(500)], Some(0)), [0, 1]);
}

#[test]
fn silence_failure_and_missing_offers_outweigh_any_round_trip() {
    let bad = [
        Facts { is_suspect: true, ..rtt(1) },
        Facts { failed_ago: Some(Duration::from_millis(1_999)), ..rtt(1) },
        Facts { says: Says::NotOffered, ..rtt(1) },
    ];
    for bad in bad {
        assert_eq!(order(&[bad, rtt(300_000)], Some(0)), [1, 0], "{bad:?}");
    }
    assert_eq!(order(&[bad[2], bad[0]], None), [1, 0], "who may answer goes before who certainly refuses");
    let forgiven = Facts { failed_ago: Some(Duration::from_secs(2)), ..rtt(400) };
    assert_eq!(order(&[forgiven, rtt(400)], Some(0)), [0, 1]);
    let unknown = Facts { says: Says::Nothing, ..rtt(400) };
    assert_eq!(order(&[unknown, rtt(400)], Some(0)), [0, 1], "a new link has not said anything yet");
}

#[test]
fn what_cannot_carry_a_stream_is_not_in_the_order_and_bad_ones_are() {
    let down = Facts { is_usable: false, ..CALM };
    assert_eq!(order(&[down, down], Some(0)), [] as [usize; 0]);
    assert_eq!(order(&[down, CALM], Some(0)), [1]);
    assert_eq!(order(&[Facts { is_suspect: true, ..CALM }], None), [0], "better a bad one than none");
}

#[test]
fn a_full_plane_hands_over_to_an_empty_one() {
    let full = Facts { is_backlogged: true, ..CALM };
    assert_eq!(order(&[full, CALM], Some(0)), [1, 0]);
    let crowded = Facts { streams: 9_600, ..CALM };
    assert_eq!(order(&[crowded, CALM], Some(0)), [0, 1]);
    let crowded = Facts { streams: 9_616, ..CALM };
    assert_eq!(order(&[crowded, CALM], Some(0)), [1, 0]);
}

fn facts() -> impl Strategy<Value = Facts> {
    let says = prop_oneof![Just(Says::Offered), Just(Says::NotOffered), Just(Says::Nothing)];
    let rtt = prop::option::of((0..1_000_000u64).prop_map(Duration::from_micros));
    let failed = prop::option::of((0..4_000u64).prop_map(Duration::from_millis));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (flags, rtt, 0..50_000usize, failed, says).prop_map(|(flags, srtt, streams, failed_ago, says)| {
        let (is_usable, is_suspect, is_backlogged) = flags;
        Facts { is_usable, srtt, is_suspect, is_backlogged, streams, failed_ago, says }
    })
}

proptest! {
    #[test]
    fn every_usable_plane_is_in_the_order_once_and_no_other(
        facts in prop::collection::vec(facts(), 0..3), last in prop::option::of(0..3usize),
    ) {
        let mut order = order(&facts, last);
        order.sort_unstable();
        let usable: Vec<_> = (0..facts.len()).filter(|index| facts[*index].is_usable).collect();
        prop_assert_eq!(order, usable);
    }

    #[test]
    fn a_choice_stands_while_the_facts_do(
        facts in prop::collection::vec(facts(), 1..3), last in prop::option::of(0..3usize),
    ) {
        let first = order(&facts, last);
        prop_assert_eq!(order(&facts, first.first().copied()), first);
    }

    #[test]
    fn a_plane_that_is_heard_goes_before_one_that_is_not(
        one in facts(), two in facts(), last in prop::option::of(0..2usize),
    ) {
        let heard = Facts { is_usable: true, is_suspect: false, says: Says::Offered, ..one };
        let silent = Facts { is_usable: true, is_suspect: true, ..two };
        prop_assert_eq!(order(&[silent, heard], last), [1, 0]);
    }

    #[test]
    fn what_gets_better_keeps_its_place(one in facts(), two in facts(), last in prop::option::of(0..2usize)) {
        let (one, two) = (Facts { is_usable: true, ..one }, Facts { is_usable: true, ..two });
        let better = Facts {
            srtt: one.srtt.map(|srtt| srtt / 2).or(Some(Duration::ZERO)),
            is_suspect: false,
            is_backlogged: false,
            streams: one.streams / 2,
            failed_ago: None,
            says: Says::Offered,
            ..one
        };
        if order(&[one, two], last)[0] == 0 {
            prop_assert_eq!(order(&[better, two], last)[0], 0);
        }
    }
}
