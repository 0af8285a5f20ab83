//! Requests over two planes, without a socket.

use proptest::prelude::*;

use super::*;

fn two() -> Race {
    let mut race = Race::new(vec![1, 0], true);
    assert_eq!(race.begin(), Step::Ask(1), "the better first");
    race
}

#[test]
fn a_late_answer_is_hedged_once() {
    let mut race = two();
    assert!(race.is_hedgeable() && race.hedge().is_none());
    assert_eq!((race.handle_late(), race.hedge()), (Step::Ask(0), Some(0)));
    assert_eq!((race.handle_late(), race.is_hedgeable()), (Step::Wait, false));
}

#[test]
fn a_single_plane_and_what_must_not_run_twice_are_not_hedged() {
    let mut alone = Race::new(vec![0], true);
    alone.begin();
    assert_eq!((alone.is_hedgeable(), alone.handle_late()), (false, Step::Wait));
    let mut once = Race::new(vec![0, 1], false);
    once.begin();
    assert_eq!((once.is_hedgeable(), once.handle_late()), (false, Step::Wait));
    assert_eq!(once.handle_refusal(0, Refusal::HubBusy), Step::Ask(1), "but it falls over");
}

#[test]
fn the_fault_of_the_fabric_and_a_missing_offer_fall_over_at_once() {
    for refusal in Refusal::ALL {
        let (mut race, falls_over) = (two(), falls_over(refusal));
        let step = race.handle_refusal(1, refusal);
        assert_eq!(step, if falls_over { Step::Ask(0) } else { Step::Refused(refusal) });
        assert_eq!(race.hedge(), None, "a fall-over is no hedge");
        assert!(refusal.fault() != Fault::Fabric || falls_over);
        assert!(refusal.fault() != Fault::Caller || !falls_over, "{refusal} is the same everywhere");
    }
    assert!(falls_over(Refusal::ServiceNotOffered) && !falls_over(Refusal::ServiceUnreachable));
}

#[test]
fn a_refusal_while_the_hedge_runs_waits_for_the_hedge() {
    let mut race = two();
    race.handle_late();
    assert_eq!(race.handle_refusal(1, Refusal::ShuttingDown), Step::Wait);
    assert_eq!(
        race.handle_refusal(0, Refusal::HubBusy),
        Step::Refused(Refusal::ShuttingDown),
        "the first is told"
    );
}

#[test]
fn what_is_known_of_the_service_is_told_rather_than_what_is_wrong_with_a_plane() {
    let mut race = two();
    race.handle_refusal(1, Refusal::LinkDown);
    let refused = Step::Refused(Refusal::ServiceNotOffered);
    assert_eq!(race.handle_refusal(0, Refusal::ServiceNotOffered), refused);
    let mut race = two();
    race.handle_refusal(1, Refusal::ServiceNotOffered);
    assert_eq!(race.handle_refusal(0, Refusal::LinkDown), refused);
}

#[test]
fn a_lane_that_is_lost_may_be_tried_again_after_the_others_and_only_once() {
    let mut race = two();
    assert_eq!(race.handle_refusal(1, Refusal::LaneLost), Step::Ask(0));
    assert_eq!(race.handle_refusal(0, Refusal::LaneLost), Step::Ask(1));
    assert_eq!(race.handle_refusal(1, Refusal::LaneLost), Step::Refused(Refusal::LaneLost));
}

#[test]
fn without_a_plane_the_link_is_down() {
    assert_eq!(Race::new(Vec::new(), true).begin(), Step::Refused(Refusal::LinkDown));
}

#[test]
fn four_round_trips_are_late_but_never_less_than_20_ms_nor_more_than_a_second() {
    let after = |us| hedge_after(Some(Duration::from_micros(us)), false).as_micros();
    assert_eq!(
        [0, 400, 5_000, 5_001, 80_000, 300_000].map(after),
        [20_000, 20_000, 20_000, 20_004, 320_000, 1_000_000]
    );
    assert_eq!(hedge_after(None, false), HEDGE_LEAST);
    assert_eq!(
        hedge_after(Some(Duration::from_secs(9)), true),
        Duration::ZERO,
        "who is suspect gets no time"
    );
}

#[test]
fn a_request_waits_for_planes_that_may_come_back_and_for_nothing_else() {
    let second = Duration::from_secs(1);
    let worth = |refusal| is_worth_waiting(refusal, second, Some(second));
    let waits: Vec<_> = Refusal::ALL.into_iter().filter(|refusal| worth(*refusal)).collect();
    assert!(waits.iter().all(|refusal| falls_over(*refusal)), "{waits:?}");
    assert!(worth(Refusal::LinkDown) && worth(Refusal::ServiceNotOffered) && !worth(Refusal::HubBusy));
    assert!(!is_worth_waiting(Refusal::LinkDown, OPEN_PATIENCE, None), "not for ever");
    assert!(
        !is_worth_waiting(Refusal::ServiceNotOffered, second, Some(LINK_YOUNG)),
        "an old link knows them all"
    );
    assert!(!is_worth_waiting(Refusal::ServiceNotOffered, second, None));
}

proptest! {
    /// Whatever the planes answer: a race asks each plane twice at most, and ends.
    #[test]
    fn every_race_ends(planes in 1..3usize, hedged in any::<bool>(), answers in prop::collection::vec(0..Refusal::ALL.len(), 8)) {
        let mut race = Race::new((0..planes).collect(), true);
        let (mut asked, mut open) = (Vec::new(), Vec::new());
        let mut step = race.begin();
        let mut answers = answers.into_iter();
        loop {
            match step {
                Step::Ask(plane) => {
                    asked.push(plane);
                    open.push(plane);
                    step = if hedged && asked.len() == 1 { race.handle_late() } else { Step::Wait };
                }
                Step::Wait => {
                    prop_assert!(!open.is_empty(), "waits for somebody");
                    let answer = Refusal::ALL[answers.next().unwrap()];
                    step = race.handle_refusal(open.remove(0), answer);
                }
                Step::Refused(_) => break,
            }
        }
        prop_assert!((0..planes).all(|plane| asked.iter().filter(|asked| **asked == plane).count() <= 2));
    }
}
