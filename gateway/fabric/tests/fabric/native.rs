//! Programs that join a local hub with lanes of their own.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use fabric::status::{ServerPlace, ServerState};
use fabric::wire::{Frame, Offering};
use fabric::{
    Class, DoorAddress, DoorError, Gateway, LocalHub, LocalHubAddress, OpenRequest, Origin, Refusal, Role,
    Server, Wiring,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::raw::Raw;
use crate::world::{World, echo_service, identity, services, soon, until};

#[path = "../../examples/line_echo/serving.rs"]
mod line_echo;

/// A world with gateway `e1` and local hub `l1`, whose door on loopback lets server `s1` serve `web` and `s2` serve `web`
/// and `echo`.
struct Native {
    world: World,
    gateway: Gateway,
    local: LocalHub,
    door: LocalHubAddress,
}

fn native_wiring() -> Wiring {
    let mut wiring = Wiring::default();
    let local = identity(Role::LocalHub, "l1");
    for (server, service) in [("s1", "web"), ("s2", "web"), ("s2", "echo")] {
        wiring.permit_serve(&identity(Role::Server, server), &local, service).unwrap();
    }
    wiring
}

impl Native {
    async fn new() -> Self {
        Self::at(&DoorAddress::Tcp("127.0.0.1:0".parse().unwrap())).await
    }

    async fn at(door: &DoorAddress) -> Self {
        let world = World::new().await;
        let (gateway, local) = (world.gateway("e1"), world.local_hub("l1", services(&[])));
        local.set_wiring(native_wiring());
        let at = local.open_door(door).unwrap();
        tokio::join!(gateway.ready(), local.ready());
        Self { world, gateway, local, door: LocalHubAddress { at, name: "l1".into() } }
    }

    fn join(&self, name: &str, services: &[&str]) -> (Server, CancellationToken) {
        let stop = CancellationToken::new();
        let keyring = self.world.keyring(Role::Server, name);
        (Server::join(&self.door, keyring, services, stop.clone()).unwrap(), stop)
    }

    fn tcp(&self) -> std::net::SocketAddr {
        match &self.door.at {
            DoorAddress::Tcp(address) => *address,
            DoorAddress::Unix(_) => panic!("the door is a Unix socket"),
        }
    }
}

/// One call with one line, and the answer.
async fn asked(gateway: &Gateway, service: &str, origin: Option<Origin>) -> Result<String, Refusal> {
    let request = OpenRequest { service, class: Class::Interactive, port: 0, origin };
    let mut stream = gateway.open_with(request).await.map_err(|error| error.refusal)?;
    stream.write_all(b"hello\n").await.unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.map_err(|error| Refusal::of(&error).unwrap())?;
    Ok(line)
}

/// Keeps a lane by answering its pings.
fn alive(mut raw: Raw) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(frame) = raw.hear().await {
            if let Frame::Ping { nonce } = frame {
                raw.say(&Frame::Pong { nonce }).await;
            }
        }
    }))
}

#[tokio::test]
async fn r0_01_a_server_makes_exactly_six_connections_to_its_local_hub_and_a_seventh_is_refused() {
    let native = Native::new().await;
    let credentials = native.world.credentials(Role::Server, "s1");
    let mut lanes = Vec::new();
    for lane in 0..6 {
        let mut raw = Raw::connect(native.tcp(), Some(&credentials)).await.unwrap();
        assert!(matches!(raw.greet("s1", 1, lane).await, Some(Frame::Welcome { .. })));
        if lane == 0 {
            raw.say(&Frame::Offer(Offering { services: vec!["web".into()], ..Offering::default() })).await;
            assert_eq!(raw.hear().await, Some(Frame::Accepted { services: vec!["web".into()] }));
        }
        lanes.push(alive(raw));
        until("the lane is up", || native.local.status().natives[0].lanes_up() == usize::from(lane) + 1)
            .await;
        let status = native.local.status();
        assert_eq!(status.natives[0].is_ready, lane == 5);
        assert_eq!(status.services[0].is_offered, lane == 5, "nothing is offered below six");
    }
    native.world.until_offered("web", 1).await;
    for lane in 0..6 {
        let mut seventh = Raw::connect(native.tcp(), Some(&credentials)).await.unwrap();
        assert_eq!(seventh.greet("s1", 1, lane).await, Some(Frame::Refuse(Refusal::LaneTaken)));
        let mut seventh = Raw::connect(native.tcp(), Some(&credentials)).await.unwrap();
        assert_eq!(seventh.greet("s1", 2, lane).await, Some(Frame::Refuse(Refusal::IdentityTaken)));
    }
    assert_eq!(native.local.status().natives[0].lanes_up(), 6);
}

