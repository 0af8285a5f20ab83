//! `Alt-Svc`: who is told of HTTP/3, for how long, and when not.

use std::net::UdpSocket;
use std::sync::Arc;

use rotator::Life;
use tokio::sync::Notify;

use crate::backend::Say;
use crate::clients::{Wire, request, whole};
use crate::scene::{ALICE, Plot, QUICK, Scene, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";
/// A service that knows better where it is.
const ASTRAY: &[u8] =
    b"HTTP/1.1 200 OK\r\nAlt-Svc: h3=\"elsewhere.example:443\"; ma=999999\r\nContent-Length: 2\r\n\r\nok";

impl Scene {
    /// Seconds that the lease of a live address has still to go.
    fn left_s(&self) -> u64 {
        let (now, leases) = (self.clock.now(), self.edge.roster().leases_of(ALICE));
        let (_, lease) = leases.iter().find(|(_, lease)| lease.life(now) == Life::Live).unwrap();
        lease.closes().since(now)
    }

    /// The seconds that an announcement of the right port says.
    fn announced_s(&self, told: &str) -> u64 {
        let rest = told.strip_prefix(&format!("h3=\":{}\"; ma=", self.port));
        rest.and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{told:?}"))
    }
}

impl Wire {
    async fn alternatives(&mut self, scene: &Scene) -> Vec<String> {
        let answer = self.ask(scene, GET).await;
        assert_eq!(answer.status, 200);
        let fields = answer.head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case("alt-svc")).map(|(_, v)| v.trim().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transport_says_where_http_3_is_until_the_lease_closes_and_a_service_leads_nobody_astray() {
    let scene = Scene::new().await;
    scene.backend.says_bytes(ASTRAY);
    let most = scene.left_s();
    let over_1 = scene.h1(ALICE).await.alternatives(&scene).await;
    let answer = whole(&mut scene.h2(ALICE).await, request(&scene.name(ALICE), "/")).await.unwrap();
    let over_2: Vec<_> =
        answer.headers().get_all("alt-svc").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
    let over_3 = scene.play("get", ALICE, &[]).await;
    let over_3 = vec![over_3["head"]["alt-svc"].as_str().unwrap().to_owned()];
    let least = scene.left_s();
    for told in [over_1, over_2, over_3] {
        let [told] = &told[..] else { panic!("{told:?}") };
        let seconds = scene.announced_s(told);
        assert!((least.min(86_400)..=most.min(86_400)).contains(&seconds), "{least} <= {seconds} <= {most}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_outlives_its_lease_is_told_nothing_more() {
    let scene = Scene::quick(QUICK).await;
    let mut wire = scene.h1(ALICE).await;
    until("its lease is over", || {
        let (seen, now) = (scene.edge.connections().all(), scene.clock.now());
        seen.iter().all(|live| live.lease.closes() <= now)
    })
    .await;
    assert_eq!(wire.alternatives(&scene).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_http_3_nothing_is_said_of_it_and_no_socket_is_there() {
    let scene = Scene::of(Plot { http3: false, ..Plot::default() }).await;
    scene.backend.says_bytes(ASTRAY);
    assert_eq!(scene.h1(ALICE).await.alternatives(&scene).await, Vec::<String>::new());
    UdpSocket::bind(("0.0.0.0", scene.port)).expect("the port is free");
    let other = Scene::new().await;
    UdpSocket::bind(("0.0.0.0", other.port)).expect_err("the edge has it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_drains_invites_nobody() {
    let scene = Scene::new().await;
    let (go, mut wire) = (Arc::new(Notify::new()), scene.h1(ALICE).await);
    let gone = Arc::clone(&go);
    scene.backend.says(move |_| {
        Say::InTwo(Vec::new(), Arc::clone(&gone), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())
    });
    wire.say(GET.replace("{host}", &scene.name(ALICE)).as_bytes()).await;
    until("it is under way", || scene.backend.heard().len() == 1).await;
    scene.stop.cancel();
    go.notify_one();
    let answer = wire.answer("GET").await.unwrap();
    assert_eq!((answer.status, answer.field("alt-svc")), (200, None));
}
