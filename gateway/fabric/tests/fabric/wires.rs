//! Who may do what.

use fabric::hub::HubError;
use fabric::local_hub::{LocalHubError, ServicesError};
use fabric::{Class, DialerError, Gateway, Hub, HubConfig, LocalHub, PlaneAddress, Refusal, Role, Wiring};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{HUB, World, echo_service, echoed, identity, services, soon, until, wiring};

#[tokio::test]
async fn without_wiring_nothing_is_opened_and_nothing_offered() {
    let (world, gateway, local) = World::with_service(echo_service().await).await;
    world.hub.set_wiring(Wiring::default());
    assert_eq!(gateway.open("web").await.unwrap_err().refusal, Refusal::NotPermitted);
    assert!(world.hub.status().services.is_empty());

    let mut only_open = Wiring::default();
    only_open.permit_open(&identity(Role::Edge, "e1"), "web").unwrap();
    world.hub.set_wiring(only_open);
    assert_eq!(gateway.open("web").await.unwrap_err().refusal, Refusal::ServiceUnknown);

    world.hub.set_wiring(wiring(&["web", "other"]));
    echoed(&mut gateway.open("web").await.unwrap(), b"permitted again").await.unwrap();
    assert_eq!(gateway.open("other").await.unwrap_err().refusal, Refusal::ServiceNotOffered);
    assert_eq!(gateway.open("unheard-of").await.unwrap_err().refusal, Refusal::NotPermitted);
    assert_eq!(gateway.open("no name\n").await.unwrap_err().refusal, Refusal::ServiceUnknown);
    assert_eq!(gateway.open_class("web", Class::Control).await.unwrap_err().refusal, Refusal::NotPermitted);
    drop(local);
}

#[tokio::test]
async fn an_edge_reaches_only_what_is_wired_to_it() {
    let (world, gateway, _local) = World::with_service(echo_service().await).await;
    let stranger = world.gateway("e9");
    stranger.ready().await;
    assert_eq!(stranger.open("web").await.unwrap_err().refusal, Refusal::NotPermitted);
    echoed(&mut gateway.open("web").await.unwrap(), b"mine").await.unwrap();
}

#[tokio::test]
async fn a_local_hub_offers_only_what_is_wired_to_it_and_is_told_so() {
    let world = World::new().await;
    let echo = echo_service().await;
    let local = world.local_hub("l9", services(&[("web", echo)]));
    let wired = world.local_hub("l1", services(&[("web", echo), ("secret", echo)]));
    soon("ready", async { tokio::join!(local.ready(), wired.ready()) }).await;
    world.until_offered("web", 1).await;
    until("the answer", || wired.status().services.iter().any(|service| service.is_permitted)).await;
    assert!(!local.status().services[0].is_permitted);
    let permitted: Vec<_> =
        wired.status().services.into_iter().filter(|s| s.is_permitted).map(|s| s.name).collect();
    assert_eq!(permitted, ["web"]);
    assert!(world.hub.status().refused["not_permitted"] >= 2);
}

#[tokio::test]
async fn a_wiring_that_is_taken_away_ends_running_streams() {
    let (world, gateway, local) = World::with_service(echo_service().await).await;
    local.set_services(services(&[("web", echo_service().await), ("echo", echo_service().await)])).unwrap();
    world.until_offered("echo", 1).await;
    let mut cut = gateway.open("web").await.unwrap();
    let mut kept = gateway.open("echo").await.unwrap();
    echoed(&mut cut, b"still permitted").await.unwrap();
    world.hub.set_wiring(wiring(&["echo"]));
    let error = soon("the end", cut.read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::NotPermitted));
    echoed(&mut kept, b"permitted as before").await.unwrap();
    until("the local hub has let go", || local.status().streams == 1).await;
}

#[tokio::test]
async fn services_are_replaced_at_run_time_and_streams_to_what_moved_end() {
    let (world, gateway, local) = World::with_service(echo_service().await).await;
    let mut old = gateway.open("web").await.unwrap();
    echoed(&mut old, b"old").await.unwrap();
    local.set_services(services(&[("other", echo_service().await)])).unwrap();
    let error = soon("the end", old.read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::ServiceNotOffered));
    world.until_offered("other", 1).await;
    assert_eq!(gateway.open("web").await.unwrap_err().refusal, Refusal::ServiceNotOffered);
    echoed(&mut gateway.open("other").await.unwrap(), b"new").await.unwrap();
}

