//! A lease's stages, each threshold from both sides.

use rotator::{Lease, Life, Newcomer, Stale};

use crate::stage::at;

fn lease(stale: Stale) -> Lease {
    Lease {
        grant: 1,
        window: 9,
        start: at(1000),
        lead_s: 10,
        live_s: 60,
        grace_s: 15,
        tombstone_s: 30,
        max_session_s: 100,
        stale,
    }
}

#[test]
fn the_six_stages_come_in_order_and_begin_at_their_second() {
    let lease = lease(Stale::Reset);
    let begins = [
        (990, Life::Early),
        (1000, Life::Live),
        (1060, Life::Grace),
        (1075, Life::Tombstone),
        (1105, Life::Draining),
        (1175, Life::Silence),
    ];
    let mut before = Life::Future;
    for (second, stage) in begins {
        assert!(before < stage);
        assert_eq!(lease.life(at(second - 1)), before, "just before {second}");
        assert_eq!(lease.life(at(second)), stage, "at {second}");
        before = stage;
    }
    assert_eq!(lease.life(at(u64::MAX)), Life::Silence);
    assert_eq!(lease.life(at(0)), Life::Future);
}

#[test]
fn a_newcomer_is_accepted_early_live_and_in_grace_then_reset_then_met_by_silence() {
    for (second, reset, drop) in [
        (989, Newcomer::Silence, Newcomer::Silence),
        (990, Newcomer::Accept, Newcomer::Accept),
        (1074, Newcomer::Accept, Newcomer::Accept),
        (1075, Newcomer::Reset, Newcomer::Silence),
        (1104, Newcomer::Reset, Newcomer::Silence),
        (1105, Newcomer::Silence, Newcomer::Silence),
        (1175, Newcomer::Silence, Newcomer::Silence),
    ] {
        assert_eq!(lease(Stale::Reset).newcomer(at(second)), reset, "{second}");
        assert_eq!(lease(Stale::Drop).newcomer(at(second)), drop, "{second}");
    }
}

#[test]
fn established_sessions_go_on_until_the_longest_session_and_no_second_more() {
    let lease = lease(Stale::Reset);
    assert!(!lease.keeps_established(at(989)));
    assert!(lease.keeps_established(at(990)));
    assert!(lease.keeps_established(at(1174)));
    assert!(!lease.keeps_established(at(1175)));
}

#[test]
fn a_session_shorter_than_the_tombstone_leaves_no_draining() {
    let short = Lease { max_session_s: 0, ..lease(Stale::Reset) };
    assert!(!short.keeps_established(at(1075)));
    assert_eq!(short.life(at(1104)), Life::Tombstone);
    assert_eq!(short.life(at(1105)), Life::Silence);
}
