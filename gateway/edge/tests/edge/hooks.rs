//! Verdicts, and what the edge makes of them: `futoin.md` §6.3.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use defense::{
    Call, Facts, Finding, HookPoint, Hooks, Moment, Outcome, Reason, RefId, Ticket, Verdict, VerdictKind,
};
use edge::bounds::HANDSHAKE_MAX;
use tokio::time::Instant;

use crate::backend::{Say, ok};
use crate::clients::{End, Frames, GOAWAY, HEADERS, RST_STREAM, frame, get_block, request, whole};
use crate::scene::{ALICE, Scene, soon, until};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Call(HookPoint),
    Result(HookPoint, Option<u16>),
    Fail(HookPoint, Reason),
}

/// Says what it was told to about paths, and remembers what it was told.
#[derive(Default)]
pub(crate) struct Recorder {
    heard: Mutex<Vec<(Heard, u128)>>,
    said: Mutex<Option<(HookPoint, Finding)>>,
    floor_ms: Mutex<Option<u32>>,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn says(&self, point: HookPoint, verdict: Verdict) {
        let finding = Finding::new(verdict, Reason::RateLease, "test").retry_after(2500);
        *self.said.lock().unwrap() = Some((point, finding));
    }

    pub(crate) fn at(&self, point: HookPoint) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap();
        let of = |h: &Heard| match *h {
            Heard::Call(p) | Heard::Result(p, _) | Heard::Fail(p, _) => p == point,
        };
        heard.iter().map(|(h, _)| *h).filter(of).collect()
    }

    /// Failed requests are answered no sooner than this.
    pub(crate) fn holds_failures(&self, floor_ms: Option<u32>) {
        *self.floor_ms.lock().unwrap() = floor_ms;
    }

    /// Nothing is said any more: calls pass.
    pub(crate) fn is_silent(&self) {
        *self.said.lock().unwrap() = None;
    }

    /// Each call that passed has one end, under its own number; others have none.
    pub(crate) fn is_balanced(&self) -> bool {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .filter(|(h, _)| matches!(h, Heard::Call(_)))
            .all(|(_, id)| heard.iter().filter(|(h, i)| i == id && !matches!(h, Heard::Call(_))).count() == 1)
    }
}

impl Hooks for Recorder {
    fn on_call(&self, facts: &Facts<'_>, now: Moment) -> Call {
        let mut heard = self.heard.lock().unwrap();
        let refid = RefId(heard.len() as u128);
        heard.push((Heard::Call(facts.point), refid.0));
        let (point, source, evidence) = (facts.point, facts.source, facts.evidence);
        let ticket = Ticket { refid, point, source, evidence, lease: facts.lease, since: now };
        let said = *self.said.lock().unwrap();
        Call { ticket, finding: said.filter(|(p, _)| *p == point).map(|(_, finding)| finding) }
    }

    fn on_result(&self, ticket: &Ticket, outcome: &Outcome, _: Moment) {
        self.heard.lock().unwrap().push((Heard::Result(ticket.point, outcome.status), ticket.refid.0));
    }

