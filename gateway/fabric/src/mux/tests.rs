//! Two muxes joined by a schedule, and each violation by itself.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

use crate::bounds::{CREDIT_MAX, SEND_QUEUE, WINDOW_INITIAL, WINDOW_MAX, WINDOW_ROUND_TRIPS};
use crate::refusal::Violation;
use crate::wire::{Resume, VERSION};

type Lane = Mux<()>;

fn ask(service: &str) -> Open {
    Open { service: service.into(), ..Open::default() }
}

fn asked(stream: u32) -> Frame {
    Frame::Open { stream, open: Box::new(ask("s")) }
}

fn offer(services: &[&str]) -> Frame {
    Frame::Offer(Offering {
        services: services.iter().map(|name| (*name).into()).collect(),
        ..Offering::default()
    })
}

fn pair() -> (Lane, Lane) {
    (Mux::new(Side::Dialer, true), Mux::new(Side::Listener, true))
}

/// Moves up to `most` frames from one side to the other and accepts what comes in.
fn carry(from: &mut Lane, to: &mut Lane, most: usize) -> usize {
    for moved in 0..most {
        let Some(frame) = from.poll_frame() else { return moved };
        if let Event::Incoming { stream, .. } = to.handle_frame(frame).unwrap() {
            to.accept(stream, Opened::default());
        }
    }
    most
}

fn settle(a: &mut Lane, b: &mut Lane) {
    while carry(a, b, 1000) + carry(b, a, 1000) > 0 {}
}

fn opened() -> (Lane, Lane, u32) {
    let (mut a, mut b) = pair();
    let stream = a.open(ask("web")).unwrap();
    settle(&mut a, &mut b);
    assert_eq!(a.take_opened(stream), Ok(Some(Opened::default())));
    (a, b, stream)
}

fn read_all(mux: &mut Lane, stream: u32) -> Vec<u8> {
    let mut slices = VecDeque::new();
    while let Reading::Moved(_) = mux.take(stream, 1 << 20, &mut slices) {}
    slices.iter().flatten().copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_the_schedule_bytes_arrive_in_order_and_whole(
        streams in 1usize..6,
        steps in vec((0u8..6, 0usize..6, 1usize..150_000), 1..300),
        start in prop_oneof![Just(0u32), Just(u32::MAX - 5)],
    ) {
        let (mut a, mut b) = pair();
        a.ids.start_at(start | 1, start & !1);
        b.ids.start_at(start & !1, start | 1);
        let ids: Vec<u32> = (0..streams)
            .map(|n| if n % 2 == 0 { a.open(ask("s")).unwrap() } else { b.open(ask("s")).unwrap() })
            .collect();
        settle(&mut a, &mut b);
        // Byte n of direction d of stream s is a function of (s, d, n): the model needs only counts.
        let byte = |s: usize, d: usize, n: usize| (n * 31 + n / 251 * 7 + s * 13 + d) as u8;
        let mut written = vec![[0usize; 2]; streams];
        let mut read = vec![[0usize; 2]; streams];
        for (step, s, size) in steps {
            let (s, id) = (s % streams, ids[s % streams]);
            match step {
                0 | 1 => {
                    let (d, mux) = if step == 0 { (0, &mut a) } else { (1, &mut b) };
                    let bytes: Vec<u8> = (0..size).map(|n| byte(s, d, written[s][d] + n)).collect();
                    let took = if size % 2 == 0 { mux.write_copy(id, &bytes).unwrap() } else {
                        mux.write(id, &mut Bytes::from(bytes)).unwrap()
                    };
                    written[s][d] += took;
                    prop_assert!(written[s][d] - read[s][d] <= (SEND_QUEUE + 2 * WINDOW_MAX as usize));
                }
                2 | 3 => {
                    let (d, mux) = if step == 2 { (1, &mut a) } else { (0, &mut b) };
                    let mut room = vec![0; size];
                    if let Reading::Moved(count) = mux.read_into(id, &mut &mut room[..]) {
                        for (n, seen) in room[..count].iter().enumerate() {
                            prop_assert_eq!(*seen, byte(s, d, read[s][d] + n));
                        }
                        read[s][d] += count;
                    }
                }
                4 => { carry(&mut a, &mut b, size % 20); }
                _ => { carry(&mut b, &mut a, size % 20); }
            }
        }
        for (s, id) in ids.iter().enumerate() {
            a.finish(*id);
            b.finish(*id);
            for _ in 0..40 {
                settle(&mut a, &mut b);
                for (d, mux) in [(1, &mut a), (0, &mut b)] {
                    for seen in read_all(mux, *id) {
                        prop_assert_eq!(seen, byte(s, d, read[s][d]));
                        read[s][d] += 1;
                    }
                }
            }
            prop_assert_eq!(written[s], read[s]);
            prop_assert_eq!(a.read_into(*id, &mut &mut [0u8; 8][..]), Reading::End);
            prop_assert_eq!(b.read_into(*id, &mut &mut [0u8; 8][..]), Reading::End);
            a.release(*id);
            b.release(*id);
        }
        settle(&mut a, &mut b);
        prop_assert!(a.is_empty() && b.is_empty());
        prop_assert_eq!((a.growth_left, b.growth_left), (WINDOW_GROWTH_LANE, WINDOW_GROWTH_LANE));
    }

    #[test]
    fn any_frames_from_a_hostile_side_are_events_or_a_violation_and_hold_bounded_memory(
        frames in vec((0u8..8, 1u32..9, 1u32..70_000), 1..400)
    ) {
        let mut mux = Lane::new(Side::Listener, true);
        for (kind, stream, size) in frames {
            let frame = match kind {
                0 => asked(stream),
                1 => Frame::Opened { stream, opened: Opened::default() },
                2 | 3 => Frame::Data { stream, payload: Bytes::from(vec![0; (size as usize).min(65_536)]) },
                4 => Frame::Credit { stream, bytes: size },
                5 => Frame::Fin { stream },
                6 => Frame::Reset { stream, reason: Refusal::Cancelled },
                _ => Frame::Ping { nonce: u64::from(size) },
            };
            if mux.handle_frame(frame).is_err() { break; }
            let held: usize = mux.streams.values().map(|s| s.received.len() + s.unsent.len()).sum();
            prop_assert!(held <= mux.len() * WINDOW_INITIAL as usize);
            prop_assert!(mux.control.len() <= CONTROL_QUEUE);
        }
    }
}

