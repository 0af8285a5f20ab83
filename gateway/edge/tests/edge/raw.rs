//! Sessions of bytes to their ends, whoever ends them, and what is written of them; and what their service is told.

use std::io::ErrorKind;
use std::net::SocketAddr;

use defense::{HookPoint, Verdict};
use fabric::ProxyProtocol;
use state::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::hooks::Recorder;
use crate::scene::{ALICE, Plot, Scene, soon, until};
use crate::stage::{Stage, connect, is_reset, reset_on_drop};

const RAW: [Protocol; 2] = [Protocol::Tls, Protocol::Tcp];

/// Protocol, reason and bytes of each line, sorted: each core has a buffer of its own.
async fn lines(scene: &Scene, count: usize) -> Vec<(String, Option<String>, u64, u64)> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let lines = scene.logged(count).await.into_iter().map(|line| {
        let bytes = ["bytes_in", "bytes_out"].map(|key| line[key].as_u64().unwrap());
        assert!(line["total_us"].as_u64().is_some() && line["source"] == "127.0.0.1", "{line}");
        assert_eq!((&line["user"], &line["service"]), (&"alice".into(), &"web".into()));
        (text(&line["protocol"]).unwrap(), text(&line["reason"]), bytes[0], bytes[1])
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    assert_eq!(lines.len(), count, "{lines:?}");
    lines
}

fn line(protocol: &str, reason: &str, bytes: (u64, u64)) -> (String, Option<String>, u64, u64) {
    (protocol.to_owned(), (!reason.is_empty()).then(|| reason.to_owned()), bytes.0, bytes.1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_goes_on_as_a_reset_either_way_and_the_log_says_whose_it_was() {
    let stage = Stage::new().await;
    for protocol in RAW {
        let (mut client, server) = stage.session(protocol, false).await;
        reset_on_drop(&server);
        drop(server);
        let ended = soon("the client's end", client.read(&mut [0; 1])).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset, "{protocol}");
        let (client, mut server) = stage.session(protocol, true).await;
        drop(client);
        let ended = soon("the service's end", server.read(&mut [0; 1])).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset, "{protocol}");
    }
    let expected = [
        line("tcp", "abandoned", (4, 5)),
        line("tcp", "upstream_closed", (4, 5)),
        line("tls", "abandoned", (4, 5)),
        line("tls", "upstream_closed", (4, 5)),
    ];
    assert_eq!(lines(&stage.scene, 4).await, expected);
    until("their places are free", || stage.scene.edge.status().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_direction_ends_by_itself_whoever_begins() {
    let stage = Stage::new().await;
    for protocol in RAW {
        let (mut client, mut server) = stage.session(protocol, false).await;
        server.shutdown().await.unwrap();
        assert_eq!(soon("the end", client.read(&mut [0; 1])).await.unwrap(), 0, "{protocol}");
        client.write_all(b"still here").await.unwrap();
        soon("the rest", server.read_exact(&mut [0; 10])).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(soon("the end", server.read(&mut [0; 1])).await.unwrap(), 0, "{protocol}");
        let (mut client, mut server) = stage.session(protocol, false).await;
        client.shutdown().await.unwrap();
        assert_eq!(soon("the end", server.read(&mut [0; 1])).await.unwrap(), 0, "{protocol}");
        server.write_all(b"still here").await.unwrap();
        soon("the rest", client.read_exact(&mut [0; 10])).await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(soon("the end", client.read(&mut [0; 1])).await.unwrap(), 0, "{protocol}");
    }
    let expected = ["tcp", "tls"].map(|p| [line(p, "", (4, 15)), line(p, "", (14, 5))]).concat();
    assert_eq!(lines(&stage.scene, 4).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_leaves_sessions_alone_until_its_hard_end_and_then_resets_them() {
    let stage = Stage::new().await;
    let mut sessions = Vec::new();
    for protocol in RAW {
        sessions.push(stage.session(protocol, false).await);
    }
    stage.scene.stop.cancel();
    until("the drain", || !stage.scene.edge.status().is_open).await;
    for (client, server) in &mut sessions {
        client.write_all(b"more").await.unwrap();
        soon("more", server.read_exact(&mut [0; 4])).await.unwrap();
    }
    stage.scene.edge.hasten();
    for (client, server) in &mut sessions {
        let ended = soon("the client's end", client.read(&mut [0; 1])).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let ended = soon("the service's end", server.read(&mut [0; 1])).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(tokio::task::block_in_place(|| stage.scene.edge.join()), 2, "both were cut");
    let expected = ["tcp", "tls"].map(|p| line(p, "draining_edge", (8, 5)));
    assert_eq!(lines(&stage.scene, 2).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_sessions_have_lines_where_the_address_says_whose_and_flows_have_theirs_at_their_end() {
    let recorder = Recorder::new();
    let stage = Stage::of(Plot { hooks: recorder.clone(), ..Plot::default() }).await;
    recorder.says(HookPoint::Connection, Verdict::Reject);
    for protocol in RAW {
        let mut tcp = connect("127.0.0.1:0", stage.at(protocol)).await;
        let _ = tcp.write_all(b"no hello").await;
        let ended = soon("its end", tcp.read(&mut [0; 1])).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    recorder.is_silent();
    assert!(is_reset(&stage, Protocol::Tcp, stage.dead(Protocol::Tcp)).await);
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(stage.at(Protocol::Udp)).await.unwrap();
    let mut room = [0; 16];
    let (count, from) = loop {
        let _ = client.send(b"one").await;
        let heard =
            tokio::time::timeout(std::time::Duration::from_millis(500), stage.datagrams.recv_from(&mut room));
        if let Ok(heard) = heard.await {
            break heard.unwrap();
        }
    };
    assert_eq!(&room[..count], b"one");
    stage.datagrams.send_to(b"answer", from).await.unwrap();
    assert_eq!(soon("the answer", client.recv(&mut room)).await.unwrap(), 6);
    // A drain ends quiet flows soon.
    stage.scene.stop.cancel();
    let mut lines = lines(&stage.scene, 3).await;
    let flow = lines.pop().unwrap();
    assert_eq!((flow.0.as_str(), flow.1, flow.2 % 3, flow.3), ("udp", None, 0, 6), "as often as it was said");
    let expected = [line("tcp", "rate_lease", (0, 0)), line("tcp", "service_unreachable", (0, 0))];
    assert_eq!(lines, expected, "in front of TLS, nobody is Alice before her name");
}

/// What a PROXY header of version 2 over IPv4 says: source, port that was reached, user and device. Strict, and no byte of
/// what follows is read.
async fn told(server: &mut TcpStream) -> (SocketAddr, u16, String, String) {
    let mut fixed = [0; 16];
    soon("a header", server.read_exact(&mut fixed)).await.unwrap();
    assert_eq!((&fixed[..12], &fixed[12..14]), (&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, 0x11][..]));
    let mut body = vec![0; usize::from(u16::from_be_bytes([fixed[14], fixed[15]]))];
    soon("the rest of it", server.read_exact(&mut body)).await.unwrap();
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let source = SocketAddr::from((<[u8; 4]>::try_from(&body[..4]).unwrap(), port(8)));
    assert_eq!(body[4..8], [0; 4], "the private address is nobody's but the user's");
    let (mut fields, mut names) = (&body[12..], [String::new(), String::new()]);
    while let [kind, high, low, rest @ ..] = fields {
        let (value, behind) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        if let 0xE0 | 0xE1 = kind {
            names[usize::from(kind - 0xE0)] = String::from_utf8(value.to_vec()).unwrap();
        }
        fields = behind;
    }
    assert!(fields.is_empty());
    let [user, device] = names;
    (source, port(10), user, device)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_asked_for_it_is_told_who_is_there_over_every_protocol_with_or_without_a_balancer() {
    let balancers = edge::Balancers::new(vec!["127.0.9.0/24".parse().unwrap()]);
    let stage = Stage::of(Plot { tells: ProxyProtocol::V2, balancers, ..Plot::default() }).await;
    let names = ("alice".to_owned(), "device-10".to_owned());
    for protocol in [Protocol::Https, Protocol::Tls, Protocol::Tcp] {
        for has_balancer in [false, true] {
            let from = if has_balancer { "127.0.9.1:0" } else { "127.0.7.7:0" };
            let mut tcp = connect(from, stage.at(protocol)).await;
            let source = match has_balancer {
                true => "203.0.113.7:5000".parse().unwrap(),
                false => tcp.local_addr().unwrap(),
            };
            if has_balancer {
                tcp.write_all(&crate::balancers::header("203.0.113.7:5000", stage.at(protocol), &[]))
                    .await
                    .unwrap();
            }
            let mut client = soon("the handshake", stage.over(protocol, tcp)).await.unwrap();
            let asked = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", stage.scene.name(ALICE));
            client.write_all(asked.as_bytes()).await.unwrap();
            let (mut server, _) = soon("the session", stage.server.accept()).await.unwrap();
            let (user, device) = names.clone();
            assert_eq!(told(&mut server).await, (source, stage.port(protocol), user, device), "{protocol}");
            let mut first = [0; 14];
            soon("the request", server.read_exact(&mut first)).await.unwrap();
            assert_eq!(&first, b"GET / HTTP/1.1");
        }
    }
}
