//! gRPC end to end by an independent make (grpcio), through TLS, the edge and the fabric, to a service that speaks HTTP/2.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use defense::Reason;
use state::records::{Auth, Handling, Speaks};
use state::txn::Record;

use crate::scene::{ALICE, Plot, Scene, service, txn, until};

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edge/grpc_peer.py");

fn peer(words: &[&str]) -> Command {
    let python = std::env::var("WANDERGATE_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(python);
    command.arg(PEER).args(words);
    command
}

fn http2() -> Handling {
    Handling { speaks: Speaks::Http2, ..Handling::default() }
}

/// The service's process, and what it said.
struct Served {
    child: Child,
    address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Served {
    fn start() -> Self {
        let mut child = peer(&["serve"]).stdout(Stdio::piped()).spawn().expect("python3 starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().expect("a port (needs python's grpcio, see tests/run)").unwrap();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| heard.lock().unwrap().push(line));
        });
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())), lines: said }
    }

    fn said(&self, word: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| *line == word).count()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn scene(served: &Served) -> Scene {
    Scene::of(Plot { web: Some(served.address), handling: http2(), ..Plot::default() }).await
}

/// What a client's play tells.
async fn play(scene: &Scene, play: &str) -> String {
    let ca = scene.folder().join("ca.pem");
    std::fs::write(&ca, &scene.chain).unwrap();
    let (address, port) = (scene.address(ALICE).to_string(), scene.port.to_string());
    let mut command = peer(&[play, &address, &port, &scene.name(ALICE), &ca.display().to_string()]);
    let done = tokio::task::spawn_blocking(move || command.output().expect("python3 starts")).await.unwrap();
    assert!(done.status.success(), "{play}:\n{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_every_kind_pass_with_their_metadata_and_large_messages() {
    let served = Served::start();
    assert_eq!(play(&scene(&served).await, "all_kinds").await, "all kinds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_a_deadline_and_a_cancellation_reach_whom_they_concern() {
    let served = Served::start();
    let scene = scene(&served).await;
    assert_eq!(play(&scene, "errors").await, "errors");
    until("the service learns that nobody waits", || served.said("cancelled") == 2).await;
    assert_eq!(served.said("hangs"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_the_edge_is_told_to_a_call_in_its_own_words() {
    let served = Served::start();
    let scene = scene(&served).await;
    let treat = async |handling| {
        let service = state::records::Service { handling, ..service(scene.port, Auth::Name) };
        scene.commit(txn("service.set").put(Record::Service(service))).await;
    };
    treat(Handling { maintenance: Some("Back at nine.".into()), ..http2() }).await;
    let told = play(&scene, "refused").await;
    assert!(told.starts_with("UNAVAILABLE: ") && told.contains(" maintenance, req_"), "{told}");
    treat(Handling { max_body: Some(3), ..http2() }).await;
    let told = play(&scene, "refused").await;
    assert!(told.starts_with("RESOURCE_EXHAUSTED: ") && told.contains(" body_too_large, req_"), "{told}");
    treat(http2()).await;
    drop(served);
    let told = play(&scene, "refused").await;
    assert!(told.starts_with("UNAVAILABLE: "), "{told}");
    scene.until_written(Reason::Maintenance, 1).await;
    scene.until_written(Reason::BodyTooLarge, 1).await;
}