#[test]
fn a_writer_gets_its_window_and_not_a_byte_more_until_the_reader_reads() {
    let (mut a, mut b, stream) = opened();
    let mut taken = 0;
    for _ in 0..10 {
        taken += a.write_copy(stream, &[7; 100_000]).unwrap();
        settle(&mut a, &mut b);
    }
    assert_eq!(taken, WINDOW_INITIAL as usize);
    assert_eq!(b.read_into(stream, &mut &mut vec![0; taken / 2 - 1][..]), Reading::Moved(taken / 2 - 1));
    settle(&mut a, &mut b);
    assert_eq!(a.write_copy(stream, &[7; 10]), Ok(0), "less than half a window is not yet credited");
    assert_eq!(b.read_into(stream, &mut &mut [0][..]), Reading::Moved(1));
    settle(&mut a, &mut b);
    assert_eq!(a.write_copy(stream, &[7; 10]), Ok(10));
}

#[test]
fn the_window_of_a_diligent_reader_grows_to_its_bound() {
    let (mut a, mut b, stream) = opened();
    for _ in 0..200 {
        a.write_copy(stream, &vec![1; SEND_QUEUE]).unwrap();
        settle(&mut a, &mut b);
        read_all(&mut b, stream);
        settle(&mut a, &mut b);
    }
    assert_eq!(b.growth_left, WINDOW_GROWTH_LANE - u64::from(WINDOW_MAX - WINDOW_INITIAL));
    let mut unread = 0;
    loop {
        let took = a.write_copy(stream, &vec![1; SEND_QUEUE]).unwrap();
        settle(&mut a, &mut b);
        unread += took;
        if took == 0 {
            break;
        }
    }
    assert!(unread <= WINDOW_MAX as usize && unread > WINDOW_MAX as usize / 4, "{unread}");
}

/// The window of a stream whose reader takes two windows in this time, there and back being 1 ms.
fn window_after(took: Duration) -> u64 {
    let (mut a, mut b, stream) = opened();
    let mut now = Duration::ZERO;
    for _ in 0..20 {
        let growth = WINDOW_GROWTH_LANE - b.growth_left;
        let mut left = 2 * (WINDOW_INITIAL as usize + growth as usize);
        now += took;
        b.handle_time(now, Some(Duration::from_millis(1)));
        while left > 0 {
            let count = a.write_copy(stream, &vec![1; SEND_QUEUE.min(left)]).unwrap();
            left -= count;
            settle(&mut a, &mut b);
            read_all(&mut b, stream);
            settle(&mut a, &mut b);
        }
    }
    u64::from(WINDOW_INITIAL) + WINDOW_GROWTH_LANE - b.growth_left
}

