//! Several servers of one service: health, draining, and who gets the next stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fabric::status::ServerState;
use fabric::{Gateway, Health, LocalHub, Refusal, ServerAddress, Service, Services, Thresholds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::world::{World, echo_service, echoed, service, soon, until};

const QUICK: Thresholds = Thresholds { rise: 2, fall: 3, interval: Duration::from_millis(50) };

fn web(servers: &[SocketAddr], health: Health) -> Services {
    let servers = servers.iter().map(|address| (*address).into()).collect();
    [("web".to_owned(), Service { servers, health, ..Service::default() })].into()
}

async fn world(services: Services) -> (World, Gateway, LocalHub) {
    let world = World::new().await;
    let (gateway, local) = (world.gateway("e1"), world.local_hub("l1", services));
    tokio::join!(gateway.ready(), local.ready());
    (world, gateway, local)
}

fn states(local: &LocalHub) -> Vec<ServerState> {
    local.status().services[0].servers.iter().map(|server| server.state).collect()
}

fn running(local: &LocalHub) -> Vec<usize> {
    local.status().services[0].servers.iter().map(|server| server.running).collect()
}

/// Says which one it is, then echoes.
async fn named(name: u8) -> SocketAddr {
    service(move |mut tcp| async move {
        let _ = tcp.write_u8(name).await;
        let (mut read, mut write) = tcp.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

#[tokio::test]
async fn the_least_loaded_server_gets_the_next_stream() {
    let servers = [named(0).await, named(1).await, named(2).await];
    let (world, gateway, local) = world(web(&servers, Health::Unasked)).await;
    world.until_offered("web", 1).await;
    let mut held = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..12 {
        let mut stream = gateway.open("web").await.unwrap();
        held[usize::from(stream.read_u8().await.unwrap())].push(stream);
    }
    assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4]);
    // Who lost its streams gets the next ones until all are level again.
    held[1].clear();
    until("the streams are gone", || running(&local) == [4, 0, 4]).await;
    for _ in 0..4 {
        let mut stream = gateway.open("web").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 1);
        held[1].push(stream);
    }
}

#[tokio::test]
async fn a_server_that_falls_ill_gets_no_streams_and_the_service_is_withdrawn_with_its_last() {
    let (well, ill) = (named(0).await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let gone = ill.local_addr().unwrap();
    let (world, gateway, local) = world(web(&[well, gone], Health::Connect(QUICK))).await;
    until("both are well", || states(&local) == [ServerState::Well, ServerState::Well]).await;
    world.until_offered("web", 1).await;

    drop(ill);
    until("one is ill", || states(&local) == [ServerState::Well, ServerState::Ill]).await;
    for _ in 0..6 {
        let mut stream = gateway.open("web").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 0);
    }
    local.set_services(web(&[gone], Health::Connect(QUICK))).unwrap();
    world.until_offered("web", 0).await;
    assert_eq!(gateway.open("web").await.unwrap_err().refusal, Refusal::ServiceNotOffered);

    let _back = TcpListener::bind(gone).await.unwrap();
    until("it is well again", || states(&local) == [ServerState::Well]).await;
    world.until_offered("web", 1).await;
}

/// Answers each question with the status that is set, and counts them.
async fn http(is_good: Arc<AtomicBool>, asked: Arc<AtomicUsize>) -> SocketAddr {
    service(move |mut tcp| {
        let (is_good, asked) = (is_good.clone(), asked.clone());
        async move {
            let mut question = vec![0; 1024];
            let count = tcp.read(&mut question).await.unwrap();
            assert!(question[..count].starts_with(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"));
            asked.fetch_add(1, Ordering::SeqCst);
            let status = if is_good.load(Ordering::SeqCst) { "204 No Content" } else { "503 Busy" };
            let _ = tcp.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_server_turns_with_the_threshold_of_http_answers_and_not_before() {
    let (is_good, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let address = http(is_good.clone(), asked.clone()).await;
    let health = |thresholds| Health::Http { path: "/healthz".into(), thresholds };
    // So slow that the test sees each step between two probes.
    let slow = Thresholds { rise: 2, fall: 3, interval: Duration::from_millis(400) };
    let (world, _gateway, local) = world(web(&[address], health(slow))).await;
    until("it is well", || states(&local) == [ServerState::Well]).await;

    is_good.store(false, Ordering::SeqCst);
    let mut before = asked.load(Ordering::SeqCst);
    for _ in 0..2 {
        until("a bad answer", || asked.load(Ordering::SeqCst) > before).await;
        before += 1;
        sleep(Duration::from_millis(50)).await;
        assert_eq!(states(&local), [ServerState::Well], "below the threshold");
    }
    until("the third", || asked.load(Ordering::SeqCst) > before).await;
    until("it is ill", || states(&local) == [ServerState::Ill]).await;
    world.until_offered("web", 0).await;

    is_good.store(true, Ordering::SeqCst);
    let before = asked.load(Ordering::SeqCst);
    until("a good answer", || asked.load(Ordering::SeqCst) > before).await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(states(&local), [ServerState::Ill], "below the threshold");
    until("it is well again", || states(&local) == [ServerState::Well]).await;
    assert!(asked.load(Ordering::SeqCst) >= before + 2);
    world.until_offered("web", 1).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_passed_over_before_any_byte() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (world, gateway, local) = world(web(&[gone, named(7).await], Health::Unasked)).await;
    world.until_offered("web", 1).await;
    for _ in 0..4 {
        let mut stream = gateway.open("web").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 7);
    }
    assert_eq!(local.status().opened, 4);
    local.set_services(web(&[gone], Health::Unasked)).unwrap();
    assert_eq!(gateway.open("web").await.unwrap_err().refusal, Refusal::ServiceUnreachable);
}

#[tokio::test]
async fn a_draining_address_finishes_its_streams_and_a_removed_one_cuts_them() {
    let (one, two) = (named(1).await, named(2).await);
    let (world, gateway, local) = world(web(&[one], Health::Unasked)).await;
    world.until_offered("web", 1).await;
    let mut on_one = gateway.open("web").await.unwrap();
    assert_eq!(on_one.read_u8().await.unwrap(), 1);

    let mut services = web(&[two], Health::Unasked);
    let draining = ServerAddress { address: one, is_draining: true };
    services.get_mut("web").unwrap().servers.push(draining);
    local.set_services(services).unwrap();
    assert_eq!(states(&local), [ServerState::Well, ServerState::Draining]);
    let mut on_two = gateway.open("web").await.unwrap();
    assert_eq!(on_two.read_u8().await.unwrap(), 2);
    echoed(&mut on_one, b"still here").await.unwrap();
    // It may leave the table while its last stream runs.
    local.set_services(web(&[two], Health::Unasked)).unwrap();
    echoed(&mut on_one, b"and still").await.unwrap();

    // Another one joins, the second is removed without draining: its streams end, with the reason.
    local.set_services(web(&[one], Health::Unasked)).unwrap();
    let error = soon("the cut", on_two.read_u8()).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::ServiceNotOffered));
    echoed(&mut on_one, b"untouched").await.unwrap();
}

#[tokio::test]
async fn a_service_whose_servers_all_drain_is_withdrawn_and_says_so_to_whoever_was_on_the_way() {
    let address = echo_service().await;
    let (world, gateway, local) = world(web(&[address], Health::Unasked)).await;
    world.until_offered("web", 1).await;
    let mut stream = gateway.open("web").await.unwrap();
    let mut services = web(&[], Health::Unasked);
    services.get_mut("web").unwrap().servers.push(ServerAddress { address, is_draining: true });
    local.set_services(services).unwrap();
    // The hub may not have heard of it yet: the local hub says it then.
    let refused = gateway.open("web").await.unwrap_err().refusal;
    assert!(matches!(refused, Refusal::ServiceDraining | Refusal::ServiceNotOffered), "{refused}");
    world.until_offered("web", 0).await;
    echoed(&mut stream, b"goes on").await.unwrap();
}
