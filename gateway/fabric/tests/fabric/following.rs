//! Members find the active hub of a plane, follow it when it changes, and believe nobody without proof.

use fabric::{Authority, Gateway, HubAddress, Keyring, PlaneAddress, Refusal, Role};
use tokio_util::sync::CancellationToken;

use crate::fake_hub::{FakeHub, Says, mandate, mandate_by};
use crate::world::{ALWAYS, identity, soon, until};

const HUBS: [&str; 3] = ["hub-a1", "hub-a2", "hub-a3"];

/// Plane A of three hubs, all of which say what they are told.
struct Plane {
    authority: Authority,
    hubs: Vec<FakeHub>,
}

impl Plane {
    async fn of(says: [Says; 3]) -> Self {
        let authority = Authority::generate(ALWAYS).unwrap();
        Self::by(authority, says).await
    }

    async fn by(authority: Authority, says: [Says; 3]) -> Self {
        let mut hubs = Vec::new();
        for (name, says) in HUBS.into_iter().zip(says) {
            hubs.push(FakeHub::start(&authority, name, says).await);
        }
        Self { authority, hubs }
    }

    fn follow(&self) -> Gateway {
        let hubs: Vec<HubAddress> = self.hubs.iter().map(|hub| hub.at.clone()).collect();
        let planes = [PlaneAddress { name: "A".into(), hubs }];
        let keyring =
            Keyring::new(self.authority.issue(&identity(Role::Edge, "e1"), ALWAYS).unwrap()).unwrap();
        Gateway::start(&planes, keyring, CancellationToken::new()).unwrap()
    }

    fn welcome(&self, term: u64, active: &str) -> Says {
        Says::Welcome(mandate(&self.authority, term, active, &HUBS[..2]))
    }
}

fn active(gateway: &Gateway) -> Option<String> {
    gateway.status().planes[0].link.as_ref().map(|link| link.far.name().to_owned())
}

#[tokio::test]
async fn the_active_is_found_and_all_six_lanes_go_to_it() {
    let plane = Plane::of([Says::Standby(0, ""), Says::Standby(0, ""), Says::Standby(0, "")]).await;
    plane.hubs[2].say(plane.welcome(5, "hub-a3"));
    let gateway = plane.follow();
    soon("six lanes", gateway.ready()).await;
    let status = &gateway.status().planes[0];
    assert_eq!((active(&gateway).as_deref(), status.term), (Some("hub-a3"), 5));
    let hellos = plane.hubs[2].hellos();
    let mut lanes: Vec<_> = hellos.iter().map(|(lane, _)| *lane).collect();
    lanes.sort_unstable();
    assert_eq!(lanes, [0, 1, 2, 3, 4, 5]);
    assert!(hellos.iter().all(|(_, link)| *link == hellos[0].1), "one link");
    for standby in &plane.hubs[..2] {
        assert!(standby.hellos().iter().all(|(lane, _)| *lane == 0), "a standby hears of one lane only");
    }
}

#[tokio::test]
async fn a_plane_without_an_active_is_asked_until_it_has_one() {
    let plane = Plane::of([Says::Standby(4, ""), Says::Standby(4, ""), Says::Standby(4, "")]).await;
    let gateway = plane.follow();
    until("each was asked again", || plane.hubs.iter().all(|hub| hub.hellos().len() > 3)).await;
    assert_eq!((active(&gateway), gateway.status().planes[0].last_end), (None, Some("standby")));
    plane.hubs[0].say(plane.welcome(5, "hub-a1"));
    soon("six lanes", gateway.ready()).await;
}

#[tokio::test]
async fn when_the_active_steps_down_members_move_to_the_new_one_with_all_lanes() {
    let plane = Plane::of([Says::Standby(0, ""), Says::Standby(0, ""), Says::Standby(0, "")]).await;
    plane.hubs[0].say(plane.welcome(5, "hub-a1"));
    let gateway = plane.follow();
    soon("six lanes", gateway.ready()).await;

    plane.hubs[0].say(Says::Standby(6, "hub-a2"));
    plane.hubs[1].say(plane.welcome(6, "hub-a2"));
    until("it moved", || active(&gateway).as_deref() == Some("hub-a2")).await;
    soon("six lanes", gateway.ready()).await;
    assert_eq!(gateway.status().planes[0].term, 6);
    let (old, new) = (plane.hubs[0].hellos(), plane.hubs[1].hellos());
    assert!(new.iter().filter(|(lane, _)| *lane > 0).all(|(_, link)| *link != old[0].1), "a new link");
}

#[tokio::test]
async fn when_the_active_falls_silent_members_move_as_soon_as_another_proves_a_higher_term() {
    let plane = Plane::of([Says::Standby(0, ""), Says::Standby(0, ""), Says::Standby(0, "")]).await;
    plane.hubs[0].say(plane.welcome(5, "hub-a1"));
    let gateway = plane.follow();
    soon("six lanes", gateway.ready()).await;

    let begun = tokio::time::Instant::now();
    plane.hubs[0].say(Says::Nothing);
    plane.hubs[2].say(plane.welcome(6, "hub-a3"));
    until("it moved", || active(&gateway).as_deref() == Some("hub-a3")).await;
    soon("six lanes", gateway.ready()).await;
    println!("moved from a silent hub in {:?}", begun.elapsed());
    assert_eq!(gateway.status().planes[0].term, 6);
}

