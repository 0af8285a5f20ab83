//! The journal: counts exactly, remembers a bounded share, finds the rare beside the flood.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::{IpAddr, Ipv4Addr};

use defense::{Event, HookPoint, Journal, Reason, VerdictKind, bounds};
use proptest::prelude::*;

fn event(at_unix_s: u64, reason: Reason, source: &str) -> Event {
    Event {
        at_unix_s,
        point: HookPoint::Connection,
        verdict: VerdictKind::Drop,
        reason,
        source: source.parse().unwrap(),
        lease: None,
        request: None,
        count: 1,
    }
}

#[test]
fn counters_are_exact_under_threads() {
    let journal = Journal::new([1; 16]);
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let journal = &journal;
            scope.spawn(move || {
                for i in 0..50_000_u32 {
                    let reason = if i % 2 == 0 { Reason::NoWindow } else { Reason::Blocked };
                    let source = IpAddr::V4(Ipv4Addr::from(i.wrapping_mul(2_654_435_761)));
                    let at_unix_s = 1_000 + u64::from(i / 5_000);
                    let lease = (i % 3 == 0).then_some(u32::from(thread));
                    let one = event(at_unix_s, reason, "192.0.2.1");
                    journal.record(&Event { source, lease, ..one });
                }
            });
        }
    });
    assert_eq!((journal.total(Reason::NoWindow), journal.total(Reason::Blocked)), (200_000, 200_000));
    let counters = journal.counters();
    assert_eq!(counters.len(), 2);
    assert!(counters.iter().all(|c| c.count == 200_000 && c.verdict == VerdictKind::Drop));
    assert_eq!(journal.total(Reason::Tombstone), 0);
}

#[test]
fn a_flood_from_one_source_is_one_sample_a_second_that_knows_its_size_within_twofold() {
    let journal = Journal::new([2; 16]);
    for second in 0..3 {
        for _ in 0..100_000 {
            journal.record(&event(1_000 + second, Reason::NoWindow, "203.0.113.5"));
        }
    }
    let samples = journal.about_source("203.0.113.5".parse().unwrap());
    assert_eq!(samples.len(), 3);
    assert!(samples.windows(2).all(|w| w[0].first.at_unix_s == w[1].first.at_unix_s + 1), "newest first");
    assert!(samples.iter().all(|s| (50_001..=100_000).contains(&s.at_least)), "{samples:?}");
}

#[test]
fn a_rare_refusal_beside_a_flood_of_the_same_reason_is_found() {
    let journal = Journal::new([3; 16]);
    for _ in 0..1_000_000 {
        journal.record(&event(1_000, Reason::LeaseExpired, "203.0.113.5"));
    }
    journal.record(&Event { lease: Some(7), ..event(1_000, Reason::LeaseExpired, "192.0.2.1") });
    assert_eq!(journal.about_source("192.0.2.1".parse().unwrap()).len(), 1);
    assert_eq!(journal.about_lease(7)[0].at_least, 1);
    assert_eq!(journal.about_lease(8), []);
}

#[test]
fn a_spray_of_sources_samples_a_bounded_number_a_second_and_counts_all() {
    let journal = Journal::new([4; 16]);
    for i in 0..1_000_000_u32 {
        let source = IpAddr::V4(Ipv4Addr::from(i));
        journal.record(&Event { source, ..event(1_000 + u64::from(i / 500_000), Reason::NoWindow, "::") });
    }
    assert_eq!(journal.total(Reason::NoWindow), 1_000_000);
    let samples = journal.recent(usize::MAX).len();
    assert!(samples <= 2 * bounds::SAMPLES_PER_REASON_S as usize, "{samples}");
    assert!(samples >= bounds::SAMPLES_PER_REASON_S as usize, "{samples}");
}

#[test]
fn a_spray_of_one_reason_hides_no_other_reason() {
    let journal = Journal::new([10; 16]);
    for i in 0..200_000_u32 {
        let source = IpAddr::V4(Ipv4Addr::from(i));
        journal.record(&Event { source, ..event(1_000, Reason::NoWindow, "::") });
    }
    for user in 0..200_u32 {
        let source = IpAddr::V4(Ipv4Addr::from(0xc000_0200 + user));
        journal.record(&Event { source, ..event(1_000, Reason::LeaseExpired, "::") });
        assert_eq!(journal.about_source(source).len(), 1, "{source}");
    }
}

