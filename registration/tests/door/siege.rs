//! Garbage, floods, verdicts, and the end.

use std::sync::Arc;
use std::time::Duration;

use defense::{
    Call, Facts, Finding, HookPoint, Hooks, Limits, Moment, Outcome, Rate, Reason, RefId, Ticket, Verdict,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::prelude::*;
use registration::client::{Ticket as By, plain_body};
use rotator::Class;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fixture::{Door, Setup, ZONE};

#[tokio::test]
async fn garbage_instead_of_tls_and_of_http_gets_an_error_or_silence_and_the_door_stays() {
    let door = Door::start(Setup::default()).await;
    let samples: [&[u8]; 6] = [
        b"",
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        &[0; 4096],
        &[0xff; 70_000],
        b"\x16\x03\x01\x40\x00",
        b"SSH-2.0-x\r\n",
    ];
    for sample in samples {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        let _ = stream.write_all(sample).await;
        let _ = stream.shutdown().await;
        let mut back = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut back))
            .await
            .expect("it ends");
        assert!(!String::from_utf8_lossy(&back).contains("HTTP/1.1 200"));
    }
    let long = format!("GET / HTTP/1.1\r\nhost: join.{ZONE}\r\nx: {}\r\n\r\n", "y".repeat(40_000));
    let many = format!("GET / HTTP/1.1\r\nhost: join.{ZONE}\r\n{}\r\n", "x: y\r\n".repeat(200));
    for sample in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /j/v1/enroll HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: -1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense that is no frame",
        &long,
        &many,
    ] {
        let mut stream = door.connect().await;
        let _ = stream.write_all(sample.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut back = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(12), stream.read_to_end(&mut back))
            .await
            .expect("it ends");
        assert!(!String::from_utf8_lossy(&back).contains(" 200 OK"), "{sample:.40}");
    }
    assert_eq!(door.get("/").await.status(), 200, "the door still works");
}

