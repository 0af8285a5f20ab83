//! What becomes of addresses and connections as time passes and things change.

use std::time::Duration;

use defense::Reason;
use edge::bounds::{DRAIN_MAX, HANDSHAKE_MAX};
use rotator::{Life, Schedule};
use state::records::Auth;
use state::txn::Record;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use crate::backend::{Say, ok};
use crate::clients::{End, end_of, hello, request, whole};
use crate::scene::{
    AGENT, ALICE, BOB, Plot, QUICK, Scene, access, certificate, free_port, keyring, service, soon, until,
};

/// The next lease of Alice that is not live yet.
pub(crate) async fn next_lease(scene: &Scene) -> (std::net::IpAddr, rotator::Lease) {
    let mut found = None;
    until("a lease that is early", || {
        let now = scene.clock.now();
        let leases = scene.edge.roster().leases_of(ALICE);
        found = leases.into_iter().find(|(_, lease)| lease.life(now) == Life::Early);
        found.is_some()
    })
    .await;
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_served_early_live_and_in_grace_then_reset_at_once_then_dark() {
    let scene = Scene::quick(QUICK).await;
    let (address, lease) = next_lease(&scene).await;
    let name = scene.name(ALICE);
    for (from, until_) in
        [(lease.opens(), lease.start), (lease.start, lease.ends()), (lease.ends(), lease.closes())]
    {
        until("the stage", || scene.clock.now() >= from).await;
        let served = scene.serves(address, &name).await;
        assert!(served || scene.clock.now() >= until_, "{:?}", lease.life(scene.clock.now()));
    }
    until("the tombstone", || scene.clock.now() >= lease.closes()).await;
    // At once: not a byte was read of whoever comes.
    let end = scene.knock(address, &[], Duration::from_millis(900)).await;
    assert!(end == End::Reset || scene.clock.now() >= lease.silent());
    scene.until_written(Reason::Tombstone, 1).await;
    until("silence", || scene.clock.now() >= lease.silent()).await;
    assert_eq!(scene.knock(address, &[], Duration::from_millis(900)).await, End::Silence);
    assert_eq!(scene.attempt(address, Some(&name)).await, End::Reset);
    assert!(scene.serves(scene.address(ALICE), &name).await, "and the name lives on elsewhere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_established_connection_survives_rotations_until_max_session_ends_it() {
    let scene = Scene::quick(Schedule { max_session_s: 6, ..QUICK }).await;
    let (_, lease) = next_lease(&scene).await;
    until("the lease is live", || scene.clock.now() >= lease.start).await;
    let (mut wire, mut sender) = (scene.h1(ALICE).await, scene.h2(ALICE).await);
    let host = scene.name(ALICE);
    while scene.clock.now() < lease.closes().plus(4) {
        let answer = wire.ask(&scene, "GET /still HTTP/1.1\r\nHost: {host}\r\n\r\n").await;
        assert_eq!(answer.status, 200);
        assert_eq!(whole(&mut sender, request(&host, "/")).await.unwrap().status(), 200);
        sleep(Duration::from_millis(250)).await;
    }
    assert!(scene.edge.status().draining >= 2);
    assert!(wire.is_closed().await);
    assert!(scene.clock.now() >= lease.drained());
    scene.until_written(Reason::SessionOver, 2).await;
    assert!(whole(&mut sender, request(&host, "/")).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotating_label_follows_a_clock_that_is_set_back() {
    let scene = Scene::quick(QUICK).await;
    let hour = QUICK.label_period_s as i64 * 360;
    for shift in [hour, -hour] {
        scene.clock.shift(shift);
        scene.keys.send_replace(keyring(&QUICK, scene.clock.now()));
        until("a label and an address of this hour", || {
            let now = scene.clock.now();
            let labels = scene.edge.roster().read_labels();
            let named = labels.labels_of(AGENT).iter().any(|l| labels.find(*l, now) == Some(AGENT));
            drop(labels);
            let leases = scene.edge.roster().leases_of(AGENT);
            named && leases.iter().any(|(_, lease)| lease.life(now) == Life::Live)
        })
        .await;
        assert!(scene.serves(scene.address(AGENT), &scene.name(AGENT)).await, "{shift}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_closes_live_connections_within_a_second_and_a_restored_user_is_served_again() {
    let scene = Scene::new().await;
    let (address, name) = (scene.address(ALICE), scene.name(ALICE));
    let (mut wire, mut sender) = (scene.h1(ALICE).await, scene.h2(AGENT).await);
    let mut bob = scene.h1(BOB).await;
    whole(&mut sender, request(&scene.name(AGENT), "/")).await.unwrap();
    let begun = Instant::now();
    scene.commit(access(&scene, 1, true)).await;
    assert!(wire.is_closed().await);
    let late = timeout(Duration::from_secs(1), async {
        while sender.ready().await.is_ok() && !sender.is_closed() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(late.is_ok() && begun.elapsed() < Duration::from_secs(1));
    scene.until_written(Reason::RevokedLive, 2).await;
    assert_eq!(scene.attempt(address, Some(&name)).await, End::Reset);
    let host = scene.name(BOB);
    bob.say(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await;
    assert_eq!(bob.answer("GET").await.unwrap().status, 200, "nobody else is touched");
    scene.commit(access(&scene, 1, false)).await;
    assert!(scene.serves(address, &name).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_also_meets_whoever_stood_in_the_door() {
    let scene = Scene::of(Plot { auth: Auth::Address, ..Plot::default() }).await;
    let mut waiting = scene.tcp(scene.address(ALICE)).await;
    sleep(Duration::from_millis(200)).await;
    scene.commit(access(&scene, 1, true)).await;
    assert_eq!(end_of(&mut waiting, &hello(None), HANDSHAKE_MAX).await, End::Reset);
    scene.until_written(Reason::Revoked, 1).await;
    assert_eq!(scene.edge.status().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_swapped_between_two_handshakes_and_a_bad_one_changes_nothing() {
    let scene = Scene::new().await;
    let (address, name) = (scene.address(ALICE), scene.name(ALICE));
    let mut before = scene.h1(ALICE).await;
    let (chain, key) = certificate();
    for (bad_chain, bad_key) in
        [("", &*key), (&*chain, ""), ("garbage", &*key), (&*scene.chain, &*key), (&*chain, "-----BEGIN")]
    {
        assert!(scene.certificates.replace(bad_chain.as_bytes(), bad_key.as_bytes()).is_err());
    }
    assert!(scene.serves(address, &name).await);
    scene.certificates.replace(chain.as_bytes(), key.as_bytes()).unwrap();
    assert!(scene.tls_by(address, &name, &[], chain.as_bytes()).await.is_ok());
    assert!(scene.tls(address, &name, &[]).await.is_err(), "the old one is served no more");
    let answer = before.ask(&scene, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").await;
    assert_eq!(answer.status, 200, "and who was here stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_of_services_open_and_close_as_services_change() {
    let scene = Scene::new().await;
    let (old, new, address) = (scene.port, free_port(), scene.address(ALICE));
    let is_open = async |port| tokio::net::TcpStream::connect((address, port)).await.is_ok();
    let mut wire = scene.h1(ALICE).await;
    assert!(is_open(old).await && !is_open(new).await);
    scene.commit(crate::scene::txn("move").put(Record::Service(service(new, Auth::Name)))).await;
    for (port, wanted) in [(new, true), (old, false)] {
        soon("the listeners", async {
            while is_open(port).await != wanted {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
    assert_eq!(scene.edge.status().ports, [format!("https/{new}")]);
    let answer = wire.ask(&scene, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").await;
    assert_eq!(answer.status, 200, "a listener's end is not its connections' end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_lets_a_download_finish_says_so_to_the_others_and_takes_nobody_new() {
    let scene = Scene::new().await;
    let (mut download, mut idle) = (scene.h1(ALICE).await, scene.h1(BOB).await);
    let mut sender = scene.h2(AGENT).await;
    let host = scene.name(AGENT);
    whole(&mut sender, request(&host, "/")).await.unwrap();
    let (go, gone) = (std::sync::Arc::new(tokio::sync::Notify::new()), 1024 * 1024);
    let wait = go.clone();
    let body = vec![b'x'; gone];
    let first = format!("HTTP/1.1 200 OK\r\nContent-Length: {gone}\r\n\r\n");
    scene.backend.says(move |heard| match heard.line().contains("slow") {
        true => Say::InTwo(first.clone().into_bytes(), wait.clone(), body.clone()),
        false => ok("fine"),
    });
    download.say(format!("GET /slow HTTP/1.1\r\nHost: {}\r\n\r\n", scene.name(ALICE)).as_bytes()).await;
    until("the download has begun", || scene.backend.heard().iter().any(|h| h.line().contains("slow"))).await;
    soon("its head", download.more()).await.unwrap();
    scene.stop.cancel();
    assert!(idle.is_closed().await, "an idle connection is closed");
    soon("goaway", async {
        while sender.ready().await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // Each core closes its own listener; the last one has to be closed, too.
    soon("nobody new", async {
        while tokio::net::TcpStream::connect((scene.address(BOB), scene.port)).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    until("the download is alone", || scene.edge.status().connections == 1).await;
    go.notify_one();
    let answer = download.answer("GET").await.unwrap();
    assert_eq!((answer.status, answer.body.len(), answer.is_whole), (200, gone, true));
    assert!(download.is_closed().await);
    until("nobody is left", || scene.edge.status().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_at_the_drain_is_answered_with_connection_close_and_a_revocation_still_bites() {
    let scene = Scene::new().await;
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let wait = go.clone();
    scene.backend.says(move |_| {
        Say::InTwo(Vec::new(), wait.clone(), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())
    });
    let (mut wire, mut bob) = (scene.h1(ALICE).await, scene.h1(BOB).await);
    wire.say(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", scene.name(ALICE)).as_bytes()).await;
    bob.say(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", scene.name(BOB)).as_bytes()).await;
    until("both are under way", || scene.backend.heard().len() == 2).await;
    let begun = Instant::now();
    scene.stop.cancel();
    scene.commit(access(&scene, 2, true)).await;
    assert!(bob.is_closed().await);
    go.notify_waiters();
    go.notify_one();
    let answer = wire.answer("GET").await.unwrap();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(wire.is_closed().await && begun.elapsed() < DRAIN_MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_whose_rotator_is_gone_serves_on() {
    let mut scene = Scene::new().await;
    drop(std::mem::replace(
        &mut scene.keys,
        tokio::sync::watch::channel(keyring(&QUICK, scene.clock.now())).0,
    ));
    sleep(Duration::from_millis(1200)).await;
    assert!(scene.serves(scene.address(ALICE), &scene.name(ALICE)).await);
    scene.commit(access(&scene, 1, true)).await;
    assert_eq!(scene.attempt(scene.address(BOB), None).await, End::Reset);
    assert_eq!(scene.edge.status().grants, 1, "and follows its store");
    let mut tls = scene.tls(scene.address(BOB), &scene.name(BOB), &[]).await.unwrap();
    tls.write_all(b"x").await.unwrap();
    assert!(timeout(Duration::from_millis(200), tls.read(&mut [0; 1])).await.is_err());
}