    fn on_fail(&self, ticket: &Ticket, failure: Reason, _: Moment) -> Option<u32> {
        self.heard.lock().unwrap().push((Heard::Fail(ticket.point, failure), ticket.refid.0));
        (*self.floor_ms.lock().unwrap()).filter(|_| ticket.point == HookPoint::Request)
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";
const CALL: Heard = Heard::Call(HookPoint::Request);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_05_a_call_that_passes_is_followed_by_exactly_one_result_and_so_is_its_connection() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    let host = scene.name(ALICE);
    let mut wire = scene.h1(ALICE).await;
    assert_eq!(wire.ask(&scene, GET).await.status, 200);
    scene
        .backend
        .says_bytes(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n");
    assert_eq!(whole(&mut scene.h2(ALICE).await, request(&host, "/")).await.unwrap().status(), 404);
    let ends = [200, 404].map(|status| Heard::Result(HookPoint::Request, Some(status)));
    until("both results", || recorder.at(HookPoint::Request).len() == 4).await;
    assert_eq!(recorder.at(HookPoint::Request), [CALL, ends[0], CALL, ends[1]]);
    drop(wire);
    until("the connections' results", || recorder.at(HookPoint::Connection).len() == 4).await;
    assert!(recorder.is_balanced());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_06_a_call_that_fails_is_followed_by_exactly_one_failure_with_its_reason() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    scene.backend.says(|_| Say::Close);
    let answer = scene.ask(GET).await;
    assert_eq!((answer.status, answer.field("content-type")), (502, Some("application/problem+json")));
    assert_eq!(scene.ask("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n").await.status, 421);
    // A response that breaks half-way.
    scene.backend.says(|_| Say::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()));
    assert!(!scene.ask(GET).await.is_whole);
    // A client that leaves before its answer.
    scene.backend.says(|_| Say::Hang);
    let mut wire = scene.h1(ALICE).await;
    wire.say(GET.replace("{host}", &scene.name(ALICE)).as_bytes()).await;
    until("it has reached the service", || scene.backend.heard().len() == 3).await;
    drop(wire);
    let fails = [Reason::UpstreamClosed, Reason::HostMismatch, Reason::UpstreamClosed, Reason::Abandoned]
        .map(|reason| Heard::Fail(HookPoint::Request, reason));
    until("four failures", || recorder.at(HookPoint::Request).len() == 8).await;
    let expected: Vec<Heard> = fails.into_iter().flat_map(|fail| [CALL, fail]).collect();
    assert_eq!(recorder.at(HookPoint::Request), expected);
    // And of a connection that can't name itself.
    assert_eq!(scene.attempt(scene.address(ALICE), None).await, End::Reset);
    until("its failure", || {
        recorder.at(HookPoint::Connection).contains(&Heard::Fail(HookPoint::Connection, Reason::SniMissing))
    })
    .await;
    until("all ends", || recorder.is_balanced()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_07_a_dropped_call_gets_no_byte_and_its_connection_ends() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    recorder.says(HookPoint::Request, Verdict::Drop);
    let mut wire = scene.h1(ALICE).await;
    wire.say(GET.replace("{host}", &scene.name(ALICE)).as_bytes()).await;
    let (tcp, _) = wire.tls.get_ref();
    soon("the end", tcp.readable()).await.unwrap();
    assert!(wire.is_closed().await);
    let mut frames = Frames::of(&scene, ALICE).await;
    frames.say(&frame(HEADERS, 5, 1, &get_block(&scene.name(ALICE)))).await;
    let heard = frames.rest().await;
    let of = |kind| heard.iter().any(|(k, _, _)| *k == kind);
    assert!(of(RST_STREAM) && of(GOAWAY) && !of(HEADERS), "{heard:?}");
    assert_eq!(recorder.at(HookPoint::Request), [CALL; 2], "neither result nor failure");
    assert_eq!(scene.backend.connections(), 0);
    assert_eq!(scene.journal.total(Reason::RateLease), 2, "and written down once each");
    assert!(scene.journal.recent(9).iter().all(|s| s.first.verdict == VerdictKind::Drop));

    // Before the handshake: no byte either, and no sign that a dark address would not give.
    recorder.says(HookPoint::Connection, Verdict::Drop);
    let name = scene.name(ALICE);
    assert_eq!(scene.attempt(scene.address(ALICE), Some(&name)).await, End::Reset);
    let short = Duration::from_millis(300);
    assert_eq!(scene.knock(scene.address(ALICE), &[], short).await, End::Silence);
    assert_eq!(scene.knock(scene.dark_address(), &[], short).await, End::Silence);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_08_a_rejected_call_is_told_so_and_reauth_asks_for_proof() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    recorder.says(HookPoint::Request, Verdict::Reject);
    let mut wire = scene.h1(ALICE).await;
    let answer = wire.ask(&scene, GET).await;
    assert_eq!((answer.status, answer.field("retry-after")), (429, Some("3")));
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    assert!(answer.text().contains("\"reason\":\"rate_lease\"") && answer.text().ends_with("}\n"));
    recorder.says(HookPoint::Request, Verdict::Reauth);
    let answer = wire.ask(&scene, GET).await;
    assert_eq!(answer.status, 401);
    assert!(answer.field("www-authenticate").is_some());
    assert_eq!(recorder.at(HookPoint::Request), [CALL; 2], "neither result nor failure");
    assert_eq!(scene.backend.connections(), 0);
    recorder.says(HookPoint::Request, Verdict::Pass);
    assert_eq!(wire.ask(&scene, GET).await.status, 200, "the connection lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_09_a_delayed_call_reaches_the_service_no_sooner_than_its_floor_and_a_delayed_connection_too() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    let mut wire = scene.h1(ALICE).await;
    recorder.says(HookPoint::Request, Verdict::Delay { floor_ms: 400 });
    let begun = Instant::now();
    wire.say(GET.replace("{host}", &scene.name(ALICE)).as_bytes()).await;
    until("the call", || recorder.at(HookPoint::Request).len() == 1).await;
    assert_eq!(scene.backend.connections(), 0, "held back");
    assert_eq!(wire.answer("GET").await.unwrap().status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(400));
    recorder.says(HookPoint::Connection, Verdict::Delay { floor_ms: 400 });
    let begun = Instant::now();
    drop(scene.h1(ALICE).await);
    assert!(begun.elapsed() >= Duration::from_millis(400));
    // Whoever can't name itself does not feel the delay, by which a live address could be told.
    recorder.says(HookPoint::Connection, Verdict::Delay { floor_ms: 8_000 });
    let begun = Instant::now();
    assert_eq!(scene.attempt(scene.address(ALICE), None).await, End::Reset);
    assert!(begun.elapsed() < HANDSHAKE_MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_10_a_failed_call_is_answered_no_sooner_than_its_floor() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    let mut wire = scene.h1(ALICE).await;
    *recorder.floor_ms.lock().unwrap() = Some(400);
    scene.backend.says(|_| Say::Close);
    let begun = Instant::now();
    assert_eq!(wire.ask(&scene, GET).await.status, 502);
    assert!(begun.elapsed() >= Duration::from_millis(400));
    scene.backend.says(|_| ok("fine"));
    assert_eq!(wire.ask(&scene, GET).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_12_the_call_is_judged_before_the_handshake_and_before_any_byte_reaches_the_service() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    let waiting = scene.tcp(scene.address(ALICE)).await;
    until("the connection is judged", || !recorder.at(HookPoint::Connection).is_empty()).await;
    drop(waiting);
    assert!(scene.serves(scene.address(ALICE), &scene.name(ALICE)).await);
    let order: Vec<Heard> = recorder.heard.lock().unwrap().iter().map(|(h, _)| *h).collect();
    let place = |what| order.iter().rposition(|h| *h == what).unwrap();
    assert!(place(Heard::Call(HookPoint::Connection)) < place(CALL));
    assert!(place(CALL) < place(Heard::Result(HookPoint::Request, Some(200))));
    recorder.says(HookPoint::Request, Verdict::Reject);
    let before = scene.backend.heard().len();
    assert_eq!(scene.ask("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi").await.status, 429);
    assert_eq!(scene.backend.heard().len(), before);
    assert_eq!(
        scene.ask("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n").await.status,
        429,
        "before its own checks, too"
    );
}
