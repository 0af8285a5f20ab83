//! A plane that falls silent under connections that the edge keeps for later.

use std::time::Duration;

use crate::scene::{ALICE, Plot, Scene, soon, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_of_a_plane_that_fell_silent_is_left_alone_until_the_plane_is_heard() {
    let scene = Scene::of(Plot { has_way: true, ..Plot::default() }).await;
    let opened = || scene.gateway().status().opened;
    let is_suspect = || scene.gateway().status().planes[0].is_suspect;
    let mut wire = scene.h1(ALICE).await;
    for _ in 0..3 {
        assert_eq!(wire.ask(&scene, GET).await.status, 200);
    }
    // All workers' pools, as many as there are, are filled by now.
    let before = opened();
    assert_eq!(wire.ask(&scene, GET).await.status, 200);
    assert_eq!(opened(), before, "the connection to the service is kept");

    scene.way().hold(true);
    until("the silence is noticed", is_suspect).await;
    let asked = wire.ask(&scene, GET);
    let heard_again = async {
        // Longer than a busy machine needs to begin with it, shorter than it takes to give the plane up.
        tokio::time::sleep(Duration::from_millis(250)).await;
        scene.way().hold(false);
    };
    let (answer, ()) = soon("the answer", async { tokio::join!(asked, heard_again) }).await;
    assert_eq!((answer.status, opened()), (200, before + 1), "nothing new begins on what is silent");

    until("the plane is heard", || !is_suspect()).await;
    for _ in 0..3 {
        assert_eq!(wire.ask(&scene, GET).await.status, 200);
    }
    assert_eq!(opened(), before + 1, "and used again when it is heard");
}
