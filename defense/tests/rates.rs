//! The first rules, from both sides of each threshold.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;
use std::net::IpAddr;

use defense::{
    AllowList, Call, Engine, EngineSeed, Evidence, Facts, Finding, HookPoint, Hooks, Limits, Moment, Outcome,
    PointLimits, PrefixRates, Rate, Reason, Verdict, VerdictKind, bounds,
};
use proptest::prelude::*;

const OFF: PointLimits =
    PointLimits { claimed: PrefixRates::OFF, proven: PrefixRates::OFF, lease: None, global: None };

const NONE: Limits =
    Limits { connection: OFF, request: OFF, query: OFF, enrolment: OFF, renewal: OFF, fail_floor_ms: 0 };

fn engine(limits: Limits) -> Engine {
    Engine::new(EngineSeed([9; 32]), &limits, AllowList::default())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn call(engine: &Engine, point: HookPoint, source: &str, at_ns: u64) -> Call {
    engine.on_call(&Facts::new(point, ip(source), Evidence::Proven).lease(1), Moment::from_nanos(at_ns))
}

fn passes(engine: &Engine, point: HookPoint, source: &str, at_ns: u64) -> bool {
    call(engine, point, source, at_ns).finding.is_none()
}

fn hosts(rate: Rate) -> PrefixRates {
    PrefixRates { host: Some(rate), ..PrefixRates::OFF }
}

#[test]
fn a_rate_lets_exactly_its_burst_pass_and_then_one_per_interval() {
    let engine =
        engine(Limits { request: PointLimits { lease: Some(Rate::every_ms(10, 3)), ..OFF }, ..NONE });
    let request = |at_ns| passes(&engine, HookPoint::Request, "192.0.2.1", at_ns);
    assert!((0..3).all(|_| request(0)), "the burst");
    assert!(!request(0), "one beyond the burst");
    assert!(!request(9_999_999), "one nanosecond early");
    assert!(request(10_000_000), "exactly on time");
    assert!(!request(10_000_000), "and only once");
    let refused = call(&engine, HookPoint::Request, "192.0.2.1", 12_500_000).finding.unwrap();
    assert_eq!(refused.retry_after_ms, Some(8), "7.5 ms, rounded up");
    assert!(request(12_500_000 + 8_000_000), "who waits as told is let in");
}

#[test]
fn a_clock_that_goes_back_gives_nothing_away() {
    let engine =
        engine(Limits { request: PointLimits { lease: Some(Rate::every_ms(10, 1)), ..OFF }, ..NONE });
    assert!(passes(&engine, HookPoint::Request, "192.0.2.1", 100_000_000));
    assert!(!passes(&engine, HookPoint::Request, "192.0.2.1", 0));
    assert!(
        passes(&engine, HookPoint::Request, "192.0.2.1", u64::MAX),
        "and the far end of time does not panic"
    );
    assert!(!passes(&engine, HookPoint::Request, "192.0.2.1", u64::MAX));
}

#[test]
fn each_point_and_scope_refuses_with_its_own_verdict_reason_and_rule() {
    let one = Some(Rate::every_ms(1_000, 1));
    let narrow = |at: usize| {
        let at_level = |level| (at == level).then_some(one).flatten();
        PrefixRates { host: at_level(0), site: at_level(1), network: at_level(2) }
    };
    let scopes: Vec<(&str, PointLimits)> = vec![
        ("host_rate", PointLimits { proven: narrow(0), ..OFF }),
        ("site_rate", PointLimits { proven: narrow(1), ..OFF }),
        ("network_rate", PointLimits { proven: narrow(2), ..OFF }),
        ("lease_rate", PointLimits { lease: one, ..OFF }),
        ("global_rate", PointLimits { global: one, ..OFF }),
    ];
    use HookPoint as P;
    use Reason as R;
    let expected = [
        (P::Connection, Verdict::Drop, [R::RatePrefix, R::LeaseBudget, R::Overload]),
        (P::Request, Verdict::Reject, [R::RatePrefix, R::RateLease, R::Overload]),
        (P::Query, Verdict::Reject, [R::DnsRate, R::RateLease, R::Overload]),
        (P::Enrolment, Verdict::Reject, [R::RegistrationRatePrefix, R::RateLease, R::RegistrationRateGlobal]),
        (P::Renewal, Verdict::Reject, [R::RatePrefix, R::RateLease, R::Overload]),
    ];
    for (point, verdict, [prefix, lease, global]) in expected {
        for (rule, limits) in &scopes {
            let l = *limits;
            let engine =
                engine(Limits { connection: l, request: l, query: l, enrolment: l, renewal: l, ..NONE });
            assert!(passes(&engine, point, "2001:db8::1", 0));
            let found = call(&engine, point, "2001:db8::1", 0).finding;
            let reason = match *rule {
                "lease_rate" => lease,
                "global_rate" => global,
                _ => prefix,
            };
            assert_eq!(found, Some(Finding::new(verdict, reason, rule).retry_after(1_000)));
        }
    }
}

#[test]
fn forged_queries_are_dropped_not_answered() {
    let limits = PointLimits { claimed: hosts(Rate::every_ms(1_000, 1)), ..OFF };
    let engine = engine(Limits { query: limits, ..NONE });
    let facts = Facts::new(HookPoint::Query, ip("192.0.2.1"), Evidence::Claimed);
    assert_eq!(engine.on_call(&facts, Moment::default()).verdict(), Verdict::Pass);
    assert_eq!(engine.on_call(&facts, Moment::default()).verdict(), Verdict::Drop);
}

#[test]
fn forged_traffic_in_a_users_name_never_spends_the_users_budget() {
    let engine = engine(Limits::default());
    for point in HookPoint::ALL {
        let forged = Facts::new(point, ip("203.0.113.5"), Evidence::Claimed);
        let all: Vec<Verdict> =
            (0..50_000).map(|_| engine.on_call(&forged, Moment::default()).verdict()).collect();
        assert!(all.iter().any(|v| !v.proceeds()), "the forger is limited at {point:?}");
        if point == HookPoint::Enrolment || point == HookPoint::Renewal {
            continue; // These have a budget for all together, which their own isolation is for.
        }
        let proven = Facts::new(point, ip("203.0.113.5"), Evidence::Proven);
        assert_eq!(engine.on_call(&proven, Moment::default()).verdict(), Verdict::Pass, "{point:?}");
    }
}

#[test]
fn one_flooding_host_does_not_ban_its_office() {
    let widening = PrefixRates {
        host: Some(Rate::per_second(10, 10)),
        site: Some(Rate::per_second(40, 40)),
        network: Some(Rate::per_second(160, 160)),
    };
    let engine = engine(Limits { connection: PointLimits { proven: widening, ..OFF }, ..NONE });
    for ms in 0..10_000 {
        let _ = call(&engine, HookPoint::Connection, "192.0.2.66", ms * 1_000_000);
        let _ = call(&engine, HookPoint::Connection, "2001:db8:0:66::1", ms * 1_000_000);
        if ms % 100 == 0 {
            assert!(passes(&engine, HookPoint::Connection, "192.0.2.7", ms * 1_000_000));
            assert!(passes(&engine, HookPoint::Connection, "2001:db8:0:7::1", ms * 1_000_000));
        }
    }
}

#[test]
fn the_owner_of_a_48_does_not_have_65_536_budgets() {
    let widening = PrefixRates {
        host: Some(Rate::per_second(10, 10)),
        site: Some(Rate::per_second(40, 40)),
        network: Some(Rate::per_second(160, 160)),
    };
    let engine = engine(Limits { connection: PointLimits { proven: widening, ..OFF }, ..NONE });
    let passed = (0..65_536_u32)
        .filter(|i| passes(&engine, HookPoint::Connection, &format!("2001:db8:0:{i:x}::1"), 0))
        .count();
    assert_eq!(passed, 160);
    assert!(passes(&engine, HookPoint::Connection, "2001:db8:1::1", 0), "the neighbor is not meant");
}

#[test]
fn a_refused_flood_does_not_eat_the_budget_of_the_lease_that_it_hits() {
    let limits =
        PointLimits { proven: hosts(Rate::per_second(5, 5)), lease: Some(Rate::per_second(20, 20)), ..OFF };
    let engine = engine(Limits { connection: limits, ..NONE });
    for _ in 0..10_000 {
        let _ = call(&engine, HookPoint::Connection, "198.51.100.9", 0);
    }
    assert!((0..3).all(|_| passes(&engine, HookPoint::Connection, "192.0.2.1", 0)));
}

#[test]
fn one_lease_over_its_budget_does_not_touch_another() {
    let engine =
        engine(Limits { request: PointLimits { lease: Some(Rate::per_second(1, 2)), ..OFF }, ..NONE });
    let request = |lease: u32| {
        let facts = Facts::new(HookPoint::Request, ip("127.0.0.1"), Evidence::Proven).lease(lease);
        engine.on_call(&facts, Moment::default()).finding.is_none()
    };
    for lease in [0, 1, 4_095, 4_096, bounds::LEASES_EXACT_MAX - 1] {
        assert_eq!((0..10).filter(|_| request(lease)).count(), 2, "lease {lease}");
    }
    assert!(!request(bounds::LEASES_EXACT_MAX), "numbers beyond share, and do not panic");
    assert_eq!((0..10).filter(|_| request(u32::MAX - 7)).count(), 2);
}

#[test]
fn an_allow_list_wins_over_every_rule() {
    let one = PointLimits {
        proven: hosts(Rate::every_ms(60_000, 1)),
        lease: Some(Rate::every_ms(60_000, 1)),
        global: Some(Rate::every_ms(60_000, 1)),
        ..OFF
    };
    let allow = AllowList::new(["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()]).unwrap();
    let engine = Engine::new(EngineSeed([1; 32]), &Limits { connection: one, ..NONE }, allow);
    for source in ["192.0.2.200", "::ffff:192.0.2.200", "2001:db8::1"] {
        assert!((0..100).all(|_| passes(&engine, HookPoint::Connection, source, 0)), "{source}");
    }
    assert!(passes(&engine, HookPoint::Connection, "192.0.3.1", 0));
    assert!(!passes(&engine, HookPoint::Connection, "192.0.3.1", 0));
    let networks = (0..=bounds::ALLOW_MAX as u32).map(|i| ipnet::IpNet::from(IpAddr::from(i.to_be_bytes())));
    assert!(AllowList::new(networks.clone()).is_err());
    assert!(AllowList::new(networks.skip(1)).is_ok());
}

#[test]
fn new_limits_apply_at_once_and_forget_no_flood() {
    let with =
        |burst| Limits { request: PointLimits { lease: Some(Rate::every_ms(1_000, burst)), ..OFF }, ..NONE };
    let engine = engine(with(10));
    let at = 5_000_000_000;
    assert_eq!((0..20).filter(|_| passes(&engine, HookPoint::Request, "192.0.2.1", at)).count(), 10);
    engine.retune(&with(10), AllowList::default());
    assert!(!passes(&engine, HookPoint::Request, "192.0.2.1", at), "a reload is no fresh burst");
    engine.retune(&with(13), AllowList::default());
    assert_eq!((0..20).filter(|_| passes(&engine, HookPoint::Request, "192.0.2.1", at)).count(), 3);
    engine.retune(&NONE, AllowList::default());
    assert!((0..1_000).all(|_| passes(&engine, HookPoint::Request, "192.0.2.1", at)));
}

#[test]
fn without_prefixes_many_users_of_one_address_are_limited_by_lease_only() {
    let engine = engine(Limits::default().without_prefixes());
    for lease in 0..2_000 {
        let facts = Facts::new(HookPoint::Connection, ip("127.0.0.1"), Evidence::Proven).lease(lease);
        assert!((0..50).all(|_| engine.on_call(&facts, Moment::default()).finding.is_none()));
    }
    let hog = Facts::new(HookPoint::Connection, ip("127.0.0.1"), Evidence::Proven).lease(5_000);
    assert!((0..5_000).any(|_| engine.on_call(&hog, Moment::default()).verdict() == Verdict::Drop));
}

#[test]
fn ten_thousand_requests_of_one_user_pass_the_default_limits_at_once() {
    let engine = engine(Limits::default());
    assert!((0..10_000).all(|_| passes(&engine, HookPoint::Request, "192.0.2.1", 0)));
}

#[test]
fn failed_enrolments_are_held_back_but_never_so_many_that_holding_is_the_attack() {
    let engine = engine(Limits { fail_floor_ms: 100, ..NONE });
    let enrolment = call(&engine, HookPoint::Enrolment, "192.0.2.1", 0).ticket;
    let request = call(&engine, HookPoint::Request, "192.0.2.1", 0).ticket;
    let fail = |ticket, ms| engine.on_fail(ticket, Reason::InviteUnknown, Moment::from_millis(ms));
    assert_eq!(fail(&enrolment, 0), Some(100));
    assert_eq!(fail(&request, 0), None, "only registration and renewal hide what they know");
    // Held at any one time: those of the last 100 ms.
    let mut held: Vec<u64> = vec![0];
    for ms in 0..500 {
        for _ in 0..1_000 {
            if fail(&enrolment, ms).is_some() {
                held.push(ms);
            }
        }
        let now = held.iter().filter(|&&since| since + 100 > ms).count();
        assert!(now <= bounds::DELAYED_MAX as usize, "{now} held at {ms} ms");
    }
    assert!(held.len() > bounds::DELAYED_MAX as usize, "and they go on being held");
}

#[test]
fn every_call_is_tallied_and_has_a_number_of_its_own() {
    let engine =
        engine(Limits { request: PointLimits { lease: Some(Rate::every_ms(1_000, 3)), ..OFF }, ..NONE });
    let calls: Vec<Call> = (0..5).map(|_| call(&engine, HookPoint::Request, "192.0.2.1", 0)).collect();
    assert_eq!(calls.iter().map(|c| c.ticket.refid).collect::<HashSet<_>>().len(), 5);
    engine.on_result(&calls[0].ticket, &Outcome::default(), Moment::default());
    engine.on_fail(&calls[1].ticket, Reason::ServiceTimeout, Moment::default());
    engine.on_fail(&calls[2].ticket, Reason::Abandoned, Moment::default());
    let tallied = engine.tallies()[HookPoint::Request.index()];
    assert_eq!(tallied.verdicts[VerdictKind::Pass as usize], 3);
    assert_eq!(tallied.verdicts[VerdictKind::Reject as usize], 2);
    assert_eq!((tallied.succeeded, tallied.failed, tallied.abandoned), (1, 1, 1));
}

#[test]
fn threads_together_pass_no_more_than_an_exact_budget() {
    let engine =
        engine(Limits { request: PointLimits { lease: Some(Rate::every_ms(60_000, 500)), ..OFF }, ..NONE });
    let passed: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    (0..1_000).filter(|_| passes(&engine, HookPoint::Request, "192.0.2.1", 0)).count()
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    assert_eq!(passed, 500);
}

#[test]
fn threads_together_pass_at_most_twice_a_budget_of_the_sketch() {
    let limits = PointLimits { proven: hosts(Rate::every_ms(60_000, 500)), ..OFF };
    let engine = engine(Limits { request: limits, ..NONE });
    let passed: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    (0..1_000).filter(|_| passes(&engine, HookPoint::Request, "192.0.2.1", 0)).count()
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    assert!((500..=1_000).contains(&passed), "{passed}");
}

proptest! {
    /// Against a reference that keeps a list of arrivals: in any stretch, no more than burst + stretch / interval.
    #[test]
    fn a_rate_never_lets_more_pass_than_it_says_and_never_refuses_who_keeps_to_it(
        interval_ms in 1_u64..50,
        burst in 1_u32..20,
        gaps in prop::collection::vec(0_u64..60_000_000, 1..300),
    ) {
        let rate = Rate::every_ms(interval_ms, burst);
        let engine = engine(Limits { request: PointLimits { lease: Some(rate), ..OFF }, ..NONE });
        let interval = rate.interval_nanos();
        let (mut now, mut passed, mut full_at) = (0_u64, Vec::<u64>::new(), 0_u64);
        for gap in gaps {
            now += gap;
            let fits = full_at.saturating_sub(now) <= interval * u64::from(burst - 1);
            prop_assert_eq!(passes(&engine, HookPoint::Request, "192.0.2.1", now), fits);
            if fits {
                full_at = full_at.max(now) + interval;
                passed.push(now);
            }
        }
        for (i, &from) in passed.iter().enumerate() {
            for (n, &to) in passed[i..].iter().enumerate() {
                prop_assert!(n as u64 <= (to - from) / interval + u64::from(burst));
            }
        }
    }

    #[test]
    fn no_facts_whatever_make_the_engine_panic(
        point in 0_usize..5,
        v6 in any::<u128>(),
        v4 in any::<u32>(),
        lease in any::<Option<u32>>(),
        bytes in any::<u64>(),
        text in ".{0,40}",
        at in any::<u64>(),
    ) {
        let engine = Engine::new(EngineSeed([0; 32]), &Limits::default(), AllowList::default());
        for source in [IpAddr::V6(v6.into()), IpAddr::V4(v4.into())] {
            for evidence in [Evidence::Claimed, Evidence::Proven] {
                let mut facts = Facts::new(HookPoint::ALL[point], source, evidence).service(&text).bytes(bytes);
                facts = facts.request(&text, &text);
                facts.lease = lease;
                let call = engine.on_call(&facts, Moment::from_nanos(at));
                prop_assert_eq!(call.verdict(), Verdict::Pass, "the first call of anybody passes");
                engine.on_fail(&call.ticket, Reason::InternalError, Moment::from_nanos(at));
            }
        }
    }
}
