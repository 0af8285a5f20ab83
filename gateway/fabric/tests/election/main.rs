//! Elections in a simulated plane: every plight that a seed can think of, and what must never happen in any.
//!
//! `cargo test -p fabric --test election` runs 10,000 seeds in some seconds; `WANDERGATE_SEEDS=1000000` before it runs so
//! many, and `WANDERGATE_SEED=n` only that one, with all that happens in it (add `-- --nocapture`).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and a replay prints"
)]

mod dice;
mod faults;
mod plane;
mod proofs;
mod watch;

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plane::{Flaws, Summary, simulate};

const SEEDS: u64 = 10_000;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Runs seeds on both cores; the first failure with how to see it again.
fn run(seeds: std::ops::Range<u64>, flaws: Flaws) -> Result<Vec<Summary>, String> {
    let (next, end) = (AtomicU64::new(seeds.start), seeds.end);
    let work = || {
        let mut done = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return Ok(done);
            }
            match simulate(seed, flaws, false) {
                Ok(summary) => done.push(summary),
                Err(broken) => {
                    next.store(end, Ordering::Relaxed);
                    return Err(format!(
                        "seed {seed}: {broken}\nreplay: WANDERGATE_SEED={seed} cargo test -p fabric --test election \
                         r0_07_no_two -- --nocapture"
                    ));
                }
            }
        }
    };
    let outcomes: Vec<Result<Vec<Summary>, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut all = Vec::new();
    for outcome in outcomes {
        all.extend(outcome?);
    }
    Ok(all)
}

#[test]
fn r0_07_no_two_instances_are_ever_active_at_once_or_in_one_term_whatever_happens() {
    if let Some(seed) = number("WANDERGATE_SEED") {
        let summary = simulate(seed, Flaws::default(), true).unwrap();
        println!("{summary:?}");
        return;
    }
    let seeds = number("WANDERGATE_SEEDS").unwrap_or(SEEDS);
    let all = run(0..seeds, Flaws::default()).unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(all.len() as u64, seeds);
    let sum = |of: fn(&Summary) -> u64| all.iter().map(of).sum::<u64>();
    let most = |of: fn(&Summary) -> Duration| all.iter().map(of).max().unwrap();
    println!(
        "{seeds} seeds, {} steps: {} elections, {} leases lost, {} superseded, {} hand-overs, {} renewals, {} crashes, {} pauses, \
         {} cuts; an active at most {:?} after healing, {:?} after the start, a hand-over took at most {:?}",
        sum(|s| s.steps),
        sum(|s| s.elections),
        sum(|s| s.leases_lost),
        sum(|s| s.superseded),
        sum(|s| s.hand_overs),
        sum(|s| s.renewals),
        sum(|s| s.crashes),
        sum(|s| s.pauses),
        sum(|s| s.cuts),
        most(|s| s.healed_in),
        most(|s| s.begun_in),
        most(|s| s.handed_over_in),
    );
    // A simulation in which nothing happens proves nothing.
    for (what, happened) in [
        ("elections", sum(|s| s.elections)),
        ("lost leases", sum(|s| s.leases_lost)),
        ("hand-overs", sum(|s| s.hand_overs)),
        ("renewals", sum(|s| s.renewals)),
        ("crashes", sum(|s| s.crashes)),
        ("pauses", sum(|s| s.pauses)),
    ] {
        assert!(happened > seeds / 2, "{what}: {happened} in {seeds} seeds");
    }
}

#[test]
fn one_seed_is_one_story() {
    for seed in 0..5 {
        assert_eq!(simulate(seed, Flaws::default(), false), simulate(seed, Flaws::default(), false));
    }
}
