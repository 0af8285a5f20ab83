//! What strangers send: garbage, scraps, floods. The front goes on.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use defense::{Limits, Rate, Reason};
use dns_front::Unknown;
use dns_front::bounds::{TCP_PER_SOURCE_MAX, UDP_BYTES_MAX};

use super::clients::{BOTH, Client, Over};
use super::fixture::{Scene, ZONE, below};

/// Bytes without end, the same in each run.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    std::iter::successors(Some(seed | 1), |x| Some(x ^ (x << 13) ^ ((x ^ (x << 13)) >> 7)))
        .map(|x| (x >> 8) as u8)
}

fn alive(scene: &Scene) {
    for (client, over) in BOTH {
        assert_eq!(client.ask(scene.at, over, &["A", &below("join")]).addresses().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_truncated_and_oversized_datagrams_get_a_code_or_silence() {
    let scene = Scene::new().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(scene.at).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut answer = [0; 65_535];
    for (i, length) in
        [0, 1, 11, 12, 13, 40, 511, 512, 1232, 4095, 4096, 4097, 9000, 60_000].into_iter().enumerate()
    {
        for seed in 1..20 {
            let bytes: Vec<u8> = noise(seed * 7919 + i as u64).take(length).collect();
            socket.send(&bytes).unwrap();
        }
        while let Ok(length) = tokio::task::block_in_place(|| socket.recv(&mut answer)) {
            assert!((12..=usize::from(UDP_BYTES_MAX)).contains(&length));
            assert!(answer[2] & 0x80 != 0 && answer[3] & 0x0f != 0, "an error, if anything");
        }
    }
    alive(&scene);
    assert!(scene.front.status().counts.malformed > 0);
    assert!(scene.journal.total(Reason::QueryMalformed) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_a_stream_ends_or_idles_that_stream_only() {
    let scene = Scene::new().await;
    for seed in 1..30_u64 {
        let mut stream = TcpStream::connect(scene.at).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let bytes: Vec<u8> = noise(seed).take(3000).collect();
        // The front may have closed it already.
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        let _ = tokio::task::block_in_place(|| stream.take(100_000).read_to_end(&mut answer));
        assert!(answer.len() < 100_000);
    }
    let mut empty = TcpStream::connect(scene.at).unwrap();
    empty.write_all(&[0, 0]).unwrap();
    alive(&scene);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_source_cannot_take_all_the_places() {
    let scene = Scene::new().await;
    let mut held: Vec<TcpStream> =
        (0..TCP_PER_SOURCE_MAX).map(|_| TcpStream::connect(scene.at).unwrap()).collect();
    let mut one_more = TcpStream::connect(scene.at).unwrap();
    one_more.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let closed = tokio::task::block_in_place(|| one_more.read(&mut [0; 1]));
    assert!(matches!(closed, Ok(0) | Err(_)));
    assert_eq!(scene.front.status().counts.turned_away, 1);
    // Another source of loopback still gets in, and so does this one when it has let go.
    let elsewhere = Client::Dig.ask(scene.at, Over::Tcp, &["-b", "127.0.0.2", "A", &below("join")]);
    assert_eq!(elsewhere.addresses().len(), 1);
    held.clear();
    tokio::time::sleep(Duration::from_millis(200)).await;
    alive(&scene);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_queries_in_one_segment_are_both_answered() {
    let scene = Scene::new().await;
    let query = b"\x00\x20\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01u\x04edge\x07example\x00\x00\x06\x00\x01";
    let length = (query.len() - 2) as u8;
    let mut one = query.to_vec();
    one[1] = length;
    let mut stream = TcpStream::connect(scene.at).unwrap();
    stream.write_all(&[one.clone(), one].concat()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for _ in 0..2 {
        let mut head = [0; 2];
        tokio::task::block_in_place(|| stream.read_exact(&mut head)).unwrap();
        let mut body = vec![0; usize::from(u16::from_be_bytes(head))];
        stream.read_exact(&mut body).unwrap();
        assert_eq!((body[..2].to_vec(), body[3] & 0x0f, body[7]), (vec![0x12, 0x34], 0, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_cut_off_by_the_defense_and_written_down() {
    let mut limits = Limits::default().without_prefixes();
    limits.query.global = Some(Rate::per_second(1, 5));
    let scene = Scene::with(Unknown::Decoy, limits).await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(scene.at).unwrap();
    let query =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01u\x04edge\x07example\x00\x00\x06\x00\x01";
    for _ in 0..100 {
        socket.send(query).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let counts = scene.front.status().counts;
    assert!((5..=30).contains(&counts.fixed), "{counts:?}");
    assert_eq!(counts.fixed + counts.refused + counts.dropped + counts.slipped, counts.udp, "{counts:?}");
    let written: u64 = scene.journal.counters().iter().map(|counter| counter.count).sum();
    assert_eq!(written, counts.refused + counts.dropped + counts.slipped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_requests_of_real_clients_get_the_protocols_own_errors() {
    let scene = Scene::new().await;
    let dig = |options: &[&str]| Client::Dig.ask(scene.at, Over::Udp, options).status().to_owned();
    assert_eq!(dig(&["+opcode=NOTIFY", "SOA", ZONE]), "NOTIMP");
    assert_eq!(dig(&["+opcode=UPDATE", "SOA", ZONE]), "NOTIMP");
    assert_eq!(dig(&["+opcode=STATUS", "SOA", ZONE]), "NOTIMP");
    assert_eq!(dig(&["+edns=100", "+noednsnegotiation", "SOA", ZONE]), "BADVERS");
    assert_eq!(dig(&["+noedns", "SOA", ZONE]), "NOERROR");
    assert_eq!(
        dig(&["+ednsopt=65001:abcd", "+nsid", "+cookie", "+subnet=192.0.2.0/24", "SOA", ZONE]),
        "NOERROR"
    );
    assert_eq!(dig(&["+norecurse", "A", "www.example.com"]), "REFUSED");
    assert_eq!(dig(&["TYPE65280", ZONE]), "NOERROR");
    assert_eq!(dig(&["-c", "HS", "A", ZONE]), "REFUSED");
}
