//! Clients that take their time.

use std::time::Duration;

use defense::Reason;
use edge::bounds::{HANDSHAKE_MAX, HEAD_MAX, LOOK_EVERY};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use crate::clients::{End, Frames, PING, end_of, frame, hello};
use crate::scene::{ALICE, BOB, Scene};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_hello_that_drips_is_reset_at_the_handshakes_deadline() {
    let scene = Scene::new().await;
    let mut tcp = scene.tcp(scene.address(ALICE)).await;
    let begun = Instant::now();
    for byte in hello(Some(&scene.name(ALICE))) {
        if tcp.write_all(&[byte]).await.is_err() || begun.elapsed() > HANDSHAKE_MAX * 2 {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert!(begun.elapsed() < HANDSHAKE_MAX + Duration::from_secs(2));
    scene.until_written(Reason::HandshakeTimeout, 1).await;
    // The server's answer is waited for by nobody: the rest of the handshake never comes.
    let mut tcp = scene.tcp(scene.address(ALICE)).await;
    assert_eq!(end_of(&mut tcp, &hello(Some(&scene.name(ALICE))), HANDSHAKE_MAX * 2).await, End::Spoken);
    scene.until_written(Reason::HandshakeTimeout, 2).await;
    assert_eq!(scene.edge.status().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_drips_is_cut_off_while_idle_connections_and_small_talk_live_on() {
    let scene = Scene::new().await;
    let (mut dripping, mut idle) = (scene.h1(ALICE).await, scene.h1(BOB).await);
    let mut talking = Frames::of(&scene, ALICE).await;
    let begun = Instant::now();
    let name = scene.name(BOB);
    let ask = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
    idle.say(ask.as_bytes()).await;
    assert_eq!(idle.answer("GET").await.unwrap().status, 200);
    dripping.say(b"GET / HTTP/1.1\r\nX: ").await;
    while dripping.tls.write_all(b"a").await.is_ok() && begun.elapsed() < HEAD_MAX * 3 {
        let _ = dripping.tls.flush().await;
        assert!(talking.say(&frame(PING, 0, 0, &[0; 8])).await);
        sleep(Duration::from_millis(200)).await;
    }
    let took = begun.elapsed();
    assert!(took >= HEAD_MAX && took < HEAD_MAX + LOOK_EVERY * 4, "{took:?}");
    scene.until_written(Reason::RequestTimeout, 1).await;
    idle.say(ask.as_bytes()).await;
    assert_eq!(idle.answer("GET").await.unwrap().status, 200, "idle for longer than a head may take");
}