#[test]
fn a_window_grows_while_it_holds_the_stream_back_and_not_for_a_reader_that_is_slower_than_the_way() {
    let limit = Duration::from_millis(1) * WINDOW_ROUND_TRIPS;
    assert_eq!(window_after(limit), u64::from(WINDOW_MAX));
    assert_eq!(window_after(limit + Duration::from_micros(1)), u64::from(WINDOW_INITIAL));
}

#[test]
fn half_close_leaves_the_other_direction_open() {
    let (mut a, mut b, stream) = opened();
    a.write_copy(stream, b"question").unwrap();
    a.finish(stream);
    assert_eq!(a.write_copy(stream, b"x"), Err(Refusal::Cancelled));
    settle(&mut a, &mut b);
    assert_eq!(a.is_finished(stream), Ok(true));
    assert_eq!(read_all(&mut b, stream), b"question");
    assert_eq!(b.read_into(stream, &mut &mut [0][..]), Reading::End);
    b.write_copy(stream, b"answer").unwrap();
    settle(&mut a, &mut b);
    assert_eq!(read_all(&mut a, stream), b"answer");
    assert_eq!(a.read_into(stream, &mut &mut [0][..]), Reading::Empty);
}

#[test]
fn what_was_finished_before_release_is_still_delivered_and_then_the_far_side_is_told_to_stop() {
    let (mut a, mut b, stream) = opened();
    b.write_copy(stream, &[3; 50_000]).unwrap();
    b.finish(stream);
    b.release(stream);
    settle(&mut a, &mut b);
    assert!(b.is_empty());
    assert_eq!(a.write_copy(stream, b"x"), Err(Refusal::Cancelled));
    assert_eq!(read_all(&mut a, stream).len(), 50_000);
    assert_eq!(a.read_into(stream, &mut &mut [0][..]), Reading::End);
}

#[test]
fn an_unfinished_release_is_a_reset_never_an_end() {
    let (mut a, mut b, stream) = opened();
    b.write_copy(stream, &[3; 50_000]).unwrap();
    carry(&mut b, &mut a, 1);
    b.release(stream);
    settle(&mut a, &mut b);
    assert_eq!(a.read_into(stream, &mut &mut [0][..]), Reading::Reset(Refusal::Cancelled));
    assert_eq!(a.reset_reason(stream), Some(Refusal::Cancelled));
}

#[test]
fn who_waits_to_hear_that_its_end_was_taken_hears_that_nobody_is_left_to_take_it() {
    for takes in [true, false] {
        let (mut a, mut b, stream) = opened();
        a.begin_acks(stream, Position::default());
        b.begin_acks(stream, Position::default());
        b.finish(stream);
        settle(&mut a, &mut b);
        if takes {
            assert_eq!(a.read_into(stream, &mut &mut [0][..]), Reading::End);
        }
        a.finish(stream);
        a.release(stream);
        settle(&mut a, &mut b);
        assert!(a.is_empty());
        assert_eq!(b.acked(stream).is_end(), takes);
        assert_eq!(b.reset_reason(stream), (!takes).then_some(Refusal::Cancelled));
    }
}

#[test]
fn a_refused_open_carries_its_reason() {
    let (mut a, mut b) = pair();
    let open = Open { caller: "edge/x".into(), ..ask("web") };
    let stream = a.open(open.clone()).unwrap();
    let event = b.handle_frame(a.poll_frame().unwrap()).unwrap();
    assert_eq!(event, Event::Incoming { stream, open: Box::new(open) });
    b.reset(stream, Refusal::ServiceNotOffered);
    settle(&mut a, &mut b);
    assert_eq!(a.take_opened(stream), Err(Refusal::ServiceNotOffered));
}

#[test]
fn late_frames_for_a_stream_that_is_over_are_no_violation() {
    let (mut a, mut b, stream) = opened();
    a.write_copy(stream, b"late").unwrap();
    a.finish(stream);
    b.reset(stream, Refusal::Cancelled);
    settle(&mut a, &mut b);
    assert!(b.is_empty());
}

