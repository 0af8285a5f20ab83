//! What no honest member sends.

use bytes::BytesMut;
use fabric::bounds::{HALF_OPEN, HALF_OPEN_SOURCE, HANDSHAKE_DEADLINE, WINDOW_INITIAL};
use fabric::wire::{Frame, Hello};
use fabric::{Authority, Credentials, Refusal, Role, Validity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::raw::{Raw, asked, hello};
use crate::world::{ALWAYS, World, echo_service, echoed, identity, soon, until};

async fn refused(world: &World, code: &'static str) {
    until(code, || world.hub.status().refused.contains_key(code)).await;
    until("nothing is half open", || world.hub.status().half_open == 0).await;
}

async fn bytes_are_closed_on(world: &World, bytes: &[u8]) {
    let mut tcp = TcpStream::connect(world.hub.address()).await.unwrap();
    tcp.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let ended = timeout(HANDSHAKE_DEADLINE / 2, tcp.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "garbage is closed at once");
    assert!(answer.len() < 64, "a stranger gets a TLS alert at most");
}

#[tokio::test]
async fn plaintext_and_garbage_are_closed_with_a_name() {
    let world = World::new().await;
    bytes_are_closed_on(&world, b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n").await;
    bytes_are_closed_on(&world, &[0xff; 4096]).await;
    let mut plain_hello = BytesMut::new();
    hello("l1", 1, 0).encode(&mut plain_hello);
    bytes_are_closed_on(&world, &plain_hello).await;
    until("all three are counted", || world.hub.status().refused.get("tls_failed") == Some(&3)).await;
    assert!(world.hub.status().links.is_empty());
}

/// A hub that lets these credentials in hears their Hello; one that does not has closed by then.
async fn is_let_in(world: &World, credentials: Option<&Credentials>, name: &str) -> bool {
    match Raw::connect(world.hub.address(), credentials).await {
        Err(_) => false,
        Ok(mut raw) => {
            let mut bytes = BytesMut::new();
            hello(name, 1, 0).encode(&mut bytes);
            let _ = raw.io.write_all(&bytes).await;
            raw.hear().await.is_some_and(|frame| matches!(frame, Frame::Welcome { .. }))
        }
    }
}

#[tokio::test]
async fn only_certificates_of_our_authority_that_hold_now_are_let_in() {
    let world = World::new().await;
    let who = identity(Role::LocalHub, "l1");
    let foreign = Authority::generate(ALWAYS).unwrap().issue(&who, ALWAYS).unwrap();
    let expired = Validity { not_before: 1_500_000_000, not_after: 1_600_000_000 };
    let expired = world.authority.issue(&who, expired).unwrap();
    let early = Validity { not_before: 3_900_000_000, not_after: 4_000_000_000 };
    let early = world.authority.issue(&who, early).unwrap();
    for bad in [None, Some(&foreign), Some(&expired), Some(&early)] {
        assert!(!is_let_in(&world, bad, "l1").await);
    }
    refused(&world, "tls_failed").await;
    assert!(is_let_in(&world, Some(&world.credentials(Role::LocalHub, "l1")), "l1").await);
}

#[tokio::test]
async fn tls_1_2_is_not_spoken() {
    let world = World::new().await;
    let good = world.credentials(Role::LocalHub, "l1");
    assert!(Raw::connect_with(world.hub.address(), Some(&good), &rustls::version::TLS12).await.is_err());
    refused(&world, "tls_failed").await;
}

#[tokio::test]
async fn another_role_another_name_another_version_are_refused_with_the_reason() {
    let world = World::new().await;
    let local = world.credentials(Role::LocalHub, "l1");
    let hub = world.credentials(Role::Hub, "hub-b");
    let old = Frame::Hello(Hello { version: 0, lane: 0, link: [0; 16], name: "l1".into() });
    for (credentials, frame, reason) in [
        (&hub, hello("hub-b", 1, 0), Refusal::WrongRole),
        (&local, hello("l2", 1, 0), Refusal::WrongName),
        (&local, old, Refusal::VersionUnsupported),
        (&local, hello("l1", 1, 6), Refusal::Violation),
        (&local, Frame::Ping { nonce: 1 }, Refusal::Violation),
    ] {
        let mut raw = Raw::connect(world.hub.address(), Some(credentials)).await.unwrap();
        raw.say(&frame).await;
        assert_eq!(raw.hear().await, Some(Frame::Refuse(reason)), "{frame:?}");
        assert_eq!(raw.hear().await, None);
    }
    assert!(world.hub.status().links.is_empty());
}

#[tokio::test]
async fn a_local_hub_cannot_pose_as_the_hub() {
    let world = World::new().await;
    // Its own certificate, on a listener where dialers expect the hub.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pem = world.credentials(Role::LocalHub, crate::world::HUB).to_secret_pem();
    tokio::spawn(async move {
        use rustls::pki_types::pem::PemObject;
        let certificate = rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let config =
            rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
                .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(tcp).await;
        }
    });
    let stop = tokio_util::sync::CancellationToken::new();
    let gateway =
        fabric::Gateway::start(&crate::world::one_plane(address), world.keyring(Role::Edge, "e1"), stop)
            .unwrap();
    until("the refusal", || gateway.status().planes[0].last_end == Some("tls_failed")).await;
    assert_eq!(gateway.status().planes[0].lanes_up(), 0);
}

/// A connection from 127.0.0.`host`.
async fn connected_from(host: usize, world: &World) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("127.0.0.{host}:0").parse().unwrap()).unwrap();
    socket.connect(world.hub.address()).await.unwrap()
}

