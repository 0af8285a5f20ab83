//! Ten thousand streams on one link. In a process of its own, for it looks at the memory of the whole.

use std::process::Command;

use fabric::Role;
use fabric::session::Position;
use fabric::wire::{Frame, Offering, Opened};
use tokio_util::task::AbortOnDropHandle;

use crate::raw::Raw;
use crate::world::{World, echoed, soon, until};

const ALONE: &str = "FABRIC_CROWD_ALONE";
const STREAMS: usize = 10_000;
/// Of gateway, hub and the far end together, bytes for one stream that does nothing.
const MEMORY_MAX: usize = 32 * 1024;

/// A local hub that opens every stream and sends back what comes in on it, without a service behind.
async fn lane(world: &World, index: u8) -> AbortOnDropHandle<()> {
    let credentials = world.credentials(Role::LocalHub, "l1");
    let mut raw = Raw::connect(world.hub.address(), Some(&credentials)).await.unwrap();
    assert!(matches!(raw.greet("l1", 1, index).await, Some(Frame::Welcome { .. })));
    if index == 0 {
        raw.say(&Frame::Offer(Offering { services: vec!["web".into()], ..Offering::default() })).await;
    }
    AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(frame) = raw.hear().await {
            match frame {
                Frame::Open { stream, .. } => {
                    let opened = Opened { at: "l1".into(), received: Position::default() };
                    raw.say(&Frame::Opened { stream, opened }).await;
                }
                Frame::Data { .. } => raw.say(&frame).await,
                _ => {}
            }
        }
    }))
}

/// Resident memory of this process, bytes (proc(5), statm).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn ten_thousand_streams_stand_open_on_one_link_and_an_idle_one_costs_little() {
    let alone = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crowd::the_crowd_alone", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&alone.stdout);
    assert!(alone.status.success(), "{said}{}", String::from_utf8_lossy(&alone.stderr));
    let figure = said.lines().find(|line| line.contains("bytes of memory per idle stream"));
    println!("{}", figure.expect("the crowd tells its figure"));
}

/// Not a test of its own: the body of the process that is looked at.
#[tokio::test]
async fn the_crowd_alone() {
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    let world = World::new().await;
    let mut lanes = Vec::new();
    for index in 0..6 {
        lanes.push(lane(&world, index).await);
    }
    let gateway = world.gateway("e1");
    soon("the link", gateway.ready()).await;
    world.until_offered("web", 1).await;
    let mut first = gateway.open("web").await.unwrap();
    echoed(&mut first, b"warm").await.unwrap();

    let before = resident();
    let mut streams = vec![first];
    while streams.len() < STREAMS {
        let opening: Vec<_> = (0..50)
            .map(|_| {
                let gateway = gateway.clone();
                tokio::spawn(async move { gateway.open("web").await.unwrap() })
            })
            .collect();
        for stream in opening {
            streams.push(soon("a stream", stream).await.unwrap());
        }
    }
    let each = resident().saturating_sub(before) / STREAMS;
    println!("{each} bytes of memory per idle stream, of gateway, hub and far end together");
    let link = gateway.status().planes[0].link.clone().unwrap();
    assert!(link.streams() >= STREAMS && link.is_ready, "{}", link.streams());
    assert!(each < MEMORY_MAX, "{each}");
    for stream in streams.iter_mut().step_by(997) {
        soon("an echo", echoed(stream, b"each of them works")).await.unwrap();
    }
    drop(streams);
    until("none is left", || world.hub.status().streams == 0).await;
}
