//! Requests made to be read as two: each class of request smuggling, and what a service hears of it.

use crate::backend::{Say, ok};
use crate::clients::Wire;
use crate::scene::{ALICE, BOB, Scene};

/// What has to become of an attempt.
enum Fate {
    /// Answered 400, closed, and no request at the service.
    Refused,
    /// Answered 400 and not forwarded, but where it ends is clear: what follows is a request of its own.
    Declined,
    /// One message with one length, and this for its body. What follows it is a request of its own or nothing.
    Heard(&'static str),
}

use Fate::{Declined, Heard, Refused};

const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n";

/// Name, what follows `POST /first HTTP/1.1` and its host, fate. [`HIDDEN`] is sent behind each.
const HEADS: &[(&str, &str, Fate)] = &[
    ("CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", Refused),
    (
        "TE.CL",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    ("TE.TE, a second one", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", Refused),
    (
        "TE.TE, the same twice",
        "Transfer-Encoding: chunked\r\nTransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    ("TE.TE, a list", "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, another word", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, quoted", "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, a parameter", "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, a space before the colon", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, a space before the name", "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, a line break before the colon", "Transfer-Encoding\r\n: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, behind a bare LF", "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, behind a bare CR", "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, a vertical tab", "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, a NUL", "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, empty", "Transfer-Encoding:\r\n\r\n0\r\n\r\n", Refused),
    ("TE.TE, an underscore", "Transfer_Encoding: chunked\r\n\r\n", Declined),
    ("TE, with a tab, is one", "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n", Heard("")),
    ("CL.CL, two that differ", "Content-Length: 0\r\nContent-Length: 44\r\n\r\n", Refused),
    ("CL.CL, two alike", "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", Refused),
    ("CL.CL, a list", "Content-Length: 3, 3\r\n\r\nabc", Refused),
    ("CL, empty (CVE-2023-40225)", "Content-Length:\r\n\r\n", Refused),
    ("CL, a sign", "Content-Length: +3\r\n\r\nabc", Refused),
    ("CL, negative", "Content-Length: -1\r\n\r\n", Refused),
    ("CL, hexadecimal", "Content-Length: 0x3\r\n\r\nabc", Refused),
    ("CL, a space within", "Content-Length: 1 3\r\n\r\nabc", Refused),
    ("CL, overflows to 3", "Content-Length: 18446744073709551619\r\n\r\nabc", Refused),
    ("CL, a NUL", "Content-Length: 3\0\r\n\r\nabc", Refused),
    ("a name that is none (CVE-2023-25725)", ": x\r\nContent-Length: 3\r\n\r\nabc", Refused),
    ("a name without a colon", "Content-Length\r\n\r\n", Refused),
    ("a folded line", "Content-Length:\r\n 3\r\n\r\nabc", Refused),
    ("an empty line with blanks", "X: y\r\n \r\nContent-Length: 3\r\n\r\nabc", Refused),
    ("an end with bare LFs", "X: y\n\n", Refused),
    ("a second host", "Host: evil.example\r\nContent-Length: 0\r\n\r\n", Declined),
    ("CL.0", "Content-Length: 3\r\n\r\nabc", Heard("abc")),
    (
        "TE.0",
        "Transfer-Encoding: chunked\r\n\r\n1e\r\nGET /inner HTTP/1.1\r\nHost: x\r\n\r\n0\r\n\r\n",
        Heard("GET /inner HTTP/1.1\r\nHost: x\r\n"),
    ),
    (
        "0.CL, the whole request for a body",
        "Content-Length: 35\r\n\r\nGET /inner HTTP/1.1\r\nHost: inner\r\n\r",
        Heard("GET /inner HTTP/1.1\r\nHost: inner\r\n\r"),
    ),
    ("an odd wish to go on", "Expect: y 100-continue\r\nContent-Length: 3\r\n\r\nabc", Heard("abc")),
];

/// Name, chunks, fate. Whatever breaks them, the service never holds a whole request.
const CHUNKS: &[(&str, &str, Fate)] = &[
    ("an extension", "3;a=b;c=\"d;e\"\r\nabc\r\n0\r\n\r\n", Heard("abc")),
    ("an extension that ends with LF", "3;a\nabc\r\n0\r\n\r\n", Refused),
    ("an extension that ends with CR", "3;a\rX\r\nabc\r\n0\r\n\r\n", Refused),
    ("an extension that hides a line in quotes", "3;a=\"\r\nabc\r\n0\r\n\r\n\"\r\nabc\r\n0\r\n\r\n", Refused),
    ("an extension without a name", "3;\r\nabc\r\n0\r\n\r\n", Refused),
    ("a size that ends with LF", "3\nabc\n0\n\n", Refused),
    ("a size that ends with CR CR LF", "3\r\r\nabc\r\n0\r\n\r\n", Refused),
    ("bytes that end with LF", "3\r\nabc\n0\r\n\r\n", Refused),
    ("bytes that end with anything", "3\r\nabcXY0\r\n\r\n", Refused),
    ("more bytes than said", "2\r\nabc\r\n0\r\n\r\n", Refused),
    ("fewer bytes than said", "4\r\nabc\r\n0\r\n\r\n", Refused),
    ("a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n", Refused),
    ("a size with a sign", "+3\r\nabc\r\n0\r\n\r\n", Refused),
    ("a negative size", "-3\r\nabc\r\n0\r\n\r\n", Refused),
    ("a size with a space", "3 \r\nabc\r\n0\r\n\r\n", Refused),
    ("an empty size", "\r\nabc\r\n0\r\n\r\n", Refused),
    ("a size that overflows to 3", "10000000000000003\r\nabc\r\n0\r\n\r\n", Refused),
    ("an end with LF", "3\r\nabc\r\n0\r\n\n", Refused),
    ("an end with bytes", "3\r\nabc\r\n0\r\nX", Refused),
    (
        "trailers that would change the head",
        "3\r\nabc\r\n0\r\nHost: evil\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\nX-Wandergate-User: root\r\nX_Forwarded_For: ::1\r\nAuthorization: x\r\n\r\n",
        Heard("abc"),
    ),
    ("a folded trailer", "3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n", Refused),
    ("a trailer that ends with LF", "3\r\nabc\r\n0\r\nX: y\n\r\n", Refused),
    ("a trailer without a name", "3\r\nabc\r\n0\r\n: y\r\n\r\n", Refused),
];

/// Name, whole request, fate.
const LINES: &[(&str, &str, Fate)] = &[
    (
        "HTTP/1.0 with TE (CVE-2026-2835)",
        "POST / HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    ("two versions", "GET / HTTP/1.1 HTTP/1.1\r\nHost: {host}\r\n\r\n", Refused),
    ("no version", "GET /\r\nHost: {host}\r\n\r\n", Refused),
    ("a version of its own", "GET / HTTP/1.9\r\nHost: {host}\r\n\r\n", Refused),
    ("a version with LF", "GET / HTTP/1.1\nHost: {host}\r\n\r\n", Refused),
    ("a tab between", "GET\t/ HTTP/1.1\r\nHost: {host}\r\n\r\n", Refused),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: {host}\r\n\r\n", Refused),
    ("a space in the target", "GET / x HTTP/1.1\r\nHost: {host}\r\n\r\n", Refused),
    ("a fragment", "GET /#/../x HTTP/1.1\r\nHost: {host}\r\n\r\n", Refused),
    ("another host in the target", "GET https://evil.example/ HTTP/1.1\r\nHost: {host}\r\n\r\n", Declined),
    ("another host in the field", "GET https://{host}/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", Declined),
    ("a host with a path", "GET / HTTP/1.1\r\nHost: {host}/x\r\n\r\n", Declined),
    ("two empty lines before it", "\r\n\r\nGET / HTTP/1.1\r\nHost: {host}\r\n\r\n", Refused),
    ("blanks before the first field", "GET / HTTP/1.1\r\n Host: {host}\r\n\r\n", Refused),
    ("a method of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refused),
];

async fn meets_its_fate(scene: &Scene, name: &str, asked: &str, fate: &Fate) {
    let before = scene.backend.heard().len();
    let mut wire = scene.h1(ALICE).await;
    let answer = wire.ask(scene, &format!("{asked}{HIDDEN}")).await;
    match fate {
        Refused => {
            assert_eq!(answer.status, 400, "{name}");
            assert!(wire.is_closed().await, "{name}: nothing can be read after it");
            assert_eq!(scene.backend.heard().len(), before, "{name}: {:?}", scene.backend.heard().last());
        }
        Declined => {
            assert_eq!(answer.status, 400, "{name}");
            assert_eq!(wire.answer("GET").await.unwrap().text(), "GET /smuggled HTTP/1.1", "{name}");
            assert_eq!(scene.backend.heard().len(), before + 1, "{name}");
        }
        Heard(body) => {
            assert_eq!(answer.status, 200, "{name}");
            let heard = scene.backend.heard();
            let first = &heard[before];
            assert_eq!((first.line(), &*first.body), ("POST /first HTTP/1.1", body.as_bytes()), "{name}");
            let lengths = first.all("content-length").len() + first.all("transfer-encoding").len();
            assert_eq!((lengths, first.all("host").len()), (1, 1), "{name}: {}", first.head);
            assert_eq!(first.all("x-wandergate-user"), ["alice"], "{name}");
            // What follows is the client's own next request, as every other of it: with our word on who asks.
            assert_eq!(wire.answer("GET").await.unwrap().text(), "GET /smuggled HTTP/1.1", "{name}");
            let last = scene.backend.last();
            assert_eq!(
                (last.line(), last.all("x-wandergate-user")),
                ("GET /smuggled HTTP/1.1", vec!["alice"])
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_hides_a_second_request_is_refused_or_reaches_the_service_as_one_message() {
    let scene = Scene::new().await;
    for (name, rest, fate) in HEADS {
        let asked = format!("POST /first HTTP/1.1\r\nHost: {{host}}\r\n{rest}");
        meets_its_fate(&scene, name, &asked, fate).await;
    }
    for (name, asked, fate) in LINES {
        meets_its_fate(&scene, name, asked, fate).await;
    }
    // CVE-2021-40346: a name so long that its length wrapped, and became another field's.
    let long = format!("Content-Length0{}", "a".repeat(255));
    let asked = format!("POST /first HTTP/1.1\r\nHost: {{host}}\r\n{long}:\r\nContent-Length: 3\r\n\r\nabc");
    meets_its_fate(&scene, "a long name", &asked, &Heard("abc")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_that_hide_a_second_request_are_refused_or_reach_the_service_as_one_body() {
    let scene = Scene::new().await;
    for (name, chunks, fate) in CHUNKS {
        let asked =
            format!("POST /first HTTP/1.1\r\nHost: {{host}}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        meets_its_fate(&scene, name, &asked, fate).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_reach_the_service_where_they_may_and_the_client_where_it_reads_them() {
    let scene = Scene::new().await;
    scene.backend.says(|_| {
        Say::Bytes(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a\r\n\r\n"
                .to_vec(),
        )
    });
    for (wish, expected) in [("TE: trailers\r\nConnection: TE\r\n", true), ("", false)] {
        let mut wire = scene.h1(ALICE).await;
        let asked = format!("GET / HTTP/1.1\r\nHost: {}\r\n{wish}\r\n", scene.name(ALICE));
        wire.say(asked.as_bytes()).await;
        let end: &[u8] = if expected { b"0\r\nx-sum: 7\r\n\r\n" } else { b"0\r\n\r\n" };
        while crate::backend::find(&wire.unread, b"\r\n2\r\nok\r\n").is_none()
            || !wire.unread.ends_with(b"\r\n\r\n")
        {
            crate::scene::soon("the answer", wire.more()).await.unwrap();
        }
        assert!(wire.unread.ends_with(&[b"ok\r\n", end].concat()), "{}", wire.unread.escape_ascii());
    }
}

/// CVE-2025-4366. A service that answers without reading takes the rest for a request: its answer must not meet anybody
/// else's question, since no connection to a service is shared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_the_service_left_unread_harms_nobody_but_its_sender() {
    let scene = Scene::new().await;
    scene.backend.reads_no_bodies();
    for _ in 0..5 {
        let body = HIDDEN.replace("{host}", "evil.example");
        let head =
            format!("POST /first HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {}\r\n\r\n", body.len());
        assert_eq!(scene.ask(&format!("{head}{body}")).await.status, 200);
        let mut other = scene.h1(BOB).await;
        other.say(format!("GET /mine HTTP/1.1\r\nHost: {}\r\n\r\n", scene.name(BOB)).as_bytes()).await;
        assert_eq!(other.answer("GET").await.unwrap().text(), "GET /mine HTTP/1.1");
    }
}

/// CVE-2026-2833: bytes behind an upgrade are the service's only once it has agreed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_an_upgrade_that_is_declined_is_read_as_a_request_of_its_own() {
    let scene = Scene::new().await;
    scene.backend.says(|heard| ok(heard.line()));
    let upgrade = "GET /chat HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut wire = scene.h1(ALICE).await;
    let forged = "GET /next HTTP/1.1\r\nHost: {host}\r\nX-Wandergate-User: root\r\n\r\n";
    assert_eq!(wire.ask(&scene, &format!("{upgrade}{forged}")).await.text(), "GET /chat HTTP/1.1");
    assert_eq!(wire.answer("GET").await.unwrap().text(), "GET /next HTTP/1.1");
    assert_eq!(scene.backend.last().all("x-wandergate-user"), ["alice"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_over_http_1_carries_what_came_with_its_heads_and_all_after_it() {
    let scene = Scene::new().await;
    scene.backend.says(|_| {
        Say::Echo(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nwelcome"
                .to_vec(),
        )
    });
    let upgrade = "GET /chat HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\nearly";
    let mut wire = scene.h1(ALICE).await;
    let answer = wire.ask(&scene, upgrade).await;
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")));
    hears(&mut wire, b"welcomeearly").await;
    let large = vec![7; 200_000];
    let (mut from, mut to) = tokio::io::split(wire.tls);
    let mut heard = vec![0; large.len()];
    let said = tokio::io::AsyncWriteExt::write_all(&mut to, &large);
    let read = tokio::io::AsyncReadExt::read_exact(&mut from, &mut heard);
    let (said, read) = crate::scene::soon("the echo", async { tokio::join!(said, read) }).await;
    said.unwrap();
    read.unwrap();
    assert!(heard == large);
}

async fn hears(wire: &mut Wire, what: &[u8]) {
    while wire.unread.len() < what.len() {
        crate::scene::soon("bytes", wire.more()).await.unwrap();
    }
    assert_eq!(wire.unread.escape_ascii().to_string(), what.escape_ascii().to_string());
    wire.unread.clear();
}