#[test]
fn a_request_id_is_found_under_a_flood_of_its_reason() {
    let journal = Journal::new([5; 16]);
    for i in 0..100_000_u32 {
        let source = IpAddr::V4(Ipv4Addr::from(i));
        journal.record(&Event { source, ..event(1_000, Reason::RateLease, "::") });
    }
    journal.record(&Event { request: Some(99), ..event(1_000, Reason::RateLease, "192.0.2.1") });
    let found = journal.about_request(99);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].first.reason, found[0].at_least), (Reason::RateLease, 1));
    assert_eq!(journal.about_request(98), []);
}

#[test]
fn the_ring_forgets_the_oldest_and_never_grows() {
    let journal = Journal::new([6; 16]);
    let seconds = (bounds::SAMPLES_MAX + 100) as u64;
    for second in 0..seconds {
        journal.record(&event(second, Reason::Blocked, "192.0.2.1"));
        journal.record(&event(second, Reason::Blocked, "192.0.2.1"));
    }
    let samples = journal.recent(usize::MAX);
    assert_eq!(samples.len(), bounds::SAMPLES_MAX);
    assert!(samples.iter().all(|s| s.at_least == 2), "gathering survives the turning of the ring");
    assert_eq!(samples[0].first.at_unix_s, seconds - 1);
    assert_eq!(samples[samples.len() - 1].first.at_unix_s, 100);
    assert_eq!(journal.recent(5).len(), 5);
}

#[test]
fn sources_are_gathered_by_64_and_found_by_any_form_of_their_address() {
    let journal = Journal::new([7; 16]);
    journal.record(&event(1, Reason::NoWindow, "2001:db8::1"));
    journal.record(&event(1, Reason::NoWindow, "2001:db8::2"));
    journal.record(&event(1, Reason::NoWindow, "192.0.2.1"));
    let six = journal.about_source("2001:db8::ffff".parse().unwrap());
    assert_eq!((six.len(), six[0].at_least, six[0].network.to_string()), (1, 2, "2001:db8::/64".into()));
    assert_eq!(journal.about_source("::ffff:192.0.2.1".parse().unwrap()).len(), 1);
    assert_eq!(journal.about_network("192.0.2.0/24".parse().unwrap()).len(), 1);
    assert_eq!(journal.about_network("2001:db8::/32".parse().unwrap()).len(), 1);
    assert_eq!(journal.about_reason(Reason::NoWindow).len(), 2);
}

#[test]
fn a_batch_counts_as_many_as_it_says() {
    let journal = Journal::new([8; 16]);
    journal.record(&Event { count: 400_000, ..event(1, Reason::NoWindow, "192.0.2.1") });
    journal.record(&Event { count: 500_000, ..event(1, Reason::NoWindow, "192.0.2.1") });
    assert_eq!(journal.total(Reason::NoWindow), 900_000);
    assert_eq!(journal.recent(9).iter().map(|s| s.at_least).collect::<Vec<_>>(), [900_000]);
}

proptest! {
    #[test]
    fn no_events_whatever_break_the_journal(
        events in prop::collection::vec(
            (any::<u64>(), 0..Reason::ALL.len(), any::<u128>(), any::<Option<u32>>(), any::<Option<u128>>(), any::<u32>()),
            1..200,
        ),
    ) {
        let journal = Journal::new([9; 16]);
        let mut sum = 0_u64;
        for (at_unix_s, reason, source, lease, request, count) in events {
            let source = IpAddr::V6(source.into());
            let reason = Reason::ALL[reason];
            journal.record(&Event { source, lease, request, count, ..event(at_unix_s, reason, "::") });
            sum += u64::from(count);
        }
        prop_assert_eq!(journal.counters().iter().map(|c| c.count).sum::<u64>(), sum);
        prop_assert!(journal.recent(usize::MAX).iter().all(|s| s.at_least >= u64::from(s.first.count)));
    }
}
