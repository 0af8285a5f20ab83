//! Heads that are too large, ambiguous or not for us. What reaches the service is one message, or nothing.

use crate::clients::{Frames, Wire, frame, get_block, request, whole};
use crate::scene::{ALICE, BOB, Scene};

async fn status(scene: &Scene, request: &str) -> u16 {
    scene.ask(request).await.status
}

/// Nothing reaches the service, the client gets 400, and the connection ends: nothing is left to be read as a request.
async fn refused(scene: &Scene, request: &str) {
    let before = scene.backend.heard().len();
    let mut wire = scene.h1(ALICE).await;
    let answer = wire.ask(scene, request).await;
    assert_eq!(answer.status, 400, "{request:?}");
    assert_eq!(scene.backend.heard().len(), before, "{request:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_beyond_its_bounds_is_refused_and_one_within_them_is_not() {
    let scene = Scene::new().await;
    let fields = |n: usize| (0..n).map(|i| format!("x-{i}: 1\r\n")).collect::<String>();
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: {{host}}\r\n{fields}\r\n");
    assert_eq!(status(&scene, &with(&fields(99))).await, 200);
    assert_eq!(status(&scene, &with(&fields(100))).await, 431);
    assert_eq!(status(&scene, &with(&fields(5000))).await, 431);
    assert_eq!(status(&scene, &with(&format!("x: {}\r\n", "a".repeat(8 * 1024)))).await, 200);
    assert_eq!(status(&scene, &with(&format!("x: {}\r\n", "a".repeat(20 * 1024)))).await, 431);
    let uri = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: {{host}}\r\n\r\n", "a".repeat(n - 1));
    assert_eq!(status(&scene, &uri(8 * 1024)).await, 200);
    assert_eq!(status(&scene, &uri(8 * 1024 + 1)).await, 414);

    let (mut sender, host) = (scene.h2(ALICE).await, scene.name(ALICE));
    let with = |n: usize| {
        let mut asked = request(&host, "/");
        for i in 0..n {
            asked.headers_mut().insert(http::HeaderName::try_from(format!("x-{i}")).unwrap(), 1.into());
        }
        asked
    };
    assert_eq!(whole(&mut sender, with(100)).await.unwrap().status(), 200);
    assert_eq!(whole(&mut sender, with(101)).await.unwrap().status(), 431);
    let long = request(&host, &format!("/{}", "a".repeat(8 * 1024)));
    assert_eq!(whole(&mut sender, long).await.unwrap().status(), 414);
    let mut large = request(&host, "/");
    large.headers_mut().insert("x", "a".repeat(17 * 1024).parse().unwrap());
    assert!(whole(&mut sender, large).await.map_or(true, |answer| answer.status() == 431));
    assert_eq!(whole(&mut sender, request(&host, "/")).await.unwrap().status(), 200, "and goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trace_and_connect_are_not_forwarded() {
    let scene = Scene::new().await;
    let answer = scene.ask("TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n").await;
    assert_eq!((answer.status, answer.field("allow").is_some()), (405, true));
    assert_eq!(status(&scene, "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n").await, 405);
    assert_eq!(scene.backend.connections(), 0);
    assert_eq!(status(&scene, "BREW / HTTP/1.1\r\nHost: {host}\r\n\r\n").await, 200);
    assert_eq!(status(&scene, "OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n").await, 200);
    assert_eq!(scene.backend.last().line(), "OPTIONS * HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_one_grant_carries_no_request_for_another() {
    let scene = Scene::new().await;
    let bob = scene.name(BOB);
    for host in [&*bob, "www.example.com", "127.0.0.1", "[::1]:443", &format!("x.{bob}")] {
        assert_eq!(status(&scene, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await, 421, "{host}");
        let absolute = format!("GET https://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(status(&scene, &absolute).await, 421, "{host}");
    }
    let mut sender = scene.h2(ALICE).await;
    assert_eq!(whole(&mut sender, request(&bob, "/")).await.unwrap().status(), 421);
    assert_eq!(scene.backend.connections(), 0);
    for host in ["{host}", "{host}:443", "{host}."] {
        assert_eq!(status(&scene, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await, 200, "{host}");
    }
    let upper = scene.name(ALICE).to_uppercase();
    assert_eq!(status(&scene, &format!("GET / HTTP/1.1\r\nHost: {upper}\r\n\r\n")).await, 200);
    assert_eq!(status(&scene, "GET https://{host}/a?b HTTP/1.1\r\nHost: {host}\r\n\r\n").await, 200);
    assert_eq!(scene.backend.last().line(), "GET /a?b HTTP/1.1", "origin form for the service");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_are_none_or_two_or_more_than_a_host_are_refused() {
    let scene = Scene::new().await;
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n",
        "GET / HTTP/1.1\r\nHost: {host}:80@evil.example\r\n",
        "GET / HTTP/1.1\r\nHost: {host}:x\r\n",
        "GET / HTTP/1.1\r\nHost: {host}, evil.example\r\n",
        "GET https://{host}/ HTTP/1.1\r\nHost: evil.example\r\n",
        "GET https://evil@{host}/ HTTP/1.1\r\nHost: {host}\r\n",
        "GET ftp://{host}/ HTTP/1.1\r\nHost: {host}\r\n",
        "GET {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n",
        "GET * HTTP/1.1\r\nHost: {host}\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nX_Wandergate_User: root\r\n",
    ] {
        refused(&scene, &format!("{head}\r\n")).await;
    }
    let mut sender = scene.h2(ALICE).await;
    let mut two = request(&scene.name(ALICE), "/");
    two.headers_mut().insert("host", "evil.example".parse().unwrap());
    assert_eq!(whole(&mut sender, two).await.unwrap().status(), 400);
    assert_eq!(scene.backend.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_two_readers_could_read_differently_are_refused() {
    let scene = Scene::new().await;
    for rest in [
        "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "Content-Length: 4, 5\r\n\r\nabcde",
        "Content-Length: +4\r\n\r\nabcd",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 0x4\r\n\r\nabcd",
        "Content-Length: 99999999999999999999\r\n\r\n",
        "Content-Length:\r\n\r\n",
        "Transfer-Encoding: identity\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Content-Length : 4\r\n\r\nabcd",
        "X: a\r\n folded\r\n\r\n",
        " X: a\r\n\r\n",
        "X\r\n\r\n",
        ": empty\r\n\r\n",
        "X: a\rb\r\n\r\n",
        "X: a\0b\r\n\r\n",
    ] {
        refused(&scene, &format!("POST / HTTP/1.1\r\nHost: {{host}}\r\n{rest}")).await;
    }
    refused(&scene, "POST / HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
    refused(&scene, "GET /\t HTTP/1.1\r\nHost: {host}\r\n\r\n").await;
    refused(&scene, "GET / HTTP/1.2\r\nHost: {host}\r\n\r\n").await;
    refused(&scene, "GET  / HTTP/1.1\r\nHost: {host}\r\n\r\n").await;
}

/// RFC 9112 lets a server repair these; each repair is one reader's choice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_repair_is_refused_and_what_is_clear_reaches_the_service_as_one_message_with_one_length()
{
    let scene = Scene::new().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n";
    for (rest, body) in [
        ("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", None),
        ("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n3\r\nabc\r\n0\r\n\r\n", None),
        ("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", None),
        // §7.1: chunk extensions are dropped, and trailers that would change the head.
        ("Transfer-Encoding: CHUNKED\r\n\r\n3;x=1\r\nabc\r\n0\r\nHost: evil\r\n\r\n", Some("abc")),
        // What looks like a request in a body is a body.
        ("Content-Length: 3\r\n\r\nabc", Some("abc")),
    ] {
        let mut wire = scene.h1(ALICE).await;
        let asked =
            format!("POST /first HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n{rest}{smuggled}");
        let before = scene.backend.heard().len();
        let answer = wire.ask(&scene, &asked).await;
        match body {
            None => assert_eq!((answer.status, scene.backend.heard().len()), (400, before), "{rest:?}"),
            Some(body) => {
                assert_eq!(answer.status, 200, "{rest:?}");
                let heard = scene.backend.last();
                assert_eq!(
                    (heard.line(), &*heard.body),
                    ("POST /first HTTP/1.1", body.as_bytes()),
                    "{rest:?}"
                );
                let lengths = heard.all("content-length").len() + heard.all("transfer-encoding").len();
                assert_eq!((lengths, heard.all("host").len()), (1, 1), "{}", heard.head);
            }
        }
        assert!(wire.is_closed().await);
    }
    assert!(scene.backend.heard().iter().all(|heard| !heard.line().contains("smuggled")));
    refused(&scene, "GET /lf HTTP/1.1\nHost: {host}\nX: 1\n\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_half_way_is_the_clients_fault_and_no_whole_request_at_the_service() {
    let scene = Scene::new().await;
    for body in ["zz\r\nabc\r\n", "3\r\nabcX\r\n0\r\n\r\n", "3\nabc\n0\n\n", "fffffffffffffffff\r\nabc"] {
        let asked = format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(status(&scene, &asked).await, 400, "{body:?}");
    }
    assert!(scene.backend.heard().is_empty(), "{:?}", scene.backend.heard());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_the_service_declines_is_an_ordinary_answer_and_one_nobody_asked_for_is_a_502() {
    let scene = Scene::new().await;
    let upgrade = "GET /chat HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut wire = scene.h1(ALICE).await;
    assert_eq!(wire.ask(&scene, upgrade).await.status, 200);
    let heard = scene.backend.last();
    assert_eq!((heard.all("upgrade"), heard.all("connection")), (vec!["websocket"], vec!["Upgrade"]));
    let h2c = "GET /h2c HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n";
    assert_eq!(wire.ask(&scene, h2c).await.status, 200, "no other protocol is switched to");
    let heard = scene.backend.last();
    assert!(heard.all("upgrade").is_empty() && heard.all("connection").is_empty(), "{}", heard.head);
    assert_eq!(wire.ask(&scene, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").await.status, 200, "goes on");
    scene.backend.says_bytes(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(wire.ask(&scene, &upgrade.replace("Upgrade: websocket", "Upgrade: h2c")).await.status, 502);
    assert_eq!(scene.ask("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").await.status, 502);
    let mut sender = scene.h2(ALICE).await;
    let answer = whole(&mut sender, request(&scene.name(ALICE), "/")).await.unwrap();
    assert_eq!(answer.status(), 502);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_says_of_itself_never_reaches_the_service() {
    let scene = Scene::new().await;
    let mut sender = scene.h2(ALICE).await;
    let mut asked = request(&scene.name(ALICE), "/");
    for name in
        ["x-wandergate-user", "x-forwarded-for", "x-forwarded-user", "x-real-ip", "proxy", "forwarded"]
    {
        asked.headers_mut().insert(name, "root".parse().unwrap());
    }
    for crumb in ["a=1", "b=2"] {
        asked.headers_mut().append("cookie", crumb.parse().unwrap());
    }
    assert_eq!(whole(&mut sender, asked).await.unwrap().status(), 200);
    let heard = scene.backend.last();
    assert!(!heard.head.contains("root"), "{}", heard.head);
    assert_eq!(heard.all("cookie"), ["a=1; b=2"]);
    assert_eq!(heard.all("x-request-id").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_heads_that_are_malformed_end_their_stream_and_reach_nobody() {
    let scene = Scene::new().await;
    let host = scene.name(ALICE);
    // Field names and values: a literal without indexing each.
    for (name, value) in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("Upper", "1"),
        ("x", "a\r\nHost: evil"),
        ("te", "gzip"),
    ] {
        let mut block = get_block(&host);
        block.extend_from_slice(&[0, name.len() as u8]);
        block.extend_from_slice(name.as_bytes());
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
        let mut frames = Frames::of(&scene, ALICE).await;
        frames.say(&frame(1, 5, 1, &block)).await;
        let refused = crate::scene::soon("a refusal", async {
            loop {
                match frames.hear().await {
                    None | Some((3 | 7, _, _)) => return true,
                    Some((1, _, payload)) => return payload[0] != 0x88,
                    Some(_) => {}
                }
            }
        });
        assert!(refused.await, "{name}");
    }
    assert_eq!(scene.backend.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_after_the_handshake_is_refused_and_others_are_served() {
    let scene = Scene::new().await;
    for garbage in
        [&b"\0\0\0\0\0\0\0\0"[..], b"\x16\x03\x01", &[0xff; 5000], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        for alpn in ["h2", "http/1.1"] {
            let tls = scene.tls(scene.address(ALICE), &scene.name(ALICE), &[alpn]).await.unwrap();
            let mut wire = Wire { tls, unread: Vec::new() };
            wire.say(garbage).await;
        }
    }
    assert!(scene.serves(scene.address(ALICE), &scene.name(ALICE)).await);
}
