//! Whoever talks by UDP, and a lot.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tests::datagrams::{Numbered, echo};
use tests::island::{Island, name, until};
use tests::over::Over;

const PORT: u16 = 7007;
const SERVICE: &str = "[service.echo]\nto = \"127.0.0.1:7007\"\nlisten = [\"udp/7007\"]\n";
/// Under way at once, of each client.
const TOGETHER: u64 = 16;
const ROTATIONS: usize = 3;

#[test]
fn no_datagram_is_lost_under_load_while_the_address_moves_and_each_answer_comes_from_it() {
    let island = Island::new();
    island.within(|| echo(PORT));
    let product = island.run(SERVICE);
    let lease = island.enroll(&product, "alice", &["echo"]).remove(0);
    let name = name(&lease);
    let over = Over::default();
    let client = |at| island.within(|| Numbered::to(SocketAddr::new(IpAddr::V6(at), PORT)));
    let first = island.address(&product, name);
    std::thread::scope(|scope| {
        let under_load = over.until_dropped();
        let mut at = first;
        let mut clients = Vec::new();
        for _ in 0..ROTATIONS {
            let (own, over) = (client(at), &over);
            clients.push((at, scope.spawn(|| load(own, over))));
            at = island.moved(&product, name, at);
        }
        until("the first address answers no newcomer", || !client(first).is_answered());
        assert!(
            clients.iter().all(|(_, client)| !client.is_finished()),
            "conversations outlive their address"
        );
        drop(under_load);
        for (at, client) in clients {
            let why = || product.ops(&["why", &at.to_string()]);
            let count = client.join().unwrap().unwrap_or_else(|what| panic!("{what}; {}", why()));
            assert!(count > 100, "{count}");
        }
    });
    assert!(!client(first).is_answered(), "what is over stays over");
}

/// How many were sent, and came back, until it was over.
fn load(mut client: Numbered, over: &Over) -> Result<u64, String> {
    // Before its service has a socket, only so many of a flow are kept.
    client.exchange(1, 64)?;
    while !over.is_said() {
        let size = [64, 200, 1200][(client.count() % 3) as usize];
        client.exchange(TOGETHER, size)?;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(client.count())
}
