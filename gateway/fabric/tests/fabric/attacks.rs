//! Members with good certificates and bad intentions: each is bounded, named, and touches nobody else.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use fabric::bounds::{DATA_FRAME_MAX, OFFERS_AT_ONCE, REFUSALS_TOLD, STALLED_MAX};
use fabric::session::Position;
use fabric::wire::{Frame, HEADER, Offering, Open};
use fabric::{Class, Refusal, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_default;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::raw::{Raw, asked};
use crate::world::{World, echo_service, echoed, endless_service, service, services, soon, until};

async fn lane(world: &World, role: Role, name: &str, index: u8) -> Raw {
    let credentials = world.credentials(role, name);
    loop {
        let mut raw = Raw::connect(world.hub.address(), Some(&credentials)).await.unwrap();
        if let Some(Frame::Welcome { .. }) = raw.greet(name, 7, index).await {
            return raw;
        }
    }
}

/// A frame as its header and payload say, true or not.
fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::with_capacity(HEADER + payload.len());
    bytes.put_u32(payload.len() as u32);
    bytes.put_u8(kind);
    bytes.put_u32(stream);
    bytes.put_slice(payload);
    bytes.to_vec()
}

fn encoded(frames: impl IntoIterator<Item = Frame>) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frames.into_iter().for_each(|frame| frame.encode(&mut bytes));
    bytes.to_vec()
}

#[tokio::test]
async fn frame_bombs_are_refused_by_name_before_they_cost_memory() {
    let world = World::new().await;
    let endless_name = [&[0; 24][..], &[3, 255, b'x'], &[b'x'; 60]].concat();
    let counted = |count: u8| [&[0; 24][..], &[count, 1, b'a']].concat();
    let mut open_with_long_origin = vec![1, b's', 0];
    open_with_long_origin.extend([0; 16]);
    open_with_long_origin.extend([0, 0, 0xff, 0xff]);
    let claims = |length: u32, kind: u8| [&length.to_be_bytes()[..], &[kind, 0, 0, 0, 1]].concat();
    for (what, lane_index, bytes, code) in [
        ("the greatest length", 2, claims(u32::MAX, 6), "frame_too_long"),
        ("one byte too many", 2, claims(DATA_FRAME_MAX as u32 + 1, 6), "frame_too_long"),
        ("no length where there must be one", 2, frame(6, 1, &[]), "malformed"),
        ("a kind that is not there", 2, frame(18, 0, &[]), "kind_unknown"),
        ("more services than may be", 0, frame(12, 0, &counted(255)), "malformed"),
        ("more services than there are", 0, frame(12, 0, &counted(200)), "malformed"),
        ("a name that runs over the end", 0, frame(12, 0, &endless_name), "malformed"),
        ("an origin that runs over the end", 2, frame(4, 1, &open_with_long_origin), "malformed"),
        ("a welcome to the hub", 2, frame(2, 0, &[0, 2, 1, b'h']), "unexpected"),
    ] {
        let before = world.hub.status().refused.get(code).copied().unwrap_or(0);
        let mut raw = lane(&world, Role::LocalHub, "l2", lane_index).await;
        raw.say_bytes(&bytes).await;
        assert_eq!(soon(what, raw.hear()).await, Some(Frame::Refuse(Refusal::Violation)), "{what}");
        drop(raw);
        let count = || world.hub.status().refused.get(code).copied();
        until(what, || count() == Some(before + 1)).await;
    }
}

#[tokio::test]
async fn acks_beyond_what_was_sent_and_credit_beyond_the_bound_end_the_lane_by_name() {
    let (world, gateway, _local) = World::with_service(echo_service().await).await;
    for (frame, code) in [
        (Frame::Ack { stream: 1, received: Position::from_wire(1) }, "ack_beyond_sent"),
        (Frame::Ack { stream: 1, received: Position::from_wire(u64::MAX) }, "ack_beyond_sent"),
        (Frame::Credit { stream: 1, bytes: u32::MAX }, "credit_overflow"),
    ] {
        let mut raw = lane(&world, Role::Edge, "e2", 2).await;
        raw.say_bytes(&encoded([asked(1, "web"), frame])).await;
        let last = soon("the end", async {
            loop {
                if let Some(Frame::Refuse(reason)) = raw.hear().await {
                    return reason;
                }
            }
        });
        assert_eq!(last.await, Refusal::Violation);
        drop(raw);
        until(code, || world.hub.status().refused.contains_key(code)).await;
    }
    echoed(&mut gateway.open("web").await.unwrap(), b"undisturbed").await.unwrap();
}

