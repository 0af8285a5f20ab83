//! Who gets in, and what everyone else sees.

use std::time::Duration;

use defense::Reason;
use edge::bounds::{DARK_MAX, HANDSHAKE_MAX};
use state::records::Auth;
use tokio::time::Instant;

use crate::clients::{End, end_of, hello, request, whole};
use crate::scene::{AGENT, ALICE, BOB, Plot, Scene, below};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_name_at_the_right_address_is_served_over_http_1_and_2_by_stable_and_rotating_labels() {
    let scene = Scene::new().await;
    for grant in [ALICE, BOB, AGENT] {
        let host = scene.name(grant);
        assert!(scene.serves(scene.address(grant), &host).await);
        let mut sender = scene.h2(grant).await;
        let answer = whole(&mut sender, request(&host, "/page?q=1")).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"GET /page?q=1 HTTP/1.1"[..]));
        let heard = scene.backend.last();
        assert_eq!(heard.all("host"), [&*host]);
        assert_eq!(heard.all("x-wandergate-user"), [if grant == BOB { "bob" } else { "alice" }]);
        assert_eq!(heard.all("x-forwarded-for"), ["127.0.0.1"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_cannot_name_the_address_gets_a_reset_and_not_one_byte() {
    let scene = Scene::new().await;
    let address = scene.address(ALICE);
    let deeper = format!("www.{}", scene.name(ALICE));
    let unknown = below(rotator::Label::stable([9; 16]));
    for (name, reason) in [
        (Some(&*scene.name(BOB)), Reason::NameMismatch),
        (Some(&*unknown), Reason::NameMismatch),
        (Some(&*deeper), Reason::NameMismatch),
        (Some(&*below("join")), Reason::NameMismatch),
        (Some("www.example.com"), Reason::NameMismatch),
        (None, Reason::SniMissing),
    ] {
        let before = scene.journal.total(reason);
        assert_eq!(scene.attempt(address, name).await, End::Reset, "{name:?}");
        scene.until_written(reason, before + 1).await;
    }
    assert_eq!(scene.edge.status().connections, 0);
    assert_eq!(scene.backend.connections(), 0);
    assert!(scene.serves(address, &scene.name(ALICE)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dark_address_and_a_nameless_client_of_a_live_one_see_the_same_at_the_same_time() {
    let scene = Scene::new().await;
    let (live, dark) = (scene.address(ALICE), scene.dark_address());
    let own = scene.name(ALICE);
    assert_eq!(scene.attempt(dark, Some(&own)).await, End::Reset);
    scene.until_written(Reason::NoWindow, 1).await;
    let short = Duration::from_millis(500);
    for first in [&b""[..], b"G", b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 0xff, 0xff], &hello(None)[..40]] {
        let mut ends = Vec::new();
        for address in [live, dark] {
            ends.push(scene.knock(address, first, short).await);
        }
        assert_eq!(ends[0], ends[1], "{first:?}");
        assert!(matches!(ends[0], End::Reset | End::Silence), "{ends:?}");
    }
    // And whoever says nothing is reset by both at the same deadline.
    let begun = Instant::now();
    let (mut a, mut b) = (scene.tcp(live).await, scene.tcp(dark).await);
    for tcp in [&mut a, &mut b] {
        assert_eq!(end_of(tcp, &[], HANDSHAKE_MAX * 2).await, End::Reset);
        assert!(begun.elapsed() >= HANDSHAKE_MAX - Duration::from_millis(50));
    }
    scene.until_written(Reason::HandshakeTimeout, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_for_the_pretense_are_bounded_and_users_do_not_need_them() {
    let scene = Scene::new().await;
    let dark = scene.dark_address();
    let mut held = Vec::new();
    for _ in 0..DARK_MAX {
        held.push(scene.tcp(dark).await);
    }
    scene.until_written(Reason::NoWindow, DARK_MAX as u64).await;
    assert_eq!(scene.knock(dark, &[], Duration::from_secs(1)).await, End::Reset);
    assert!(scene.serves(scene.address(ALICE), &scene.name(ALICE)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_address_is_enough_it_needs_no_name_but_a_wrong_one_is_still_refused() {
    let scene = Scene::of(Plot { auth: Auth::Address, ..Plot::default() }).await;
    let address = scene.address(ALICE);
    assert_eq!(scene.attempt(address, None).await, End::Spoken);
    assert_eq!(scene.attempt(address, Some("www.example.com")).await, End::Spoken);
    assert_eq!(scene.attempt(address, Some(&scene.name(BOB))).await, End::Reset);
    let mut wire = scene.h1(ALICE).await;
    let answer = wire.ask(&scene, "GET / HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n").await;
    assert_eq!((answer.status, scene.backend.last().all("host")), (200, vec!["[2001:db8::1]:443"]));
    let host = scene.name(BOB);
    wire.say(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await;
    assert_eq!(wire.answer("GET").await.unwrap().status, 421);
}
