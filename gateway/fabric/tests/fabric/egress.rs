//! The inside stays inside: nothing leaves without a written way out (requirement 0.18), and a stolen certificate is worth
//! no more than its own line of the wiring.

use std::net::SocketAddr;

use fabric::wire::{Frame, Offering, Open};
use fabric::{DoorAddress, Gateway, LocalHub, LocalHubAddress, Refusal, Role, Server, Wiring};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::raw::Raw;
use crate::world::{World, echo_service, identity, services, soon, until, wiring};

struct Inside {
    world: World,
    gateway: Gateway,
    local: LocalHub,
    server: Server,
}

/// Gateway `e1`, local hub `l1` with server `s1`, and the grants that `grant` adds to what is usual.
async fn inside(grant: impl Fn(&mut Wiring)) -> Inside {
    let world = World::new().await;
    let mut wired = wiring(&["web", "other", "echo"]);
    wired.permit_serve(&identity(Role::Server, "s1"), &identity(Role::LocalHub, "l1"), "web").unwrap();
    grant(&mut wired);
    world.hub.set_wiring(wired.clone());
    let (gateway, local) = (world.gateway("e1"), world.local_hub("l1", services(&[])));
    local.set_wiring(wired);
    let at = local.open_door(&DoorAddress::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
    let door = LocalHubAddress { at, name: "l1".into() };
    let keyring = world.keyring(Role::Server, "s1");
    let server = Server::join(&door, keyring, &["web"], CancellationToken::new()).unwrap();
    tokio::join!(gateway.ready(), local.ready(), server.ready());
    Inside { world, gateway, local, server }
}

fn out_to(address: SocketAddr) -> std::collections::BTreeMap<String, SocketAddr> {
    [("mirror".to_owned(), address)].into()
}

async fn refused(server: &Server, name: &str) -> Refusal {
    soon("an answer", server.open(name)).await.unwrap_err().refusal
}

/// Six lanes to the hub under this certificate, and what it hears when it asks for each name on one of them.
async fn asked_by_thief(inside: &World, role: Role, name: &str, asks: &[(&str, &str)]) -> Vec<Frame> {
    let credentials = inside.credentials(role, name);
    let mut lanes = Vec::new();
    for lane in 0..6 {
        let mut raw = Raw::connect(inside.hub.address(), Some(&credentials)).await.unwrap();
        assert!(matches!(raw.greet(name, 77, lane).await, Some(Frame::Welcome { .. })));
        lanes.push(raw);
    }
    let mut answers = Vec::new();
    for (n, (service, caller)) in asks.iter().enumerate() {
        let open = Open { service: (*service).into(), caller: (*caller).into(), ..Open::default() };
        lanes[2].say(&Frame::Open { stream: 2 * n as u32 + 1, open: Box::new(open) }).await;
        answers.push(answer(&mut lanes[2]).await);
    }
    answers
}

/// The next frame that is about a stream.
async fn answer(lane: &mut Raw) -> Frame {
    loop {
        match soon("an answer", lane.hear()).await.unwrap() {
            Frame::Ping { .. } | Frame::Pong { .. } => {}
            other => return other,
        }
    }
}

#[tokio::test]
async fn r0_18_an_infected_server_or_local_hub_gets_nothing_out_without_a_grant() {
    let inside = inside(|_| {}).await;
    // Even an edge that would lead out is no way for whom the wiring does not name.
    inside.gateway.set_egress(out_to(echo_service().await));
    for name in ["mirror", "web", "other", "10.0.0.1:80", "example.org:443", ""] {
        assert_eq!(refused(&inside.server, name).await, Refusal::NotPermitted, "{name:?}");
    }
    assert!(inside.local.status().refused.contains_key("not_permitted"));

    // The local hub's own certificate in the hands of somebody who speaks the protocol.
    let asks = [
        ("mirror", ""),
        ("web", ""),
        ("mirror", "server/s1"),
        ("mirror", "edge/e1"),
        ("other", "local-hub/l1"),
    ];
    for (n, answer) in
        asked_by_thief(&inside.world, Role::LocalHub, "l2", &asks).await.into_iter().enumerate()
    {
        assert_eq!(answer, Frame::Reset { stream: 2 * n as u32 + 1, reason: Refusal::NotPermitted });
    }
    assert_eq!(inside.world.hub.status().streams, 0);
}

#[tokio::test]
async fn r0_18_a_grant_leads_to_exactly_its_address_and_opens_nothing_else() {
    let inside = inside(|wiring| {
        wiring.permit_egress(&identity(Role::Server, "s1"), "mirror").unwrap();
        wiring.permit_exit(&identity(Role::Edge, "e1"), "mirror").unwrap();
        wiring.permit_egress(&identity(Role::Server, "s1"), "elsewhere").unwrap();
    })
    .await;
    assert_eq!(refused(&inside.server, "mirror").await, Refusal::NotPermitted, "the edge was not told where");

    inside.gateway.set_egress(out_to(echo_service().await));
    let mut stream = inside.server.open("mirror").await.unwrap();
    stream.write_all(b"to the outside").await.unwrap();
    let mut back = [0; 14];
    soon("an echo", stream.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"to the outside");

    assert_eq!(refused(&inside.server, "elsewhere").await, Refusal::ServiceNotOffered, "no edge is its exit");
    for name in ["web", "other", "mirror2"] {
        assert_eq!(refused(&inside.server, name).await, Refusal::NotPermitted, "{name}");
    }
    // Another local hub can't speak for the server; nor can this one's own name leave.
    let asks = [("mirror", "server/s1"), ("mirror", ""), ("mirror", "local-hub/l1")];
    for answer in asked_by_thief(&inside.world, Role::LocalHub, "l2", &asks).await {
        assert!(matches!(answer, Frame::Reset { reason: Refusal::NotPermitted, .. }), "{answer:?}");
    }

    // The grant taken back ends what ran on it, with its name.
    inside.world.hub.set_wiring(wiring(&["web"]));
    let error = soon("the end", stream.read_u8()).await.unwrap_err();
    assert!(Refusal::of(&error).is_some(), "{error}");
    assert_eq!(refused(&inside.server, "mirror").await, Refusal::NotPermitted);
}

#[tokio::test]
async fn a_stolen_local_hub_certificate_offers_and_opens_nothing_that_its_wiring_does_not_say() {
    let world = World::new().await;
    let mut less = wiring(&["web"]);
    less.permit_offer(&identity(Role::LocalHub, "l2"), "other").unwrap();
    world.hub.set_wiring(less);
    let credentials = world.credentials(Role::LocalHub, "l1");
    let mut control = Raw::connect(world.hub.address(), Some(&credentials)).await.unwrap();
    assert!(matches!(control.greet("l1", 1, 0).await, Some(Frame::Welcome { .. })));
    let mut lanes = Vec::new();
    for lane in 1..6 {
        let mut raw = Raw::connect(world.hub.address(), Some(&credentials)).await.unwrap();
        assert!(matches!(raw.greet("l1", 1, lane).await, Some(Frame::Welcome { .. })));
        lanes.push(raw);
    }
    let wanted = ["web", "other", "ops", "echo"].map(str::to_owned).to_vec();
    control.say(&Frame::Offer(Offering { sequence: 1, services: wanted, ..Offering::default() })).await;
    assert_eq!(answer(&mut control).await, Frame::Accepted { services: vec!["web".into()] });
    until("its link is up", || world.hub.status().links.iter().any(|link| link.is_ready)).await;
    assert_eq!(world.hub.status().services.into_keys().collect::<Vec<_>>(), ["web"]);
    for service in ["web", "other", "ops", "echo"] {
        let stream =
            1 + 2 * ["web", "other", "ops", "echo"].iter().position(|one| *one == service).unwrap() as u32;
        let open = Open { service: service.into(), caller: "edge/e1".into(), ..Open::default() };
        lanes[1].say(&Frame::Open { stream, open: Box::new(open) }).await;
        let reset = Frame::Reset { stream, reason: Refusal::NotPermitted };
        assert_eq!(answer(&mut lanes[1]).await, reset, "{service}");
    }
}
