//! The edge under pressure, and calls that are held back: users are served, and a tarpit is never our own outage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use defense::{HookPoint, Reason, Verdict};
use edge::bounds::{DELAYED_PER_GRANT_MAX, H2_STREAMS_MAX};
use edge::pressure::{Level, Shed, Thresholds};
use tokio::time::sleep;

use crate::clients::{End, request, whole};
use crate::hooks::Recorder;
use crate::scene::{ALICE, BOB, Plot, Scene, soon, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";

/// Pressed by what the test reports of the accept queue, and by nothing that its machine does.
fn queue_alone() -> Thresholds {
    let mut marks = Thresholds::NEVER;
    marks.0[0] = [100, 400, 1_500];
    marks
}

/// Reports a standing accept queue until dropped.
struct Press(Arc<AtomicBool>);

impl Press {
    async fn on(scene: &Scene, ms: u32, level: Level) -> Self {
        let (goes_on, pressure) = (Arc::new(AtomicBool::new(true)), Arc::clone(scene.edge.pressure()));
        let press = Self(Arc::clone(&goes_on));
        tokio::spawn(async move {
            while goes_on.load(Ordering::Relaxed) {
                pressure.queued(ms);
                sleep(Duration::from_millis(20)).await;
            }
        });
        until("the pressure is felt", || scene.edge.status().pressure.level == level).await;
        press
    }
}

impl Drop for Press {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn shed(scene: &Scene, what: Shed) -> u64 {
    scene.edge.status().pressure.shed.iter().find(|(shed, _)| *shed == what).unwrap().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_the_hardest_pressure_users_go_on_newcomers_are_refused_and_all_is_well_afterwards() {
    let scene = Scene::of(Plot { pressure: queue_alone(), ..Plot::default() }).await;
    let mut open = scene.h1(ALICE).await;
    assert_eq!(open.ask(&scene, GET).await.status, 200);
    let press = Press::on(&scene, 5_000, Level::Severe).await;
    assert_eq!(open.ask(&scene, GET).await.status, 200, "what is under way is never shed");
    assert!(scene.serves(scene.address(ALICE), &scene.name(ALICE)).await, "nor a user who is here already");
    assert_eq!(scene.attempt(scene.address(BOB), Some(&scene.name(BOB))).await, End::Reset);
    scene.until_written(Reason::OverloadNewcomer, 1).await;
    assert_eq!(scene.knock(scene.dark_address(), &[], Duration::from_secs(20)).await, End::Reset);
    assert!(shed(&scene, Shed::Pretense) >= 1 && shed(&scene, Shed::Newcomer) >= 1);
    drop(press);
    until("it is calm", || scene.edge.status().pressure.level == Level::Calm).await;
    assert!(scene.serves(scene.address(BOB), &scene.name(BOB)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_at_its_limit_presses_and_says_so() {
    let mut marks = Thresholds::NEVER;
    marks.0[2] = [800, 900, 950];
    let scene = Scene::of(Plot { pressure: marks, memory_max: Some(1 << 20), ..Plot::default() }).await;
    until("memory presses", || scene.edge.status().pressure.level == Level::Severe).await;
    assert_eq!(scene.edge.status().pressure.by.map(edge::pressure::Signal::name), Some("memory"));
    assert_eq!(scene.attempt(scene.address(BOB), Some(&scene.name(BOB))).await, End::Reset);
    scene.until_written(Reason::OverloadNewcomer, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_pressure_a_delay_is_a_refusal() {
    let recorder = Recorder::new();
    let plot = Plot { hooks: recorder.clone(), pressure: queue_alone(), ..Plot::default() };
    let scene = Scene::of(plot).await;
    let mut open = scene.h1(ALICE).await;
    recorder.says(HookPoint::Request, Verdict::Delay { floor_ms: 9_000 });
    let press = Press::on(&scene, 500, Level::High).await;
    let answer = open.ask(&scene, GET).await;
    assert_eq!(answer.status, 429);
    assert!(answer.text().contains("\"reason\":\"overload_delay\""), "{}", answer.text());
    assert_eq!(scene.backend.connections(), 0);
    assert!(shed(&scene, Shed::Delay) >= 1);
    drop(press);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_much_a_verdict_holds_back_of_one_lease_the_rest_is_refused_and_others_are_served() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    const { assert!(DELAYED_PER_GRANT_MAX < H2_STREAMS_MAX) };
    let (host, bobs) = (scene.name(ALICE), scene.name(BOB));
    let mut sender = scene.h2(ALICE).await;
    recorder.says(HookPoint::Request, Verdict::Delay { floor_ms: 10_000 });
    let mut held = tokio::task::JoinSet::new();
    for _ in 0..DELAYED_PER_GRANT_MAX {
        sender.ready().await.unwrap();
        held.spawn(sender.send_request(request(&host, "/held")));
    }
    until("all are held", || recorder.at(HookPoint::Request).len() == DELAYED_PER_GRANT_MAX as usize).await;
    let over = whole(&mut sender, request(&host, "/over")).await.unwrap();
    assert_eq!(over.status(), 429);
    assert!(String::from_utf8_lossy(over.body()).contains("overload_delay"));
    scene.until_written(Reason::OverloadDelay, 1).await;
    recorder.is_silent();
    let mut other = scene.h2(BOB).await;
    let served = soon("another user's answer", whole(&mut other, request(&bobs, "/"))).await.unwrap();
    assert_eq!(served.status(), 200);
    let same = whole(&mut sender, request(&host, "/now")).await.unwrap();
    assert_eq!(same.status(), 200, "and what of the same lease is not to be held");
    let mut answers = 0;
    while let Some(held) = soon("what was held", held.join_next()).await {
        assert_eq!(held.unwrap().unwrap().status(), 200);
        answers += 1;
    }
    assert_eq!(answers, DELAYED_PER_GRANT_MAX);
    drop((sender, other));
    until("every call has its end", || recorder.is_balanced()).await;
}
