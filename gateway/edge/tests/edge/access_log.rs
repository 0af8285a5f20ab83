//! What the access log says of requests, and what it must not.

use defense::{HookPoint, Verdict};

use crate::backend::Say;
use crate::clients::{request, whole};
use crate::hooks::Recorder;
use crate::scene::{ALICE, Scene, until};

impl Scene {
    /// The lines of the log, once there are so many.
    pub(crate) async fn logged(&self, lines: usize) -> Vec<serde_json::Value> {
        let read = || std::fs::read_to_string(self.folder().join("access.log")).unwrap();
        until("the log's lines", || read().lines().count() >= lines).await;
        read().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_has_a_line_and_none_has_a_secret() {
    let scene = Scene::new().await;
    let host = scene.name(ALICE);
    let asked = format!(
        "POST /a/b?token=verysecret HTTP/1.1\r\nHost: {host}\r\nCookie: alsosecret\r\nContent-Length: 2\r\n\r\nhi"
    );
    assert_eq!(scene.ask(&asked).await.status, 200);
    whole(&mut scene.h2(ALICE).await, request(&host, "/c")).await.unwrap();
    scene.play("ask", ALICE, &["GET", "/d?token=verysecret", "cookie=alsosecret"]).await;
    let mut lines = scene.logged(3).await;
    // Each core has a buffer of its own.
    lines.sort_by_key(|line| line["protocol"].to_string());
    let first = &lines[0];
    for (key, value) in [
        ("protocol", "h1"),
        ("user", "alice"),
        ("device", "device-10"),
        ("service", "web"),
        ("method", "POST"),
        ("path", "/a/b"),
        ("source", "127.0.0.1"),
    ] {
        assert_eq!(first[key], value);
    }
    assert_eq!((&first["status"], &first["bytes_in"]), (&200.into(), &2.into()));
    let id = scene.backend.heard()[0].all("x-request-id")[0].to_owned();
    assert_eq!(first["request"], format!("req_{id}"), "the service was told the same number");
    let (total, service) = (first["total_us"].as_u64().unwrap(), first["service_us"].as_u64().unwrap());
    assert!(total >= service);
    assert_eq!((&lines[1]["protocol"], &lines[1]["path"]), (&"h2".into(), &"/c".into()));
    assert_eq!((&lines[2]["protocol"], &lines[2]["path"]), (&"h3".into(), &"/d".into()));
    assert_eq!((&lines[2]["user"], &lines[2]["status"]), (&"alice".into(), &200.into()));
    let text = std::fs::read_to_string(scene.folder().join("access.log")).unwrap();
    for secret in ["secret", "token", &host, &scene.address(ALICE).to_string()] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_breaks_and_clients_that_leave_have_lines_with_their_reasons() {
    let recorder = Recorder::new();
    let scene = Scene::hooked(recorder.clone()).await;
    const GET: &str = "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n";
    recorder.says(HookPoint::Request, Verdict::Reject);
    assert_eq!(scene.ask(GET).await.status, 429);
    recorder.says(HookPoint::Request, Verdict::Pass);
    assert_eq!(scene.ask("TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n").await.status, 405);
    assert_eq!(scene.ask("GET / HTTP/1.1\nHost: {host}\r\n\r\n").await.status, 400, "no request at all");
    scene.backend.says(|_| Say::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()));
    assert!(!scene.ask(GET).await.is_whole);
    scene.backend.says(|_| Say::Hang);
    let mut wire = scene.h1(ALICE).await;
    wire.say(GET.replace("{host}", &scene.name(ALICE)).as_bytes()).await;
    until("it has reached the service", || scene.backend.heard().len() == 2).await;
    drop(wire);
    let lines = scene.logged(5).await;
    let mut said: Vec<_> =
        lines.iter().map(|line| (line["status"].as_u64(), line["reason"].as_str().unwrap())).collect();
    // Each core has a buffer of its own.
    said.sort_unstable();
    let expected = [
        (None, "abandoned"),
        (Some(200), "upstream_closed"),
        (Some(400), "request_malformed"),
        (Some(405), "method_refused"),
        (Some(429), "rate_lease"),
    ];
    assert_eq!(said, expected);
}
