//! Each action of `futoin.md` §6.3 on each transport of requests, and one end for each call, whatever way it ends.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use defense::{HookPoint, Verdict};
use edge::bounds::HANDSHAKE_MAX;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backend::{Say, ok};
use crate::clients::{End, hello, request, whole};
use crate::h3::Stay;
use crate::hooks::{Heard, Recorder};
use crate::scene::{ALICE, BOB, Scene, access, soon, until};

#[derive(Clone, Copy, Debug)]
enum Over {
    Http1,
    Http2,
    Http3,
}

const ALL: [Over; 3] = [Over::Http1, Over::Http2, Over::Http3];

/// The status of a request on a connection of its own; `None`: not one byte of an answer.
async fn status(scene: &Scene, over: Over) -> Option<u16> {
    let host = scene.name(ALICE);
    match over {
        Over::Http1 => {
            let mut wire = scene.h1(ALICE).await;
            wire.say(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await;
            wire.answer("GET").await.map(|answer| answer.status)
        }
        Over::Http2 => {
            let answer = whole(&mut scene.h2(ALICE).await, request(&host, "/")).await;
            answer.ok().map(|answer| answer.status().as_u16())
        }
        Over::Http3 => {
            let told = scene.play("get", ALICE, &[]).await;
            told["status"].as_u64().filter(|status| *status > 0).map(|status| status as u16)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_verdict_about_a_request_is_carried_out_alike_on_every_transport() {
    const FLOOR: u32 = 300;
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    for over in ALL {
        for (verdict, seen, reaches, floor) in [
            (Verdict::Pass, Some(200), true, 0),
            (Verdict::Drop, None, false, 0),
            (Verdict::Reject, Some(429), false, 0),
            (Verdict::Reauth, Some(401), false, 0),
            (Verdict::Delay { floor_ms: FLOOR }, Some(200), true, FLOOR),
        ] {
            recorder.says(HookPoint::Request, verdict);
            let (heard, begun) = (scene.backend.heard().len(), Instant::now());
            assert_eq!(status(&scene, over).await, seen, "{verdict:?} over {over:?}");
            assert_eq!(
                scene.backend.heard().len() - heard,
                usize::from(reaches),
                "{verdict:?} over {over:?}"
            );
            assert!(begun.elapsed() >= Duration::from_millis(floor.into()), "{verdict:?} over {over:?}");
        }
        recorder.is_silent();
        recorder.holds_failures(Some(FLOOR));
        scene.backend.says(|_| Say::Close);
        let begun = Instant::now();
        assert_eq!(status(&scene, over).await, Some(502), "response delay over {over:?}");
        assert!(begun.elapsed() >= Duration::from_millis(FLOOR.into()));
        recorder.holds_failures(None);
        scene.backend.says(|_| ok("fine"));
    }
    let of = |wanted: fn(&Heard) -> bool| recorder.at(HookPoint::Request).into_iter().filter(wanted).count();
    until("the ends of those that passed", || of(|h| !matches!(h, Heard::Call(_))) == 3 * ALL.len()).await;
    assert_eq!(of(|h| matches!(h, Heard::Call(_))), 6 * ALL.len(), "each was asked about once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_gets_no_byte_whatever_the_refusal_and_costs_no_handshake() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    for verdict in [Verdict::Drop, Verdict::Reject, Verdict::Reauth] {
        recorder.says(HookPoint::Connection, verdict);
        let hello = hello(Some(&scene.name(ALICE)));
        let knocked = scene.knock(scene.address(ALICE), &hello, HANDSHAKE_MAX * 4);
        assert_eq!(knocked.await, End::Reset, "{verdict:?}");
    }
    let calls = [Heard::Call(HookPoint::Connection); 3];
    assert_eq!(recorder.at(HookPoint::Connection), calls, "neither result nor failure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_12_every_call_that_passed_has_one_end_whatever_way_it_ends() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    let host = scene.name(ALICE);
    let get = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut asked = 0;
    for over in ALL {
        // The service breaks off half-way; then it hangs, and the client goes; then it never ends, and the client goes.
        scene
            .backend
            .says(|_| Say::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()));
        let _ = status(&scene, over).await;
        asked += 1;
        for endless in [false, true] {
            scene.backend.says(move |_| match endless {
                true => Say::Endless(Arc::new(AtomicUsize::new(0))),
                false => Say::Hang,
            });
            asked += 1;
            match over {
                Over::Http1 => {
                    let mut wire = scene.h1(ALICE).await;
                    wire.say(get.as_bytes()).await;
                    until("it is under way", || scene.backend.heard().len() == asked).await;
                }
                Over::Http2 => {
                    let mut sender = scene.h2(ALICE).await;
                    let answer = tokio::spawn(sender.send_request(request(&host, "/")));
                    until("it is under way", || scene.backend.heard().len() == asked).await;
                    answer.abort();
                }
                Over::Http3 => {
                    let mut client = Stay::with("leave", &scene, ALICE);
                    until("it is under way", || scene.backend.heard().len() == asked).await;
                    client.go();
                    client.end();
                }
            }
        }
    }
    // A revocation in the middle of an answer.
    let mut wire = scene.h1(ALICE).await;
    wire.say(get.as_bytes()).await;
    asked += 1;
    until("it is under way", || scene.backend.heard().len() == asked).await;
    scene.commit(access(&scene, 1, true)).await;
    // A drain while another's answer is still to come: it comes.
    let go = Arc::new(Notify::new());
    let gone = Arc::clone(&go);
    scene.backend.says(move |_| {
        let (first, second) = (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nda".to_vec(), b"ne".to_vec());
        Say::InTwo(first, Arc::clone(&gone), second)
    });
    let (bobs, mut others) = (scene.name(BOB), scene.h1(BOB).await);
    others.say(format!("GET / HTTP/1.1\r\nHost: {bobs}\r\n\r\n").as_bytes()).await;
    asked += 1;
    until("it is under way", || scene.backend.heard().len() == asked).await;
    scene.stop.cancel();
    go.notify_one();
    let answer = soon("the answer", others.answer("GET")).await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "dane"));
    drop((wire, others));
    let calls = |h: &Heard| matches!(h, Heard::Call(_));
    until("one end for each", || recorder.is_balanced()).await;
    let heard = recorder.at(HookPoint::Request);
    assert_eq!(heard.iter().filter(|h| calls(h)).count(), asked);
    assert_eq!(heard.len(), 2 * asked);
}
