//! Levels: up at once, down slowly, and what each sheds.

use super::*;

const CALM_NS: u64 = CALM.as_nanos() as u64;
const T0: Moment = Moment::from_nanos(9_000_000_000);

fn with(signal: Signal, value: u32) -> [u32; 4] {
    let mut readings = [0; 4];
    readings[signal as usize] = value;
    readings
}

#[test]
fn each_signal_alone_reaches_each_level_at_its_mark_and_not_below() {
    let thresholds = Thresholds::default();
    for signal in Signal::ALL {
        for (mark, level) in thresholds.0[signal as usize].into_iter().zip(&Level::ALL[1..]) {
            let mut gauge = Gauge::default();
            assert_eq!(gauge.feel(&thresholds, &with(signal, mark), T0), *level);
            assert_eq!(gauge.by(), Some(signal));
            assert!(Gauge::default().feel(&thresholds, &with(signal, mark - 1), T0) < *level);
        }
        assert_eq!(Gauge::default().feel(&Thresholds::NEVER, &with(signal, u32::MAX - 1), T0), Level::Calm);
    }
}

#[test]
fn it_falls_one_level_at_a_time_each_after_a_while_of_calm() {
    let (thresholds, mut gauge) = (Thresholds::default(), Gauge::default());
    assert_eq!(gauge.feel(&thresholds, &with(Signal::Lag, 9_999), T0), Level::Severe);
    let calm = [0; 4];
    assert_eq!(gauge.feel(&thresholds, &calm, T0), Level::Severe);
    assert_eq!(gauge.feel(&thresholds, &calm, T0.plus_nanos(CALM_NS - 1)), Level::Severe);
    for (times, level) in [(1, Level::High), (2, Level::Raised), (3, Level::Calm), (4, Level::Calm)] {
        assert_eq!(gauge.feel(&thresholds, &calm, T0.plus_nanos(times * CALM_NS)), level);
    }
    assert_eq!(gauge.by(), None);
}

#[test]
fn a_reading_between_the_marks_keeps_a_level_and_reaches_none() {
    let (thresholds, mut gauge) = (Thresholds::default(), Gauge::default());
    let mark = thresholds.0[Signal::Memory as usize][0];
    let between = with(Signal::Memory, mark - 1);
    assert_eq!(gauge.feel(&thresholds, &between, T0), Level::Calm);
    gauge.feel(&thresholds, &with(Signal::Memory, mark), T0);
    for times in 1..20 {
        assert_eq!(gauge.feel(&thresholds, &between, T0.plus_nanos(times * CALM_NS)), Level::Raised);
    }
    let below = with(Signal::Memory, mark * 9 / 10 - 1);
    assert_eq!(gauge.feel(&thresholds, &below, T0.plus_nanos(20 * CALM_NS)), Level::Raised);
    assert_eq!(gauge.feel(&thresholds, &below, T0.plus_nanos(21 * CALM_NS)), Level::Calm);
}

#[test]
fn a_relapse_begins_the_wait_anew() {
    let (thresholds, mut gauge) = (Thresholds::default(), Gauge::default());
    let hard = with(Signal::Queue, 100);
    gauge.feel(&thresholds, &hard, T0);
    gauge.feel(&thresholds, &[0; 4], T0);
    gauge.feel(&thresholds, &hard, T0.plus_nanos(CALM_NS - 1));
    assert_eq!(gauge.feel(&thresholds, &[0; 4], T0.plus_nanos(CALM_NS)), Level::Raised);
    assert_eq!(gauge.feel(&thresholds, &[0; 4], T0.plus_nanos(2 * CALM_NS)), Level::Calm);
}

#[test]
fn a_standing_queue_that_any_core_reports_is_felt_once_and_every_shed_is_counted() {
    let pressure = Pressure::new(Thresholds::default());
    assert!(pressure.pretends() && pressure.delays() && !pressure.asks_retry());
    assert_eq!(pressure.idle_max(), IDLE_MAX);
    pressure.queued(5_000);
    pressure.queued(3);
    assert_eq!(pressure.feel(0, 0, T0), Some((Level::Severe, Some(Signal::Queue))));
    assert_eq!(pressure.feel(0, 0, T0), None, "the same level is no news");
    assert!(!pressure.pretends() && !pressure.delays() && pressure.asks_retry());
    assert!(pressure.idle_max() < IDLE_MAX / 6 && pressure.handshake_max() < HANDSHAKE_MAX);
    let status = pressure.status();
    assert_eq!((status.level, status.by, status.raised_total), (Level::Severe, Some(Signal::Queue), 1));
    let shed = |what| status.shed.iter().find(|(shed, _)| *shed == what).unwrap().1;
    assert_eq!(
        (shed(Shed::Pretense), shed(Shed::Delay), shed(Shed::Retry), shed(Shed::Newcomer)),
        (1, 1, 1, 0)
    );
}
