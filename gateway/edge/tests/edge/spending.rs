//! What a lease spends, over real connections: told when it is too much, slowed where that is kinder, and nobody else's.

use defense::Reason;
use edge::budgets::Allowance;
use tokio::time::Instant;

use crate::backend::ok;
use crate::clients::{End, request, whole};
use crate::scene::{ALICE, BOB, Plot, Scene};

const GET: &str = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_over_a_leases_rate_are_429_with_the_time_to_wait_and_another_lease_has_its_own() {
    let allowance = Allowance { requests_per_s: 1, ..Allowance::default() };
    let scene = Scene::of(Plot { allowance, ..Plot::default() }).await;
    let mut wire = scene.h1(ALICE).await;
    let refused = loop {
        let answer = wire.ask(&scene, GET).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.field("retry-after")), (429, Some("1")));
    assert!(refused.text().contains("\"reason\":\"rate_lease\""), "{}", refused.text());
    scene.until_written(Reason::RateLease, 1).await;
    let bobs = whole(&mut scene.h2(BOB).await, request(&scene.name(BOB), "/")).await.unwrap();
    assert_eq!(bobs.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_over_a_leases_number_are_reset_and_one_that_leaves_makes_room() {
    let allowance = Allowance { connections: 2, ..Allowance::default() };
    let scene = Scene::of(Plot { allowance, ..Plot::default() }).await;
    let (address, name) = (scene.address(ALICE), scene.name(ALICE));
    let (first, second) = (scene.h1(ALICE).await, scene.h1(ALICE).await);
    assert_eq!(scene.attempt(address, Some(&name)).await, End::Reset);
    scene.until_written(Reason::LeaseConcurrency, 1).await;
    assert!(scene.serves(scene.address(BOB), &scene.name(BOB)).await);
    drop((first, second));
    crate::scene::until("they are gone", || scene.edge.status().connections == 0).await;
    assert!(scene.serves(address, &name).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_over_a_leases_rate_are_slowed_and_every_one_of_them_arrives() {
    const RATE: u64 = 256 * 1024;
    let allowance = Allowance { bytes_out_per_s: RATE, ..Allowance::default() };
    let scene = Scene::of(Plot { allowance, ..Plot::default() }).await;
    let body = "x".repeat(RATE as usize * 5 / 2);
    scene.backend.says(move |_| ok(&body));
    let begun = Instant::now();
    let answer = whole(&mut scene.h2(ALICE).await, request(&scene.name(ALICE), "/")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().len() as u64), (200, RATE * 5 / 2));
    assert!(begun.elapsed().as_millis() >= 1_200, "a second's worth at once, then the rate");
}
