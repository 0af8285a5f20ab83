//! Nanoseconds per `on_call` and per journal entry, quiet and under a spray: `cargo bench -p defense`.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark reads the clock and prints")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use defense::{
    AllowList, Engine, EngineSeed, Event, Evidence, Facts, HookPoint, Hooks, Journal, Limits, Moment, Reason,
    VerdictKind,
};

const ROUNDS: u64 = 2_000_000;

fn main() {
    let start = Instant::now();
    let now = || Moment::from_nanos(start.elapsed().as_nanos() as u64);
    let make = || Engine::new(EngineSeed([7; 32]), &Limits::default(), AllowList::default());

    let engine = make();
    measure("on_call, request, 1,000 leases", |i| {
        let source = spread(i % 1_000);
        let facts = Facts::new(HookPoint::Request, source, Evidence::Proven).lease((i % 1_000) as u32);
        black_box(engine.on_call(&facts, now()));
    });
    let engine = make();
    measure("on_call, connection, one flooding source", |_| {
        let facts = Facts::new(HookPoint::Connection, spread(1), Evidence::Proven).lease(1);
        black_box(engine.on_call(&facts, now()));
    });
    let engine = make();
    measure("on_call, enrolment, a new network each time", |i| {
        black_box(engine.on_call(&Facts::new(HookPoint::Enrolment, spread(i), Evidence::Proven), now()));
    });
    let journal = Journal::new([7; 16]);
    measure("journal, one flooding source", |i| journal.record(&refusal(i, spread(1))));
    measure("journal, a new network each time", |i| journal.record(&refusal(i, spread(i))));
    let (fixed, leases) = engine.memory_cells();
    println!("{:<46} {:>9} KiB", "engine's cells", (fixed + leases) * 8 / 1024);
}

fn measure(name: &str, mut once: impl FnMut(u64)) {
    (0..ROUNDS / 10).for_each(&mut once);
    let start = Instant::now();
    (0..ROUNDS).for_each(&mut once);
    println!("{name:<46} {:>9.0} ns", start.elapsed().as_nanos() as f64 / ROUNDS as f64);
}

fn spread(i: u64) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(i) << 64 | 1))
}

fn refusal(i: u64, source: IpAddr) -> Event {
    Event {
        at_unix_s: 1_000 + i / 1_000_000,
        point: HookPoint::Connection,
        verdict: VerdictKind::Drop,
        reason: Reason::NoWindow,
        source,
        lease: None,
        request: None,
        count: 1,
    }
}
