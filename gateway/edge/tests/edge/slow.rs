//! Clients that take their time.

use std::time::Duration;

use defense::Reason;
use edge::bounds::{BODY_GRACE, HANDSHAKE_MAX, HEAD_MAX, LOOK_EVERY, READER_GRACE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use crate::backend::{Say, ok};
use crate::clients::{
    DATA, End, Frames, HEADERS, PING, SETTINGS, WINDOW_UPDATE, end_of, frame, get_block, hello, request,
    whole,
};
use crate::scene::{ALICE, BOB, Scene, soon};

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

/// RUDY: a body that never comes to its end holds a place at the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_drips_is_cut_off_while_a_slow_but_real_one_arrives() {
    let scene = Scene::new().await;
    let (mut dripping, mut slow) = (scene.h1(ALICE).await, scene.h1(BOB).await);
    let head = |host: &str| format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n\r\n");
    dripping.say(head(&scene.name(ALICE)).as_bytes()).await;
    slow.say(head(&scene.name(BOB)).as_bytes()).await;
    let begun = Instant::now();
    let mut sent = 0;
    while dripping.tls.write_all(b"a").await.is_ok() && begun.elapsed() < BODY_GRACE * 4 {
        let _ = dripping.tls.flush().await;
        slow.say(&[b'b'; 1000]).await;
        sent += 1000;
        sleep(Duration::from_millis(200)).await;
    }
    let took = begun.elapsed();
    assert!(took >= BODY_GRACE && took < BODY_GRACE * 4, "{took:?}");
    scene.until_written(Reason::RequestTimeout, 1).await;
    slow.say(&vec![b'b'; 100_000_usize.saturating_sub(sent)]).await;
    assert_eq!(slow.answer("POST").await.unwrap().status, 200);
    assert_eq!(scene.backend.heard().len(), 1, "the other never became a request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_drips_is_cut_off_while_others_are_served() {
    let scene = Scene::new().await;
    let written = std::sync::Arc::default();
    scene.backend.says(move |heard| match heard.line() {
        "GET /large HTTP/1.1" => Say::Endless(std::sync::Arc::clone(&written)),
        _ => ok(""),
    });
    let mut dripping = scene.h1(ALICE).await;
    dripping.say(format!("GET /large HTTP/1.1\r\nHost: {}\r\n\r\n", scene.name(ALICE)).as_bytes()).await;
    let mut other = scene.h1(BOB).await;
    let ask = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", scene.name(BOB));
    let begun = Instant::now();
    let tcp = dripping.tls.get_mut().0;
    // Its socket is full of what was sent before; that nothing more was is what counts.
    while scene.journal.total(Reason::RequestTimeout) == 0 && begun.elapsed() < READER_GRACE * 3 {
        tcp.read_exact(&mut [0; 20]).await.unwrap();
        other.say(ask.as_bytes()).await;
        assert_eq!(other.answer("GET").await.unwrap().status, 200);
        sleep(Duration::from_millis(200)).await;
    }
    let took = begun.elapsed();
    assert!(took >= READER_GRACE && took < READER_GRACE * 3, "{took:?}");
    crate::scene::until("its place is free", || scene.edge.status().connections == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_opens_no_window_holds_up_its_services_and_little_else_and_goes_on_when_it_opens_one() {
    const STREAMS: u32 = 20;
    let scene = Scene::new().await;
    let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&written);
    scene.backend.says(move |heard| match heard.line() {
        "GET / HTTP/1.1" => Say::Endless(std::sync::Arc::clone(&counter)),
        _ => ok(""),
    });
    let mut frames = Frames::of(&scene, ALICE).await;
    // SETTINGS_INITIAL_WINDOW_SIZE of zero.
    frames.say(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    let block = get_block(&scene.name(ALICE));
    for i in 0..STREAMS {
        assert!(frames.say(&frame(HEADERS, 5, 2 * i + 1, &block)).await);
    }
    let mut heads = 0;
    while heads < STREAMS {
        let (kind, _, _) = soon("a head", frames.hear()).await.expect("it lives");
        assert!(kind != DATA, "there is no window");
        heads += u32::from(kind == HEADERS);
    }
    let mut other = scene.h2(BOB).await;
    let mut before = 0;
    soon("its services are held up", async {
        loop {
            let answer = whole(&mut other, request(&scene.name(BOB), "/small")).await.unwrap();
            assert_eq!(answer.status(), 200);
            sleep(Duration::from_millis(500)).await;
            let now = written.load(std::sync::atomic::Ordering::SeqCst);
            if now > 0 && now == before {
                break;
            }
            before = now;
        }
    })
    .await;
    // What sockets and the fabric hold of each on five hops; the edge itself reads a body when there is a window for it.
    assert!(before < STREAMS as usize * 8 * 1024 * 1024, "{before} bytes are somewhere on the way");
    assert!(frames.say(&frame(WINDOW_UPDATE, 0, 1, &1000_u32.to_be_bytes())).await);
    let mut came = 0;
    while came < 1000 {
        let (kind, stream, payload) = soon("a piece", frames.hear()).await.expect("it lives");
        came += if (kind, stream) == (DATA, 1) { payload.len() } else { 0 };
    }
    assert_eq!(came, 1000, "as much as it has asked for");
    drop(frames);
    crate::scene::until("its places are free", || scene.edge.status().connections == 1).await;
}
