//! Datagrams to UDP services and back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fabric::bounds::{FLOW_QUEUE, FLOW_QUEUE_COUNT};
use fabric::{Protocol, Refusal, Service, Services};
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use crate::world::{World, echo_service, soon, until};

fn udp(address: SocketAddr) -> Services {
    let service = Service { protocol: Protocol::Udp, ..address.into() };
    [("web".to_owned(), service)].into()
}

/// Sends each datagram back.
async fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut room = vec![0; 65_536];
        while let Ok((count, from)) = socket.recv_from(&mut room).await {
            let _ = socket.send_to(&room[..count], from).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_datagrams_come_back_whole() {
    let (_world, gateway, local) = World::with_services(udp(udp_echo().await)).await;
    let flow = Arc::new(gateway.open_flow("web", 0, None).await.unwrap());
    // So many on their way at once that no socket buffer overflows: nothing may be lost then.
    for round in 0..500u32 {
        for n in 0..20u32 {
            let size = 4 + ((round * 20 + n) as usize * 37) % 1400;
            let mut datagram = (round * 20 + n).to_be_bytes().to_vec();
            datagram.resize(size, n as u8);
            assert!(flow.send(&datagram));
        }
        let mut seen = [false; 20];
        for _ in 0..20 {
            let datagram = soon("a datagram", flow.recv()).await.unwrap();
            let number = u32::from_be_bytes(datagram[..4].try_into().unwrap());
            assert_eq!(number / 20, round);
            assert_eq!(datagram.len(), 4 + (number as usize * 37) % 1400);
            assert!(!std::mem::replace(&mut seen[(number % 20) as usize], true), "twice");
            assert!(datagram[4..].iter().all(|byte| *byte == (number % 20) as u8));
        }
    }
    assert_eq!((flow.dropped(), local.status().datagrams_dropped), (0, 0));
    assert_eq!(local.status().flows, 1);
    drop(flow);
    until("the flow is gone", || local.status().flows == 0 && local.status().streams == 0).await;
}

#[tokio::test]
async fn each_flow_is_a_client_of_its_own_and_empty_and_large_datagrams_pass() {
    let (_world, gateway, _local) = World::with_services(udp(udp_echo().await)).await;
    let (one, two) =
        (gateway.open_flow("web", 0, None).await.unwrap(), gateway.open_flow("web", 0, None).await.unwrap());
    assert!(one.send(b"one") && two.send(b"two"));
    assert_eq!(soon("an answer", two.recv()).await.unwrap(), &b"two"[..]);
    assert_eq!(soon("an answer", one.recv()).await.unwrap(), &b"one"[..]);
    assert!(one.send(b""));
    assert_eq!(soon("an empty answer", one.recv()).await.unwrap(), &b""[..]);
    let large = vec![9; 60_000];
    assert!(one.send(&large));
    assert_eq!(soon("a large answer", one.recv()).await.unwrap(), large);
    assert!(!one.send(&[0; 65_536]), "longer than any datagram");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stalls_holds_bounded_memory_and_stalls_nobody() {
    let flood = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = flood.local_addr().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    tokio::spawn(async move {
        let mut room = [0; 16];
        let (_, from) = flood.recv_from(&mut room).await.unwrap();
        for _ in 0..50_000 {
            let _ = flood.send_to(&[5; 1200], from).await;
            count.fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_secs(60)).await;
    });
    let mut services = udp(address);
    services.insert("echo".into(), Service { protocol: Protocol::Udp, ..udp_echo().await.into() });
    let (world, gateway, _local) = World::with_services(services).await;
    world.until_offered("echo", 1).await;
    let stalled = gateway.open_flow("web", 0, None).await.unwrap();
    assert!(stalled.send(b"begin"));
    let lively = gateway.open_flow("echo", 0, None).await.unwrap();
    for n in 0..100u32 {
        assert!(lively.send(&n.to_be_bytes()));
        assert_eq!(soon("an echo", lively.recv()).await.unwrap(), n.to_be_bytes()[..]);
    }
    until("all was sent", || sent.load(Ordering::Relaxed) == 50_000).await;
    sleep(Duration::from_millis(300)).await;
    // What the stalled reader finds when it wakes is what its queue may hold, and no more.
    let (mut bytes, mut datagrams) = (0, 0);
    while let Ok(datagram) = timeout(Duration::from_millis(300), stalled.recv()).await {
        bytes += datagram.unwrap().len();
        datagrams += 1;
    }
    assert!(bytes <= FLOW_QUEUE + 1200 && datagrams <= FLOW_QUEUE_COUNT, "{bytes} in {datagrams}");
    assert!(datagrams > 0 && stalled.dropped() > 0);
}

#[tokio::test]
async fn a_flow_goes_on_after_the_fabric_lost_what_carried_it() {
    let (mut world, gateway, local) = World::with_services(udp(udp_echo().await)).await;
    let flow = gateway.open_flow("web", 0, None).await.unwrap();
    assert!(flow.send(b"before"));
    assert_eq!(soon("an answer", flow.recv()).await.unwrap(), &b"before"[..]);
    world.restart_hub().await;
    tokio::join!(gateway.ready(), local.ready());
    let answered = async {
        loop {
            flow.send(b"after");
            if let Ok(answer) = timeout(Duration::from_millis(100), flow.recv()).await {
                return answer;
            }
        }
    };
    assert_eq!(soon("an answer", answered).await.unwrap(), &b"after"[..]);
}

#[tokio::test]
async fn streams_and_flows_do_not_mix() {
    let (world, gateway, local) = World::with_services(udp(udp_echo().await)).await;
    assert_eq!(gateway.open("web").await.unwrap_err().refusal, Refusal::NotPermitted);
    local.set_services([("web".to_owned(), echo_service().await.into())].into()).unwrap();
    world.until_offered("web", 1).await;
    assert_eq!(gateway.open_flow("web", 0, None).await.unwrap_err().refusal, Refusal::NotPermitted);
    assert_eq!(gateway.open_flow("nothing", 0, None).await.unwrap_err().refusal, Refusal::NotPermitted);
}
