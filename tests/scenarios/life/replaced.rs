//! Programs of others while the process is replaced: curl over HTTP/2, aioquic over HTTP/3, each request on a connection of
//! its own.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tests::over::Over;

use super::House;
use crate::quic::Client;

#[test]
fn curl_finds_somebody_each_time_and_ends_what_it_began_while_the_process_is_replaced_twice() {
    let mut house = House::new("");
    let curl = Curl::of(&house);
    let over = Over::default();
    std::thread::scope(|scope| {
        let amid = over.until_dropped();
        let asking = scope.spawn(|| {
            let mut count = 0;
            while !over.is_said() {
                assert_eq!(Answer::to(&curl, "/").whole(), "hello alice\n", "request {count}");
                count += 1;
            }
            count
        });
        let mut downloads = Vec::new();
        for _ in 0..2 {
            downloads.push(Answer::to(&curl, "/slow"));
            house.product.upgrade();
        }
        downloads.push(Answer::to(&curl, "/slow"));
        for download in downloads {
            assert_eq!(download.whole(), ".".repeat(50));
        }
        let left = house.product.wait(Duration::from_secs(60));
        drop(amid);
        assert!(asking.join().unwrap() > 10);
        assert_eq!(left, Some(0), "the first one has left, and cut nobody");
    });
}

#[test]
fn over_http_3_newcomers_are_answered_while_the_process_is_replaced_twice() {
    let mut house = House::new("");
    let client = Client::of(&house.product, &house.lease);
    for _ in 0..2 {
        let told: Vec<_> = std::thread::scope(|scope| {
            let asks = |after_ms| {
                std::thread::sleep(Duration::from_millis(after_ms));
                client.asks()
            };
            let asking: Vec<_> =
                [0, 200, 400, 800, 1600, 3200].map(|after_ms| scope.spawn(move || asks(after_ms))).into();
            house.product.upgrade();
            asking.into_iter().map(|asking| asking.join().unwrap()).collect()
        });
        assert!(told.iter().all(|told| told["status"] == 200), "{told:?}");
    }
    let left = house.product.wait(Duration::from_secs(60));
    assert_eq!(left, Some(0), "the first one has left, and cut nobody");
}

/// What it is called with, at an address that does not change here.
struct Curl {
    fixed: Vec<String>,
    site: String,
}

impl Curl {
    fn of(house: &House) -> Self {
        let (name, port) = (house.lease["name"].as_str().unwrap(), &house.lease["port"]);
        let (ca, to) = (house.product.text("/ca_file"), format!("{name}:{port}:{}:{port}", house.at()));
        let fixed = ["-sSN", "--fail", "--http2", "--max-time", "60", "--cacert", &ca, "--connect-to", &to];
        Self { fixed: fixed.map(str::to_owned).to_vec(), site: format!("https://{name}:{port}") }
    }
}

/// An answer that has begun.
struct Answer {
    process: Child,
    begun: String,
}

impl Answer {
    fn to(curl: &Curl, path: &str) -> Self {
        let mut command = Command::new("curl");
        command.args(&curl.fixed).arg(format!("{}{path}", curl.site));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("curl starts: apt-get install curl");
        let mut first = [0];
        let count = process.stdout.as_mut().unwrap().read(&mut first).unwrap();
        Self { process, begun: String::from_utf8_lossy(&first[..count]).into_owned() }
    }

    /// All of it; curl has to have been content.
    fn whole(self) -> String {
        let output = self.process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.begun + &String::from_utf8(output.stdout).unwrap()
    }
}
