//! Ten million networks take no memory. Alone in its process, since it reads the process's resident memory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use defense::{AllowList, Engine, EngineSeed, Evidence, Facts, HookPoint, Hooks, Limits, Moment};

/// Resident memory in pages, where the system tells.
fn resident() -> Option<i64> {
    std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()
}

#[test]
fn ten_million_networks_take_no_memory() {
    let engine = Engine::new(EngineSeed([3; 32]), &Limits::default(), AllowList::default());
    let before = engine.memory_cells();
    assert_eq!(before.1, 0, "no lease was named, so there are no cells of leases");
    let resident_before = resident();
    for i in 0..10_000_000_u64 {
        // Distinct at every level: /48, /56, /64 and their IPv4 likes.
        let source = if i % 4 == 0 {
            IpAddr::V4(Ipv4Addr::from((i as u32).wrapping_mul(2_654_435_761)))
        } else {
            IpAddr::V6(Ipv6Addr::from(u128::from(i) << 80 | u128::from(i) << 64 | 1))
        };
        let facts = Facts::new(HookPoint::Connection, source, Evidence::Proven);
        let _ = engine.on_call(&facts, Moment::from_nanos(i * 100));
    }
    assert_eq!(engine.memory_cells(), before);
    if let (Some(before), Some(after)) = (resident_before, resident()) {
        assert!(after - before < 1_024, "grew by {} pages", after - before);
    }
}
