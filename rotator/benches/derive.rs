//! Speed: derivations, a planner's turn, an edge's look-up.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rotator::tenure::Term;
use rotator::{
    Cut, GrantId, GrantNo, KeyEpochs, Keyring, Label, LeaseTable, Plan, Planner, Pool, Root, Schedule,
    Tenure, UnixTime, announce,
};

const NOW: u64 = 1_800_000_000;
const GRANTS: GrantNo = 10_000;

fn id(n: u32) -> GrantId {
    let mut device = [7; 16];
    device[..4].copy_from_slice(&n.to_be_bytes());
    GrantId { device, service: "web".into() }
}

fn pools() -> Arc<[Pool]> {
    Arc::new([Pool { id: "main".into(), range: "2001:db8::/64".parse().expect("a prefix") }])
}

fn plan(n: u32, pools: &Arc<[Pool]>) -> Plan {
    let id = id(n);
    let term = Term { from: UnixTime::ZERO, generation: 0, schedule: Schedule::AGENT, cut: Cut::Grace };
    Plan { tenure: Tenure::new(id.phase(), vec![term]), id, pools: Arc::clone(pools) }
}

fn keys(t: u64) -> Keyring {
    Keyring::around(
        &Root::new([1; 32]),
        KeyEpochs::WEEKLY,
        Schedule::AGENT.key_life_s(),
        UnixTime::from_secs(t),
    )
}

fn filled() -> (Planner, LeaseTable) {
    let (mut planner, table, pools) = (Planner::new(), LeaseTable::new(), pools());
    for n in 0..GRANTS {
        table.apply(&planner.put(n, plan(n, &pools), &keys(NOW), UnixTime::from_secs(NOW)));
    }
    (planner, table)
}

fn derivations(c: &mut Criterion) {
    let (ring, id, pools) = (keys(NOW), id(1), pools());
    let key = ring.grant_key(UnixTime::from_secs(NOW), &id, 0).expect("held");
    let plan = plan(1, &pools);
    let mut group = c.benchmark_group("derive");
    group.throughput(Throughput::Elements(1));
    let mut n = 0;
    group.bench_function("address of a window", |b| {
        b.iter(|| {
            n += 1;
            pools[0].address(&key, n)
        });
    });
    group.bench_function("grant key and address", |b| {
        b.iter(|| {
            n += 1;
            let key = ring.grant_key(UnixTime::from_secs(NOW), black_box(&id), 0).expect("held");
            pools[0].address(&key, n)
        });
    });
    group.bench_function("label of a window", |b| {
        b.iter(|| {
            n += 1;
            Label::rotating(&key, n)
        });
    });
    group.bench_function("a name server's answer", |b| {
        b.iter(|| {
            n += 1;
            announce(&plan.id, &plan.tenure, &pools, &ring, UnixTime::from_secs(NOW + n % 1000))
        });
    });
    group.finish();
}

fn turns(c: &mut Criterion) {
    let mut group = c.benchmark_group("turn");
    // One period of 60 s in which each grant opens one lease and forgets one.
    group.throughput(Throughput::Elements(u64::from(GRANTS)));
    group.sample_size(20);
    let (mut planner, table) = filled();
    let mut t = NOW;
    group.bench_function("10,000 grants through one window, table included", |b| {
        b.iter(|| {
            let ring = keys(t);
            for _ in 0..60 {
                t += 1;
                table.apply(&planner.advance(&ring, UnixTime::from_secs(t)));
            }
        });
    });
    group.finish();
}

fn look_ups(c: &mut Criterion) {
    let (planner, table) = filled();
    let known: Vec<IpAddr> = (0..GRANTS).map(|n| planner.leases_of(n)[0].0).collect();
    let mut group = c.benchmark_group("find");
    group.throughput(Throughput::Elements(1));
    let mut n = 0usize;
    group.bench_function("a leased address", |b| {
        b.iter(|| {
            n = (n + 7919) % known.len();
            table.find(black_box(known[n]))
        });
    });
    let mut stray = 0u128;
    group.bench_function("a stranger's guess", |b| {
        b.iter(|| {
            stray += 1;
            table.find(black_box(IpAddr::from(stray.to_be_bytes())))
        });
    });
    group.finish();
}

criterion_group!(benches, derivations, turns, look_ups);
criterion_main!(benches);
