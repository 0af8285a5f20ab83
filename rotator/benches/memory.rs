//! Memory: what a million grants cost in the planner and in an edge's table, as the kernel counts resident pages.
#![allow(clippy::print_stdout, reason = "a program that prints figures")]

use std::sync::Arc;

use rotator::tenure::Term;
use rotator::{
    Cut, GrantId, GrantNo, KeyEpochs, Keyring, LeaseTable, Plan, Planner, Pool, Root, Schedule, Tenure,
    UnixTime,
};

const NOW: u64 = 1_800_000_000;
const GRANTS: GrantNo = 1_000_000;
/// The least page size of any machine that this runs on; `getconf PAGESIZE` is 4096 on x86-64.
const PAGE: usize = 4096;

fn main() {
    // `cargo test --benches` runs this too: a small round then.
    let grants = if std::env::args().any(|arg| arg == "--bench") { GRANTS } else { 10_000 };
    println!("schedule  grants   leases   planner B/grant   table B/lease   all B/lease   resident MB");
    let before = resident();
    // One after the other, the first dropped last, so that no freed page is counted as new.
    let agent = measure("agent", Schedule::AGENT, grants);
    let name = measure("name", Schedule::NAME, grants);
    println!("resident in all: {} MB", (resident() - before) >> 20);
    drop((agent, name));
}

fn measure(called: &str, schedule: Schedule, grants: GrantNo) -> (Planner, LeaseTable) {
    let now = UnixTime::from_secs(NOW);
    let ring = Keyring::around(&Root::new([1; 32]), KeyEpochs::WEEKLY, schedule.key_life_s(), now);
    let pool = Pool { id: "main".into(), range: "2001:db8::/64".parse().expect("a prefix") };
    let pools: Arc<[Pool]> = Arc::new([pool]);
    let start = resident();
    let mut planner = Planner::new();
    for n in 0..grants {
        let _ = planner.put(n, plan(n, schedule, &pools), &ring, now);
    }
    let planned = resident();
    let table = LeaseTable::new();
    for n in 0..grants {
        let opened = planner.leases_of(n).to_vec();
        table.apply(&rotator::Turn { opened, ..rotator::Turn::default() });
    }
    let all = resident();
    let leases = table.len();
    println!(
        "{called:<8}  {grants:<7}  {leases:<7}  {:<16}  {:<14}  {:<12}  {}",
        (planned - start) / grants as usize,
        (all - planned) / leases,
        (all - start) / leases,
        (all - start) >> 20,
    );
    (planner, table)
}

fn plan(n: GrantNo, schedule: Schedule, pools: &Arc<[Pool]>) -> Plan {
    let mut device = [7; 16];
    device[..4].copy_from_slice(&n.to_be_bytes());
    let id = GrantId { device, service: "web".into() };
    let term = Term { from: UnixTime::ZERO, generation: 0, schedule, cut: Cut::Grace };
    Plan { tenure: Tenure::new(id.phase(), vec![term]), id, pools: Arc::clone(pools) }
}

/// Bytes resident, by `/proc/self/statm`; 0 where there is none.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * PAGE
}
