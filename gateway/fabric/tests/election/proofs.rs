//! That the simulation can fail: each part of the arithmetic broken on purpose, and seen.

use std::time::Duration;

use crate::plane::Flaws;
use crate::run;

const SEEDS: std::ops::Range<u64> = 0..20_000;

fn caught(flaws: Flaws) -> String {
    let Err(broken) = run(SEEDS, flaws) else { panic!("what is broken went unnoticed") };
    assert!(broken.contains("WANDERGATE_SEED="), "how to replay it: {broken}");
    broken
}

#[test]
fn a_promise_shorter_than_the_lease_is_caught() {
    let broken = caught(Flaws { promise_cut: Duration::from_millis(40), ..Flaws::default() });
    assert!(broken.contains("two fences"), "{broken}");
}

#[test]
fn a_disk_that_forgets_votes_is_caught() {
    let broken = caught(Flaws { forgets_votes: true, ..Flaws::default() });
    let signs = ["votes twice", "two actives in term", "after one in term"];
    assert!(signs.iter().any(|sign| broken.contains(sign)), "{broken}");
}

#[test]
fn an_instance_that_does_not_wait_after_a_restart_is_caught() {
    let broken = caught(Flaws { hears_at_once: true, ..Flaws::default() });
    assert!(broken.contains("two fences"), "{broken}");
}

#[test]
fn clocks_outside_of_the_bound_are_caught() {
    let broken = caught(Flaws { drift_ppm: Some(250_000), ..Flaws::default() });
    assert!(broken.contains("two fences"), "{broken}");
}

#[test]
fn lanes_slower_than_the_grace_are_caught() {
    let broken = caught(Flaws { slow_lanes: Duration::from_millis(120), ..Flaws::default() });
    assert!(broken.contains("two fences"), "{broken}");
}