#[tokio::test]
async fn a_host_that_connects_and_says_nothing_keeps_no_other_host_from_dialing() {
    let world = World::new().await;
    let mut silent = Vec::new();
    for _ in 0..HALF_OPEN {
        silent.push(connected_from(9, &world).await);
    }
    let refused = (HALF_OPEN - HALF_OPEN_SOURCE) as u64;
    until("its share is full", || world.hub.status().refused.get("half_open_full") == Some(&refused)).await;
    assert_eq!(world.hub.status().half_open, HALF_OPEN_SOURCE);
    assert!(is_let_in(&world, Some(&world.credentials(Role::LocalHub, "l1")), "l1").await);
}

#[tokio::test]
async fn half_open_connections_are_bounded_in_number_and_in_time() {
    let world = World::new().await;
    let mut silent = Vec::new();
    for n in 0..HALF_OPEN {
        silent.push(connected_from(2 + n / HALF_OPEN_SOURCE, &world).await);
    }
    until("all are in", || world.hub.status().half_open == HALF_OPEN).await;
    let mut beyond = TcpStream::connect(world.hub.address()).await.unwrap();
    assert!(matches!(soon("the close", beyond.read(&mut [0; 8])).await, Ok(0) | Err(_)));
    assert_eq!(world.hub.status().half_open, HALF_OPEN);
    assert_eq!(world.hub.status().refused.get("half_open_full"), Some(&1));

    // TLS done and then silence is half open as well.
    let mut first = silent.remove(0);
    assert_eq!(soon("the deadline", first.read(&mut [0; 8])).await.unwrap_or(0), 0);
    until("all are gone", || world.hub.status().half_open == 0).await;
    assert_eq!(world.hub.status().refused.get("handshake_deadline"), Some(&(HALF_OPEN as u64)));
    let mut mute =
        Raw::connect(world.hub.address(), Some(&world.credentials(Role::Edge, "e1"))).await.unwrap();
    assert_eq!(timeout(HANDSHAKE_DEADLINE * 2, mute.hear()).await, Ok(None));
}

/// A welcome lane that then misbehaves; the hub's last word and its tally have to name it.
async fn misbehaves(world: &World, lane: u8, bytes: &[u8], code: &'static str) {
    let local = world.credentials(Role::LocalHub, "l2");
    let mut raw = loop {
        let mut raw = Raw::connect(world.hub.address(), Some(&local)).await.unwrap();
        if let Some(Frame::Welcome { .. }) = raw.greet("l2", 7, lane).await {
            break raw;
        }
    };
    raw.say_bytes(bytes).await;
    let last = soon("the last word", async {
        loop {
            if let Some(Frame::Refuse(reason)) = raw.hear().await {
                return reason;
            }
        }
    })
    .await;
    assert_eq!(last, Refusal::Violation, "{code}");
    raw.io.shutdown().await.unwrap();
    until(code, || world.hub.status().refused.contains_key(code)).await;
}

