//! The watch, on a clock of numbers: each threshold from both sides, and a process that stops in the middle.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const US: Duration = Duration::from_micros(1);

/// A lane of which the first ping was answered at once.
fn near(pace: Pace) -> Liveness {
    let mut watch = Liveness::new(pace);
    let nonce = ring(&mut watch, Duration::ZERO).ping.unwrap();
    watch.handle_bytes(Duration::ZERO);
    watch.handle_pong(nonce, Duration::ZERO);
    assert_eq!(watch.srtt(), Some(Duration::ZERO));
    watch
}

/// The alarm goes at `now`, and nothing had arrived.
fn ring(watch: &mut Liveness, now: Duration) -> Judgement {
    watch.handle_alarm(now);
    watch.judge(now)
}

/// Rings every alarm on time until `until`; the first judgement that ends the lane or casts suspicion, and when.
fn run(watch: &mut Liveness, until: Duration) -> Option<(Duration, Judgement)> {
    while watch.alarm() <= until {
        let now = watch.alarm();
        let judgement = ring(watch, now);
        if judgement.end.is_some() || judgement.is_newly_suspect {
            return Some((now, judgement));
        }
        assert!(watch.alarm() > now, "an alarm that is set again for now rings for ever");
    }
    None
}

#[test]
fn a_silent_control_lane_is_suspect_after_its_time_and_lost_after_the_probes_and_not_a_moment_before() {
    for pace in [Pace::Fast, Pace::Attentive] {
        let mut watch = near(pace);
        let heard = 7 * MS;
        watch.handle_bytes(heard);
        assert_eq!(run(&mut watch, heard + SUSPECT_AFTER - US), None);
        assert!(!watch.is_in_doubt());
        let (suspected, judgement) = run(&mut watch, heard + SUSPECT_AFTER).unwrap();
        assert_eq!((suspected, judgement.end), (heard + SUSPECT_AFTER, None));
        assert!(judgement.ping.is_some(), "a probe asks at once");
        assert!(watch.is_in_doubt());
        assert_eq!(run(&mut watch, suspected + PROBE_MAX - US), None);
        let (lost, judgement) = run(&mut watch, suspected + PROBE_MAX).unwrap();
        assert_eq!((lost, judgement.end), (suspected + PROBE_MAX, Some(LaneEnd::Silent)));
    }
}

#[test]
fn a_byte_ends_the_suspicion_and_the_time_begins_anew() {
    let mut watch = near(Pace::Fast);
    let (suspected, _) = run(&mut watch, MS * 1000).unwrap();
    let heard = suspected + PROBE_MAX - US;
    assert_eq!(run(&mut watch, heard), None);
    watch.handle_bytes(heard);
    assert!(!watch.is_in_doubt());
    assert_eq!(run(&mut watch, heard + SUSPECT_AFTER - US), None);
    assert_eq!(run(&mut watch, heard + SUSPECT_AFTER).unwrap().0, heard + SUSPECT_AFTER);
}

#[test]
fn a_dialer_pings_ten_times_a_second_and_a_listener_that_hears_them_only_to_learn_the_round_trip() {
    let (mut dialer, mut listener) = (Liveness::new(Pace::Fast), Liveness::new(Pace::Attentive));
    let (mut pings, mut back) = (0, 0);
    while dialer.alarm() < MS * 10_000 {
        let now = dialer.alarm();
        if let Some(nonce) = ring(&mut dialer, now).ping {
            pings += 1;
            listener.handle_bytes(now);
            dialer.handle_bytes(now);
            dialer.handle_pong(nonce, now);
        }
        while listener.alarm() <= now {
            let judgement = listener.judge_at_alarm();
            assert_eq!((judgement.end, judgement.is_newly_suspect), (None, false));
            if let Some(nonce) = judgement.ping {
                back += 1;
                listener.handle_pong(nonce, now);
            }
        }
    }
    assert_eq!((pings, back), (100, 2));
}

#[test]
fn the_other_lanes_ask_seldom_are_never_suspect_by_themselves_and_lost_only_after_long() {
    let mut watch = near(Pace::Slow);
    let mut asked = Vec::new();
    let lost = loop {
        let now = watch.alarm();
        let judgement = ring(&mut watch, now);
        assert!(!judgement.is_newly_suspect);
        asked.extend(judgement.ping.map(|_| now));
        if let Some(end) = judgement.end {
            break (now, end);
        }
    };
    assert_eq!(asked, [PING_SLOW, PING_SLOW * 2, SILENT_MAX]);
    assert_eq!(lost, (SILENT_MAX, LaneEnd::Silent));
}

