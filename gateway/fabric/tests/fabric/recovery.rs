//! Members that die in the middle, and come back.

use fabric::{LocalHub, Refusal, Role};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{World, echo_service, echoed, services, soon, until};

#[tokio::test]
async fn a_service_that_is_down_is_named_and_works_again_when_it_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (_world, gateway, local) = World::with_service(address).await;
    let error = gateway.open("web").await.unwrap_err();
    assert_eq!((error.refusal, error.service.as_str()), (Refusal::ServiceUnreachable, "web"));
    assert_eq!(local.status().refused.get("service_unreachable"), Some(&1));

    local.set_services(services(&[("web", echo_service().await)])).unwrap();
    let mut stream = gateway.open("web").await.unwrap();
    echoed(&mut stream, b"back").await.unwrap();
}

#[tokio::test]
async fn a_local_hub_that_dies_ends_its_streams_with_a_name_and_serves_again_after_a_restart() {
    let world = World::new().await;
    let gateway = world.gateway("e1");
    let echo = echo_service().await;
    let stop = CancellationToken::new();
    // On a runtime of its own, which is then taken away at once: no goodbye.
    let (death, dies) = tokio::sync::oneshot::channel::<()>();
    let (planes, keyring) = (world.planes(), world.keyring(Role::LocalHub, "l1"));
    let process = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _local = LocalHub::start(&planes, keyring, services(&[("web", echo)]), stop).unwrap();
            let _ = dies.await;
        });
    });
    gateway.ready().await;
    world.until_offered("web", 1).await;
    let mut stream = gateway.open("web").await.unwrap();
    echoed(&mut stream, b"alive").await.unwrap();

    drop(death);
    process.join().unwrap();
    let error = soon("the end", stream.read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::LaneLost));
    world.until_offered("web", 0).await;
    assert_eq!(gateway.open("web").await.unwrap_err().refusal, Refusal::ServiceNotOffered);

    let _local = world.local_hub("l1", services(&[("web", echo)]));
    world.until_offered("web", 1).await;
    echoed(&mut gateway.open("web").await.unwrap(), b"again").await.unwrap();
}

#[tokio::test]
async fn a_hub_that_stops_says_so_and_everything_recovers_with_its_successor() {
    let (mut world, gateway, local) = World::with_service(echo_service().await).await;
    let mut stream = gateway.open("web").await.unwrap();
    echoed(&mut stream, b"alive").await.unwrap();

    world.hub_stop.cancel();
    let error = soon("the end", stream.read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::ShuttingDown));
    until("all lanes are gone", || gateway.status().planes[0].lanes_up() == 0).await;
    assert_eq!(gateway.open("web").await.unwrap_err().refusal, Refusal::LinkDown);

    world.restart_hub().await;
    soon("the links", async { tokio::join!(gateway.ready(), local.ready()) }).await;
    world.until_offered("web", 1).await;
    echoed(&mut gateway.open("web").await.unwrap(), b"again").await.unwrap();
}

#[tokio::test]
async fn two_local_hubs_share_a_service_and_one_goes_on_without_the_other() {
    let (world, gateway, _one) = World::with_service(echo_service().await).await;
    let stop = CancellationToken::new();
    let two = world.local_hub_until("l2", services(&[("web", echo_service().await)]), stop.clone());
    world.until_offered("web", 2).await;
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(gateway.open("web").await.unwrap());
    }
    assert_eq!(two.status().streams, 10, "the least busy is chosen");
    stop.cancel();
    two.stopped().await;
    for _ in 0..20 {
        echoed(&mut gateway.open("web").await.unwrap(), b"still").await.unwrap();
    }
}

#[tokio::test]
async fn a_service_that_one_local_hub_cannot_reach_is_tried_at_the_other() {
    let (world, gateway, _one) = World::with_service(echo_service().await).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let _two = world.local_hub("l2", services(&[("web", nobody)]));
    world.until_offered("web", 2).await;
    for _ in 0..10 {
        echoed(&mut gateway.open("web").await.unwrap(), b"reached").await.unwrap();
    }
}

#[tokio::test]
async fn every_member_stops_when_told_to() {
    let world = World::new().await;
    let stop = CancellationToken::new();
    let gateway = world.gateway_until("e1", stop.clone());
    let local = world.local_hub_until("l1", services(&[("web", echo_service().await)]), stop.clone());
    gateway.ready().await;
    world.until_offered("web", 1).await;
    let mut stream = gateway.open("web").await.unwrap();
    stop.cancel();
    soon("both", async { tokio::join!(gateway.stopped(), local.stopped()) }).await;
    let error = stream.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::ShuttingDown));
    until("the hub has no links", || world.hub.status().links.is_empty()).await;
    world.hub_stop.cancel();
    soon("the hub", world.hub.stopped()).await;
}
