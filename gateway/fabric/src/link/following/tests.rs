//! One plane's dialing, without a socket.

use proptest::prelude::*;

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn plane_of(names: &[&str]) -> Following {
    Following::new(names.iter().copied(), ms(0))
}

fn dials(following: &mut Following, now: Duration) -> Vec<usize> {
    std::iter::from_fn(|| following.poll_dial(now)).collect()
}

#[test]
fn a_search_dials_every_hub_at_once_and_each_only_once_at_a_time() {
    let mut following = plane_of(&["a1", "a2", "a3"]);
    assert_eq!(following.poll_timeout(), Some(ms(0)));
    assert_eq!(dials(&mut following, ms(0)), [0, 1, 2]);
    assert_eq!((dials(&mut following, ms(9_000)).len(), following.poll_timeout()), (0, None));
}

#[test]
fn the_first_who_proves_a_term_is_followed_and_nobody_else_is_dialed_then() {
    let mut following = plane_of(&["a1", "a2", "a3"]);
    dials(&mut following, ms(0));
    assert_eq!(following.handle_welcome(1, 7, ms(5), 0), Ok(()));
    following.handle_failure(0, ms(6), 0);
    following.handle_standby(2, 7, "a2", ms(6), 0);
    assert_eq!((following.term(), following.poll_timeout()), (7, None));
    assert!(dials(&mut following, ms(60_000)).is_empty());
}

#[test]
fn pauses_grow_from_25_to_250_ms_and_in_an_old_search_to_two_seconds() {
    let mut following = plane_of(&["a1"]);
    let (mut now, mut pauses) = (ms(0), Vec::new());
    while now < ms(20_000) {
        assert_eq!(dials(&mut following, now), [0]);
        following.handle_failure(0, now, u32::MAX);
        let due = following.poll_timeout().unwrap();
        assert!(dials(&mut following, due - ms(1)).is_empty(), "not before it is due");
        pauses.push((due - now).as_millis());
        now = due;
    }
    assert_eq!(pauses[..5], [25, 50, 100, 200, 250]);
    assert_eq!(pauses.last(), Some(&2000));
    assert!(pauses.is_sorted());
}

#[test]
fn the_dice_shorten_a_pause_by_half_at_most() {
    let due = |dice| {
        let mut following = plane_of(&["a1"]);
        dials(&mut following, ms(0));
        following.handle_failure(0, ms(0), dice);
        following.poll_timeout().unwrap()
    };
    assert_eq!((due(0), due(u32::MAX)), (SEARCH_FIRST / 2, SEARCH_FIRST));
}

#[test]
fn a_hint_has_the_named_hub_dialed_without_its_pause() {
    let mut following = plane_of(&["a1", "a2"]);
    dials(&mut following, ms(0));
    for now in [0, 100, 300, 600] {
        following.handle_failure(1, ms(now), u32::MAX);
        let due = following.poll_timeout().unwrap();
        dials(&mut following, due);
    }
    following.handle_failure(1, ms(900), u32::MAX);
    assert_eq!(following.poll_timeout(), Some(ms(1150)));
    following.handle_standby(0, 3, "a2", ms(901), u32::MAX);
    assert_eq!(dials(&mut following, ms(901)), [1], "a1 says that it is a2");
}

#[test]
fn hints_never_make_a_storm() {
    let mut following = plane_of(&["a1", "a2", "a3"]);
    dials(&mut following, ms(0));
    let mut count = 0;
    for now in 1..1000 {
        // Both claim that a3 is the active; a3 denies it.
        following.handle_standby(2, 5, "", ms(now), 0);
        following.handle_standby(0, 5, "a3", ms(now), 0);
        following.handle_standby(1, 5, "a3", ms(now), 0);
        count += dials(&mut following, ms(now)).iter().filter(|index| **index == 2).count();
    }
    assert!((20..=40).contains(&count), "every 25 ms at most: {count}");
}

#[test]
fn a_hint_that_names_itself_a_stranger_or_an_old_term_changes_nothing() {
    for (term, name) in [(9, "a1"), (9, "elsewhere"), (9, ""), (6, "a2")] {
        let mut following = plane_of(&["a1", "a2"]);
        dials(&mut following, ms(0));
        following.handle_welcome(1, 7, ms(0), 0).unwrap();
        following.handle_lost(ms(1), u32::MAX);
        assert_eq!(dials(&mut following, ms(26)), [1], "a1 is still being dialed");
        following.handle_failure(1, ms(26), u32::MAX);
        let due = following.poll_timeout();
        following.handle_standby(0, term, name, ms(26), u32::MAX);
        assert_eq!(following.poll_timeout(), due, "{term} {name}");
    }
}