#[tokio::test]
async fn a_hub_that_shows_an_older_term_is_refused_and_told_so() {
    let plane = Plane::of([Says::Standby(0, ""), Says::Standby(0, ""), Says::Standby(0, "")]).await;
    plane.hubs[0].say(plane.welcome(5, "hub-a1"));
    let gateway = plane.follow();
    soon("six lanes", gateway.ready()).await;

    // It returns from a partition in which term 4 was its own, with a true mandate of that time.
    plane.hubs[1].say(plane.welcome(4, "hub-a2"));
    plane.hubs[0].say(Says::Standby(4, "hub-a2"));
    until("it is refused", || plane.hubs[1].refusals().contains(&Refusal::TermStale)).await;
    until("and named", || gateway.status().planes[0].last_end == Some("term_stale")).await;
    assert_eq!((active(&gateway), gateway.status().planes[0].term), (None, 5));
    assert!(plane.hubs[1].hellos().iter().all(|(lane, _)| *lane == 0), "no lane of a link");

    plane.hubs[1].say(plane.welcome(6, "hub-a2"));
    soon("six lanes", gateway.ready()).await;
    assert_eq!((active(&gateway).as_deref(), gateway.status().planes[0].term), (Some("hub-a2"), 6));
}

#[tokio::test]
async fn a_hub_that_lies_about_its_term_is_refused() {
    let standby = || Says::Standby(0, "");
    let plane = Plane::of([standby(), standby(), standby()]).await;
    let foreign = Authority::generate(ALWAYS).unwrap();
    let edge = plane.authority.issue(&identity(Role::Edge, "hub-a1"), ALWAYS).unwrap();
    let own = plane.authority.issue(&identity(Role::Hub, "hub-a2"), ALWAYS).unwrap();
    let lies = [
        ("nothing", bytes::Bytes::new()),
        ("garbage", bytes::Bytes::from_static(&[0xff; 200])),
        ("only its own vote", mandate(&plane.authority, 9, "hub-a2", &["hub-a2"])),
        ("its own vote twice", mandate(&plane.authority, 9, "hub-a2", &["hub-a2", "hub-a2"])),
        ("votes of a foreign authority", mandate(&foreign, 9, "hub-a2", &HUBS)),
        ("a vote of an edge", mandate_by(9, "hub-a2", &[own, edge])),
        ("votes for another", mandate(&plane.authority, 9, "hub-a3", &HUBS)),
        ("votes of strangers", mandate(&plane.authority, 9, "hub-a2", &["hub-x1", "hub-x2", "hub-x3"])),
    ];
    for (what, lie) in lies {
        plane.hubs[1].say(Says::Welcome(lie));
        let gateway = plane.follow();
        until(what, || gateway.status().planes[0].last_end == Some("mandate_invalid")).await;
        assert_eq!((active(&gateway), gateway.status().planes[0].term), (None, 0), "{what}");
        assert!(plane.hubs[1].hellos().iter().all(|(lane, _)| *lane == 0), "{what}");
    }
    assert!(plane.hubs[1].refusals().contains(&Refusal::MandateInvalid), "it is told");

    // A true mandate whose term is raised by one bit.
    let mut raised = mandate(&plane.authority, 8, "hub-a2", &HUBS).to_vec();
    raised[1 + 2 + 7] ^= 1;
    plane.hubs[1].say(Says::Welcome(raised.into()));
    let gateway = plane.follow();
    until("the refusal", || gateway.status().planes[0].last_end == Some("mandate_invalid")).await;
    plane.hubs[1].say(plane.welcome(8, "hub-a2"));
    soon("six lanes", gateway.ready()).await;
    assert_eq!(gateway.status().planes[0].term, 8);
}

#[tokio::test]
async fn hubs_that_are_nowhere_keep_nobody_from_the_one_that_is_there() {
    let plane = Plane::of([Says::Standby(0, ""), Says::Standby(0, ""), Says::Standby(0, "")]).await;
    plane.hubs[2].say(plane.welcome(1, "hub-a3"));
    // One port that nobody listens on, and one that accepts and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let hubs = [closed, silent.local_addr().unwrap(), plane.hubs[2].address()];
    let hubs = HUBS.into_iter().zip(hubs).map(|(name, address)| HubAddress { address, name: name.into() });
    let planes = [PlaneAddress { name: "A".into(), hubs: hubs.collect() }];
    let keyring = Keyring::new(plane.authority.issue(&identity(Role::Edge, "e1"), ALWAYS).unwrap()).unwrap();
    let gateway = Gateway::start(&planes, keyring, CancellationToken::new()).unwrap();
    soon("six lanes", gateway.ready()).await;
    assert_eq!(active(&gateway).as_deref(), Some("hub-a3"));
}
