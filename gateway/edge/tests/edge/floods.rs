//! Floods over HTTP/2 by a user with a name and an address: the connection pays, nobody else does.

use std::time::Duration;

use defense::Reason;
use tokio::time::timeout;

use crate::backend::Say;
use crate::clients::{
    CONTINUATION, Frames, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, frame, get_block, request, whole,
};
use crate::scene::{ALICE, BOB, Scene, until};

async fn others_are_served(scene: &Scene) {
    let mut sender = scene.h2(BOB).await;
    assert_eq!(whole(&mut sender, request(&scene.name(BOB), "/")).await.unwrap().status(), 200);
}

/// Repeats until the other side has enough; false if it never has.
async fn is_cut_off(frames: &mut Frames, times: u32, bytes: impl Fn(u32) -> Vec<u8>) -> bool {
    for i in 0..times {
        if !frames.say(&bytes(i)).await {
            return true;
        }
    }
    timeout(Duration::from_secs(5), async {
        loop {
            match frames.hear().await {
                None | Some((GOAWAY, _, _)) => return,
                Some(_) => {}
            }
        }
    })
    .await
    .is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset_ends_the_connection_whether_streams_were_accepted_or_not() {
    let scene = Scene::new().await;
    scene.backend.says(|_| Say::Hang);
    let block = get_block(&scene.name(ALICE));
    let one = |i: u32| {
        let mut bytes = frame(HEADERS, 5, 2 * i + 1, &block);
        bytes.extend_from_slice(&frame(RST_STREAM, 0, 2 * i + 1, &8u32.to_be_bytes()));
        bytes
    };
    let mut frames = Frames::of(&scene, ALICE).await;
    assert!(is_cut_off(&mut frames, 3000, one).await, "all at once");
    // Slowly enough that each is accepted first, which the library does not count.
    let mut frames = Frames::of(&scene, ALICE).await;
    let mut is_over = false;
    for i in 0..300 {
        is_over = !frames.say(&frame(HEADERS, 5, 2 * i + 1, &block)).await;
        tokio::time::sleep(Duration::from_millis(3)).await;
        is_over |= !frames.say(&frame(RST_STREAM, 0, 2 * i + 1, &8u32.to_be_bytes())).await;
        if is_over {
            break;
        }
    }
    assert!(is_over || is_cut_off(&mut frames, 0, one).await);
    scene.until_written(Reason::RateLease, 1).await;
    until("its places are free", || scene.edge.status().connections == 0).await;
    scene.backend.says(|_| crate::backend::ok(""));
    others_are_served(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_continuation_flood_ends_the_connection() {
    let scene = Scene::new().await;
    let mut frames = Frames::of(&scene, ALICE).await;
    let block = get_block(&scene.name(ALICE));
    frames.say(&frame(HEADERS, 1, 1, &block)).await;
    assert!(is_cut_off(&mut frames, 10_000, |_| frame(CONTINUATION, 0, 1, &[])).await, "empty ones");
    let mut frames = Frames::of(&scene, ALICE).await;
    frames.say(&frame(HEADERS, 1, 1, &block)).await;
    let mut field = vec![0, 1, b'x', 0x7f, 0x81, 0x7e];
    field.extend_from_slice(&[b'a'; 16_000]);
    assert!(is_cut_off(&mut frames, 1000, |_| frame(CONTINUATION, 0, 1, &field)).await, "full ones");
    others_are_served(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_streams_than_allowed_are_refused_and_those_before_live_on() {
    let scene = Scene::new().await;
    scene.backend.says(|_| Say::Hang);
    let mut frames = Frames::of(&scene, ALICE).await;
    let block = get_block(&scene.name(ALICE));
    let max = edge::bounds::H2_STREAMS_MAX;
    for i in 0..max + 5 {
        frames.say(&frame(HEADERS, 5, 2 * i + 1, &block)).await;
    }
    let mut refused = Vec::new();
    while let Ok(Some((kind, stream, payload))) = timeout(Duration::from_secs(1), frames.hear()).await {
        if kind == RST_STREAM {
            assert_eq!(payload, 7u32.to_be_bytes(), "REFUSED_STREAM: safe to try again");
            refused.push(stream);
        }
    }
    assert_eq!(refused, (max..max + 5).map(|i| 2 * i + 1).collect::<Vec<_>>());
    until("those before are under way", || scene.backend.heard().len() == max as usize).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_settings_and_pings_whose_answers_nobody_reads_harm_nobody() {
    let scene = Scene::new().await;
    for (kind, payload) in [(SETTINGS, &[][..]), (PING, &[0; 8])] {
        let mut frames = Frames::of(&scene, ALICE).await;
        let flood = frame(kind, 0, 0, payload).repeat(1000);
        // Nothing is read: once the answers fill the buffers, the edge stops reading, and we can't write any more.
        let stuck = timeout(Duration::from_secs(3), async { while frames.say(&flood).await {} }).await;
        others_are_served(&scene).await;
        drop((stuck, frames));
    }
    until("their places are free", || scene.edge.status().connections == 0).await;
}
