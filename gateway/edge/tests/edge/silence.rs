//! A plane that falls silent under connections that the edge keeps for later.

use crate::scene::{ALICE, Plot, Scene, soon, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_of_a_plane_that_fell_silent_is_left_alone_until_the_plane_is_heard() {
    for _ in 0..20 {
        if was_left_alone().await {
            return;
        }
    }
    panic!("this machine was always too busy to be heard again before the plane was given up");
}

/// False: the plane was given up meanwhile, and nothing is known.
async fn was_left_alone() -> bool {
    let scene = Scene::of(Plot { has_way: true, ..Plot::default() }).await;
    let opened = || scene.gateway().status().opened;
    let plane = || scene.gateway().status().planes.swap_remove(0);
    let mut wire = scene.h1(ALICE).await;
    for _ in 0..3 {
        assert_eq!(wire.ask(&scene, GET).await.status, 200);
    }
    // All workers' pools, as many as there are, are filled by now.
    let before = opened();
    assert_eq!(wire.ask(&scene, GET).await.status, 200);
    assert_eq!(opened(), before, "the connection to the service is kept");

    let (ends, streams) = (plane().last_end, || plane().link.map_or(0, |link| link.streams()));
    scene.way().hold(true);
    until("the silence is noticed", || plane().is_suspect || plane().last_end != ends).await;
    let kept = streams();
    let asked = wire.ask(&scene, GET);
    let heard_again = async {
        until("another connection is asked for", || streams() > kept || plane().last_end != ends).await;
        scene.way().hold(false);
    };
    let (answer, ()) = soon("the answer", async { tokio::join!(asked, heard_again) }).await;
    let told = opened();
    if plane().last_end != ends {
        return false;
    }
    assert_eq!((answer.status, told), (200, before + 1), "nothing new begins on what is silent");

    until("the plane is heard", || !plane().is_suspect).await;
    for _ in 0..3 {
        assert_eq!(wire.ask(&scene, GET).await.status, 200);
    }
    assert_eq!(opened(), before + 1, "and used again when it is heard");
    true
}