#[test]
fn a_probed_lane_asks_once_and_is_lost_without_an_answer() {
    let mut watch = near(Pace::Slow);
    let probed = 1234 * MS;
    watch.handle_probe(probed);
    watch.handle_probe(probed);
    assert_eq!(watch.alarm(), probed);
    assert!(ring(&mut watch, probed).ping.is_some());
    watch.handle_probe(probed + 100 * MS);
    let mut pings = 0;
    while watch.alarm() < probed + PROBE_MAX {
        let judgement = watch.judge_at_alarm();
        pings += usize::from(judgement.ping.is_some());
        assert_eq!(judgement.end, None);
    }
    assert_eq!((watch.alarm(), pings), (probed + PROBE_MAX, 0), "a second doubt does not lengthen the first");
    assert_eq!(watch.judge_at_alarm().end, Some(LaneEnd::Silent));
}

#[test]
fn our_own_stop_counts_for_nothing_but_what_the_far_side_kept_silent_before_still_does() {
    let mut watch = near(Pace::Fast);
    // True silence, then this process stops for a minute, in the middle of a wait.
    assert_eq!(run(&mut watch, 199 * MS), None);
    let due = watch.alarm();
    assert_eq!(due, 200 * MS);
    let awake = due + Duration::from_secs(60);
    let judgement = ring(&mut watch, awake);
    assert_eq!((judgement.end, judgement.is_newly_suspect), (None, false));
    let rest = SUSPECT_AFTER - due;
    assert_eq!(run(&mut watch, awake + rest - US), None);
    assert_eq!(run(&mut watch, awake + rest).unwrap().0, awake + rest);
}

#[test]
fn what_arrived_during_our_stop_is_a_sign_of_life() {
    let mut watch = near(Pace::Fast);
    let (suspected, _) = run(&mut watch, 1000 * MS).unwrap();
    let awake = suspected + Duration::from_secs(5);
    watch.handle_alarm(awake);
    watch.handle_bytes(awake);
    assert_eq!(watch.judge(awake).end, None);
    assert!(!watch.is_in_doubt());
}

#[test]
fn the_round_trip_is_smoothed_knows_only_our_own_pings_and_not_our_own_stops() {
    let mut watch = Liveness::new(Pace::Fast);
    let first = ring(&mut watch, Duration::ZERO).ping.unwrap();
    watch.handle_pong(first + 1, 3 * MS);
    assert_eq!(watch.srtt(), None, "no ping of ours");
    watch.handle_pong(first, 8 * MS);
    assert_eq!(watch.srtt(), Some(8 * MS));
    watch.handle_pong(first, 9 * MS);
    assert_eq!(watch.srtt(), Some(8 * MS), "an answer counts once");
    let second = ring(&mut watch, PING_FAST).ping.unwrap();
    let due = watch.alarm();
    watch.handle_alarm(due + 1000 * MS);
    watch.handle_pong(second, due + 1000 * MS);
    let sample = due - PING_FAST;
    assert_eq!(watch.srtt(), Some((8 * MS * 7 + sample) / 8));
}

#[test]
fn the_shortest_round_trip_falls_at_once_and_rises_only_over_minutes() {
    let mut watch = Liveness::new(Pace::Fast);
    let mut now = Duration::ZERO;
    let mut sample = |round_trip: Duration| {
        watch.handle_bytes(now);
        let nonce = ring(&mut watch, now).ping.unwrap();
        watch.handle_pong(nonce, now + round_trip);
        now += PING_FAST;
        watch.least().unwrap()
    };
    assert_eq!(sample(20 * MS), 20 * MS);
    assert_eq!(sample(2 * MS), 2 * MS);
    let busy = (0..100).map(|_| sample(40 * MS)).last().unwrap();
    assert!(busy > 2 * MS && busy < 3 * MS, "ten busy seconds are not the way itself: {busy:?}");
    let changed = (0..20_000).map(|_| sample(40 * MS)).last().unwrap();
    assert!(changed > 39 * MS, "a way that is longer for good is believed: {changed:?}");
    assert_eq!(sample(MS), MS);
}

#[test]
fn a_far_hub_gets_two_round_trips_more_and_a_slow_answerer_no_more_than_the_bound() {
    for (rtt, patience) in [(40 * MS, 80 * MS), (700 * MS, PATIENCE_MAX)] {
        let mut watch = Liveness::new(Pace::Fast);
        let nonce = ring(&mut watch, Duration::ZERO).ping.unwrap();
        assert_eq!(run(&mut watch, rtt), None);
        watch.handle_bytes(rtt);
        watch.handle_pong(nonce, rtt);
        let (suspected, _) = run(&mut watch, Duration::from_secs(60)).unwrap();
        assert_eq!(suspected, rtt + SUSPECT_AFTER + patience);
        assert_eq!(run(&mut watch, Duration::from_secs(60)).unwrap().0, suspected + PROBE_MAX + patience);
    }
}

#[test]
fn unanswered_pings_are_bounded() {
    let mut watch = Liveness::new(Pace::Fast);
    for n in 0..1000 {
        watch.handle_bytes(n * PING_FAST);
        ring(&mut watch, n * PING_FAST);
        assert!(watch.pings.len() <= PINGS_UNANSWERED);
    }
}

