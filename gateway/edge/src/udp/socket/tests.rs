//! Sockets: shared ports, and answers that leave from the address that was reached.

use std::net::UdpSocket;

use super::*;

const ANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

async fn recv(socket: &Socket, bufs: &mut [Vec<u8>]) -> Vec<RecvMeta> {
    let mut bufs: Vec<IoSliceMut<'_>> = bufs.iter_mut().map(|buf| IoSliceMut::new(buf)).collect();
    let mut metas = vec![RecvMeta::default(); bufs.len()];
    let received = std::future::poll_fn(|cx| socket.poll_recv(cx, &mut bufs, &mut metas));
    let received = tokio::time::timeout(std::time::Duration::from_secs(30), received).await;
    metas.truncate(received.expect("a datagram").unwrap());
    metas
}

fn hearing(any: IpAddr, port: u16) -> UdpSocket {
    let socket = bind(any, port, Some("lo")).unwrap();
    hear(&socket).unwrap();
    socket
}

#[test]
fn a_socket_is_deaf_until_it_is_told_to_hear() {
    let (socket, mut room) = (bind(ANY, 0, Some("lo")).unwrap(), [0; 8]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", socket.local_addr().unwrap().port())).unwrap();
    client.send(b"too soon").unwrap();
    hear(&socket).unwrap();
    hear(&socket).unwrap();
    client.send(b"now").unwrap();
    // On loopback a datagram is there when its send returns.
    assert_eq!(socket.recv(&mut room).unwrap(), 3);
    assert_eq!(socket.recv(&mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_datagram_says_where_it_was_sent_and_its_answer_leaves_from_there() {
    let socket = Socket::new(hearing(ANY, 0)).unwrap();
    let port = socket.local_addr().port();
    for private in ["127.85.3.4", "127.85.200.1"] {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Connected: it hears nobody but that very address.
        client.connect((private, port)).unwrap();
        client.send(b"ping").unwrap();
        let mut bufs = vec![vec![0; 65_536]; 4];
        let metas = recv(&socket, &mut bufs).await;
        assert_eq!((metas.len(), &bufs[0][..metas[0].len]), (1, &b"ping"[..]));
        assert_eq!(metas[0].dst_ip, Some(private.parse().unwrap()));
        socket
            .try_send(&Transmit {
                destination: metas[0].addr,
                ecn: None,
                contents: b"pongPONGp",
                segment_size: Some(4),
                src_ip: metas[0].dst_ip,
            })
            .unwrap();
        client.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        for expected in [&b"pong"[..], b"PONG", b"p"] {
            let mut room = [0; 64];
            let count = client.recv(&mut room).unwrap();
            assert_eq!(&room[..count], expected, "segments arrive as datagrams of their own");
        }
    }
}

#[tokio::test]
async fn cores_share_a_port_and_a_sender_keeps_its_core() {
    let first = hearing(ANY, 0);
    let port = first.local_addr().unwrap().port();
    let second = hearing(ANY, port);
    let count = |socket: &UdpSocket| {
        let mut room = [0; 8];
        std::iter::from_fn(|| socket.recv_from(&mut room).ok()).map(|(_, from)| from).collect::<Vec<_>>()
    };
    let clients: Vec<UdpSocket> = (0..64).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for _ in 0..2 {
        for client in &clients {
            client.send_to(b"x", ("127.85.1.1", port)).unwrap();
        }
    }
    let (one, other) = (count(&first), count(&second));
    assert_eq!(one.len() + other.len(), 128);
    assert!(!one.is_empty() && !other.is_empty(), "both cores have work");
    assert!(one.iter().all(|from| !other.contains(from)), "no sender is heard by both");
}

/// Set where a test runs again in a network of its own.
const WITHIN: &str = "WANDERGATE_TEST_WITHIN";

/// Runs a test of this file in a network namespace where a whole prefix is local and the link is as short as Ethernet.
/// Needs no privilege where user namespaces are allowed.
fn within(test: &str) {
    let set_up = "ip link set lo mtu 1500 up && ip -6 route add local fd77:1::/64 dev lo && exec \"$@\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["-Urn", "sh", "-c", set_up, "sh"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(WITHIN, "1");
    let told = command.output().unwrap();
    let said = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success() && said.contains("1 passed"), "{told:?}");
}

#[tokio::test]
async fn answers_over_ipv6_leave_from_an_address_that_is_on_no_interface_and_long_ones_in_fragments() {
    if std::env::var_os(WITHIN).is_none() {
        return within(
            "udp::socket::tests::answers_over_ipv6_leave_from_an_address_that_is_on_no_interface_and_long_ones_in_fragments",
        );
    }
    for (any, private, here) in
        [("::", "fd77:1::abcd:1234", "[::1]:0"), ("0.0.0.0", "127.85.3.4", "127.0.0.1:0")]
    {
        let socket = Socket::new(hearing(any.parse().unwrap(), 0)).unwrap();
        let client = UdpSocket::bind(here).unwrap();
        client.connect((private, socket.local_addr().port())).unwrap();
        client.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        client.send(b"ping").unwrap();
        let metas = recv(&socket, &mut [vec![0; 65_536]]).await;
        assert_eq!(metas[0].dst_ip, Some(private.parse().unwrap()));
        for length in [0, 1200, 1473, 9000, 60_000] {
            let contents = vec![7; length];
            let answer = Transmit {
                destination: metas[0].addr,
                ecn: None,
                contents: &contents,
                segment_size: None,
                src_ip: metas[0].dst_ip,
            };
            assert_eq!(socket.try_send(&answer).is_ok(), length <= 1200, "QUIC's are never cut: {length}");
            if length <= 1200 {
                assert_eq!(client.recv(&mut [0; 65_536]).unwrap(), length);
            }
            socket.try_send_cut(&answer).unwrap();
            assert_eq!(client.recv(&mut [0; 65_536]).unwrap(), length);
        }
        let too_long = Transmit {
            destination: metas[0].addr,
            ecn: None,
            contents: &[0; 65_530],
            segment_size: None,
            src_ip: metas[0].dst_ip,
        };
        assert!(is_too_long(&socket.try_send_cut(&too_long).unwrap_err()));
    }
}