fn encoded(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frames.iter().for_each(|frame| frame.encode(&mut bytes));
    bytes.to_vec()
}

#[tokio::test]
async fn every_violation_closes_its_lane_by_name_and_touches_nobody_else() {
    let (world, gateway, _local) = World::with_service(echo_service().await).await;
    let mut bystander = gateway.open("web").await.unwrap();
    let open = asked(1, "web");
    let payload = |length: u32| Frame::Data { stream: 1, payload: vec![0; length as usize].into() };
    let mut overrun = vec![open.clone()];
    overrun.extend((0..3).map(|_| payload(WINDOW_INITIAL / 2)));

    misbehaves(&world, 2, &[0xff; 9], "kind_unknown").await;
    misbehaves(&world, 2, b"\xff\xff\xff\xff\x06\0\0\0\x01", "frame_too_long").await;
    misbehaves(&world, 2, b"\0\0\0\0\x06\0\0\0\x01", "malformed").await;
    misbehaves(&world, 2, &encoded(&[Frame::Fin { stream: 77 }]), "stream_unknown").await;
    misbehaves(&world, 2, &encoded(&[asked(2, "a")]), "stream_id_misused").await;
    misbehaves(&world, 2, &encoded(&[hello("l2", 7, 2)]), "unexpected").await;
    misbehaves(&world, 0, &encoded(std::slice::from_ref(&open)), "unexpected").await;
    // The hub refuses this stream (a local hub opens nothing), so the overrun has to come in the same breath.
    let sunk = Frame::Credit { stream: 1, bytes: u32::MAX };
    misbehaves(&world, 2, &encoded(&[open.clone(), sunk]), "credit_overflow").await;
    misbehaves(&world, 3, &encoded(&[open, Frame::Fin { stream: 1 }, payload(1)]), "after_fin").await;
    misbehaves(&world, 3, &encoded(&overrun), "credit_overrun").await;

    echoed(&mut bystander, b"undisturbed").await.unwrap();
    assert!(gateway.status().planes[0].is_ready());
}

#[tokio::test]
async fn a_torrent_of_pings_and_empty_requests_costs_the_hub_no_memory_and_no_service() {
    let (world, gateway, _local) = World::with_service(echo_service().await).await;
    let local = world.credentials(Role::LocalHub, "l2");
    let mut raw = Raw::connect(world.hub.address(), Some(&local)).await.unwrap();
    raw.greet("l2", 7, 2).await;
    let torrent = encoded(&(0..10_000).map(|nonce| Frame::Ping { nonce }).collect::<Vec<_>>());
    let (mut read, mut write) = tokio::io::split(raw.io);
    let flood = tokio::spawn(async move {
        for _ in 0..20 {
            if write.write_all(&torrent).await.is_err() {
                return;
            }
        }
    });
    let drain =
        tokio::spawn(async move { while read.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {} });
    for _ in 0..20 {
        echoed(&mut gateway.open("web").await.unwrap(), b"served").await.unwrap();
    }
    soon("the torrent", flood).await.unwrap();
    drain.abort();
}

#[tokio::test]
async fn a_far_side_that_asks_by_the_thousand_and_never_reads_harms_nobody() {
    let (world, gateway, _local) = World::with_service(echo_service().await).await;
    let edge = world.credentials(Role::Edge, "e2");
    let mut lanes = Vec::new();
    for lane in 0..6 {
        let mut raw = Raw::connect(world.hub.address(), Some(&edge)).await.unwrap();
        raw.greet("e2", 5, lane).await;
        lanes.push(raw);
    }
    // Asks for echoes by the thousand and reads none of the answers.
    let frames: Vec<Frame> = (0..1000u32)
        .map(|n| asked(2 * n + 1, "web"))
        .chain((0..1000).map(|n| Frame::Data { stream: 2 * n + 1, payload: vec![1; 8192].into() }))
        .collect();
    let mut raw = lanes.remove(2);
    raw.say_bytes(&encoded(&frames)).await;
    for _ in 0..20 {
        echoed(&mut gateway.open("web").await.unwrap(), b"served").await.unwrap();
    }
    drop((raw, lanes));
    until("its streams are gone", || world.hub.status().streams == 0).await;
}