#[test]
fn an_older_term_than_the_highest_proven_is_refused_for_good() {
    let mut following = plane_of(&["a1", "a2"]);
    dials(&mut following, ms(0));
    following.handle_welcome(0, 7, ms(0), 0).unwrap();
    assert_eq!(following.handle_welcome(1, 6, ms(1), 0), Err(Refusal::TermStale));
    following.handle_lost(ms(2), 0);
    dials(&mut following, ms(3));
    assert_eq!(following.handle_welcome(1, 6, ms(4), 0), Err(Refusal::TermStale));
    assert_eq!(following.handle_welcome(0, 7, ms(4), 0), Ok(()), "the same term of the same hub holds");
    assert_eq!(following.term(), 7);
}

#[test]
fn of_two_that_claim_one_term_the_first_is_kept() {
    let mut following = plane_of(&["a1", "a2"]);
    dials(&mut following, ms(0));
    following.handle_welcome(0, 7, ms(0), 0).unwrap();
    assert_eq!(following.handle_welcome(1, 7, ms(0), 0), Err(Refusal::TermStale));
}

#[test]
fn while_the_link_is_suspect_the_others_are_dialed_and_a_higher_term_takes_over() {
    let mut following = plane_of(&["a1", "a2", "a3"]);
    dials(&mut following, ms(0));
    following.handle_failure(1, ms(0), 0);
    following.handle_failure(2, ms(0), 0);
    following.handle_welcome(0, 7, ms(0), 0).unwrap();
    following.handle_suspicion(true, ms(1000));
    assert_eq!(dials(&mut following, ms(1000)), [1, 2], "never the suspect itself: it has its link");
    following.handle_suspicion(false, ms(1050));
    following.handle_standby(1, 7, "a1", ms(1060), 0);
    assert!(dials(&mut following, ms(5000)).is_empty(), "it was heard again");

    following.handle_suspicion(true, ms(6000));
    assert_eq!(dials(&mut following, ms(6000)), [1]);
    assert_eq!(following.handle_welcome(2, 8, ms(6010), 0), Ok(()), "the dial of before");
    assert_eq!((following.term(), following.poll_timeout()), (8, None));
}

#[test]
fn whoever_is_lost_is_searched_for_quickly_again() {
    let mut following = plane_of(&["a1", "a2"]);
    dials(&mut following, ms(0));
    following.handle_failure(1, ms(0), 0);
    following.handle_welcome(0, 1, ms(0), 0).unwrap();
    following.handle_lost(ms(3_600_000), u32::MAX);
    assert_eq!(following.poll_timeout(), Some(ms(3_600_025)));
    assert_eq!(dials(&mut following, ms(3_600_025)), [0, 1]);
}

#[derive(Clone, Copy, Debug)]
enum Input {
    Welcome(usize, u64),
    Standby(usize, u64, usize),
    Failure(usize),
    Lost,
    Suspicion(bool),
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        (0..3usize, 0..6u64).prop_map(|(hub, term)| Input::Welcome(hub, term)),
        (0..3usize, 0..6u64, 0..3usize).prop_map(|(hub, term, named)| Input::Standby(hub, term, named)),
        (0..3usize).prop_map(Input::Failure),
        Just(Input::Lost),
        any::<bool>().prop_map(Input::Suspicion),
    ]
}

proptest! {
    /// Whatever hubs answer: the term never falls, nothing is dialed twice at once, and a search never ends by itself.
    #[test]
    fn a_search_goes_on_until_it_is_over(steps in prop::collection::vec((input(), 0..400u64, any::<u32>()), 1..200)) {
        const NAMES: [&str; 3] = ["a1", "a2", "a3"];
        let mut following = plane_of(&NAMES);
        let (mut now, mut dialing, mut linked) = (ms(0), [false; 3], false);
        for (input, later, dice) in steps {
            now += ms(later);
            for index in dials(&mut following, now) {
                prop_assert!(!std::mem::replace(&mut dialing[index], true), "dialed twice at once");
            }
            let before = following.term();
            match input {
                Input::Welcome(hub, term) if dialing[hub] => {
                    dialing[hub] = false;
                    let followed = following.handle_welcome(hub, term, now, dice);
                    prop_assert_eq!(followed.is_ok() && term < before, false);
                    linked |= followed.is_ok();
                }
                Input::Standby(hub, term, named) if dialing[hub] => {
                    dialing[hub] = false;
                    following.handle_standby(hub, term, NAMES[named], now, dice);
                }
                Input::Failure(hub) if dialing[hub] => {
                    dialing[hub] = false;
                    following.handle_failure(hub, now, dice);
                }
                Input::Lost => {
                    following.handle_lost(now, dice);
                    linked = false;
                }
                Input::Suspicion(is_suspect) => following.handle_suspicion(is_suspect, now),
                Input::Welcome(..) | Input::Standby(..) | Input::Failure(_) => {}
            }
            prop_assert!(following.term() >= before);
            let idle = dialing.iter().any(|dialing| !dialing);
            prop_assert!(linked || !idle || following.poll_timeout().is_some_and(|due| due <= now + REDIAL_MAX));
        }
    }
}
