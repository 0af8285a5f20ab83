//! `tls` and `tcp` services: bytes both ways, ends and resets that go through, and silence for everybody else.

use std::time::Duration;

use state::Listen;
use state::records::Auth;
use state::txn::Record;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::clients::End;
use crate::scene::{ALICE, BOB, Scene, access, free_port, service, soon, txn, until};

const ASKED: &[u8] = b"GET /raw HTTP/1.1\r\nHost: not.looked.at\r\nConnection: close\r\n\r\n";

/// A scene whose service listens with this protocol besides; its clients go there.
async fn listening(protocol: &str) -> Scene {
    listening_for(protocol, Auth::Name).await
}

async fn listening_for(protocol: &str, auth: Auth) -> Scene {
    let mut scene = Scene::new().await;
    scene.backend.says(|heard| crate::backend::ok(heard.line()));
    let port = free_port();
    let listen = [format!("https/{}", scene.port), format!("{protocol}/{port}")];
    let mut both = service(scene.port, auth);
    both.listen = Listen::parse(&listen).unwrap();
    scene.commit(txn("listen").put(Record::Service(both))).await;
    scene.port = port;
    let address = scene.address(ALICE);
    let begun = Instant::now();
    while tokio::net::TcpStream::connect((address, port)).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it listens there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until("nobody is seated", || scene.edge.status().connections == 0).await;
    scene
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tls_service_gets_what_was_said_inside_tls_by_who_has_the_name_and_nobody_else_gets_a_byte() {
    let scene = listening("tls").await;
    let mut tls = scene.tls(scene.address(ALICE), &scene.name(ALICE), &["imap"]).await.unwrap();
    tls.write_all(ASKED).await.unwrap();
    // The service keeps its connection for as long as its client may ask: the end is said inside TLS, too.
    tls.shutdown().await.unwrap();
    let mut answer = Vec::new();
    soon("the answer", tls.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.ends_with(b"GET /raw HTTP/1.1"), "{}", answer.escape_ascii());
    assert_eq!(scene.backend.last().all("host"), ["not.looked.at"], "bytes as they were");
    assert!(matches!(scene.attempt(scene.address(ALICE), None).await, End::Reset));
    let other = scene.name(BOB);
    assert!(matches!(scene.attempt(scene.address(ALICE), Some(&other)).await, End::Reset));
    until("its place is free", || scene.edge.status().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tcp_service_answers_after_its_client_has_ended_its_own_direction() {
    let scene = listening("tcp").await;
    let mut tcp = scene.tcp(scene.address(ALICE)).await;
    tcp.write_all(ASKED).await.unwrap();
    tcp.shutdown().await.unwrap();
    let mut answer = Vec::new();
    soon("the answer", tcp.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.ends_with(b"GET /raw HTTP/1.1"), "{}", answer.escape_ascii());
    until("its place is free", || scene.edge.status().connections == 0).await;
    let dark = scene.knock(scene.dark_address(), ASKED, Duration::from_secs(20)).await;
    assert!(matches!(dark, End::Reset), "a dark address gives nothing at that port");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_bytes_show_no_key_and_reach_no_service_that_asks_for_one() {
    let scene = listening_for("tcp", Auth::Key).await;
    let end = scene.knock(scene.address(ALICE), ASKED, Duration::from_secs(20)).await;
    assert!(matches!(end, End::Reset));
    scene.until_written(defense::Reason::AuthRequired, 1).await;
    assert_eq!(scene.backend.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_resets_a_tcp_service_within_a_second() {
    let scene = listening("tcp").await;
    let mut tcp = scene.tcp(scene.address(ALICE)).await;
    until("it is seated", || scene.edge.status().connections == 1).await;
    scene.commit(access(&scene, 1, true)).await;
    let ended = soon("its end", tcp.read(&mut [0; 1])).await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
