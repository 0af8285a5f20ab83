//! Links of exactly six connections.

use fabric::wire::{Frame, Offering};
use fabric::{Refusal, Role};

use crate::raw::Raw;
use crate::world::{World, echo_service, echoed, services, soon, until};

#[tokio::test]
async fn r0_01_a_member_makes_exactly_six_connections_and_is_ready_only_with_all_six() {
    let world = World::new().await;
    let local = world.credentials(Role::LocalHub, "l1");
    let mut lanes = Vec::new();
    for lane in 0..6 {
        let link = world.hub.status().links.first().cloned();
        assert!(link.is_none_or(|link| !link.is_ready && link.lanes_up() == usize::from(lane)));
        let mut raw = Raw::connect(world.hub.address(), Some(&local)).await.unwrap();
        assert!(matches!(raw.greet("l1", 1, lane).await, Some(Frame::Welcome { .. })));
        if lane == 0 {
            raw.say(&Frame::Offer(Offering { services: vec!["web".into()], ..Offering::default() })).await;
            assert_eq!(raw.hear().await, Some(Frame::Accepted { services: vec!["web".into()] }));
        }
        lanes.push(raw.idle());
        until("the lane is up", || world.hub.status().links[0].lanes_up() == usize::from(lane) + 1).await;
        assert_eq!(
            world.hub.status().services.contains_key("web"),
            lane == 5,
            "an offer counts once the link is ready"
        );
    }
    assert!(world.hub.status().links[0].is_ready);
}

#[tokio::test]
async fn r0_03_the_hub_takes_six_connections_of_an_identity_refuses_a_seventh_and_gives_another_its_own_six()
{
    let world = World::new().await;
    let one = world.local_hub("l1", services(&[]));
    let two = world.local_hub("l2", services(&[]));
    soon("both links", async { tokio::join!(one.ready(), two.ready()) }).await;
    let status = world.hub.status();
    assert_eq!(status.links.iter().map(|link| link.lanes_up()).collect::<Vec<_>>(), [6, 6]);

    // Another process under the same identity, whatever lane it claims; it is told why.
    for lane in 0..6 {
        let mut seventh =
            Raw::connect(world.hub.address(), Some(&world.credentials(Role::LocalHub, "l1"))).await.unwrap();
        assert_eq!(seventh.greet("l1", 9, lane).await, Some(Frame::Refuse(Refusal::IdentityTaken)));
        assert_eq!(seventh.hear().await, None);
    }
    assert_eq!(world.hub.status().refused.get("identity_taken"), Some(&6));

    // The same link once more.
    let local = world.credentials(Role::LocalHub, "l3");
    let mut six = Vec::new();
    for lane in 0..6 {
        let mut raw = Raw::connect(world.hub.address(), Some(&local)).await.unwrap();
        assert!(matches!(raw.greet("l3", 3, lane).await, Some(Frame::Welcome { .. })));
        six.push(raw.idle());
    }
    for lane in 0..6 {
        let mut seventh = Raw::connect(world.hub.address(), Some(&local)).await.unwrap();
        assert_eq!(seventh.greet("l3", 3, lane).await, Some(Frame::Refuse(Refusal::LaneTaken)));
    }
    let mut beyond = Raw::connect(world.hub.address(), Some(&local)).await.unwrap();
    assert_eq!(beyond.greet("l3", 3, 6).await, Some(Frame::Refuse(Refusal::Violation)));
    assert!(one.status().planes[0].is_ready() && two.status().planes[0].is_ready());
}

#[tokio::test]
async fn a_dead_process_does_not_keep_its_identity() {
    let world = World::new().await;
    let mut lanes = Vec::new();
    for lane in 0..6 {
        let mut raw =
            Raw::connect(world.hub.address(), Some(&world.credentials(Role::LocalHub, "l1"))).await.unwrap();
        raw.greet("l1", 1, lane).await;
        lanes.push(raw);
    }
    // Its successor knocks while the old connections neither close nor answer, as after a power cut.
    let successor = world.local_hub("l1", services(&[]));
    soon("the successor", successor.ready()).await;
    assert!(world.hub.status().refused.get("silent").is_some_and(|count| *count == 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lane_is_restored_and_its_streams_go_on_over_another() {
    let world = World::new().await;
    let road = crate::road::Road::to(world.hub.address()).await;
    let gateway = fabric::Gateway::start(
        &crate::world::one_plane(road.address),
        world.keyring(Role::Edge, "e1"),
        tokio_util::sync::CancellationToken::new(),
    )
    .unwrap();
    let local = world.local_hub("l1", services(&[("web", echo_service().await)]));
    gateway.ready().await;
    local.ready().await;
    world.until_offered("web", 1).await;

    let mut stream = gateway.open("web").await.unwrap();
    echoed(&mut stream, b"before").await.unwrap();
    for connection in 0..6 {
        road.cut(connection);
        echoed(&mut stream, b"after").await.unwrap();
    }
    assert!(gateway.status().sessions.resumed >= 1, "one of the six carried it");
    // Between cut and restored lane, the other lanes of the link carry on.
    let mut other = gateway.open("web").await.unwrap();
    echoed(&mut other, b"other").await.unwrap();
    until("six lanes again", || gateway.status().planes[0].is_ready()).await;
}