#[tokio::test]
async fn a_body_that_stops_half_way_enrolls_nobody() {
    let door = Door::start(Setup::default()).await;
    let code = door.invite("alice", 1).await;
    let body = serde_json::to_string(&plain_body(By::Invite(code), "browser", Class::Name)).unwrap();
    let head = format!(
        "POST /j/v1/enroll HTTP/1.1\r\nhost: join.{ZONE}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = door.connect().await;
    stream.write_all(format!("{head}{}", &body[..body.len() - 1]).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back).await;
    assert!(!String::from_utf8_lossy(&back).contains("201"));
    assert_eq!(
        door.post("/j/v1/enroll", &plain_body(By::Invite(code), "browser", Class::Name)).await.status(),
        201
    );
}

#[tokio::test]
async fn a_flood_is_shed_with_the_time_to_wait_and_renewals_have_a_budget_of_their_own() {
    let mut limits = Limits::default().without_prefixes();
    limits.enrolment.global = Some(Rate::every_ms(60_000, 3));
    limits.fail_floor_ms = 0;
    let door = Door::start(Setup { limits, ..Setup::default() }).await;
    for _ in 0..3 {
        assert_eq!(door.get("/j/v1/challenge").await.status(), 200);
    }
    for _ in 0..5 {
        let shed = door.get("/j/v1/challenge").await;
        assert_eq!((shed.status(), shed.reason().as_str()), (429, "registration_rate_global"));
        let wait: u64 = shed.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    assert_eq!(door.get("/j/v1/challenge?for=renewal").await.status(), 200);
    let status = door.registration.status();
    assert_eq!((status.shed, status.challenges), (5, 4));
    assert_eq!(door.journal.total(Reason::RegistrationRateGlobal), 5);
}

#[tokio::test]
async fn a_wrong_invite_is_answered_no_sooner_than_the_floor() {
    let mut limits = Limits::default().without_prefixes();
    limits.fail_floor_ms = 300;
    let door = Door::start(Setup { limits, ..Setup::default() }).await;
    let before = tokio::time::Instant::now();
    let code = registration::Code::new([9; 20]);
    let refused = door.post("/j/v1/enroll", &plain_body(By::Invite(code), "b", Class::Name)).await;
    assert_eq!(refused.reason(), "invite_unknown");
    assert!(before.elapsed() >= Duration::from_millis(300));
}

/// A brain that says the same to everybody.
struct Says(Verdict);

impl Hooks for Says {
    fn on_call(&self, facts: &Facts<'_>, now: Moment) -> Call {
        let ticket = Ticket {
            refid: RefId(7),
            point: facts.point,
            source: facts.source,
            evidence: facts.evidence,
            lease: None,
            since: now,
        };
        assert_eq!(facts.point, HookPoint::Enrolment);
        Call { ticket, finding: Some(Finding::new(self.0, Reason::Blocked, "test")) }
    }

    fn on_result(&self, _: &Ticket, _: &Outcome, _: Moment) {
        assert!(self.0.proceeds());
    }

    fn on_fail(&self, _: &Ticket, _: Reason, _: Moment) -> Option<u32> {
        None
    }
}

async fn said(verdict: Verdict) -> super::fixture::Answer {
    let door = Door::start(Setup { hooks: Some(Arc::new(Says(verdict))), ..Setup::default() }).await;
    door.get("/j/v1/challenge").await
}

#[tokio::test]
async fn each_verdict_is_carried_out() {
    assert_eq!(said(Verdict::Pass).await.status(), 200);
    let before = tokio::time::Instant::now();
    assert_eq!(said(Verdict::Delay { floor_ms: 200 }).await.status(), 200);
    assert!(before.elapsed() >= Duration::from_millis(200));
    let reauth = said(Verdict::Reauth).await;
    assert_eq!((reauth.status(), reauth.reason().as_str()), (401, "blocked"));
    assert!(reauth.header("www-authenticate").is_some());
    let reject = said(Verdict::Reject).await;
    assert_eq!((reject.status(), reject.header("retry-after")), (429, Some("1")));
    assert_eq!(said(Verdict::Drop).await.0, "", "not a byte");
}

#[tokio::test]
async fn one_connection_serves_so_many_requests_and_then_closes() {
    let door = Door::start(Setup::default()).await;
    let mut stream = door.connect().await;
    let request = format!("GET /nothing HTTP/1.1\r\nhost: join.{ZONE}\r\n\r\n");
    let mut answered = 0;
    let mut buffer = vec![0; 8192];
    for _ in 0..150 {
        if stream.write_all(request.as_bytes()).await.is_err() {
            break;
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => answered += 1,
        }
    }
    assert_eq!(answered, registration::bounds::REQUESTS_PER_CONNECTION_MAX);
    assert_eq!(door.get("/").await.status(), 200);
}

#[tokio::test]
async fn http2_is_spoken_as_well() {
    let door = Door::start(Setup::default()).await;
    let stream = TokioIo::new(door.connect_by(&[b"h2"]).await);
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let ask = |host: &str| {
        let uri = format!("https://{host}/j/v1/challenge");
        hyper::Request::get(uri).body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap()
    };
    let answer = send.send_request(ask(&format!("join.{ZONE}:8443"))).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, hyper::Version::HTTP_2));
    assert_eq!(send.send_request(ask("other.example")).await.unwrap().status().as_u16(), 421);
}

#[tokio::test]
async fn after_the_end_nobody_is_let_in_and_what_was_begun_is_finished() {
    let door = Door::start(Setup::default()).await;
    let idle = door.connect().await;
    door.cancel.cancel();
    tokio::time::timeout(Duration::from_secs(10), door.registration.ended()).await.expect("it ends");
    assert_eq!(door.registration.status().open, 0);
    assert!(TcpStream::connect(door.address).await.is_err());
    drop(idle);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_on_the_wire_stop_the_door(
        samples in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..600), 1..8)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let door = Door::start(Setup::default()).await;
            for sample in samples {
                let head = format!(
                    "POST /j/v1/enroll HTTP/1.1\r\nhost: join.{ZONE}\r\nconnection: close\r\n\
                     content-type: application/json\r\ncontent-length: {}\r\n\r\n", sample.len());
                let answer = door.raw(&[head.as_bytes(), &sample].concat()).await;
                assert_eq!(answer.reason(), "body_invalid");
                let mut stream = door.connect().await;
                let _ = stream.write_all(&sample).await;
                drop(stream);
            }
            assert_eq!(door.get("/").await.status(), 200);
        });
    }
}