#[test]
fn each_misuse_is_named() {
    let open = asked;
    let bytes = |stream, length| Frame::Data { stream, payload: Bytes::from(vec![0; length]) };
    let window = WINDOW_INITIAL as usize;
    let cases: Vec<(Vec<Frame>, Violation)> = vec![
        (vec![bytes(1, 1)], Violation::StreamUnknown),
        (vec![Frame::Fin { stream: 2 }], Violation::StreamUnknown),
        (vec![open(2)], Violation::StreamIdMisused),
        (vec![open(1), open(1)], Violation::StreamIdMisused),
        (vec![open(5), open(3)], Violation::StreamIdMisused),
        (vec![open(1), bytes(1, window), bytes(1, 1)], Violation::CreditOverrun),
        (vec![open(1), Frame::Fin { stream: 1 }, bytes(1, 1)], Violation::AfterFin),
        (vec![open(1), Frame::Fin { stream: 1 }, Frame::Fin { stream: 1 }], Violation::AfterFin),
        (vec![open(1), Frame::Opened { stream: 1, opened: Opened::default() }], Violation::Unexpected),
        (vec![open(1), Frame::Credit { stream: 1, bytes: CREDIT_MAX as u32 }], Violation::CreditOverflow),
        (vec![offer(&[])], Violation::Unexpected),
        (vec![Frame::Notice { origin: "l".into(), offering: Offering::default() }], Violation::Unexpected),
        (vec![Frame::Standby { term: 1, active: String::new() }], Violation::Unexpected),
        (vec![open(1), Frame::Ack { stream: 1, received: at(1) }], Violation::AckBeyondSent),
        (vec![Frame::Ack { stream: 1, received: at(0) }], Violation::StreamUnknown),
        (
            vec![Frame::Welcome { version: VERSION, name: "x".into(), mandate: Bytes::new() }],
            Violation::Unexpected,
        ),
    ];
    for (mut frames, violation) in cases {
        let last = frames.pop().unwrap();
        let mut mux = Lane::new(Side::Listener, true);
        for frame in frames {
            mux.handle_frame(frame).unwrap();
        }
        assert_eq!(mux.handle_frame(last.clone()), Err(violation), "{last:?}");
    }
}

#[test]
fn bytes_before_the_answer_to_an_open_are_a_violation() {
    let (mut a, _) = pair();
    let stream = a.open(ask("web")).unwrap();
    let early = Frame::Data { stream, payload: Bytes::from_static(b"x") };
    assert_eq!(a.handle_frame(early), Err(Violation::Unexpected));
}

#[test]
fn a_control_lane_carries_offers_and_no_streams() {
    let mut control = Lane::new(Side::Listener, false);
    assert_eq!(
        control.handle_frame(offer(&["a"])),
        Ok(Event::Offer(Offering { services: vec!["a".into()], ..Offering::default() }))
    );
    let open = asked(1);
    assert_eq!(control.handle_frame(open), Err(Violation::Unexpected));
    assert_eq!(control.open(ask("s")), Err(Refusal::NotPermitted));
}

#[test]
fn the_table_of_streams_is_bounded_and_an_open_beyond_it_is_refused() {
    let (mut a, mut b) = pair();
    let ids: Vec<u32> = (0..STREAMS_LANE).map(|_| a.open(ask("s")).unwrap()).collect();
    assert_eq!(a.open(ask("s")), Err(Refusal::HubBusy));
    settle(&mut a, &mut b);
    a.release(ids[0]);
    let beyond = a.open(ask("s")).unwrap();
    let one_too_many = asked(beyond);
    assert_eq!(b.handle_frame(one_too_many), Ok(Event::Quiet));
    assert_eq!(b.poll_frame(), Some(Frame::Reset { stream: beyond, reason: Refusal::HubBusy }));
}

#[test]
fn a_flood_of_opens_that_wants_answers_and_reads_none_is_a_violation() {
    let mut mux = Lane::new(Side::Listener, true);
    let mut last = Ok(Event::Quiet);
    for n in 0..=(CONTROL_QUEUE + STREAMS_LANE) as u32 {
        last = mux.handle_frame(asked(2 * n + 1));
        assert!(mux.len() <= STREAMS_LANE && mux.control.len() <= CONTROL_QUEUE);
    }
    assert_eq!(last, Err(Violation::Flood));
}

#[test]
fn control_leaves_before_bytes_and_streams_take_turns() {
    let (mut a, mut b, first) = opened();
    let second = a.open(ask("s")).unwrap();
    settle(&mut a, &mut b);
    a.write_copy(first, &vec![0; 60_000]).unwrap();
    a.write_copy(second, &vec![0; 60_000]).unwrap();
    a.ping(9);
    assert_eq!(a.poll_frame(), Some(Frame::Ping { nonce: 9 }));
    let turns: Vec<u32> = std::iter::from_fn(|| match a.poll_frame() {
        Some(Frame::Data { stream, .. }) => Some(stream),
        _ => None,
    })
    .take(4)
    .collect();
    assert_eq!(turns, [first, second, first, second]);
}

