//! What was granted or offered, and is taken back: what ends with it, at once and by name, and what goes on.

use std::net::SocketAddr;

use fabric::wire::{Frame, Offering};
use fabric::{DoorAddress, Identity, LocalHubAddress, Refusal, Role, Server, ServerAddress, Service, Wiring};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::raw::Raw;
use crate::world::{World, echo_service, echoed, identity, services, soon, until, wiring};

#[tokio::test(flavor = "multi_thread")]
async fn r0_25_a_stream_of_a_draining_server_goes_on_over_another_hub() {
    let address = echo_service().await;
    let (mut world, gateway, local) = World::with_service(address).await;
    let mut stream = gateway.open("web").await.unwrap();
    echoed(&mut stream, b"before").await.unwrap();

    let draining = ServerAddress { address, is_draining: true };
    let web = Service { servers: vec![draining], ..Service::default() };
    local.set_services([("web".to_owned(), web)].into()).unwrap();
    until("the offer is withdrawn", || world.hub.status().services.is_empty()).await;
    world.restart_hub().await;

    soon("the echo", echoed(&mut stream, b"after")).await.unwrap();
    until("it was resumed", || gateway.status().sessions.resumed == 1).await;
    assert!(world.hub.status().services.is_empty(), "it is offered to nobody new");
    assert_eq!(gateway.open("web").await.unwrap_err().refusal, Refusal::ServiceNotOffered);

    // Nor does a session outlive its local hub's permission to offer.
    world.hub.set_wiring(wiring(&["other"]));
    let error = soon("the end", stream.read_u8()).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::NotPermitted));
}

/// Server `s1` at local hub `l1` serves `web`; these may leave as `mirror`, through edge `e1`.
fn leaving(who: &[Identity]) -> Wiring {
    let mut wired = wiring(&["web"]);
    wired.permit_serve(&identity(Role::Server, "s1"), &identity(Role::LocalHub, "l1"), "web").unwrap();
    who.iter().for_each(|who| wired.permit_egress(who, "mirror").unwrap());
    wired.permit_exit(&identity(Role::Edge, "e1"), "mirror").unwrap();
    wired
}

async fn a_stream_out_ends_when_its_grant_is_taken_back(at_the_hub: bool) {
    let world = World::new().await;
    let (s1, l1) = (identity(Role::Server, "s1"), identity(Role::LocalHub, "l1"));
    let both = leaving(&[s1, l1.clone()]);
    world.hub.set_wiring(both.clone());
    let (gateway, local) = (world.gateway("e1"), world.local_hub("l1", services(&[])));
    local.set_wiring(both);
    gateway.set_egress([("mirror".to_owned(), echo_service().await)].into());
    let at = local.open_door(&DoorAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
    let door = LocalHubAddress { at, name: "l1".into() };
    let server = Server::join(&door, world.keyring(Role::Server, "s1"), &["web"], CancellationToken::new());
    let server = server.unwrap();
    tokio::join!(gateway.ready(), local.ready(), server.ready());
    let mut stream = soon("a way out", server.open("mirror")).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(soon("an echo", stream.read_u8()).await.unwrap(), b'x');

    // The local hub itself may still leave by that name.
    let less = leaving(&[l1]);
    if at_the_hub {
        world.hub.set_wiring(less);
    } else {
        local.set_wiring(less);
    }
    let error = soon("the end", stream.read_u8()).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::NotPermitted));
    until("the hub carries nothing", || world.hub.status().streams == 0).await;
}

#[tokio::test]
async fn r0_18_a_hub_ends_the_streams_of_a_grant_that_is_taken_back_though_another_leaves_by_that_name() {
    a_stream_out_ends_when_its_grant_is_taken_back(true).await;
}

#[tokio::test]
async fn r0_18_a_local_hub_ends_the_streams_of_a_grant_that_is_taken_back_too() {
    a_stream_out_ends_when_its_grant_is_taken_back(false).await;
}

#[tokio::test]
async fn a_request_under_way_reaches_no_local_hub_that_may_no_longer_offer() {
    let world = World::new().await;
    let (gateway, l2) =
        (world.gateway("e1"), world.local_hub("l2", services(&[("web", echo_service().await)])));
    tokio::join!(gateway.ready(), l2.ready());
    world.until_offered("web", 1).await;
    let _busy = gateway.open("web").await.unwrap();

    // Another offers it, too, is asked first as the less busy one, and is slow to say no.
    let credentials = world.credentials(Role::LocalHub, "l1");
    let mut lanes = Vec::new();
    for lane in 0..6 {
        let mut raw = Raw::connect(world.hub.address(), Some(&credentials)).await.unwrap();
        assert!(matches!(raw.greet("l1", 1, lane).await, Some(Frame::Welcome { .. })));
        lanes.push(raw);
    }
    let offering = Offering { services: vec!["web".into()], ..Offering::default() };
    lanes[0].say(&Frame::Offer(offering)).await;
    world.until_offered("web", 2).await;
    let asking = tokio::spawn(async move { gateway.open("web").await.map(drop) });
    let stream = loop {
        if let Some(Frame::Open { stream, .. }) = soon("the request", lanes[2].hear()).await {
            break stream;
        }
    };
    let mut less = Wiring::default();
    less.permit_open(&identity(Role::Edge, "e1"), "web").unwrap();
    less.permit_offer(&identity(Role::LocalHub, "l1"), "web").unwrap();
    world.hub.set_wiring(less);
    lanes[2].say(&Frame::Reset { stream, reason: Refusal::ServiceUnreachable }).await;
    soon("an answer", asking).await.unwrap().unwrap_err();
    assert_eq!(l2.status().opened, 1, "only the first");
}
