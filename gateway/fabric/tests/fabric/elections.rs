//! Several hubs of a plane, over real sockets: one of them serves, the others say which.

use std::net::SocketAddr;
use std::time::Duration;

use fabric::election::Standing;
use fabric::hub::{HubError, StepDownError, TermsError};
use fabric::wire::Frame;
use fabric::{Authority, Credentials, Gateway, Keyring, LocalHub, Refusal, Role};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::plane::{HubPlane, refused};
use crate::raw::Raw;
use crate::world::{ALWAYS, echo_service, echoed, identity, services, soon, until};

#[tokio::test]
async fn r0_05_three_hubs_start_and_one_of_them_is_active_with_two_standing_by() {
    let plane = HubPlane::start(3).await;
    let (active, _) = plane.agreed().await;
    for (hub, status) in plane.statuses().iter().enumerate() {
        let expected = if hub == active { Standing::Active } else { Standing::Standby };
        assert_eq!((status.standing, status.plane.as_str()), (expected, "A"));
        assert_eq!(status.active.as_ref(), Some(&plane.instances[active].name));
        assert_eq!(status.lease_left.is_some(), hub == active);
        assert!(status.term >= 1 && status.elections >= 1);
    }
}

#[tokio::test]
async fn r0_06_one_tcp_connection_is_between_each_two_hubs_of_a_plane() {
    for hubs in [2, 3, 5] {
        let plane = HubPlane::start(hubs).await;
        plane.agreed().await;
        let pairs = hubs * (hubs - 1) / 2;
        let seen = || plane.statuses().iter().flat_map(|s| &s.between).map(|b| b.connections).sum::<usize>();
        until("the whole mesh", || seen() == 2 * pairs).await;
        for status in plane.statuses() {
            assert_eq!(status.between.len(), hubs - 1);
            assert!(status.between.iter().all(|between| between.connections == 1), "{status:?}");
        }
        // As the kernel sees it: each connection has one end on a listener's port.
        let ports: Vec<u16> = plane.instances.iter().map(|hub| hub.between.port()).collect();
        assert_eq!(established(&ports), pairs);
    }
}

/// TCP connections of this network namespace that were accepted on one of these ports (proc_net_tcp(5)).
fn established(ports: &[u16]) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[3] == "01")
        .filter_map(|row| u16::from_str_radix(row[1].rsplit_once(':')?.1, 16).ok())
        .filter(|port| ports.contains(port))
        .count()
}

#[tokio::test]
async fn r0_07_a_killed_active_is_replaced_in_a_higher_term_and_comes_back_as_a_standby() {
    let mut plane = HubPlane::start(3).await;
    let (mut active, took) = plane.agreed().await;
    println!("first active after {took:?}");
    for _ in 0..3 {
        let before = plane.hub(active).status().term;
        plane.kill(active);
        let (next, took) = plane.agreed().await;
        println!("a killed active is replaced after {took:?}");
        assert_ne!(next, active);
        assert!(plane.hub(next).status().term > before);
        plane.revive(active).await;
        until("the standby", || {
            let status = plane.hub(active).status();
            status.standing == Standing::Standby
                && status.active.as_ref() == Some(&plane.instances[next].name)
        })
        .await;
        assert_eq!(plane.actives(), [next], "the one that came back takes nothing over");
        active = next;
    }
}

#[tokio::test]
async fn r0_07_an_active_without_a_majority_stops_by_itself_and_says_so_on_every_lane() {
    let mut plane = HubPlane::start(3).await;
    let (active, _) = plane.agreed().await;
    let member = plane.credentials(Role::LocalHub, "l1");
    let mut lane = Raw::connect(plane.instances[active].members, Some(&member)).await.unwrap();
    assert!(matches!(lane.greet("l1", 1, 0).await, Some(Frame::Welcome { .. })));
    let begun = Instant::now();
    (0..3).filter(|hub| *hub != active).for_each(|hub| plane.kill(hub));
    let last = loop {
        match soon("the end", lane.hear()).await {
            Some(Frame::Ping { .. }) => {}
            other => break other,
        }
    };
    println!("without a majority it stopped after {:?}", begun.elapsed());
    assert_eq!(last, Some(Frame::Refuse(Refusal::NotActive)));
    assert_eq!(soon("the close", lane.hear()).await, None);
    assert_eq!(plane.actives(), [0; 0]);
    until("its status says why, and that nobody is linked", || {
        let status = plane.hub(active).status();
        (status.last_reason, status.links.len()) == (Some("lease_lost"), 0)
    })
    .await;

    // Two of three are a majority again.
    plane.revive((active + 1) % 3).await;
    plane.agreed().await;
}

