//! Each action of `futoin.md` §6.3 on entries that carry bytes and datagrams: `tls`, `tcp` and `udp`.

use std::time::Duration;

use defense::{HookPoint, Reason, Verdict};
use edge::bounds::HANDSHAKE_MAX;
use futures_util::FutureExt;
use state::Protocol;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use crate::clients::{End, end_of, hello};
use crate::hooks::{Heard, Recorder};
use crate::scene::{ALICE, Plot, soon, until};
use crate::stage::{Stage, connect, is_reset};

const RAW: [Protocol; 3] = [Protocol::Tls, Protocol::Tcp, Protocol::Udp];
const FLOOR: Duration = Duration::from_millis(300);
const CALL: Heard = Heard::Call(HookPoint::Connection);

/// Calls so far, and ends of calls that had passed.
fn heard(recorder: &Recorder) -> (usize, usize) {
    let heard = recorder.at(HookPoint::Connection);
    let calls = heard.iter().filter(|heard| **heard == CALL).count();
    (calls, heard.len() - calls)
}

/// Comes, speaks, and is heard by the service; then both leave.
async fn passes(stage: &Stage, protocol: Protocol) {
    let mut room = [0; 16];
    if protocol == Protocol::Udp {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(stage.at(protocol)).await.unwrap();
        let saying = async {
            loop {
                // The first ones may come before the port is open.
                let _ = client.send(b"ping").await;
                if let Ok(came) = timeout(Duration::from_secs(1), stage.datagrams.recv_from(&mut room)).await
                {
                    return came.unwrap();
                }
            }
        };
        let (count, _) = soon("a datagram", saying).await;
        assert_eq!(&room[..count], b"ping");
        // Whatever was said twice is no part of what comes next.
        while stage.datagrams.recv_from(&mut room).now_or_never().is_some() {}
        return;
    }
    drop(stage.session(protocol, false).await);
}

/// Comes in vain: not one byte comes back, and none reaches the service.
async fn is_refused(stage: &Stage, recorder: &Recorder, protocol: Protocol) {
    let (calls, _) = heard(recorder);
    match protocol {
        Protocol::Udp => {
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            client.connect(stage.at(protocol)).await.unwrap();
            client.send(b"ping").await.unwrap();
            until("its call", || heard(recorder).0 == calls + 1).await;
            assert!(client.recv(&mut [0; 1]).now_or_never().is_none());
            assert!(stage.datagrams.recv(&mut [0; 1]).now_or_never().is_none());
        }
        Protocol::Https | Protocol::Tls | Protocol::Tcp => {
            let mut tcp = connect("127.0.0.1:0", stage.at(protocol)).await;
            let hello = hello(Some(&stage.scene.name(ALICE)));
            assert_eq!(end_of(&mut tcp, &hello, HANDSHAKE_MAX * 4).await, End::Reset);
            assert!(stage.server.accept().now_or_never().is_none(), "{protocol}");
        }
    }
    assert_eq!(heard(recorder).0, calls + 1, "{protocol}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_verdict_about_a_session_or_a_flow_is_carried_out_alike_on_every_entry() {
    let recorder = Recorder::new();
    let stage = Stage::of(Plot { hooks: recorder.clone(), ..Plot::default() }).await;
    let delay = Verdict::Delay { floor_ms: FLOOR.as_millis() as u32 };
    let mut passed = 0;
    for protocol in RAW {
        for (verdict, floor) in [
            (Verdict::Pass, Some(Duration::ZERO)),
            (Verdict::Drop, None),
            (Verdict::Reject, None),
            (Verdict::Reauth, None),
            (delay, Some(FLOOR)),
        ] {
            recorder.says(HookPoint::Connection, verdict);
            let (begun, (calls, _)) = (Instant::now(), heard(&recorder));
            match floor {
                Some(floor) => {
                    passes(&stage, protocol).await;
                    assert!(begun.elapsed() >= floor, "{verdict:?} on {protocol}");
                    assert_eq!(heard(&recorder).0, calls + 1, "{verdict:?} on {protocol}");
                    passed += 1;
                }
                None => is_refused(&stage, &recorder, protocol).await,
            }
        }
    }
    assert_eq!(passed, 2 * RAW.len());
    // A drain ends quiet flows soon.
    stage.scene.stop.cancel();
    until("an end of each that passed", || heard(&recorder).1 >= passed).await;
    let ends = recorder.at(HookPoint::Connection).into_iter().filter(|heard| *heard != CALL);
    let ends: Vec<Heard> = ends.collect();
    assert_eq!(ends, vec![Heard::Result(HookPoint::Connection, None); passed], "and of no other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_passed_and_never_reached_its_service_has_one_failure_and_was_asked_about_before_its_name()
 {
    let recorder = Recorder::new();
    let stage = Stage::of(Plot { hooks: recorder.clone(), ..Plot::default() }).await;
    let fail = |reason| Heard::Fail(HookPoint::Connection, reason);
    let mut expected = Vec::new();
    for protocol in [Protocol::Tls, Protocol::Tcp] {
        assert!(is_reset(&stage, protocol, stage.dead(protocol)).await, "{protocol}");
        expected.extend([CALL, fail(Reason::ServiceUnreachable)]);
        until("its failure", || recorder.at(HookPoint::Connection).len() == expected.len()).await;
    }
    let mut tcp = connect("127.0.0.1:0", stage.at(Protocol::Tls)).await;
    until("the call before its name", || recorder.at(HookPoint::Connection).last() == Some(&CALL)).await;
    assert_eq!(end_of(&mut tcp, &hello(None), HANDSHAKE_MAX * 4).await, End::Reset);
    expected.extend([CALL, fail(Reason::SniMissing)]);
    until("its failure", || recorder.at(HookPoint::Connection).len() == expected.len()).await;
    assert_eq!(recorder.at(HookPoint::Connection), expected);
    assert!(recorder.is_balanced());
    assert!(stage.server.accept().now_or_never().is_none());
}