#[tokio::test]
async fn r0_01_the_library_joins_with_six_lanes_and_serves_calls_with_the_callers_identity() {
    let native = Native::new().await;
    let (server, _stop) = native.join("s1", &["web"]);
    soon("six lanes", server.ready()).await;
    assert_eq!(native.local.status().natives[0].lanes_up(), 6);
    tokio::spawn(line_echo::serve(server.clone()));
    native.world.until_offered("web", 1).await;

    let origin = Origin::new("192.0.2.7:5000".parse().unwrap(), "198.51.100.1:443".parse().unwrap())
        .with_names("anna", "laptop")
        .unwrap();
    assert_eq!(asked(&native.gateway, "web", None).await.unwrap(), "edge/e1 : hello\n");
    assert_eq!(asked(&native.gateway, "web", Some(origin)).await.unwrap(), "edge/e1 anna: hello\n");
    assert_eq!(server.status().accepted, 2);
    let status = native.local.status();
    assert_eq!(status.services[0].servers[0].place, ServerPlace::Native(identity(Role::Server, "s1")));
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The example, which cargo builds beside the tests.
fn line_echo_process(door: &LocalHubAddress, credentials: &Path) -> Process {
    let beside = std::env::current_exe().unwrap();
    let program = beside.parent().unwrap().parent().unwrap().join("examples/line_echo");
    let DoorAddress::Tcp(at) = &door.at else { panic!("the door is a Unix socket") };
    let arguments = [at.to_string(), door.name.clone(), credentials.display().to_string(), "web".to_owned()];
    Process(
        Command::new(program)
            .args(arguments)
            .spawn()
            .expect("cargo test builds the example; --test alone does not"),
    )
}

#[tokio::test]
async fn r0_01_a_server_process_has_six_connections_to_its_local_hub_and_listens_to_nobody() {
    let native = Native::new().await;
    let path = std::env::temp_dir().join(format!("wandergate-line-echo-{}.pem", std::process::id()));
    std::fs::write(&path, native.world.credentials(Role::Server, "s1").to_secret_pem()).unwrap();
    let process = line_echo_process(&native.door, &path);
    native.world.until_offered("web", 1).await;
    std::fs::remove_file(&path).unwrap();
    assert_eq!(asked(&native.gateway, "web", None).await.unwrap(), "edge/e1 : hello\n");

    let sockets = Command::new("ss").args(["-Htnap"]).output().unwrap();
    let of_process = format!("pid={},", process.0.id());
    let sockets = String::from_utf8(sockets.stdout).unwrap();
    let own: Vec<_> = sockets.lines().filter(|line| line.contains(&of_process)).collect();
    assert_eq!(own.len(), 6, "{own:?}");
    let door = native.tcp().to_string();
    assert!(own.iter().all(|line| line.starts_with("ESTAB") && line.contains(&door)), "{own:?}");
    drop(process);
    until("it is gone", || native.local.status().natives.is_empty()).await;
}

#[tokio::test]
async fn r0_01_a_server_joins_over_a_unix_socket_as_well_and_a_dead_socket_is_replaced() {
    let path = std::env::temp_dir().join(format!("wandergate-servers-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let native = Native::at(&DoorAddress::Unix(path.clone())).await;
    let (server, _stop) = native.join("s1", &["web"]);
    tokio::spawn(line_echo::serve(server));
    native.world.until_offered("web", 1).await;
    assert_eq!(asked(&native.gateway, "web", None).await.unwrap(), "edge/e1 : hello\n");

    // A socket that lives is not taken from its owner.
    let again = native.local.open_door(&DoorAddress::Unix(path.clone()));
    assert!(matches!(again, Err(DoorError::Listen(..))), "{again:?}");
    assert_eq!(asked(&native.gateway, "web", None).await.unwrap(), "edge/e1 : hello\n");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn r0_02_the_door_of_a_local_hub_is_on_loopback_or_does_not_open() {
    let world = World::new().await;
    let local = world.local_hub("l1", services(&[]));
    for outside in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7000", "[::ffff:192.0.2.1]:7000"] {
        let refused = local.open_door(&DoorAddress::Tcp(outside.parse().unwrap())).unwrap_err();
        assert!(matches!(refused, DoorError::NotLoopback(_)), "{outside}: {refused}");
        assert!(refused.to_string().contains("not on loopback"), "{refused}");
    }
    for inside in ["127.0.0.1:0", "127.0.0.2:0"] {
        let opened = local.open_door(&DoorAddress::Tcp(inside.parse().unwrap())).unwrap();
        assert!(matches!(opened, DoorAddress::Tcp(at) if at.ip().is_loopback() && at.port() != 0));
    }
}

#[tokio::test]
async fn only_servers_that_the_wiring_names_join_and_only_as_themselves() {
    let native = Native::new().await;
    for (role, name, said, answer) in [
        (Role::Server, "s9", "s9", Refusal::NotPermitted),
        (Role::Server, "s1", "s2", Refusal::WrongName),
        (Role::Edge, "e1", "e1", Refusal::WrongRole),
        (Role::LocalHub, "l1", "l1", Refusal::WrongRole),
        (Role::Hub, "hub-a", "hub-a", Refusal::WrongRole),
    ] {
        let credentials = native.world.credentials(role, name);
        let mut raw = Raw::connect(native.tcp(), Some(&credentials)).await.unwrap();
        assert_eq!(raw.greet(said, 1, 0).await, Some(Frame::Refuse(answer)), "{role:?} {name}");
    }
    assert!(native.local.status().natives.is_empty());
}

#[tokio::test]
async fn a_server_serves_nothing_that_its_wiring_does_not_say_and_a_server_is_no_member_of_a_hub() {
    let native = Native::new().await;
    let (server, _stop) = native.join("s1", &["web", "echo"]);
    native.world.until_offered("web", 1).await;
    assert_eq!(server.status().link.unwrap().services, ["web"]);
    let refused = native.gateway.open("echo").await.unwrap_err().refusal;
    assert_eq!(refused, Refusal::ServiceNotOffered);
    assert!(native.local.status().refused.contains_key("not_permitted"));

    let credentials = native.world.credentials(Role::Server, "s1");
    let mut raw = Raw::connect(native.world.hub.address(), Some(&credentials)).await.unwrap();
    assert_eq!(raw.greet("s1", 1, 0).await, Some(Frame::Refuse(Refusal::WrongRole)));
}

#[tokio::test]
async fn a_wiring_that_is_replaced_ends_what_it_no_longer_permits() {
    let native = Native::new().await;
    let (server, _stop) = native.join("s2", &["web", "echo"]);
    tokio::spawn(line_echo::serve(server.clone()));
    native.world.until_offered("echo", 1).await;
    let mut kept = native.gateway.open("web").await.unwrap();
    let mut cut = native.gateway.open("echo").await.unwrap();
    cut.write_all(b"x\n").await.unwrap();
    assert!(cut.read(&mut [0; 64]).await.unwrap() > 0);

    let mut less = Wiring::default();
    less.permit_serve(&identity(Role::Server, "s2"), &identity(Role::LocalHub, "l1"), "web").unwrap();
    native.local.set_wiring(less);
    let error = soon("the cut", cut.read_u8()).await.unwrap_err();
    assert_eq!(Refusal::of(&error), Some(Refusal::NotPermitted));
    native.world.until_offered("echo", 0).await;
    kept.write_all(b"y\n").await.unwrap();
    assert!(soon("the kept stream", kept.read(&mut [0; 64])).await.unwrap() > 0);

    native.local.set_wiring(Wiring::default());
    soon("the end", kept.read_u8()).await.unwrap_err();
    native.world.until_offered("web", 0).await;
    until("the lanes are closed", || native.local.status().natives.is_empty()).await;
}

#[tokio::test]
async fn a_server_that_restarts_comes_back_and_a_local_hub_that_restarts_is_found_again() {
    let native = Native::new().await;
    let (server, stop) = native.join("s1", &["web"]);
    tokio::spawn(line_echo::serve(server.clone()));
    native.world.until_offered("web", 1).await;
    stop.cancel();
    soon("the server", server.stopped()).await;
    native.world.until_offered("web", 0).await;
    assert!(asked(&native.gateway, "web", None).await.is_err());

    let (server, _stop) = native.join("s1", &["web"]);
    tokio::spawn(line_echo::serve(server.clone()));
    native.world.until_offered("web", 1).await;
    assert_eq!(asked(&native.gateway, "web", None).await.unwrap(), "edge/e1 : hello\n");
}

#[tokio::test]
async fn a_draining_server_finishes_its_calls_and_gets_no_new_ones() {
    let native = Native::new().await;
    let (one, _stop) = native.join("s1", &["web"]);
    tokio::spawn(line_echo::serve(one.clone()));
    native.world.until_offered("web", 1).await;
    let mut running = native.gateway.open("web").await.unwrap();

    let draining = tokio::spawn({
        let one = one.clone();
        async move { one.drain().await }
    });
    native.world.until_offered("web", 0).await;
    let refused = native.gateway.open("web").await.unwrap_err().refusal;
    assert_eq!(refused, Refusal::ServiceNotOffered);
    sleep(Duration::from_millis(200)).await;
    assert!(!draining.is_finished(), "a call still runs");
    running.write_all(b"still\n").await.unwrap();
    let mut line = String::new();
    let mut running = BufReader::new(running);
    soon("the answer", running.read_line(&mut line)).await.unwrap();
    assert_eq!(line, "edge/e1 : still\n");
    running.into_inner().shutdown().await.unwrap();
    soon("the drain", draining).await.unwrap();
    assert!(one.status().is_draining && one.status().link.unwrap().is_ready);
}

#[tokio::test]
async fn of_two_servers_the_less_loaded_gets_the_next_call() {
    let native = Native::new().await;
    let (one, _stop_one) = native.join("s1", &["web"]);
    let (two, _stop_two) = native.join("s2", &["web"]);
    tokio::spawn(line_echo::serve(one.clone()));
    tokio::spawn(line_echo::serve(two.clone()));
    let both_well = || {
        let status = native.local.status();
        status.services.first().is_some_and(|web| {
            web.servers.len() == 2 && web.servers.iter().all(|server| server.state == ServerState::Well)
        }) && status.natives.iter().all(|link| link.is_ready)
    };
    until("both servers", both_well).await;
    native.world.until_offered("web", 1).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(native.gateway.open("web").await.unwrap());
    }
    assert_eq!((one.status().accepted, two.status().accepted), (5, 5));
    let running: Vec<_> = native.local.status().services[0].servers.iter().map(|s| s.running).collect();
    assert_eq!(running, [5, 5]);
}

#[tokio::test]
async fn an_address_and_a_native_server_serve_one_service_together() {
    let native = Native::new().await;
    let address = echo_service().await;
    native.local.set_services(services(&[("web", address)])).unwrap();
    let (server, _stop) = native.join("s1", &["web"]);
    tokio::spawn(line_echo::serve(server.clone()));
    until("both", || {
        native.local.status().services[0].servers.len() == 2
            && server.status().link.is_some_and(|link| link.is_ready)
    })
    .await;
    native.world.until_offered("web", 1).await;
    let mut answers = std::collections::BTreeSet::new();
    let held = Arc::new(std::sync::Mutex::new(Vec::new()));
    for _ in 0..4 {
        let mut stream = native.gateway.open("web").await.unwrap();
        stream.write_all(b"hello\n").await.unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        soon("an answer", reader.read_line(&mut line)).await.unwrap();
        answers.insert(line);
        held.lock().unwrap().push(reader);
    }
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), ["edge/e1 : hello\n", "hello\n"]);
}
