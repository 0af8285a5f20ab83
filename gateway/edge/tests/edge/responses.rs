//! The way to the service and back: bodies, connections that are kept, and services that fail.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use defense::Reason;
use http::Method;
use http_body_util::{BodyExt, Full};
use tokio::time::sleep;

use crate::backend::{Say, ok};
use crate::clients::{request, whole};
use crate::scene::{ALICE, BOB, Scene, soon, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_a_known_and_an_unknown_length_pass_both_ways_over_both_protocols() {
    let scene = Scene::new().await;
    let large: String = (0..200_000).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
    for body in ["", "x", &large] {
        let echo = |chunked: bool| {
            scene.backend.says(move |heard| {
                let mut bytes = match chunked {
                    true => format!(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                        heard.body.len()
                    ),
                    false => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", heard.body.len()),
                }
                .into_bytes();
                bytes.extend_from_slice(&heard.body);
                match (chunked, heard.body.is_empty()) {
                    (true, false) => bytes.extend_from_slice(b"\r\n0\r\nX-Trailer: 1\r\n\r\n"),
                    (true, true) => bytes.extend_from_slice(b"\r\n"),
                    (false, _) => {}
                }
                Say::Bytes(bytes)
            });
        };
        for chunked in [false, true] {
            echo(chunked);
            let (length, size) = (body.len(), format!("{:x}", body.len()));
            let chunks = if body.is_empty() { String::new() } else { format!("{size}\r\n{body}\r\n") };
            for asked in [
                format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {length}\r\n\r\n{body}"),
                format!(
                    "POST / HTTP/1.1\r\nHost: {{host}}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\nX-T: 1\r\n\r\n"
                ),
            ] {
                let answer = scene.ask(&asked).await;
                assert!(answer.is_whole && answer.body == body.as_bytes(), "{length} {chunked}");
            }
            let mut asked = request(&scene.name(ALICE), "/");
            *asked.method_mut() = Method::POST;
            *asked.body_mut() = Full::new(Bytes::copy_from_slice(body.as_bytes()));
            let answer = whole(&mut scene.h2(ALICE).await, asked).await.unwrap();
            assert!(answer.body() == body, "{length} {chunked}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_body_keep_their_connection() {
    let scene = Scene::new().await;
    let mut wire = scene.h1(ALICE).await;
    scene.backend.says(|heard| match heard.line().split(' ').next() {
        Some("HEAD") => Say::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".to_vec()),
        Some("PUT") => Say::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        Some("GET") => {
            Say::Bytes(b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 7\r\n\r\n".to_vec())
        }
        _ => ok(""),
    });
    for _ in 0..3 {
        let head = wire.ask(&scene, "HEAD / HTTP/1.1\r\nHost: {host}\r\n\r\n").await;
        assert_eq!((head.status, head.field("content-length")), (200, Some("500")));
        let put = wire.ask(&scene, "PUT / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!((put.status, put.field("transfer-encoding")), (204, None));
        let fresh = wire.ask(&scene, GET).await;
        assert_eq!((fresh.status, fresh.field("etag")), (304, Some("\"1\"")));
        let empty = wire.ask(&scene, "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!((empty.status, empty.text()), (200, ""));
    }
    assert!(scene.backend.connections() <= 2, "the service's connections are kept, too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_agrees_without_a_go_ahead_gets_the_body_while_it_answers() {
    let scene = Scene::new().await;
    scene.backend.reads_no_bodies();
    scene.backend.says(|_| Say::Echo(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec()));
    let mut wire = scene.h1(ALICE).await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        scene.name(ALICE)
    );
    wire.say(head.as_bytes()).await;
    // Its client takes the good answer for a go-ahead, as curl does.
    soon("the head of the answer", wire.more()).await.unwrap();
    wire.say(b"hello").await;
    let answer = soon("the echo", wire.answer("POST")).await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "hello"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let scene = Scene::new().await;
    let mut wire = scene.h1(ALICE).await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        scene.name(ALICE)
    );
    wire.say(head.as_bytes()).await;
    soon("the go-ahead", wire.more()).await.unwrap();
    assert!(wire.unread.starts_with(b"HTTP/1.1 100"));
    wire.say(b"hello").await;
    assert_eq!(wire.answer("POST").await.unwrap().status, 200);
    assert_eq!(scene.backend.last().body, b"hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_cut_short_is_an_error_to_the_client_and_never_a_shorter_response() {
    let scene = Scene::new().await;
    for cut in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz",
    ] {
        scene.backend.says(move |_| Say::BytesThenClose(cut.to_vec()));
        let mut wire = scene.h1(ALICE).await;
        let answer = wire.ask(&scene, GET).await;
        assert!(answer.status == 200 && !answer.is_whole);
        assert!(wire.is_closed().await);
        let mut sender = scene.h2(ALICE).await;
        assert!(whole(&mut sender, request(&scene.name(ALICE), "/")).await.is_err());
    }
    scene.until_written(Reason::UpstreamClosed, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_http_1_0_is_served_as_1_1_and_a_head_that_is_none_is_a_502() {
    let scene = Scene::new().await;
    scene
        .backend
        .says(|_| Say::BytesThenClose(b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nuntil the end".to_vec()));
    let mut wire = scene.h1(ALICE).await;
    for _ in 0..3 {
        let answer = wire.ask(&scene, GET).await;
        assert!(answer.head.starts_with("HTTP/1.1 200"), "{}", answer.head);
        assert_eq!(
            (answer.text(), answer.field("server"), answer.is_whole),
            ("until the end", Some("old"), true)
        );
        assert!(answer.field("date").is_some());
    }
    for broken in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab",
        b"HTTP/3.7 200 OK\r\n\r\n",
        b"\0\0\0",
        b"",
    ] {
        scene.backend.says(move |_| Say::BytesThenClose(broken.to_vec()));
        assert_eq!(scene.ask(GET).await.status, 502, "{broken:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_with_two_lengths_reaches_nobody() {
    let scene = Scene::new().await;
    for both in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n"
            [..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    ] {
        scene.backend.says_bytes(both);
        assert_eq!(scene.ask(GET).await.status, 502);
        let answer = whole(&mut scene.h2(ALICE).await, request(&scene.name(ALICE), "/")).await.unwrap();
        assert_eq!(answer.status(), 502);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_that_the_service_has_closed_is_replaced_without_an_error() {
    let scene = Scene::new().await;
    let mut wire = scene.h1(ALICE).await;
    for round in 1..=5 {
        scene.backend.says(|_| ok("kept"));
        assert_eq!(wire.ask(&scene, GET).await.status, 200);
        scene
            .backend
            .says(|_| Say::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()));
        assert_eq!(wire.ask(&scene, GET).await.status, 200);
        assert_eq!(scene.backend.connections(), round, "one connection for both");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_have_reached_the_service_is_never_sent_twice() {
    let scene = Scene::new().await;
    let mut wire = scene.h1(ALICE).await;
    assert_eq!(wire.ask(&scene, GET).await.status, 200);
    // Over the kept connection, and over a new one.
    for asked in ["POST /pay HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\none", GET] {
        for _ in 0..2 {
            let before = scene.backend.heard().len();
            scene.backend.says(|_| Say::Close);
            let answer = wire.ask(&scene, asked).await;
            assert_eq!(answer.status, 502);
            assert!(answer.text().contains("upstream_closed"));
            sleep(Duration::from_millis(50)).await;
            assert_eq!(scene.backend.heard().len(), before + 1);
        }
        scene.backend.says(|_| ok(""));
        assert_eq!(wire.ask(&scene, GET).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_goes_on_after_its_answer_makes_nobody_else_wait() {
    let scene = Scene::new().await;
    // It answers as soon as it has the head.
    scene.backend.reads_no_bodies();
    let mut uploads = Vec::new();
    for _ in 0..4 {
        let mut wire = scene.h1(ALICE).await;
        let head =
            format!("POST /up HTTP/1.1\r\nHost: {}\r\nContent-Length: 100000\r\n\r\nabc", scene.name(ALICE));
        wire.say(head.as_bytes()).await;
        assert_eq!(wire.answer("POST").await.unwrap().status, 200);
        uploads.push(wire);
    }
    for _ in 0..8 {
        let mut bob = scene.h1(BOB).await;
        bob.say(GET.replace("{host}", &scene.name(BOB)).as_bytes()).await;
        assert_eq!(bob.answer("GET").await.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_down_is_named_as_such() {
    let scene = Scene::new().await;
    // Its grants stay, and nobody offers it.
    let mut gone = crate::scene::service(scene.port, state::records::Auth::Name);
    gone.name = crate::scene::name("down");
    let mut grant = scene.store.read().grant(BOB).unwrap().clone();
    grant.service = gone.name.clone();
    let change = crate::scene::txn("down")
        .put(state::txn::Record::Service(gone))
        .put(state::txn::Record::Grant(BOB, grant));
    scene.commit(change).await;
    let mut wire = scene.h1(BOB).await;
    wire.say(GET.replace("{host}", &scene.name(BOB)).as_bytes()).await;
    let answer = wire.answer("GET").await.unwrap();
    assert!(matches!(answer.status, 502 | 503), "{}", answer.status);
    assert!(
        answer.text().contains("\"reason\":\"service_un") || answer.text().contains("link_down"),
        "{}",
        answer.text()
    );
    assert!(answer.field("content-type") == Some("application/problem+json"));
    assert!(scene.serves(scene.address(ALICE), &scene.name(ALICE)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_share_a_connection_and_each_gets_its_own_answer() {
    let scene = Scene::new().await;
    let (sender, host) = (scene.h2(ALICE).await, scene.name(ALICE));
    let mut all = tokio::task::JoinSet::new();
    for i in 0..300 {
        let (mut sender, host) = (sender.clone(), host.clone());
        all.spawn(async move {
            let answer = whole(&mut sender, request(&host, &format!("/{i}"))).await.unwrap();
            assert_eq!(answer.body(), &format!("GET /{i} HTTP/1.1"));
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    // Pipelined over HTTP/1.1, too.
    let mut wire = scene.h1(ALICE).await;
    let burst: String = (0..50).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: {host}\r\n\r\n")).collect();
    wire.say(burst.as_bytes()).await;
    for i in 0..50 {
        assert_eq!(wire.answer("GET").await.unwrap().text(), format!("GET /{i} HTTP/1.1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_reader_of_a_large_body_does_not_grow_memory() {
    let scene = Scene::new().await;
    let written = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = written.clone();
    scene.backend.says(move |_| Say::Endless(counter.clone()));
    let mut sender = scene.h2(ALICE).await;
    let response = sender.send_request(request(&scene.name(ALICE), "/")).await.unwrap();
    let mut wire = scene.h1(ALICE).await;
    wire.say(GET.replace("{host}", &scene.name(ALICE)).as_bytes()).await;
    let mut before = 0;
    soon("both have stalled", async {
        loop {
            sleep(Duration::from_millis(500)).await;
            let now = written.load(std::sync::atomic::Ordering::SeqCst);
            if now > 0 && now == before {
                break;
            }
            before = now;
        }
    })
    .await;
    // Windows, socket buffers of five hops on loopback, and our own few: far from endless.
    assert!(before < 64 * 1024 * 1024, "{before} bytes are somewhere on the way");
    drop(response.into_body().frame().await);
    drop((sender, wire));
    until("nothing of them is left", || scene.edge.status().connections == 0).await;
}
