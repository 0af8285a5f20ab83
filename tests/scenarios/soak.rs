//! Everything at once for a while: no request fails, and nothing is left of it. `WANDERGATE_SOAK=60m` asks for longer than the
//! ordinary suite does.

mod crowd;

use std::time::{Duration, Instant};

use serde_json::Value;
use tests::datagrams::echo;
use tests::http::ops;
use tests::island::{Island, until};
use tests::product::Process;
use tests::service::Hello;

use crate::users::browser::Site;
use crowd::Crowd;

/// How long, where nobody asks for longer.
const ORDINARY: Duration = Duration::from_secs(18);
/// What the allocator may keep of a busy moment, and by how much more a long run may exceed a short one: bytes and percent.
const SLACK_BYTES: u64 = 24 << 20;
const SLACK_PERCENT: u64 = 15;

/// What must not stay behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    tasks: u64,
    descriptors: u64,
    threads: u64,
    connections: u64,
    streams: u64,
}

#[test]
fn under_everything_at_once_across_rotations_revocations_and_reloads_nothing_fails_and_nothing_is_left() {
    let island = Island::new();
    let (hello, site) = (island.within(Hello::start), island.within(Site::start));
    island.within(|| echo(crowd::ECHO));
    let product = island.run(&crowd::services(hello.address(), site.address));
    let crowd = Crowd::new(&island, &product);
    let before = at_rest(&product);
    let ends = Instant::now() + span();
    crowd.round();
    let warm = resident(&product);
    while Instant::now() < ends {
        crowd.round();
    }
    crowd.leave();
    until(&format!("nothing is left but {before:?}"), || left(&product).is_within(before));
    let (resident, most) = (resident(&product), warm + warm * SLACK_PERCENT / 100 + SLACK_BYTES);
    assert!(resident <= most, "memory: {warm} bytes, then {resident}");
}

fn span() -> Duration {
    let Ok(text) = std::env::var("WANDERGATE_SOAK") else { return ORDINARY };
    let (digits, unit) = text.split_at(text.len().saturating_sub(1));
    let scale = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => panic!("WANDERGATE_SOAK is a number and s, m or h: {text}"),
    };
    Duration::from_secs(digits.parse::<u64>().expect("a number") * scale)
}

fn status(product: &Process) -> Value {
    ops(product, "GET", "/v1/status", &Value::Null).unwrap().1
}

fn resident(product: &Process) -> u64 {
    number(&status(product), "/process/resident_bytes")
}

fn left(product: &Process) -> Left {
    let told = status(product);
    let planes = told["fabric"]["planes"].as_array().unwrap();
    Left {
        tasks: number(&told, "/process/tasks"),
        descriptors: number(&told, "/process/descriptors"),
        threads: number(&told, "/process/threads"),
        connections: number(&told, "/edge/connections"),
        streams: planes.iter().map(|plane| number(plane, "/streams")).sum(),
    }
}

impl Left {
    fn is_within(self, before: Self) -> bool {
        self.tasks <= before.tasks
            && self.descriptors <= before.descriptors
            && self.threads <= before.threads
            && self.connections <= before.connections
            && self.streams <= before.streams
    }
}

/// What there is when nothing has changed for a while.
fn at_rest(product: &Process) -> Left {
    let mut seen = Vec::new();
    until("it comes to rest", || {
        seen.push(left(product));
        seen.iter().rev().take_while(|one| Some(*one) == seen.last()).count() >= 20
    });
    *seen.last().unwrap()
}

fn number(told: &Value, pointer: &str) -> u64 {
    told.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}: {told}"))
}
