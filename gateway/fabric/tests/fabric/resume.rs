//! Streams outlive what carries them (requirement 0.25): two planes of one hub each, and roads to them that break.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fabric::session::Position;
use fabric::wire::{Frame, Open, Resume};
use fabric::{
    Class, FabricStream, Gateway, Hub, HubAddress, LocalHub, PlaneAddress, Refusal, Role, Services, Wiring,
};
use ring::digest::{Context, SHA256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::raw::Raw;
use crate::road::Road;
use crate::world::{
    ALWAYS, HUB, World, echo_service, echoed, identity, service, services, soon, start_hub, until, wiring,
};

/// Planes A and B, a gateway and a local hub, each with its own road to each hub.
struct Twins {
    world: World,
    _b: Hub,
    edge: [Road; 2],
    inner: [Road; 2],
    gateway: Gateway,
    local: LocalHub,
}

impl Twins {
    async fn with_service(address: SocketAddr) -> Self {
        Self::with(services(&[("web", address)]), wiring(&["web", "other"])).await
    }

    async fn with(services: Services, wiring: Wiring) -> Self {
        let world = World::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (b, _) = start_hub(&world.authority, "B", listener, wiring, world.folder.path());
        let (a_address, b_address) = (world.hub.address(), b.address());
        let edge = [Road::to(a_address).await, Road::to(b_address).await];
        let inner = [Road::to(a_address).await, Road::to(b_address).await];
        let stop = CancellationToken::new;
        let gateway = Gateway::start(&planes(&edge), world.keyring(Role::Edge, "e1"), stop()).unwrap();
        let local =
            LocalHub::start(&planes(&inner), world.keyring(Role::LocalHub, "l1"), services, stop()).unwrap();
        gateway.ready().await;
        local.ready().await;
        let offered = |hub: &Hub| hub.status().services.contains_key("web");
        until("both planes offer", || offered(&world.hub) && offered(&b)).await;
        Self { world, _b: b, edge, inner, gateway, local }
    }

    fn resumed(&self) -> u64 {
        self.gateway.status().sessions.resumed
    }

    async fn until_all_is_up(&self) {
        soon("all links", async { tokio::join!(self.gateway.ready(), self.local.ready()) }).await;
    }
}

fn planes(roads: &[Road; 2]) -> Vec<PlaneAddress> {
    let plane = |(name, road): (&str, &Road)| PlaneAddress {
        name: name.into(),
        hubs: vec![HubAddress { address: road.address, name: HUB.into() }],
    };
    ["A", "B"].into_iter().zip(roads).map(plane).collect()
}

const LENGTH: usize = 24 << 20;

/// Not periodic in anything near a frame or a window.
fn byte(at: usize) -> u8 {
    ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

async fn pour(mut into: impl AsyncWriteExt + Unpin, pause: Duration) {
    let mut piece = vec![0; 1 << 16];
    for start in (0..LENGTH).step_by(piece.len()) {
        piece.iter_mut().enumerate().for_each(|(at, slot)| *slot = byte(start + at));
        into.write_all(&piece).await.unwrap();
        if start % (1 << 20) == 0 {
            sleep(pause).await;
        }
    }
    into.shutdown().await.unwrap();
}

/// Everything to the end, as length and hash.
async fn drink(mut from: impl AsyncReadExt + Unpin) -> (usize, Vec<u8>) {
    let (mut hash, mut total, mut piece) = (Context::new(&SHA256), 0, vec![0; 1 << 16]);
    loop {
        match from.read(&mut piece).await.unwrap() {
            0 => return (total, hash.finish().as_ref().to_vec()),
            count => {
                hash.update(&piece[..count]);
                total += count;
            }
        }
    }
}

fn whole() -> (usize, Vec<u8>) {
    let bytes: Vec<u8> = (0..LENGTH).map(byte).collect();
    (LENGTH, ring::digest::digest(&SHA256, &bytes).as_ref().to_vec())
}

/// Pours and drinks at once; tells what it got.
async fn exchanger() -> (SocketAddr, mpsc::Receiver<(usize, Vec<u8>)>) {
    let (got, heard) = mpsc::channel(8);
    let address = service(move |tcp| {
        let got = got.clone();
        async move {
            let (read, write) = tcp.into_split();
            let (drunk, ()) = tokio::join!(drink(read), pour(write, Duration::from_millis(20)));
            got.send(drunk).await.unwrap();
        }
    })
    .await;
    (address, heard)
}

/// A transfer in both directions while `disturb` runs; both sides must get every byte.
async fn exchange_while<F: Future<Output = ()>>(twins: &Twins, disturb: F) -> (usize, Vec<u8>) {
    let stream = twins.gateway.open_class("web", Class::Bulk).await.unwrap();
    let (read, write): (ReadHalf<FabricStream>, WriteHalf<FabricStream>) = split(stream);
    let both = async { tokio::join!(drink(read), pour(write, Duration::from_millis(20))) };
    let ((drunk, ()), ()) = soon("the transfer", async { tokio::join!(both, disturb) }).await;
    drunk
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_25_a_transfer_in_both_directions_survives_cuts_at_either_side_of_the_hub() {
    let (address, mut heard) = exchanger().await;
    let twins = Twins::with_service(address).await;
    let drunk = exchange_while(&twins, async {
        for road in [&twins.edge[0], &twins.inner[0], &twins.edge[1], &twins.inner[1], &twins.edge[0]] {
            sleep(Duration::from_millis(60)).await;
            road.cut_all();
        }
    })
    .await;
    assert_eq!(drunk, whole());
    assert_eq!(soon("the service", heard.recv()).await.unwrap(), whole());
    assert!(twins.resumed() >= 1);
    until("no session is left", || twins.local.status().sessions.open == 0).await;
    assert_eq!(twins.local.status().sessions.parked_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_25_plane_a_then_plane_b_may_die_amid_a_transfer() {
    let (address, mut heard) = exchanger().await;
    let twins = Twins::with_service(address).await;
    let drunk = exchange_while(&twins, async {
        sleep(Duration::from_millis(80)).await;
        twins.edge[0].close();
        twins.inner[0].close();
        sleep(Duration::from_millis(150)).await;
        twins.edge[0].open();
        twins.inner[0].open();
        twins.until_all_is_up().await;
        twins.edge[1].close();
        twins.inner[1].close();
    })
    .await;
    assert_eq!(drunk, whole());
    assert_eq!(soon("the service", heard.recv()).await.unwrap(), whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_25_an_idle_interactive_stream_goes_on_whatever_is_cut_lane_by_lane() {
    let twins = Twins::with_service(echo_service().await).await;
    let mut stream = twins.gateway.open("web").await.unwrap();
    echoed(&mut stream, b"before").await.unwrap();
    for connection in 0..6 {
        for road in [&twins.edge[0], &twins.edge[1], &twins.inner[0], &twins.inner[1]] {
            road.cut(connection);
        }
        // Nobody polls the stream while it is lost and found again.
        sleep(Duration::from_millis(50)).await;
        soon("the echo", echoed(&mut stream, b"after")).await.unwrap();
    }
    assert!(twins.resumed() >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_25_a_stream_that_its_owner_neglects_is_resumed_all_the_same() {
    let twins = Twins::with_service(echo_service().await).await;
    let mut stream = twins.gateway.open("web").await.unwrap();
    echoed(&mut stream, b"before").await.unwrap();
    for road in [&twins.edge[0], &twins.edge[1]] {
        road.cut_all();
    }
    // Longer than the local hub would keep a session that nobody asks for.
    until("it was resumed", || twins.resumed() == 1).await;
    sleep(Duration::from_millis(5_500)).await;
    echoed(&mut stream, b"after").await.unwrap();
    assert_eq!(twins.gateway.status().sessions.given_up, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_25_a_hub_that_stops_ends_no_stream_while_another_plane_is_there() {
    let twins = Twins::with_service(echo_service().await).await;
    let mut streams = Vec::new();
    for _ in 0..300 {
        streams.push(twins.gateway.open("web").await.unwrap());
    }
    for stream in &mut streams {
        echoed(stream, b"before").await.unwrap();
    }
    twins.world.hub_stop.cancel();
    for stream in &mut streams {
        soon("the echo", echoed(stream, b"after")).await.unwrap();
    }
    assert_eq!(twins.gateway.status().sessions.given_up, 0);
    assert!(twins.local.status().sessions.open >= 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_25_a_stream_waits_two_seconds_for_a_way_and_then_goes_on() {
    let twins = Twins::with_service(echo_service().await).await;
    let mut stream = twins.gateway.open("web").await.unwrap();
    echoed(&mut stream, b"before").await.unwrap();
    twins.edge.iter().chain(&twins.inner).for_each(Road::close);
    until("it is parked", || twins.local.status().sessions.parked >= 1).await;
    sleep(Duration::from_secs(2)).await;
    twins.edge[1].open();
    twins.inner[1].open();
    soon("the echo", echoed(&mut stream, b"after")).await.unwrap();
    assert_eq!(twins.local.status().sessions.parked, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_25_a_session_that_finds_no_way_ends_with_a_name_at_both_ends_and_looks_like_no_end() {
    let (ends, mut ended) = mpsc::channel(1);
    let address = service(move |mut tcp| {
        let ends = ends.clone();
        async move {
            // Of two planes that were asked, the slower one's connection brings nothing.
            if tcp.read_exact(&mut [0; 4]).await.is_ok() {
                tcp.write_all(b"half of it").await.unwrap();
                let end = tcp.read(&mut [0; 8]).await;
                ends.send(end.map_err(|error| error.kind())).await.unwrap();
            }
        }
    })
    .await;
    let twins = Twins::with_service(address).await;
    let mut stream = twins.gateway.open("web").await.unwrap();
    stream.write_all(b"half").await.unwrap();
    let mut half = [0; 10];
    stream.read_exact(&mut half).await.unwrap();
    twins.edge.iter().chain(&twins.inner).for_each(Road::close);
    let error = soon("the end", stream.read(&mut half)).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::LaneLost));
    let error = stream.write(b"more").await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::LaneLost), "it stays over");
    let at_service = soon("the service's end", ended.recv()).await.unwrap();
    assert_eq!(at_service, Err(std::io::ErrorKind::ConnectionReset));
    until("both gave up", || {
        let (ours, theirs) = (twins.gateway.status().sessions, twins.local.status().sessions);
        (ours.given_up, theirs.open, theirs.parked, theirs.parked_bytes) == (1, 0, 0, 0)
            && theirs.given_up >= 1
    })
    .await;
    assert!(twins.local.status().refused.contains_key("lane_lost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_25_a_resume_takes_over_while_the_old_way_looks_alive_at_the_local_hub() {
    let twins = Twins::with_service(echo_service().await).await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(twins.gateway.open("web").await.unwrap());
    }
    for stream in &mut streams {
        echoed(stream, b"before").await.unwrap();
    }
    // The hubs and the local hub hear nothing of it: what the edge's connections still say does not pass.
    twins.edge.iter().for_each(Road::cut_deaf);
    for stream in &mut streams {
        soon("the echo", echoed(stream, b"after")).await.unwrap();
    }
    assert!(twins.resumed() >= 8 && twins.local.status().sessions.resumed >= 8);
    assert_eq!(twins.gateway.status().sessions.given_up, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r0_25_an_end_that_was_said_before_the_cut_is_heard_after_it() {
    let cut = Arc::new(Notify::new());
    let wait = cut.clone();
    let address = service(move |mut tcp| {
        let wait = wait.clone();
        async move {
            let mut asked = Vec::new();
            if tcp.read_to_end(&mut asked).await.unwrap_or(0) == 0 {
                // Of two planes that were asked, the slower one's.
                return;
            }
            wait.notified().await;
            asked.reverse();
            tcp.write_all(&asked).await.unwrap();
        }
    })
    .await;
    let twins = Twins::with_service(address).await;
    let mut stream = twins.gateway.open("web").await.unwrap();
    stream.write_all(b"question").await.unwrap();
    stream.shutdown().await.unwrap();
    twins.edge.iter().chain(&twins.inner).for_each(Road::cut_all);
    // The service answers and ends while nothing carries the session.
    cut.notify_one();
    let mut answer = Vec::new();
    soon("the answer", stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"noitseuq");
    until("no session is left", || twins.local.status().sessions.open == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_breaks_while_its_session_is_parked_is_named_to_whoever_resumes_it() {
    let cut = Arc::new(Notify::new());
    let wait = cut.clone();
    let address = service(move |mut tcp| {
        let wait = wait.clone();
        async move {
            if tcp.read_u8().await.is_err() {
                return;
            }
            tcp.write_all(b"ready").await.unwrap();
            wait.notified().await;
            tcp.set_zero_linger().unwrap();
        }
    })
    .await;
    let twins = Twins::with_service(address).await;
    let mut stream = twins.gateway.open("web").await.unwrap();
    stream.write_all(b"!").await.unwrap();
    stream.read_exact(&mut [0; 5]).await.unwrap();
    twins.edge.iter().chain(&twins.inner).for_each(Road::close);
    until("it is parked", || twins.local.status().sessions.parked >= 1).await;
    cut.notify_one();
    until("the break was seen", || twins.local.status().refused.contains_key("service_reset")).await;
    twins.edge.iter().chain(&twins.inner).for_each(Road::open);
    let error = soon("the end", stream.read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::ServiceReset));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_shut_down_arrives_although_its_stream_was_dropped_and_its_way_lost() {
    let (got, mut heard) = mpsc::channel(1);
    let address = service(move |mut tcp| {
        let got = got.clone();
        async move {
            sleep(Duration::from_millis(300)).await;
            let mut all = Vec::new();
            let end = tcp.read_to_end(&mut all).await;
            if all.is_empty() {
                return;
            }
            got.send(end.map(|_| all.len()).map_err(|error| error.kind())).await.unwrap();
        }
    })
    .await;
    let twins = Twins::with_service(address).await;
    let mut stream = twins.gateway.open("web").await.unwrap();
    stream.write_all(&vec![7; 60_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);
    twins.edge.iter().for_each(Road::cut_all);
    assert_eq!(soon("the upload", heard.recv()).await.unwrap(), Ok(60_000));
}

/// An edge that says what it likes, with one lane of each that streams need.
struct Edge(Vec<Raw>);

const LANE: usize = 2;

impl Edge {
    async fn connect(world: &World, name: &str, link: u8) -> Self {
        let credentials = world.authority.issue(&identity(Role::Edge, name), ALWAYS).unwrap();
        let mut lanes = Vec::new();
        for lane in 0..6 {
            let mut raw = Raw::connect(world.hub.address(), Some(&credentials)).await.unwrap();
            assert!(matches!(raw.greet(name, link, lane).await, Some(Frame::Welcome { .. })));
            lanes.push(raw);
        }
        Self(lanes)
    }

    async fn ask(&mut self, stream: u32, resume: Option<(&str, usize, u32)>) {
        let resume = resume.map(|(at, received, attempt)| Resume {
            at: at.into(),
            received: Position::default().after(received),
            attempt,
        });
        let open = Open { service: "web".into(), session: [9; 16], resume, ..Open::default() };
        self.0[LANE].say(&Frame::Open { stream, open: Box::new(open) }).await;
    }

    /// What is said next of that stream.
    async fn hear(&mut self, of: u32) -> Frame {
        loop {
            let frame = soon("a frame", self.0[LANE].hear()).await.unwrap();
            match &frame {
                Frame::Opened { stream, .. } | Frame::Data { stream, .. } | Frame::Reset { stream, .. }
                    if *stream == of =>
                {
                    return frame;
                }
                _ => {}
            }
        }
    }

    async fn refusal(&mut self, of: u32) -> Refusal {
        match self.hear(of).await {
            Frame::Reset { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_resumes_a_session_but_who_opened_it_and_the_latest_attempt_holds() {
    let world = World::new().await;
    let local = world.local_hub("l1", services(&[("web", echo_service().await)]));
    local.ready().await;
    world.until_offered("web", 1).await;
    let mut owner = Edge::connect(&world, "e1", 1).await;
    owner.ask(1, None).await;
    let Frame::Opened { opened, .. } = owner.hear(1).await else { panic!() };
    assert_eq!((opened.at.as_str(), opened.received), ("l1", Position::default()));
    owner.0[LANE].say(&Frame::Data { stream: 1, payload: bytes::Bytes::from_static(b"hello") }).await;
    let Frame::Data { payload, .. } = owner.hear(1).await else { panic!() };
    assert_eq!(&payload[..], b"hello");

    // Another identity, with all that there is to know about the session.
    let mut thief = Edge::connect(&world, "e2", 2).await;
    thief.ask(1, Some(("l1", 5, 1))).await;
    assert_eq!(thief.refusal(1).await, Refusal::ResumeUnknown);
    // The owner, with what cannot be: more than was sent, and an attempt that is none.
    owner.ask(3, Some(("l1", 6, 1))).await;
    assert_eq!(owner.refusal(3).await, Refusal::ResumeUnknown);
    owner.ask(5, Some(("l1", 5, 0))).await;
    assert_eq!(owner.refusal(5).await, Refusal::ResumeUnknown);
    // A new session under the same name.
    owner.ask(7, None).await;
    assert_eq!(owner.refusal(7).await, Refusal::Violation);

    // Nothing of that disturbed it; a third attempt takes it, from where the owner says; the old stream learns of it.
    owner.ask(9, Some(("l1", 2, 3))).await;
    let (mut is_opened, mut is_told, mut missed) = (false, false, Vec::new());
    while !(is_opened && is_told && missed.len() == 3) {
        match soon("a frame", owner.0[LANE].hear()).await.unwrap() {
            Frame::Opened { stream: 9, opened } => is_opened = opened.received.bytes() == 5,
            Frame::Reset { stream: 1, reason } => is_told = reason == Refusal::LaneLost,
            Frame::Data { stream: 9, payload } => missed.extend_from_slice(&payload),
            other => assert!(matches!(other, Frame::Ack { .. } | Frame::Ping { .. }), "{other:?}"),
        }
    }
    assert_eq!(missed, b"llo");
    // A replay of what was overtaken changes nothing.
    for (stream, attempt) in [(11, 2), (13, 3)] {
        owner.ask(stream, Some(("l1", 5, attempt))).await;
        assert_eq!(owner.refusal(stream).await, Refusal::ResumeUnknown);
    }
    assert_eq!(local.status().sessions.resumed, 1);
    owner.0[LANE].say(&Frame::Data { stream: 9, payload: bytes::Bytes::from_static(b" again") }).await;
    let Frame::Data { payload, .. } = owner.hear(9).await else { panic!() };
    assert_eq!(&payload[..], b" again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_hub_that_shuts_down_ends_its_streams_at_once_and_with_a_name() {
    let (world, gateway, local_stop) = {
        let world = World::new().await;
        let gateway = world.gateway("e1");
        let stop = CancellationToken::new();
        let echo = services(&[("web", echo_service().await)]);
        let local = world.local_hub_until("l1", echo, stop.clone());
        gateway.ready().await;
        local.ready().await;
        world.until_offered("web", 1).await;
        (world, gateway, stop)
    };
    let mut stream = gateway.open("web").await.unwrap();
    echoed(&mut stream, b"before").await.unwrap();
    local_stop.cancel();
    let error = soon("the end", stream.read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::ServiceReset));
    assert_eq!(gateway.status().sessions.given_up, 0);
    drop(world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_shuts_down_leaves_no_session_behind() {
    let world = World::new().await;
    let stop = CancellationToken::new();
    let gateway = world.gateway_until("e1", stop.clone());
    let local = world.local_hub("l1", services(&[("web", echo_service().await)]));
    gateway.ready().await;
    local.ready().await;
    world.until_offered("web", 1).await;
    let mut stream = gateway.open("web").await.unwrap();
    echoed(&mut stream, b"before").await.unwrap();
    let waiting = tokio::spawn(async move { stream.read(&mut [0; 8]).await.unwrap_err() });
    sleep(Duration::from_millis(50)).await;
    stop.cancel();
    // Awaiting it with a deadline would poll it once more, and hide that nobody woke it.
    until("the reader has ended", || waiting.is_finished()).await;
    assert_eq!(Refusal::of(&waiting.await.unwrap()), Some(Refusal::ShuttingDown));
    until("no session is left", || local.status().sessions.open == 0).await;
    assert_eq!(local.status().sessions.given_up, 0);
}
