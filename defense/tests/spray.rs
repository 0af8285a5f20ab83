//! Whatever is sprayed, memory stays and the quiet are served.

use std::net::{IpAddr, Ipv4Addr};

use defense::{
    AllowList, Engine, EngineSeed, Evidence, Facts, HookPoint, Hooks, Limits, Moment, PointLimits,
    PrefixRates, Rate, bounds,
};
use proptest::prelude::*;

fn passes(engine: &Engine, source: IpAddr, at_ns: u64) -> bool {
    let facts = Facts::new(HookPoint::Connection, source, Evidence::Proven);
    engine.on_call(&facts, Moment::from_nanos(at_ns)).finding.is_none()
}

#[test]
fn leases_take_bounded_memory_whatever_number_they_have() {
    let engine = Engine::new(EngineSeed([3; 32]), &Limits::default(), AllowList::default());
    for number in (0..=u32::MAX).step_by(1_021) {
        let facts =
            Facts::new(HookPoint::Request, IpAddr::from([127, 0, 0, 1]), Evidence::Proven).lease(number);
        let _ = engine.on_call(&facts, Moment::from_nanos(u64::from(number) * 1_000_000));
    }
    assert_eq!(engine.memory_cells().1, bounds::LEASES_EXACT_MAX as usize);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The bound that the sketch's documentation gives: `(1 - (1 - 1/r)^n)²` for `n` loud networks, `r` cells a row.
    #[test]
    fn a_quiet_network_is_refused_no_more_often_than_its_collisions(seed in any::<[u8; 32]>(), loud in 200_u32..2_500) {
        const QUIET: u32 = 20_000;
        const BURST: u32 = 100;
        let hosts = PrefixRates { host: Some(Rate::every_ms(3_600_000, BURST)), ..PrefixRates::OFF };
        let connection = PointLimits { proven: hosts, ..PointLimits::default() };
        let limits = Limits { connection, ..Limits::default().without_prefixes() };
        let engine = Engine::new(EngineSeed(seed), &limits, AllowList::default());
        for i in 0..loud {
            let source = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + i));
            while passes(&engine, source, 0) {}
        }
        let refused = (0..QUIET)
            .filter(|i| !passes(&engine, IpAddr::V4(Ipv4Addr::from(0xc000_0000 + i * 256)), 0))
            .count() as f64;
        let row = (bounds::SKETCH_CELLS / 2) as f64;
        let chance = (1.0 - (1.0 - 1.0 / row).powi(loud as i32)).powi(2);
        let (mean, deviation) = (chance * f64::from(QUIET), (chance * f64::from(QUIET)).sqrt());
        prop_assert!(refused <= mean + 6.0 * deviation + 5.0, "{refused} refused, {mean} expected");
    }
}