#[tokio::test]
async fn streams_that_are_asked_for_and_reset_at_once_leave_nothing_behind_and_keep_nobody_waiting() {
    const PAIRS: u32 = 40_000;
    let (world, gateway, local) = World::with_service(echo_service().await).await;
    let raw = lane(&world, Role::Edge, "e2", 2).await;
    let (mut read, mut write) = tokio::io::split(raw.io);
    let flood = tokio::spawn(async move {
        for chunk in 0..PAIRS / 1000 {
            let pairs = (0..1000).flat_map(|n| {
                let stream = (chunk * 1000 + n) * 2 + 1;
                [asked(stream, "web"), Frame::Reset { stream, reason: Refusal::Cancelled }]
            });
            if write.write_all(&encoded(pairs)).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    });
    let drain =
        tokio::spawn(async move { while read.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {} });
    let cancelled = || world.hub.status().refused.get("cancelled").copied().unwrap_or(0);
    for _ in 0..50 {
        let mut stream = soon("a stream beside the flood", gateway.open("web")).await.unwrap();
        soon("an echo", echoed(&mut stream, b"served")).await.unwrap();
    }
    until("the flood is counted", || cancelled() > 0).await;
    flood.abort();
    drain.abort();
    until("nothing is left", || world.hub.status().streams + local.status().streams == 0).await;
}

#[tokio::test]
async fn a_local_hub_that_changes_its_offer_without_end_loses_its_lane_by_name() {
    let (world, gateway, _local) = World::with_service(echo_service().await).await;
    let mut raw = lane(&world, Role::LocalHub, "l2", 0).await;
    let names: Vec<String> = (0..250).map(|n| format!("{n:0>200}")).collect();
    for sequence in 0..=u64::from(OFFERS_AT_ONCE) + 4 {
        let offering = Offering { incarnation: [1; 16], sequence, services: names.clone() };
        if raw.io.write_all(&encoded([Frame::Offer(offering)])).await.is_err() {
            break;
        }
    }
    let _ = raw.io.flush().await;
    until("the name", || world.hub.status().refused.contains_key("flood")).await;
    echoed(&mut gateway.open("web").await.unwrap(), b"undisturbed").await.unwrap();
}

/// Counts warnings that name one member.
struct Lines {
    about: &'static str,
    count: Arc<AtomicUsize>,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut is_about = false;
        event.record(&mut |_: &Field, value: &dyn Debug| is_about |= format!("{value:?}") == self.about);
        self.count.fetch_add(usize::from(is_about), Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn what_a_member_is_not_permitted_is_logged_and_no_torrent_of_it_fills_the_log() {
    let count = Arc::new(AtomicUsize::new(0));
    let _lines = set_default(Lines { about: "local-hub/l2", count: count.clone() });
    let world = World::new().await;
    let mut lanes = Vec::new();
    for index in 0..6 {
        lanes.push(lane(&world, Role::LocalHub, "l2", index).await);
    }
    for sequence in 0..8 {
        let names = (0..250).map(|n| format!("offered-{sequence}-{n}")).collect();
        let offering = Offering { incarnation: [1; 16], sequence, services: names };
        lanes[0].say(&Frame::Offer(offering)).await;
    }
    let asks = (0..500).map(|n| {
        let open = Open { service: format!("out-{n}"), caller: "server/s1".into(), ..Open::default() };
        Frame::Open { stream: 2 * n + 1, open: Box::new(open) }
    });
    lanes[2].say_bytes(&encoded(asks)).await;
    until("all are refused", || world.hub.status().refused.get("not_permitted") == Some(&2500)).await;
    let count = count.load(Ordering::Relaxed);
    assert!((1..=2 * REFUSALS_TOLD as usize).contains(&count), "{count} lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_talks_but_never_reads_holds_so_much_and_no_more_and_is_lost_as_stalled() {
    const STREAMS: u32 = 300;
    let (endless, written) = endless_service().await;
    let (world, gateway, local) = World::with_service(endless).await;
    local.set_services(services(&[("web", endless), ("echo", echo_service().await)])).unwrap();
    world.until_offered("echo", 1).await;
    let mut deaf = lane(&world, Role::Edge, "e2", 2).await;
    deaf.say_bytes(&encoded((0..STREAMS).map(|n| asked(2 * n + 1, "web")))).await;
    until("its streams", || world.hub.status().streams >= STREAMS as usize).await;

    let (begun, mut nonce) = (Instant::now(), 0);
    let (mut held, mut rounds_alike) = (0, 0);
    while !world.hub.status().refused.contains_key("stalled") {
        assert!(begun.elapsed() < STALLED_MAX * 3, "it was never lost");
        nonce += 1;
        // Its connection may be gone between the two looks.
        let _ = deaf.io.write_all(&encoded([Frame::Ping { nonce }])).await;
        let _ = deaf.io.flush().await;
        let mut lively = gateway.open("echo").await.unwrap();
        soon("an echo beside the deaf one", echoed(&mut lively, b"served")).await.unwrap();
        let now_held = written.load(Ordering::Relaxed);
        (rounds_alike, held) = if now_held == held { (rounds_alike + 1, held) } else { (0, now_held) };
        sleep(Duration::from_millis(300)).await;
    }
    assert!(held > 0 && rounds_alike > 5, "what waits for it came to rest: {held} {rounds_alike}");
    until("its streams are gone", || world.hub.status().streams == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_and_interactive_traffic_goes_on_while_bulk_stalls_and_while_it_runs() {
    let endless = service(|mut tcp| async move { while tcp.write_all(&[7; 65_536]).await.is_ok() {} }).await;
    let (world, gateway, local) = World::with_service(endless).await;
    let with_echo = services(&[("web", endless), ("echo", echo_service().await)]);
    local.set_services(with_echo.clone()).unwrap();
    world.until_offered("echo", 1).await;
    let mut stalled = Vec::new();
    for _ in 0..5 {
        let mut stream = gateway.open_class("web", Class::Bulk).await.unwrap();
        stream.read_exact(&mut [0; 1000]).await.unwrap();
        stalled.push(stream);
    }
    let moved = Arc::new(AtomicUsize::new(0));
    let (mut running, count) = (gateway.open_class("web", Class::Bulk).await.unwrap(), moved.clone());
    let bulk = tokio::spawn(async move {
        let mut piece = vec![0; 65_536];
        while let Ok(some) = running.read(&mut piece).await {
            count.fetch_add(some, Ordering::Relaxed);
        }
    });
    let mut lively = gateway.open("echo").await.unwrap();
    let offers = [with_echo.clone(), services(&[("web", endless), ("other", endless)])];
    for round in 0..20usize {
        let before = moved.load(Ordering::Relaxed);
        soon("an echo", echoed(&mut lively, &round.to_be_bytes().repeat(100))).await.unwrap();
        if round % 5 == 4 {
            // The offer and its answer go over the control lane.
            let is_other = round % 10 == 4;
            local.set_services(offers[usize::from(is_other)].clone()).unwrap();
            world.until_offered("other", usize::from(is_other)).await;
            if is_other {
                local.set_services(with_echo.clone()).unwrap();
                world.until_offered("echo", 1).await;
                lively = soon("a new stream", gateway.open("echo")).await.unwrap();
            }
        }
        until("bulk runs", || moved.load(Ordering::Relaxed) > before).await;
    }
    // Those that stalled are whole, and go on where they stopped.
    for mut stream in stalled {
        soon("the rest", stream.read_exact(&mut [0; 100_000])).await.unwrap();
    }
    bulk.abort();
}