#[test]
fn of_offers_that_wait_only_the_newest_is_sent() {
    let mut control = Lane::new(Side::Dialer, false);
    for name in ["a", "b", "c"] {
        control.announce(offer(&[name]));
    }
    assert_eq!(control.poll_frame(), Some(offer(&["c"])));
    assert_eq!(control.poll_frame(), None);
}

#[test]
fn an_open_and_its_answer_arrive_as_they_were_said() {
    let (mut a, mut b) = pair();
    let open = Open {
        session: [7; 16],
        resume: Some(Resume { at: "l1".into(), received: at(1000), attempt: 1 }),
        shape: crate::wire::Shape::Datagrams,
        origin: Bytes::from_static(b"opaque"),
        ..ask("web")
    };
    let stream = a.open(open.clone()).unwrap();
    assert_eq!(a.take_opened(stream), Ok(None));
    let event = b.handle_frame(a.poll_frame().unwrap()).unwrap();
    assert_eq!(event, Event::Incoming { stream, open: Box::new(open) });
    let opened = Opened { at: "l1".into(), received: at(2000) };
    b.accept(stream, opened.clone());
    settle(&mut a, &mut b);
    assert_eq!(a.take_opened(stream), Ok(Some(opened)));
}

#[test]
fn an_ack_reaches_the_sender_counts_from_where_the_session_was_resumed_and_never_beyond_what_was_sent() {
    let (mut a, mut b) = pair();
    let resume = Some(Resume { at: "l1".into(), received: at(1000), attempt: 1 });
    let stream = a.open(Open { resume, ..ask("web") }).unwrap();
    b.handle_frame(a.poll_frame().unwrap()).unwrap();
    b.accept(stream, Opened { at: "l1".into(), received: at(2000) });
    settle(&mut a, &mut b);
    a.write_copy(stream, &[1; 10]).unwrap();
    b.write_copy(stream, &[2; 20]).unwrap();
    settle(&mut a, &mut b);
    b.ack(stream, at(2005));
    b.ack(stream, at(2010));
    a.ack(stream, at(1020));
    assert_eq!(
        b.poll_frame(),
        Some(Frame::Ack { stream, received: at(2010) }),
        "of two that wait the newest"
    );
    assert_eq!(a.handle_frame(Frame::Ack { stream, received: at(2010) }), Ok(Event::Acked(stream)));
    assert_eq!(a.handle_frame(Frame::Ack { stream, received: at(2009) }), Ok(Event::Quiet));
    assert_eq!(a.acked(stream), at(2010));
    settle(&mut a, &mut b);
    assert_eq!(b.acked(stream), at(1020));
    assert_eq!(a.handle_frame(Frame::Ack { stream, received: at(2011) }), Err(Violation::AckBeyondSent));
    assert_eq!(b.handle_frame(Frame::Ack { stream, received: at(1021) }), Err(Violation::AckBeyondSent));
}

#[test]
fn nothing_is_acknowledged_before_the_answer_to_an_open() {
    let (mut a, _) = pair();
    let stream = a.open(ask("web")).unwrap();
    a.write_copy(stream, b"early").unwrap();
    a.poll_frame();
    a.poll_frame();
    assert_eq!(a.handle_frame(Frame::Ack { stream, received: at(1) }), Err(Violation::Unexpected));
}

#[test]
fn the_last_ack_outlives_its_stream() {
    let (mut a, mut b, stream) = opened();
    a.write_copy(stream, &[1; 10]).unwrap();
    a.finish(stream);
    b.finish(stream);
    settle(&mut a, &mut b);
    assert_eq!(read_all(&mut b, stream).len(), 10);
    b.ack(stream, at(10));
    b.release(stream);
    settle(&mut a, &mut b);
    assert!(b.is_empty());
    assert_eq!(a.acked(stream), at(10));
}

#[test]
fn of_notices_that_wait_the_newest_of_each_origin_is_sent() {
    let mut control = Lane::new(Side::Listener, false);
    let notice = |origin: &str, sequence| Frame::Notice {
        origin: origin.into(),
        offering: Offering { sequence, ..Offering::default() },
    };
    for (origin, sequence) in [("l1", 1), ("l2", 1), ("l1", 2)] {
        control.announce(notice(origin, sequence));
    }
    assert_eq!(control.poll_frame(), Some(notice("l2", 1)));
    assert_eq!(control.poll_frame(), Some(notice("l1", 2)));
    assert_eq!(control.poll_frame(), None);
    let far = Lane::new(Side::Dialer, false).handle_frame(notice("l1", 2));
    assert_eq!(far, Ok(Event::Notice("l1".into(), Offering { sequence: 2, ..Offering::default() })));
}

fn at(bytes: usize) -> Position {
    Position::default().after(bytes)
}
