//! News of offers: from local hubs over hubs to the edges that may open something of them.

use std::time::Duration;

use fabric::wire::{Frame, Offering};
use fabric::{Role, Wiring};
use tokio::time::timeout;

use crate::raw::Raw;
use crate::world::{World, identity, soon, until, wiring};

fn offer(incarnation: u8, sequence: u64, services: &[&str]) -> Frame {
    let services = services.iter().map(|name| (*name).to_owned()).collect();
    Frame::Offer(Offering { incarnation: [incarnation; 16], sequence, services })
}

/// The next notice: its origin, incarnation, sequence and services.
async fn notice(edge: &mut Raw) -> (String, u8, u64, Vec<String>) {
    loop {
        match soon("a notice", edge.hear()).await {
            Some(Frame::Notice { origin, offering }) => {
                return (origin, offering.incarnation[0], offering.sequence, offering.services);
            }
            Some(Frame::Ping { nonce }) => edge.say(&Frame::Pong { nonce }).await,
            Some(_) => {}
            None => panic!("the hub closed"),
        }
    }
}

fn told(sequence: u64, services: &[&str]) -> (String, u8, u64, Vec<String>) {
    ("l1".into(), 1, sequence, services.iter().map(|name| (*name).to_owned()).collect())
}

async fn control_lane(world: &World, role: Role, name: &str) -> Raw {
    let mut raw = Raw::connect(world.hub.address(), Some(&world.credentials(role, name))).await.unwrap();
    assert!(matches!(raw.greet(name, 1, 0).await, Some(Frame::Welcome { .. })));
    raw
}

#[tokio::test]
async fn an_edge_is_told_what_it_may_open_and_nothing_else() {
    let world = World::new().await;
    let mut edge = control_lane(&world, Role::Edge, "e1").await;
    let mut stranger = control_lane(&world, Role::Edge, "e9").await;
    let mut local = control_lane(&world, Role::LocalHub, "l1").await;
    local.say(&offer(1, 3, &["web", "secret"])).await;
    let mut others = Vec::new();
    for lane in 1..6 {
        let credentials = world.credentials(Role::LocalHub, "l1");
        let mut raw = Raw::connect(world.hub.address(), Some(&credentials)).await.unwrap();
        raw.greet("l1", 1, lane).await;
        others.push(raw);
    }
    assert_eq!(notice(&mut edge).await, told(3, &["web"]), "not the service that l1 may not offer");

    local.say(&offer(1, 2, &["other"])).await;
    local.say(&offer(1, 4, &["web", "other"])).await;
    assert_eq!(notice(&mut edge).await, told(4, &["other", "web"]), "the older one was ignored");

    // A wiring that is taken away is news as well.
    let mut less = Wiring::default();
    less.permit_open(&identity(Role::Edge, "e1"), "other").unwrap();
    less.permit_offer(&identity(Role::LocalHub, "l1"), "other").unwrap();
    world.hub.set_wiring(less);
    assert_eq!(notice(&mut edge).await, told(4, &["other"]));
    world.hub.set_wiring(Wiring::default());
    assert_eq!(notice(&mut edge).await, told(4, &[]));
    world.hub.set_wiring(wiring(&["web"]));
    assert_eq!(notice(&mut edge).await, told(4, &["web"]));

    // An edge that comes later is told at once; one that may open nothing hears nothing.
    let mut late = control_lane(&world, Role::Edge, "e2").await;
    assert_eq!(notice(&mut late).await, told(4, &["web"]));
    drop((local, others));
    assert_eq!(notice(&mut edge).await, told(4, &[]), "the local hub left");
    assert!(timeout(Duration::from_millis(50), notice(&mut stranger)).await.is_err());
}

#[tokio::test]
async fn a_gateway_counts_what_comes_over_two_planes_as_one_piece_of_news() {
    let planes = crate::planes::TwoPlanes::new().await;
    let local = planes.local_hub("l1", &["web"]).await;
    let gateway = planes.gateway("e1");
    soon("ready", async { tokio::join!(gateway.ready(), local.ready()) }).await;
    until("both planes told", || gateway.status().notices.copies >= 1).await;
    let notices = gateway.status().notices;
    assert_eq!((notices.news, notices.stale, notices.dropped), (1, 0, 0));
    local.set_services(planes.services(&["web", "other"]).await).unwrap();
    until("the change is news", || gateway.status().notices.news == 2).await;
}
