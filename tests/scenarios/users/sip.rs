//! Telephones by SIPp: calls over UDP and TCP (Debian's is built without TLS), with media, that last longer than the address
//! they came to.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::datagrams::Numbered;
use tests::island::{ADDRESS_LIFE, Island, USERS, name, until};

const SERVICE: &str = "[service.voip]\nto = \"127.0.0.1:5070\"\n\
                       listen = [\"udp/5060=5070\", \"tcp/5060=5070\", \"udp/16384-16399\"]\n";
const MEDIA: u16 = 16384;
/// Longer than an address is good for.
const CALL: Duration = ADDRESS_LIFE.saturating_add(Duration::from_secs(2));
/// Of one telephone, begun within a second.
const CALLS: usize = 15;
const ROTATIONS: usize = 2;

#[test]
fn no_call_is_lost_over_udp_and_tcp_while_the_address_moves_and_its_media_go_on() {
    let island = Island::new();
    let exchange = Exchange::start(&island);
    let product = island.run(SERVICE);
    let lease = island.enroll(&product, "alice", &["voip"]).remove(0);
    let name = name(&lease);
    let mut at = island.address(&product, name);
    std::thread::scope(|scope| {
        let mut calling = Vec::new();
        for round in 0..=ROTATIONS {
            for transport in ["u1", "tn"] {
                let exchange = &exchange;
                calling.push(scope.spawn(move || exchange.call(name, transport)));
            }
            let island = &island;
            calling.push(scope.spawn(move || media(island, at)));
            if round < ROTATIONS {
                at = island.moved(&product, name, at);
            }
        }
        for call in calling {
            call.join().unwrap();
        }
    });
}

/// A stream of speech, a packet each 20 ms, for as long as a call lasts; each comes back.
fn media(island: &Island, at: Ipv6Addr) {
    let mut stream = island.within(|| Numbered::to(SocketAddr::new(IpAddr::V6(at), MEDIA)));
    let begun = Instant::now();
    while begun.elapsed() < CALL {
        stream.exchange(1, 172).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Takes all calls, and sends media back.
struct Exchange<'i> {
    island: &'i Island,
    processes: Vec<Child>,
    dir: TempDir,
}

impl<'i> Exchange<'i> {
    fn start(island: &'i Island) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut exchange = Self { island, processes: Vec::new(), dir };
        for (transport, media) in [("u1", MEDIA), ("tn", MEDIA + 8)] {
            let args =
                format!("-sn uas -i 127.0.0.1 -p 5070 -t {transport} -mi 127.0.0.1 -mp {media} -rtp_echo");
            let mut command = exchange.sipp(&args);
            let process = command.stdout(Stdio::null()).spawn().expect("sipp starts");
            exchange.processes.push(process);
        }
        until("both listen", || {
            let told = exchange.island.client("ss", &["-Hlntu"]).stdout;
            String::from_utf8_lossy(&told).matches("127.0.0.1:5070 ").count() == 2
        });
        exchange
    }

    fn sipp(&self, args: &str) -> Command {
        let mut command = self.island.command("sipp");
        command.args(args.split(' ')).args(["-nostdin", "-max_socket", "500"]).current_dir(self.dir.path());
        command
    }

    /// A telephone that asks the name server once, and calls.
    fn call(&self, name: &str, transport: &str) {
        let (lasts, calls) = (CALL.as_millis(), CALLS);
        let args = format!(
            "{name}:5060 -sn uac -i {USERS} -t {transport} -m {calls} -r {calls} -d {lasts} -timeout 90s -timeout_error"
        );
        let output = self.sipp(&args).output().expect("sipp starts");
        let told = String::from_utf8_lossy(&output.stdout);
        let count = |what: &str| -> usize {
            let row = told.lines().rfind(|line| line.trim_start().starts_with(what));
            let told = row.and_then(|row| row.rsplit('|').next()?.trim().parse().ok());
            told.unwrap_or_else(|| panic!("{transport}: {}", String::from_utf8_lossy(&output.stderr)))
        };
        assert_eq!((count("Successful call"), count("Failed call")), (calls, 0), "{transport}: {told}");
        assert!(output.status.success(), "{transport}: {told}");
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.kill());
            drop(process.wait());
        }
    }
}
