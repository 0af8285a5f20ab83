//! WebSockets: an HTTP/1.1 upgrade at the service, whatever the client's transport; and nothing that only looks like one.

use bytes::Bytes;
use data_encoding::BASE64;
use defense::{HookPoint, Reason};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use ring::digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::backend::{Heard, Say, ok};
use crate::clients::{Sender, request, whole};
use crate::hooks::{Heard as Told, Recorder};
use crate::scene::{ALICE, Scene, access, soon, until};

/// The service's side of the handshake; then it echoes.
pub(crate) fn accepts(heard: &Heard) -> Say {
    let Some(key) = heard.all("sec-websocket-key").first().map(|key| (*key).to_owned()) else {
        return ok("no WebSocket");
    };
    let salted = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = BASE64.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, salted.as_bytes()).as_ref());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    );
    Say::Echo(head.into_bytes())
}

/// Answers that open no WebSocket, and what a client gets in their place.
pub(crate) const DECLINES: [(&[u8], u16); 4] = [
    (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 502),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 502),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 502),
];

fn connect(host: &str, protocol: &'static str) -> Request<Full<Bytes>> {
    let asked = Request::connect(format!("https://{host}/chat")).extension(Protocol::from_static(protocol));
    asked
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .body(Full::default())
        .unwrap()
}

async fn open(scene: &Scene, protocol: &'static str) -> (Response<Incoming>, Sender) {
    let mut sender = scene.h2(ALICE).await;
    // A request of the ordinary kind first: the edge's settings are known then.
    whole(&mut sender, request(&scene.name(ALICE), "/")).await.unwrap();
    let asked = connect(&scene.name(ALICE), protocol);
    (soon("an answer", sender.send_request(asked)).await.unwrap(), sender)
}

async fn stream(response: Response<Incoming>) -> TokioIo<Upgraded> {
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

async fn says_and_hears(stream: &mut TokioIo<Upgraded>, what: &[u8]) {
    stream.write_all(what).await.unwrap();
    stream.flush().await.unwrap();
    let mut heard = vec![0; what.len()];
    soon("the echo", stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard, what);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_over_http_2_is_an_upgrade_at_the_service_and_carries_bytes_both_ways() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    scene.backend.says(accepts);
    let (response, _sender) = open(&scene, "websocket").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    let heard = scene.backend.last();
    assert_eq!(heard.line(), "GET /chat HTTP/1.1");
    assert_eq!((heard.all("upgrade"), heard.all("connection")), (vec!["websocket"], vec!["Upgrade"]));
    assert_eq!(heard.all("x-wandergate-user"), ["alice"]);
    let mut stream = stream(response).await;
    says_and_hears(&mut stream, b"hello").await;
    says_and_hears(&mut stream, &[7; 100_000]).await;
    drop(stream);
    let result = |status| Told::Result(HookPoint::Request, Some(status));
    until("its result", || recorder.at(HookPoint::Request).contains(&result(101))).await;
    let call = Told::Call(HookPoint::Request);
    assert_eq!(recorder.at(HookPoint::Request), [call, result(200), call, result(101)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_ends_a_websocket_at_once() {
    let scene = Scene::new().await;
    scene.backend.says(accepts);
    let (response, _sender) = open(&scene, "websocket").await;
    let mut stream = stream(response).await;
    says_and_hears(&mut stream, b"hello").await;
    scene.commit(access(&scene, 1, true)).await;
    let ended = soon("the end", stream.read(&mut [0; 8])).await;
    assert!(ended.is_err() || ended.is_ok_and(|n| n == 0));
    until("its place is free", || scene.edge.status().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_switch_or_proves_nothing_opens_no_websocket() {
    let scene = Scene::new().await;
    for (bytes, status) in DECLINES {
        scene.backend.says(move |heard| match heard.line() {
            "GET /chat HTTP/1.1" => Say::Bytes(bytes.to_vec()),
            _ => ok(""),
        });
        assert_eq!(open(&scene, "websocket").await.0.status(), status);
    }
    assert_eq!(scene.journal.total(Reason::UpstreamClosed), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extended_connect_for_another_protocol_and_a_plain_connect_are_refused() {
    let scene = Scene::new().await;
    scene.backend.says(accepts);
    let (response, mut sender) = open(&scene, "connect-udp").await;
    assert_eq!(response.status(), 405);
    let plain = Request::connect("inside.example:22").body(Full::default()).unwrap();
    assert_eq!(soon("an answer", sender.send_request(plain)).await.unwrap().status(), 405);
    assert_eq!(scene.backend.heard().len(), 1);
}