#[test]
fn a_far_side_that_takes_nothing_is_stalled_after_its_time_and_any_progress_begins_it_anew() {
    let mut watch = near(Pace::Slow);
    let mut now = Duration::ZERO;
    let mut talk = |watch: &mut Liveness, until: Duration| {
        // It talks all the time, but does not read.
        while now < until {
            now = until.min(now + 50 * MS).min(watch.alarm().max(now + US));
            watch.handle_bytes(now);
            if now >= watch.alarm() {
                let judgement = ring(watch, now);
                if judgement.end.is_some() {
                    return judgement.end;
                }
            }
        }
        None
    };
    watch.handle_backlog(true, Duration::ZERO);
    watch.handle_backlog(true, STALLED_MAX / 2);
    assert_eq!(talk(&mut watch, STALLED_MAX - US), None);
    watch.handle_backlog(false, STALLED_MAX - US);
    watch.handle_backlog(true, STALLED_MAX - US);
    assert_eq!(talk(&mut watch, STALLED_MAX * 2 - 2 * US), None);
    let stalled = talk(&mut watch, STALLED_MAX * 2 + PING_SLOW);
    assert_eq!(stalled, Some(LaneEnd::Stalled));
}

impl Liveness {
    fn judge_at_alarm(&mut self) -> Judgement {
        let now = self.alarm();
        ring(self, now)
    }
}

/// A lane whose far side lives or died at some time, watched by a process that stops now and then.
///
/// `stops`: (after so many alarms, for so long). The far side answers a ping after `rtt` until `dies`. Returns when the
/// lane was lost.
fn watched(
    pace: Pace,
    stops: &[(u8, u16)],
    rtt: Duration,
    dies: Option<Duration>,
    until: Duration,
) -> Option<Duration> {
    let mut watch = Liveness::new(pace);
    let (mut now, mut stops, mut calm) = (Duration::ZERO, stops.iter(), 0u8);
    let (mut arriving, mut far_pings) = (VecDeque::<(Duration, u64)>::new(), Duration::ZERO);
    let mut stop = stops.next();
    while now < until {
        // Awake at the next alarm or the next arrival; a stop makes that later.
        let pinged =
            (pace == Pace::Attentive && dies.is_none_or(|dies| far_pings < dies)).then_some(far_pings);
        let arrival = arriving.front().map(|(at, _)| *at).into_iter().chain(pinged).min();
        now = arrival.map_or(watch.alarm(), |at| watch.alarm().min(at)).max(now);
        calm = calm.saturating_add(1);
        if let Some((after, length)) = stop
            && calm > *after
        {
            now += MS * u32::from(*length);
            calm = 0;
            stop = stops.next();
        }
        let rang = now >= watch.alarm();
        if rang {
            watch.handle_alarm(now);
        }
        while pace == Pace::Attentive && far_pings <= now {
            if dies.is_none_or(|dies| far_pings < dies) {
                watch.handle_bytes(now);
            }
            far_pings += PING_FAST;
        }
        while arriving.front().is_some_and(|(at, _)| *at <= now) {
            let (_, nonce) = arriving.pop_front().unwrap();
            watch.handle_bytes(now);
            watch.handle_pong(nonce, now);
        }
        if rang {
            let judgement = watch.judge(now);
            if judgement.end.is_some() {
                return Some(now);
            }
            if let Some(nonce) = judgement.ping
                && dies.is_none_or(|dies| now + rtt / 2 < dies)
            {
                arriving.push_back((now + rtt, nonce));
            }
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn a_living_far_side_is_never_lost_however_this_process_is_stopped(
        stops in vec((0u8..20, 1u16..5_000), 0..60), rtt in 0u64..240, attentive: bool,
    ) {
        let pace = if attentive { Pace::Attentive } else { Pace::Fast };
        let until = Duration::from_secs(120);
        prop_assert_eq!(watched(pace, &stops, Duration::from_millis(rtt), None, until), None);
    }

    #[test]
    fn a_dead_far_side_is_lost_within_its_time_and_that_of_our_stops(
        stops in vec((0u8..20, 1u16..2_000), 0..20), rtt in 0u64..240, attentive: bool, dies in 0u64..10_000,
    ) {
        let pace = if attentive { Pace::Attentive } else { Pace::Fast };
        let (rtt, dies) = (Duration::from_millis(rtt), Duration::from_millis(dies));
        let stopped: Duration = stops.iter().map(|(_, length)| MS * u32::from(*length)).sum();
        // It may die before it ever answered. A stop that ends before an alarm is due leaves no trace but in the round
        // trip that was measured meanwhile.
        let known = dies > rtt * 2 + stopped;
        let patience = if known { (2 * (rtt + stopped)).min(PATIENCE_MAX) } else { PATIENCE_MAX };
        let lost = watched(pace, &stops, rtt, Some(dies), Duration::from_secs(120));
        let bound = dies + stopped + rtt + SUSPECT_AFTER + PROBE_MAX + 2 * patience + MS;
        prop_assert!(lost.is_some_and(|lost| lost >= dies && lost <= bound), "{lost:?} {bound:?}");
    }
}
