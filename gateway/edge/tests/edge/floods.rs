//! Floods over HTTP/2 by a user with a name and an address: the connection pays, nobody else does.

use std::time::Duration;

use defense::Reason;
use tokio::time::timeout;

use crate::backend::Say;
use crate::clients::{
    CONTINUATION, DATA, Frames, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
    get_block, post_block, request, whole,
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flood_of_frames_that_ask_for_nothing_is_cut_off_with_its_reason_and_others_are_served() {
    let scene = Scene::new().await;
    scene
        .backend
        .says(|heard| if heard.line().contains("hang") { Say::Hang } else { crate::backend::ok("") });
    let open = frame(HEADERS, 4, 1, &post_block(&scene.name(ALICE), "/hang"));
    let window = 1u32.to_be_bytes();
    let table = |i: u32| [[0, 1].as_slice(), &(4096 * (i % 2)).to_be_bytes()].concat();
    type Flood<'f> = (&'static str, Box<dyn Fn(u32) -> Vec<u8> + 'f>);
    let floods: Vec<Flood<'_>> = vec![
        ("ping", Box::new(|i| frame(PING, 0, 0, &u64::from(i).to_be_bytes()))),
        ("ping's answers", Box::new(|_| frame(PING, 1, 0, &[0; 8]))),
        ("settings", Box::new(|_| frame(SETTINGS, 0, 0, &[]))),
        ("table sizes", Box::new(|i| frame(SETTINGS, 0, 0, &table(i)))),
        ("windows", Box::new(|_| frame(WINDOW_UPDATE, 0, 0, &window))),
        ("windows of a stream", Box::new(|_| frame(WINDOW_UPDATE, 0, 1, &window))),
        ("priorities", Box::new(|i| frame(PRIORITY, 0, 2 * (i % 1000) + 3, &[0, 0, 0, 0, 7]))),
        ("empty pieces", Box::new(|_| frame(DATA, 0, 1, &[]))),
        ("padding", Box::new(|_| frame(DATA, 8, 1, &[0]))),
        ("frames of no kind", Box::new(|_| frame(0x77, 0, 0, &[7; 100]))),
    ];
    for (i, (name, flood)) in floods.iter().enumerate() {
        let mut frames = Frames::of(&scene, ALICE).await;
        frames.say(&open).await;
        assert!(is_cut_off(&mut frames, 20_000, flood).await, "{name}");
        scene.until_written(Reason::FrameFlood, i as u64 + 1).await;
        others_are_served(&scene).await;
    }
    until("their places are free", || scene.edge.status().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_we_are_made_to_reset_end_their_connection() {
    let scene = Scene::new().await;
    scene.backend.says(|_| Say::Hang);
    let block = post_block(&scene.name(ALICE), "/");
    // MadeYouReset (CVE-2025-8671): a window of zero, and one that overflows, each an error of the stream.
    for increment in [0, i32::MAX as u32] {
        let mut frames = Frames::of(&scene, ALICE).await;
        let one = |i: u32| {
            let mut bytes = frame(HEADERS, 4, 2 * i + 1, &block);
            bytes.extend_from_slice(&frame(WINDOW_UPDATE, 0, 2 * i + 1, &increment.to_be_bytes()));
            bytes
        };
        assert!(is_cut_off(&mut frames, 5000, one).await, "{increment}");
    }
    until("their places are free", || scene.edge.status().connections == 0).await;
    scene.backend.says(|_| crate::backend::ok(""));
    others_are_served(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_grow_when_they_are_unpacked_are_refused_before_the_service_hears_of_them() {
    let scene = Scene::new().await;
    // One entry of 4,000 bytes in the table (RFC 7541 §6.2.1), named a thousand times by a byte each.
    let mut bomb = get_block(&scene.name(ALICE));
    bomb.extend_from_slice(&[0x40, 1, b'b', 0x7f, 0xa1, 0x1e]);
    bomb.extend_from_slice(&[b'x'; 4000]);
    bomb.extend(std::iter::repeat_n(0xbe, 1000));
    let mut frames = Frames::of(&scene, ALICE).await;
    frames.say(&frame(HEADERS, 5, 1, &bomb)).await;
    let heard = timeout(Duration::from_secs(10), async {
        loop {
            match frames.hear().await {
                Some((HEADERS | RST_STREAM, 1, payload)) => return Some(payload),
                None | Some((GOAWAY, _, _)) => return None,
                Some(_) => {}
            }
        }
    })
    .await;
    // :status 431 as a literal, or no stream any more.
    let refused =
        heard.unwrap().is_none_or(|payload| payload.windows(3).any(|w| w == b"431") || payload.len() == 4);
    assert!(refused);
    // Crumbs of cookies (CVE-2026-47774): many small fields are one large head as well.
    let mut crumbs = get_block(&scene.name(ALICE));
    (0..3000).for_each(|_| crumbs.extend_from_slice(&[0x0f, 0x11, 1, b'c']));
    let mut frames = Frames::of(&scene, ALICE).await;
    frames.say(&frame(HEADERS, 5, 1, &crumbs)).await;
    frames.say(&frame(PING, 0, 0, &[1; 8])).await;
    while let Ok(Some((kind, _, _))) = timeout(Duration::from_secs(10), frames.hear()).await {
        if kind == PING || kind == GOAWAY {
            break;
        }
    }
    assert!(scene.backend.heard().is_empty(), "{:?}", scene.backend.heard());
    others_are_served(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_is_told_to_calm_down_before_the_connection_ends() {
    let scene = Scene::new().await;
    let mut frames = Frames::of(&scene, ALICE).await;
    frames.say(&frame(PING, 0, 0, &[0; 8]).repeat(edge::bounds::FRAME_CREDIT_MAX as usize)).await;
    let told = frames.rest().await;
    let (kind, stream, payload) = told.last().expect("a last word");
    // ENHANCE_YOUR_CALM, and no stream that it could not have processed.
    assert_eq!((*kind, *stream, &payload[..]), (GOAWAY, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 11][..]));
    scene.until_written(Reason::FrameFlood, 1).await;
    others_are_served(&scene).await;
}
