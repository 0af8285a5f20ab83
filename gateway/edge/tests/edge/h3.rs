//! HTTP/3 by an independent client (aioquic): what it gets, what strangers see, what an attacker achieves.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use defense::{HookPoint, Reason, Verdict};
use rotator::GrantNo;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backend::{Say, ok};
use crate::hooks::{Heard as Told, Recorder};
use crate::scene::{ALICE, BOB, QUICK, Scene, access, below, until};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edge/h3_client.py");

fn command(play: &str, address: &str, port: u16, name: &str, rest: &[&str]) -> Command {
    let python = std::env::var("WANDERGATE_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(python);
    command.arg(CLIENT).args([play, address, &port.to_string(), name]).args(rest);
    command
}

impl Scene {
    /// What a play tells that comes to an address by a name.
    pub(crate) async fn play_at(&self, play: &str, address: &str, name: &str, rest: &[&str]) -> Value {
        let mut command = command(play, address, self.port, name, rest);
        let done =
            tokio::task::spawn_blocking(move || command.output().expect("python3 starts")).await.unwrap();
        let (said, wrong) =
            (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
        assert!(done.status.success(), "{play} (needs python's aioquic, see tests/run):\n{wrong}");
        serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{play}: {said}\n{wrong}"))
    }

    /// The same by a grant.
    pub(crate) async fn play(&self, play: &str, grant: GrantNo, rest: &[&str]) -> Value {
        self.play_at(play, &self.address(grant).to_string(), &self.name(grant), rest).await
    }

    async fn others_are_served_over_http3(&self) {
        assert_eq!(self.play("get", BOB, &["/", "3"]).await["all"], serde_json::json!([200, 200, 200]));
    }
}

/// A client that stays, and acts when it is told to.
pub(crate) struct Stay {
    child: Child,
    told: BufReader<ChildStdout>,
}

impl Stay {
    fn of(scene: &Scene, grant: GrantNo) -> Self {
        Self::with("stay", scene, grant)
    }

    pub(crate) fn with(play: &str, scene: &Scene, grant: GrantNo) -> Self {
        let mut command =
            command(play, &scene.address(grant).to_string(), scene.port, &scene.name(grant), &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let told = BufReader::new(child.stdout.take().unwrap());
        Self { child, told }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("told: {line:?}"))
    }

    pub(crate) fn go(&mut self) {
        writeln!(self.child.stdin.as_mut().unwrap(), "go").unwrap();
    }

    pub(crate) fn told(&mut self) -> Value {
        tokio::task::block_in_place(|| self.line())
    }

    pub(crate) fn get(&mut self) -> Value {
        self.go();
        self.told()
    }

    /// Asks nothing more; how the connection ends.
    pub(crate) fn end(mut self) -> Value {
        tokio::task::block_in_place(|| {
            drop(self.child.stdin.take());
            let told = self.line();
            self.child.wait().unwrap();
            told
        })
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_over_http3_reaches_the_service_as_any_other_does() {
    let scene = Scene::new().await;
    let told = scene
        .play("ask", ALICE, &["GET", "/x?y=1", "x-forwarded-for=9.9.9.9", "cookie=a=1", "cookie=b=2"])
        .await;
    assert_eq!((&told["status"], &told["ended"]), (&200.into(), &true.into()), "{told}");
    let heard = scene.backend.last();
    assert_eq!(heard.line(), "GET /x?y=1 HTTP/1.1");
    assert_eq!(heard.all("host"), [scene.name(ALICE)]);
    assert_eq!(heard.all("cookie"), ["a=1; b=2"]);
    assert_eq!(heard.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(heard.all("x-forwarded-proto"), ["https"]);
    assert_eq!(heard.all("x-wandergate-user"), ["alice"]);
    assert!(heard.all("transfer-encoding").is_empty() && heard.all("content-length").is_empty());
    let told = scene.play("get", ALICE, &["/", "20"]).await;
    assert_eq!(told["all"], Value::from(vec![200; 20]), "one connection carries many");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_trailers_go_both_ways_over_http3() {
    let scene = Scene::new().await;
    scene.backend.says(|heard| ok(&"x".repeat(heard.body.len())));
    let told = scene.play("post", ALICE, &["3000000", "x-sum=1"]).await;
    assert_eq!((&told["status"], &told["length"]), (&200.into(), &3_000_000.into()));
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    assert!(scene.backend.last().body == body, "the service got other bytes");
    scene.backend.says_bytes(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n",
    );
    let told = scene.play("get", ALICE, &[]).await;
    assert_eq!((&told["length"], &told["trailers"]["x-sum"]), (&3.into(), &"7".into()), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_body_have_none_over_http3() {
    let scene = Scene::new().await;
    // Without a length: this client would hold a body against it even here.
    scene.backend.says_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let told = scene.play("ask", ALICE, &["HEAD", "/"]).await;
    assert_eq!(
        (&told["status"], &told["length"], &told["ended"]),
        (&200.into(), &0.into(), &true.into()),
        "{told}"
    );
    // Our own refusal has a body, but not for this.
    let told = scene.play("ask", ALICE, &["HEAD", "/", "x_y=1"]).await;
    assert_eq!(
        (&told["status"], &told["length"], &told["ended"]),
        (&400.into(), &0.into(), &true.into()),
        "{told}"
    );
    scene.backend.says_bytes(b"HTTP/1.1 204 No Content\r\n\r\n");
    let told = scene.play("get", ALICE, &[]).await;
    assert_eq!(
        (&told["status"], &told["length"], &told["ended"]),
        (&204.into(), &0.into(), &true.into()),
        "{told}"
    );
    scene.backend.says(|_| Say::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec()));
    let told = scene.play("get", ALICE, &[]).await;
    // Its head may be overtaken by the news.
    assert_eq!(
        (&told["ended"], &told["reset"]),
        (&true.into(), &0x102.into()),
        "a cut answer is cut: {told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r0_20_who_cannot_name_an_address_sees_over_quic_what_a_dark_one_shows() {
    let scene = Scene::new().await;
    let (live, dark) = (scene.address(ALICE).to_string(), scene.dark_address().to_string());
    let foreign = below("aaaaaaaaaaaaaaaaaaaaaaaaaa");
    for (address, name) in [
        (&dark, scene.name(ALICE)),
        (&live, scene.name(BOB)),
        (&live, foreign),
        (&live, String::new()),
        (&live, "a.example".into()),
    ] {
        let told = scene.play_at("quiet", address, &name, &[]).await;
        assert_eq!((&told["received"], &told["up"]), (&0.into(), &false.into()), "{address} {name}: {told}");
    }
    // A connection that lives there opens no ear for others.
    let mut stay = Stay::of(&scene, ALICE);
    assert_eq!(stay.get()["status"], 200);
    for (address, name) in [(&live, scene.name(ALICE)), (&dark, String::new())] {
        let told = scene.play_at("probes", address, &name, &[]).await;
        for (what, bytes) in told.as_object().unwrap() {
            assert_eq!(bytes, 0, "{address}: {what}");
        }
    }
    assert_eq!(stay.get()["status"], 200);
    scene.others_are_served_over_http3().await;
    assert!(scene.journal.total(Reason::NameMismatch) > 0 && scene.journal.total(Reason::SniMissing) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greeting_in_two_datagrams_is_understood_whichever_comes_first() {
    let scene = Scene::new().await;
    assert_eq!(scene.play("long_hello", ALICE, &[]).await, serde_json::json!([200, 200]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_prove_its_address_gets_three_bytes_for_one_at_most() {
    let scene = Scene::new().await;
    let told = scene.play("amplified", ALICE, &[]).await;
    for (what, told) in told.as_object().unwrap() {
        let (sent, received) = (told["sent"].as_u64().unwrap(), told["received"].as_u64().unwrap());
        assert!(received > 0 && received <= 3 * sent, "{what}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_greetings_is_asked_to_prove_its_addresses_and_others_are_served() {
    let scene = Scene::new().await;
    let told = scene.play("flood", ALICE, &["400"]).await;
    let kinds = told["kinds"].as_array().unwrap();
    assert!(kinds.contains(&"retry".into()), "{told}");
    assert_eq!(told["then"]["status"], 200, "{told}");
    scene.others_are_served_over_http3().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_move_and_its_connection_goes_on_whichever_core_hears_it() {
    let scene = Scene::new().await;
    assert_eq!(scene.play("move", ALICE, &[]).await, Value::from(vec![200; 8]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_breaks_http3_loses_the_connection_and_nobody_else_does() {
    let scene = Scene::new().await;
    let told = scene.play("violations", ALICE, &[]).await;
    let codes = [
        ("no settings", 0x10a),
        ("settings twice", 0x105),
        ("settings of http2", 0x109),
        ("a body on the control stream", 0x105),
        ("two control streams", 0x103),
        ("a push stream", 0x103),
        ("a table that was not announced", 0x201),
        ("a count that was not announced", 0x202),
        ("a body before its head", 0x105),
        ("settings on a request", 0x105),
        ("a frame of http2", 0x105),
        ("a reference to a table", 0x200),
        ("a frame that is cut", 0x106),
        ("a control frame without end", 0x107),
        ("skipped bytes without end", 0x107),
    ];
    assert_eq!(told.as_object().unwrap().len(), codes.len());
    for (what, code) in codes {
        assert_eq!(told[what], code, "{what}: {told}");
    }
    scene.others_are_served_over_http3().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_request_over_http3_is_refused_and_the_next_one_served() {
    let scene = Scene::new().await;
    let host = scene.name(ALICE);
    let good = [(":method", "GET"), (":scheme", "https"), (":authority", &*host), (":path", "/")];
    let with = |more: &[(&str, &str)]| serde_json::to_string(&[&good, more].concat()).unwrap();
    let malformed = [
        with(&[("transfer-encoding", "chunked")]),
        with(&[("connection", "close")]),
        with(&[("content-length", "5")]),
        with(&[("x", "a\r\nx-wandergate-user: root")]),
        with(&[("Upper", "x")]),
        with(&[(":path", "/admin")]),
        with(&[(":protocol", "connect-udp")]),
        serde_json::to_string(&good[..3]).unwrap(),
    ];
    for fields in malformed {
        let told = scene.play("fields", ALICE, &[&fields]).await;
        assert_eq!(told["first"]["reset"], 0x10e, "{fields}: {told}");
        assert_eq!(
            (&told["then"]["status"], &told["closed"]),
            (&200.into(), &Value::Null),
            "{fields}: {told}"
        );
    }
    let connect = serde_json::to_string(&[(":method", "CONNECT"), (":authority", &*host)]).unwrap();
    assert_eq!(scene.play("fields", ALICE, &[&connect]).await["first"]["status"], 405);
    let other = [(":method", "GET"), (":scheme", "https"), (":authority", &*scene.name(BOB)), (":path", "/")];
    let other = serde_json::to_string(&other).unwrap();
    assert_eq!(scene.play("fields", ALICE, &[&other]).await["first"]["status"], 421);
    for told in ["999999", "0", "1"] {
        let told = scene.play("promised", ALICE, &["2000", told]).await;
        assert_eq!(told["then"]["status"], 200, "{told}");
        assert_ne!(told["first"]["status"], 200, "{told}");
    }
    assert!(scene.backend.heard().iter().all(|heard| !heard.head.contains("root")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_beyond_its_bound_is_answered_and_not_kept() {
    let scene = Scene::new().await;
    let told = scene.play("promises", ALICE, &[]).await;
    assert_eq!((&told["status"], &told["then"]["status"]), (&431.into(), &200.into()), "{told}");
    let told = scene.play("ask", ALICE, &["GET", "/", &format!("x={}", "y".repeat(17_000))]).await;
    assert_eq!(told["status"], 431, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset_over_http3_ends_the_connection() {
    let scene = Scene::new().await;
    scene.backend.says(|_| Say::Hang);
    let told = scene.play("resets", ALICE, &["600"]).await;
    assert!(told["closed"].is_number(), "{told}");
    scene.backend.says(|_| ok("x"));
    scene.others_are_served_over_http3().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledging_what_was_never_sent_ends_the_connection() {
    let scene = Scene::new().await;
    let told = scene.play("optimist", ALICE, &[]).await;
    assert!(told["closed"].is_number(), "{told}");
    scene.others_are_served_over_http3().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r0_22_a_quic_connection_outlives_its_lease_and_takes_no_newcomer_with_it() {
    let scene = Scene::quick(QUICK).await;
    let (address, name) = (scene.address(ALICE), scene.name(ALICE));
    let mut stay = Stay::of(&scene, ALICE);
    assert_eq!(stay.get()["status"], 200);
    until("the lease is over", || !scene.edge.roster().leases_of(ALICE).iter().any(|(a, _)| *a == address))
        .await;
    assert_eq!(stay.get()["status"], 200, "what is established goes on");
    let told = scene.play_at("quiet", &address.to_string(), &name, &[]).await;
    assert_eq!(told["received"], 0, "{told}");
    assert_eq!(stay.get()["status"], 200);
    assert_eq!(scene.play("get", ALICE, &[]).await["status"], 200, "and the new address serves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_users_quic_connections_are_closed_and_others_are_not() {
    let scene = Scene::new().await;
    let (mut alice, mut bob) = (Stay::of(&scene, ALICE), Stay::of(&scene, BOB));
    assert_eq!((&alice.get()["status"], &bob.get()["status"]), (&200.into(), &200.into()));
    scene.commit(access(&scene, 1, true)).await;
    until("one is left", || scene.edge.connections().len() == 1).await;
    assert_eq!(alice.end()["closed"], 0x100);
    assert_eq!(bob.get()["status"], 200);
    assert!(scene.journal.total(Reason::RevokedLive) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_tells_quic_connections_and_lets_them_finish_what_is_under_way() {
    let scene = Scene::new().await;
    let (mut idle, mut busy) = (Stay::of(&scene, BOB), Stay::of(&scene, ALICE));
    assert_eq!((&idle.get()["status"], &busy.get()["status"]), (&200.into(), &200.into()));
    let go = Arc::new(Notify::new());
    let gone = Arc::clone(&go);
    scene.backend.says(move |_| {
        // More than what is on its way at a time: the end of the last answer is not the end of the connection.
        let (first, second) =
            (b"HTTP/1.1 200 OK\r\nContent-Length: 900002\r\n\r\nda".to_vec(), vec![7; 900_000]);
        Say::InTwo(first, Arc::clone(&gone), second)
    });
    busy.go();
    until("it is under way", || scene.backend.heard().len() == 3).await;
    scene.stop.cancel();
    let told = idle.end();
    assert_eq!(told["closed"], 0x100);
    // First a word that there will be an end, then which request was the last.
    const LAST: u64 = (1 << 62) - 4;
    assert_eq!(told["goaways"][0], LAST, "{told}");
    until("the idle one has gone", || scene.edge.connections().len() == 1).await;
    go.notify_one();
    let told = busy.told();
    let whole = (&200.into(), &900_002.into(), &true.into());
    assert_eq!((&told["status"], &told["length"], &told["ended"]), whole, "{told}");
    let told = busy.end();
    assert_eq!((&told["closed"], &told["goaways"]), (&0x100.into(), &serde_json::json!([LAST, 8])), "{told}");
    until("the end of the drain", || scene.edge.connections().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_verdict_about_a_quic_connection_is_carried_out_as_the_table_says() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    recorder.says(HookPoint::Connection, Verdict::Drop);
    let told = scene.play("quiet", ALICE, &[]).await;
    assert_eq!((&told["received"], &told["closed"]), (&0.into(), &Value::Null), "{told}");
    recorder.says(HookPoint::Connection, Verdict::Reject);
    let told = scene.play("turned_away", ALICE, &[]).await;
    // CONNECTION_REFUSED.
    assert_eq!((&told["closed"], &told["up"]), (&2.into(), &false.into()), "{told}");
    recorder.says(HookPoint::Connection, Verdict::Reauth);
    let told = scene.play("turned_away", ALICE, &[]).await;
    assert_eq!((&told["closed"], &told["up"]), (&0x10b.into(), &true.into()), "{told}");
    let calls = |heard: &[Told]| heard.iter().all(|h| *h == Told::Call(HookPoint::Connection));
    assert!(calls(&recorder.at(HookPoint::Connection)), "neither result nor failure");
    let before = recorder.at(HookPoint::Connection).len();
    recorder.says(HookPoint::Connection, Verdict::Delay { floor_ms: 400 });
    let begun = Instant::now();
    assert_eq!(scene.play("get", ALICE, &[]).await["status"], 200);
    assert!(begun.elapsed() >= Duration::from_millis(400));
    // One that is silent is given up after a while, and that is an orderly end, too.
    until("its end", || recorder.at(HookPoint::Connection).len() == before + 2).await;
    let ends = &recorder.at(HookPoint::Connection)[before..];
    assert_eq!(ends, [Told::Call(HookPoint::Connection), Told::Result(HookPoint::Connection, None)]);
}