#[tokio::test]
async fn r0_08_a_standby_refuses_members_and_names_the_active_hub() {
    let plane = HubPlane::start(3).await;
    let (active, _) = plane.agreed().await;
    let term = plane.hub(active).status().term;
    for (role, name) in [(Role::LocalHub, "l1"), (Role::Edge, "e1")] {
        let member = plane.credentials(role, name);
        for standby in (0..3).filter(|hub| *hub != active) {
            let mut raw = Raw::connect(plane.instances[standby].members, Some(&member)).await.unwrap();
            let name_of_active = plane.instances[active].name.clone();
            assert_eq!(raw.greet(name, 1, 0).await, Some(Frame::Standby { term, active: name_of_active }));
            assert_eq!(raw.hear().await, Some(Frame::Refuse(Refusal::Standby)));
            assert_eq!(raw.hear().await, None);
            assert!(plane.hub(standby).status().links.is_empty());
        }
        let mut raw = Raw::connect(plane.instances[active].members, Some(&member)).await.unwrap();
        assert!(matches!(raw.greet(name, 1, 0).await, Some(Frame::Welcome { .. })));
    }
}

#[tokio::test]
async fn a_standby_that_knows_no_active_names_none() {
    let mut plane = HubPlane::planned(3).await;
    plane.revive(0).await;
    let member = plane.credentials(Role::Edge, "e1");
    let mut raw = Raw::connect(plane.instances[0].members, Some(&member)).await.unwrap();
    assert_eq!(raw.greet("e1", 1, 0).await, Some(Frame::Standby { term: 0, active: String::new() }));
    assert_eq!(raw.hear().await, Some(Frame::Refuse(Refusal::Standby)));
}

#[tokio::test]
async fn an_active_hands_over_when_it_is_told_to_and_when_it_stops() {
    let mut plane = HubPlane::start(3).await;
    let (active, _) = plane.agreed().await;
    let standby = (active + 1) % 3;
    assert_eq!(plane.hub(standby).step_down(), Err(StepDownError::NotActive));
    plane.hub(active).step_down().unwrap();
    until("it stepped down", || !plane.actives().contains(&active)).await;
    let (next, took) = plane.agreed().await;
    println!("a hand-over took {took:?}");
    assert_ne!(next, active);
    assert_eq!(plane.hub(active).status().last_reason, Some("stepped_down"));

    let begun = Instant::now();
    soon("the stop", plane.stop(next)).await;
    let (third, _) = plane.agreed().await;
    println!("after an orderly stop the next was active after {:?}", begun.elapsed());
    assert_ne!(third, next);
}

#[tokio::test]
async fn members_follow_from_one_active_to_the_next() {
    let mut plane = HubPlane::start(3).await;
    let (active, _) = plane.agreed().await;
    let keyring = |role, name| Keyring::new(plane.credentials(role, name)).unwrap();
    let (edge, local) = (keyring(Role::Edge, "e1"), keyring(Role::LocalHub, "l1"));
    let (planes, stop) = (plane.addresses(), CancellationToken::new());
    let echo = services(&[("web", echo_service().await)]);
    let gateway = Gateway::start(&planes, edge, stop.clone()).unwrap();
    let local = LocalHub::start(&planes, local, echo, stop.clone()).unwrap();
    soon("both links", async { tokio::join!(gateway.ready(), local.ready()) }).await;
    opened(&gateway).await;

    let begun = Instant::now();
    plane.kill(active);
    let (_, elected) = plane.agreed().await;
    opened(&gateway).await;
    println!("killed: a new active after {elected:?}, a new stream through it after {:?}", begun.elapsed());

    let begun = Instant::now();
    let (active, _) = plane.agreed().await;
    plane.hub(active).step_down().unwrap();
    until("it stepped down", || !plane.actives().contains(&active)).await;
    opened(&gateway).await;
    println!("stepped down: a new stream through the next after {:?}", begun.elapsed());
}

