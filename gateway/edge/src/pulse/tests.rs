//! A pulse under a clock that stands still until told.

use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_idle_connection_loses_patience_after_idle_max_whatever_small_talk_comes() {
    let pulse = Pulse::new();
    advance(IDLE_MAX - SECOND).await;
    pulse.came(17);
    pulse.went(17);
    assert_eq!((pulse.waits(), pulse.patience()), (Waits::Idle, SECOND));
    advance(SECOND).await;
    assert_eq!(pulse.patience(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_head_is_counted_from_its_first_byte_and_dripping_does_not_prolong_it() {
    let pulse = Pulse::new();
    pulse.time_heads();
    advance(SECOND * 20).await;
    assert_eq!(pulse.patience(), IDLE_MAX - SECOND * 20);
    pulse.came(1);
    assert_eq!((pulse.waits(), pulse.patience()), (Waits::Head, HEAD_MAX));
    for _ in 0..HEAD_MAX.as_secs() {
        advance(SECOND).await;
        pulse.came(1);
    }
    assert_eq!(pulse.patience(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_may_take_its_time_as_long_as_bytes_move() {
    let pulse = Pulse::new();
    pulse.time_heads();
    pulse.came(100);
    let mut request = pulse.request();
    for _ in 0..10 {
        advance(STALL_MAX - SECOND).await;
        assert_eq!(pulse.patience(), SECOND);
        pulse.went(1);
    }
    advance(STALL_MAX).await;
    assert_eq!(pulse.patience(), Duration::ZERO);
    request.answered();
    drop(request);
    assert_eq!((pulse.waits(), pulse.patience()), (Waits::Idle, IDLE_MAX));
}

#[tokio::test(start_paused = true)]
async fn withdrawing_up_to_the_bound_is_a_clients_right_and_one_more_is_the_end() {
    let pulse = Pulse::new();
    for _ in 0..2 {
        advance(WITHDRAWN_SPAN + SECOND).await;
        for _ in 0..WITHDRAWN_MAX {
            drop(pulse.request());
        }
        assert!(!pulse.end.is_cancelled());
    }
    advance(WITHDRAWN_SPAN + SECOND).await;
    for _ in 0..WITHDRAWN_MAX * 10 {
        let mut request = pulse.request();
        request.answered();
    }
    assert!(!pulse.end.is_cancelled(), "what was answered was not withdrawn");
    for _ in 0..=WITHDRAWN_MAX {
        drop(pulse.request());
    }
    assert_eq!(pulse.ended().await, Some(Reason::RateLease));
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_read_by_drops_are_given_up_after_a_stalls_time_and_those_read_slowly_are_not() {
    let (drops, slow) = (Pulse::new(), Pulse::new());
    for pulse in [&drops, &slow] {
        pulse.stall_without_progress();
        [true, true, false].into_iter().for_each(|waits| pulse.answer_waits(waits));
    }
    for second in 0..=STALL_MAX.as_secs() {
        assert!(!drops.is_dragging() && !slow.is_dragging(), "{second}");
        advance(SECOND).await;
        drops.went(1);
        slow.went(crate::bounds::PACE_MIN as usize);
    }
    assert!(drops.is_dragging() && !slow.is_dragging());
    let quick = Pulse::new();
    for _ in 0..2 {
        quick.answer_waits(true);
        advance(STALL_MAX / 2).await;
        quick.answer_waits(false);
        advance(STALL_MAX).await;
        assert!(!quick.is_dragging(), "who read on is not waited for");
    }
}
