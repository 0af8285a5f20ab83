//! Verdicts, carried out per transport, and what is reported of them.

use std::sync::Mutex;

use defense::{Call, Finding, RefId, Ticket};

use super::*;
use crate::fixture::view;
use crate::view::Unknown;

/// Says what it is told to, and remembers what it hears.
struct Says {
    finding: Option<Finding>,
    floor: Option<u32>,
    asked: Mutex<Vec<(Evidence, IpAddr)>>,
    heard: Mutex<Vec<Result<Outcome, Reason>>>,
}

impl Hooks for Says {
    fn on_call(&self, facts: &Facts<'_>, since: Moment) -> Call {
        assert_eq!(facts.point, HookPoint::Query);
        self.asked.lock().unwrap().push((facts.evidence, facts.source));
        let (point, source, evidence) = (facts.point, facts.source, facts.evidence);
        let ticket = Ticket { refid: RefId(1), point, source, evidence, lease: None, since };
        Call { ticket, finding: self.finding }
    }

    fn on_result(&self, _: &Ticket, outcome: &Outcome, _: Moment) {
        self.heard.lock().unwrap().push(Ok(*outcome));
    }

    fn on_fail(&self, _: &Ticket, failure: Reason, _: Moment) -> Option<u32> {
        self.heard.lock().unwrap().push(Err(failure));
        self.floor
    }
}

fn desk(verdict: Option<Verdict>, floor: Option<u32>) -> (Desk, Arc<Says>, Arc<Journal>) {
    let finding = verdict.map(|v| Finding::new(v, Reason::DnsRate, "test"));
    let says = Arc::new(Says { finding, floor, asked: Mutex::default(), heard: Mutex::default() });
    let journal = Arc::new(Journal::new([1; 16]));
    let hooks: Arc<dyn Hooks> = Arc::clone(&says) as _;
    let desk = Desk::new(view(Unknown::Decoy), Clock::system(), hooks, Some(Arc::clone(&journal)));
    (desk, says, journal)
}

/// `join.u.example`, A or AXFR.
fn query(kind: u8) -> Vec<u8> {
    let name = b"\x04join\x01u\x07example\x00";
    [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &name[..], &[0, kind, 0, 1]].concat()
}

fn source() -> SocketAddr {
    "192.0.2.9:4000".parse().unwrap()
}

fn reply(served: Served) -> Vec<u8> {
    match served {
        Served::Reply(bytes) => bytes,
        Served::Silence | Served::Later(..) => panic!("{served:?}"),
    }
}

#[test]
fn a_query_that_passes_is_answered_and_its_result_is_heard_once() {
    let (desk, says, journal) = desk(None, None);
    let bytes = reply(desk.serve(&query(1), source(), Transport::Udp));
    assert_eq!(bytes[3] & 0x0f, 0);
    let heard = says.heard.lock().unwrap().clone();
    let (bytes_in, bytes_out) = (query(1).len() as u64, bytes.len() as u64);
    assert_eq!(heard, [Ok(Outcome { status: Some(0), bytes_in, bytes_out })]);
    assert_eq!(desk.tally.read(), crate::Counts { udp: 1, fixed: 1, ..crate::Counts::default() });
    assert!(journal.counters().is_empty());
}

#[test]
fn a_source_is_claimed_over_udp_and_proven_over_tcp() {
    let (desk, says, _) = desk(None, None);
    let mapped: SocketAddr = "[::ffff:192.0.2.9]:4000".parse().unwrap();
    reply(desk.serve(&query(1), mapped, Transport::Udp));
    reply(desk.serve(&query(1), mapped, Transport::Tcp));
    let plain = source().ip();
    assert_eq!(*says.asked.lock().unwrap(), [(Evidence::Claimed, plain), (Evidence::Proven, plain)]);
}

#[test]
fn drop_is_silence_and_reject_and_reauth_are_refused() {
    for (verdict, code) in [(Verdict::Drop, None), (Verdict::Reject, Some(5)), (Verdict::Reauth, Some(5))] {
        for transport in [Transport::Udp, Transport::Tcp] {
            let (desk, says, journal) = desk(Some(verdict), None);
            match (desk.serve(&query(1), source(), transport), code) {
                (Served::Silence, None) => assert_eq!(desk.tally.read().dropped, 1),
                (Served::Reply(bytes), Some(code)) => {
                    assert_eq!((bytes[3] & 0x0f, bytes[7]), (code, 0));
                    assert_eq!(desk.tally.read().refused, 1);
                }
                (other, _) => panic!("{verdict:?}: {other:?}"),
            }
            assert!(says.heard.lock().unwrap().is_empty(), "no result of what was not processed");
            assert_eq!(journal.total(Reason::DnsRate), 1);
        }
    }
}

