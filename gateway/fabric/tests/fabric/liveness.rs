//! Far sides that fall silent without closing anything.

use std::net::SocketAddr;

use fabric::bounds::LANES;
use fabric::{Gateway, Refusal, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::world::{HUB, World, echo_service, echoed, one_plane, services, soon, until};

/// A way to the hub on which every byte can be held up while the connections stay.
struct Frost {
    address: SocketAddr,
    frozen: watch::Sender<bool>,
}

impl Frost {
    async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let frozen = watch::Sender::new(false);
        let state = frozen.clone();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(target).await.unwrap();
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(near_in, far_out, state.subscribe()));
                tokio::spawn(carry(far_in, near_out, state.subscribe()));
            }
        });
        Self { address, frozen }
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut frozen: watch::Receiver<bool>,
) {
    let mut piece = [0; 16_384];
    while let Ok(count) = from.read(&mut piece).await {
        let thawed = frozen.wait_for(|frozen| !frozen).await.is_ok();
        if count == 0 || !thawed || to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_far_side_that_falls_silent_is_first_suspect_then_lost_on_every_lane_and_found_again() {
    let world = World::new().await;
    let frost = Frost::before(world.hub.address()).await;
    let planes = one_plane(frost.address);
    let gateway = Gateway::start(&planes, world.keyring(Role::Edge, "e1"), CancellationToken::new()).unwrap();
    let local = world.local_hub("l1", services(&[("web", echo_service().await)]));
    soon("both links", async { tokio::join!(gateway.ready(), local.ready()) }).await;
    world.until_offered("web", 1).await;
    let link = || gateway.status().planes[0].link.clone().unwrap();
    let mut stream = gateway.open("web").await.unwrap();
    echoed(&mut stream, b"alive").await.unwrap();
    until("the round trip is known", || link().lanes.iter().all(|lane| lane.srtt.is_some())).await;
    assert!(!link().lanes[0].is_suspect);
    assert_eq!(link().lanes_up(), LANES);

    frost.frozen.send_replace(true);
    let plane = || gateway.status().planes[0].clone();
    let suspects = || plane().link.map_or(0, |link| link.lanes.iter().filter(|lane| lane.is_suspect).count());
    until("the suspicion", || suspects() == LANES).await;
    until("the loss", || plane().link.is_none_or(|link| link.lanes_up() == 0)).await;
    assert_eq!(plane().last_end, Some("silent"));
    let error = soon("the end", stream.read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::LaneLost));
    until("the hub has lost them as well", || {
        world.hub.status().refused.get("silent").is_some_and(|count| *count >= LANES as u64)
    })
    .await;
    assert_eq!(HUB, world.hub.status().identity.name());

    frost.frozen.send_replace(false);
    soon("the link", gateway.ready()).await;
    echoed(&mut gateway.open("web").await.unwrap(), b"again").await.unwrap();
    assert!(!link().lanes[0].is_suspect);
}

#[tokio::test]
async fn a_link_that_stays_quiet_stays_up() {
    let (world, gateway, _local) = World::with_service(echo_service().await).await;
    let heard = || gateway.status().planes[0].link.clone().unwrap().lanes[0].silent;
    // Longer than any silence that is borne on the control lane.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(gateway.status().planes[0].link.as_ref().unwrap().is_ready);
    assert!(heard() < std::time::Duration::from_secs(1));
    assert_eq!(world.hub.status().refused.get("silent"), None);
    echoed(&mut gateway.open("web").await.unwrap(), b"still").await.unwrap();
}