/// Tries until a stream carries bytes.
async fn opened(gateway: &Gateway) {
    let trying = async {
        loop {
            if let Ok(mut stream) = gateway.open("web").await
                && echoed(&mut stream, b"through").await.is_ok()
            {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon("a stream", trying).await;
}

/// What a caller at the port between hubs hears before it is closed upon: the first byte, if any.
async fn heard(at: SocketAddr, credentials: &Credentials) -> Option<u8> {
    let mut raw = Raw::connect(at, Some(credentials)).await.ok()?;
    timeout(Duration::from_secs(10), raw.io.read_u8()).await.unwrap().ok()
}

#[tokio::test]
async fn strangers_are_refused_between_hubs_and_named() {
    let plane = HubPlane::start(2).await;
    let (_, _) = plane.agreed().await;
    // The hub with the last name accepts from all others.
    let (at, hub) = (plane.instances[1].between, plane.hub(1));
    let refused = |code: &str| hub.status().refused.get(code).copied().unwrap_or(0);

    let foreign = Authority::generate(ALWAYS).unwrap();
    let foreign = foreign.issue(&identity(Role::Hub, "hub-a1"), ALWAYS).unwrap();
    assert_eq!(heard(at, &foreign).await, None);
    until("a foreign authority", || refused("tls_failed") == 1).await;
    for role in [Role::Edge, Role::LocalHub] {
        assert_eq!(heard(at, &plane.credentials(role, "hub-a1")).await, None);
    }
    until("wrong roles", || refused("wrong_role") == 2).await;
    // Of no plane, itself, and one that should be dialed by us.
    for name in ["hub-b1", "hub-a2", "hub-a3"] {
        assert_eq!(heard(at, &plane.credentials(Role::Hub, name)).await, None);
    }
    until("wrong names", || refused("wrong_name") == 3).await;
    // The right one is greeted.
    assert!(heard(at, &plane.credentials(Role::Hub, "hub-a1")).await.is_some());
    plane.agreed().await;
}

#[tokio::test]
async fn a_hub_that_does_not_fit_its_plane_does_not_start() {
    let plane = HubPlane::planned(3).await;
    let hub = |name: &str| plane.credentials(Role::Hub, name);
    let config = plane.config(0);
    assert!(matches!(refused(config.clone(), hub("hub-a2")).await, HubError::WrongName(..)));
    let mut stranger = config.clone();
    stranger.me = "hub-b1".into();
    assert!(matches!(refused(stranger, hub("hub-b1")).await, HubError::NotOfPlane(..)));
    let mut twice = config.clone();
    twice.instances[2].name = "hub-a2".into();
    assert!(matches!(refused(twice, hub("hub-a1")).await, HubError::Roster(_)));
    std::fs::write(plane.term_file(0), "term 7\n").unwrap();
    let damaged = refused(config, hub("hub-a1")).await;
    assert!(matches!(damaged, HubError::Terms(TermsError::Damaged(_))), "{damaged}");
}

#[tokio::test]
async fn a_hub_that_is_alone_is_active_at_once_in_a_term_that_rises_with_each_start() {
    let mut plane = HubPlane::planned(1).await;
    for term in 1..=3 {
        plane.revive(0).await;
        let status = plane.hub(0).status();
        assert_eq!((status.standing, status.term, status.lease_left), (Standing::Active, term, None));
        assert_eq!(plane.hub(0).step_down(), Err(StepDownError::Alone));
        if term == 2 { plane.kill(0) } else { plane.stop(0).await }
    }
}