#[tokio::test]
async fn the_fabric_leads_to_loopback_and_nowhere_else() {
    let world = World::new().await;
    let outside: std::net::SocketAddr = "192.0.2.1:80".parse().unwrap();
    let refused = LocalHub::start(
        &world.planes(),
        world.keyring(Role::LocalHub, "l1"),
        services(&[("web", outside)]),
        CancellationToken::new(),
    );
    let not_loopback = ServicesError::NotLoopback("web".into(), outside);
    assert_eq!(refused.err(), Some(LocalHubError::Services(not_loopback.clone())));
    let local = world.local_hub("l1", services(&[]));
    assert_eq!(local.set_services(services(&[("web", outside)])), Err(not_loopback));
    assert!(local.set_services(services(&[("a b", "127.0.0.1:1".parse().unwrap())])).is_err());
    assert!(local.set_services(services(&[("v6", "[::1]:1".parse().unwrap())])).is_ok());
}

#[tokio::test]
async fn nobody_starts_in_a_role_that_its_certificate_does_not_name() {
    let world = World::new().await;
    let planes = world.planes();
    let stop = CancellationToken::new();
    let edge = Gateway::start(&planes, world.keyring(Role::LocalHub, "x"), stop.clone());
    assert_eq!(edge.err(), Some(DialerError::WrongRole));
    let local = LocalHub::start(&planes, world.keyring(Role::Edge, "x"), services(&[]), stop.clone());
    assert_eq!(local.err(), Some(LocalHubError::Dialer(DialerError::WrongRole)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = HubConfig::alone("A", "x", &folder.path().join("terms"));
    let keyring = world.keyring(Role::LocalHub, "x");
    let as_hub = Hub::start(config, listener, None, keyring, Wiring::default(), stop.clone());
    assert!(matches!(as_hub.err(), Some(HubError::WrongRole)));
    let start =
        |planes: &[PlaneAddress]| Gateway::start(planes, world.keyring(Role::Edge, "e1"), stop.clone()).err();
    let mut nameless = world.planes();
    nameless[0].hubs[0].name.clear();
    assert_eq!(start(&nameless), Some(DialerError::HubName));
    let mut hubless = world.planes();
    hubless[0].hubs.clear();
    assert_eq!(start(&hubless), Some(DialerError::Instances("A".into())));
    let twice = [world.planes(), world.planes()].concat();
    assert_eq!(start(&twice), Some(DialerError::Planes));
    assert_eq!(start(&[]), Some(DialerError::Planes));
}

#[tokio::test]
async fn a_dialer_believes_only_the_hub_that_it_means() {
    let world = World::new().await;
    let mut other_name = world.planes();
    other_name[0].hubs[0].name = "hub-b".into();
    let gateway =
        Gateway::start(&other_name, world.keyring(Role::Edge, "e1"), CancellationToken::new()).unwrap();
    until("the refusal", || gateway.status().planes[0].last_end == Some("tls_failed")).await;
    assert_eq!(gateway.status().planes[0].lanes_up(), 0);
    assert_eq!(world.hub.status().identity, identity(Role::Hub, HUB));
}

#[tokio::test]
async fn renewed_credentials_take_over_without_a_drop() {
    let world = World::new().await;
    let keyring = world.keyring(Role::Edge, "e1");
    let gateway = Gateway::start(&world.planes(), keyring.clone(), CancellationToken::new()).unwrap();
    let _local = world.local_hub("l1", services(&[("web", echo_service().await)]));
    gateway.ready().await;
    world.until_offered("web", 1).await;
    let mut stream = gateway.open("web").await.unwrap();
    keyring.replace(world.credentials(Role::Edge, "e1")).unwrap();
    assert!(keyring.replace(world.credentials(Role::Edge, "e2")).is_err());
    echoed(&mut stream, b"not dropped").await.unwrap();
}