#[test]
fn a_resolver_whose_budget_was_spent_in_its_name_is_sent_to_tcp_with_no_byte_more_than_was_asked() {
    let (desk, ..) = desk(Some(Verdict::Drop), None);
    let served: Vec<_> = (0..40).map(|_| desk.serve(&query(1), source(), Transport::Udp)).collect();
    let slips: Vec<_> = served.into_iter().filter(|s| *s != Served::Silence).map(reply).collect();
    assert_eq!(slips.len(), 20, "every other one: a resolver asks more than once");
    for slip in slips {
        assert_eq!((slip[2] & 2, slip[7]), (2, 0), "TC and no answer");
        assert!(slip.len() <= query(1).len(), "a forger gains nothing");
    }
    let counts = desk.tally.read();
    assert_eq!((counts.slipped, counts.dropped), (20, 20));
    // TCP proves the address: whoever is beyond the budget there is closed, every time.
    assert!((0..4).all(|_| desk.serve(&query(1), source(), Transport::Tcp) == Served::Silence));
}

#[test]
fn who_is_blocked_gets_no_slip() {
    let finding = Some(Finding::new(Verdict::Drop, Reason::Blocked, "test"));
    let says = Says { finding, floor: None, asked: Mutex::default(), heard: Mutex::default() };
    let desk = Desk::new(view(Unknown::Decoy), Clock::system(), Arc::new(says), None);
    for _ in 0..4 {
        assert_eq!(desk.serve(&query(1), source(), Transport::Udp), Served::Silence);
    }
}

#[test]
fn a_delay_slips_over_udp_and_waits_over_tcp_but_never_for_long() {
    let (desk_of, by_tcp) = (|ms| desk(Some(Verdict::Delay { floor_ms: ms }), None).0, Transport::Tcp);
    let short = desk_of(300);
    let slip = reply(short.serve(&query(1), source(), Transport::Udp));
    assert_eq!((slip[2] & 2, slip[7]), (2, 0), "TC and no answer");
    match short.serve(&query(1), source(), by_tcp) {
        Served::Later(floor, bytes) => assert_eq!((floor.as_millis(), bytes[7]), (300, 1)),
        other @ (Served::Silence | Served::Reply(_)) => panic!("{other:?}"),
    }
    match desk_of(u32::MAX).serve(&query(1), source(), by_tcp) {
        Served::Later(floor, _) => assert_eq!(floor, DELAY_MAX),
        other @ (Served::Silence | Served::Reply(_)) => panic!("{other:?}"),
    }
}

#[test]
fn what_is_wrong_with_a_query_is_heard_and_written_down() {
    let (desk, says, journal) = desk(None, None);
    reply(desk.serve(&query(252), source(), Transport::Tcp));
    reply(desk.serve(&query(1)[..20], source(), Transport::Udp));
    let heard = says.heard.lock().unwrap().clone();
    assert_eq!(heard, [Err(Reason::QtypeRefused), Err(Reason::QueryMalformed)]);
    assert_eq!((journal.total(Reason::QtypeRefused), journal.total(Reason::QueryMalformed)), (1, 1));
}

#[test]
fn a_floor_under_a_failure_is_kept_over_tcp_and_never_held_over_udp() {
    let (desk, ..) = desk(None, Some(200));
    assert_eq!(desk.serve(&query(252), source(), Transport::Udp), Served::Silence);
    assert!(matches!(desk.serve(&query(252), source(), Transport::Tcp), Served::Later(..)));
}

#[test]
fn nobody_answers_responses_scraps_or_sources_that_cannot_be() {
    let (desk, says, _) = desk(None, None);
    let mut response = query(1);
    response[2] |= 0x80;
    assert_eq!(desk.serve(&response, source(), Transport::Udp), Served::Silence);
    assert_eq!(desk.serve(&query(1)[..11], source(), Transport::Udp), Served::Silence);
    for bad in ["192.0.2.9:0", "0.0.0.0:4000", "255.255.255.255:4000", "224.0.0.1:4000", "[ff02::1]:4000"] {
        assert_eq!(desk.serve(&query(1), bad.parse().unwrap(), Transport::Udp), Served::Silence, "{bad}");
    }
    assert!(says.asked.lock().unwrap().is_empty());
    assert_eq!(desk.tally.read().ignored, 7);
}
