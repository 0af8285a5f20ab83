//! WebSockets over HTTP/3 (RFC 9220): what [`crate::sockets`] asks of HTTP/2, of an independent client, and what is QUIC's own.

use defense::{HookPoint, Reason};
use serde_json::Value;

use crate::backend::{Say, ok};
use crate::h3::Stay;
use crate::hooks::{Heard as Told, Recorder};
use crate::scene::{ALICE, Scene, access, until};
use crate::sockets::{DECLINES, accepts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_over_http_3_is_an_upgrade_at_the_service_and_carries_bytes_both_ways() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    scene.backend.says(accepts);
    let told = scene.play("websocket", ALICE, &["5", "100000", "1"]).await;
    assert_eq!((&told["status"], &told["announced"]), (&200.into(), &1.into()), "{told}");
    assert_eq!((&told["length"], &told["ended"]), (&100_006.into(), &true.into()), "{told}");
    assert_eq!((&told["sha256"], &told["reset"]), (&told["sent"], &Value::Null), "{told}");
    assert_eq!(told["head"]["sec-websocket-protocol"], "chat");
    assert_eq!(told["head"].get("sec-websocket-accept"), None);
    let heard = scene.backend.last();
    assert_eq!(heard.line(), "GET /chat HTTP/1.1");
    assert_eq!((heard.all("upgrade"), heard.all("connection")), (vec!["websocket"], vec!["Upgrade"]));
    assert_eq!(heard.all("x-wandergate-user"), ["alice"]);
    let call = Told::Call(HookPoint::Request);
    let expected = [call, Told::Result(HookPoint::Request, Some(101))];
    until("its result", || recorder.at(HookPoint::Request) == expected).await;
    let line = &scene.logged(1).await[0];
    assert_eq!((&line["protocol"], &line["status"]), (&"websocket".into(), &101.into()));
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&100_006.into(), &100_006.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_ends_a_websocket_over_http_3_at_once() {
    let scene = Scene::new().await;
    scene.backend.says(accepts);
    let mut stay = Stay::with("stay_on_websocket", &scene, ALICE);
    assert_eq!(stay.get()["echoed"], true);
    scene.commit(access(&scene, 1, true)).await;
    assert_eq!(stay.end()["closed"], 0x100);
    until("its place is free", || scene.edge.status().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_switch_or_proves_nothing_opens_no_websocket_over_http_3() {
    let scene = Scene::new().await;
    for (bytes, status) in DECLINES {
        scene.backend.says(move |heard| match heard.line() {
            "GET /chat HTTP/1.1" => Say::Bytes(bytes.to_vec()),
            _ => ok(""),
        });
        let told = scene.play("websocket", ALICE, &[]).await;
        assert_eq!((&told["status"], &told["ended"]), (&status.into(), &true.into()), "{told}");
        assert_eq!(told["closed"], Value::Null, "{told}");
    }
    assert_eq!(scene.journal.total(Reason::UpstreamClosed), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extended_connect_over_http_3_for_another_protocol_is_refused() {
    let scene = Scene::new().await;
    let told = scene.play("other_protocol", ALICE, &["connect-udp"]).await;
    assert_eq!((&told["status"], &told["ended"]), (&405.into(), &true.into()), "{told}");
    assert_eq!(told["then"]["status"], 200, "the connection goes on: {told}");
    assert_eq!(scene.backend.heard().len(), 1, "the service heard of the other request only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websockets_stream_over_http_3_carries_nothing_but_bytes() {
    let scene = Scene::new().await;
    scene.backend.says(accepts);
    assert_eq!(scene.play("websocket_with_trailers", ALICE, &[]).await["closed"], 0x105);
    until("its place is free", || scene.edge.status().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_over_http_3_goes_on_in_a_drain_until_it_is_over() {
    let scene = Scene::new().await;
    scene.backend.says(accepts);
    let mut stay = Stay::with("stay_on_websocket", &scene, ALICE);
    assert_eq!(stay.get()["echoed"], true);
    scene.stop.cancel();
    until("it is told which request was the last", || {
        let told = stay.get();
        assert_eq!(told["echoed"], true, "{told}");
        told["goaways"].as_array().unwrap().last() == Some(&4.into())
    })
    .await;
    scene.edge.hasten();
    assert_eq!(stay.end()["closed"], 0x100);
}
