//! The guard around a passed call: exactly one outcome is heard, whatever the caller does.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use defense::{
    Asked, Call, Evidence, Facts, Finding, HookPoint, Hooks, Moment, Outcome, Reason, RefId, Ticket, Verdict,
    ask,
};

type Heard = (RefId, Result<u16, Reason>, Moment);

/// Says what it is told to say, and remembers what it hears.
struct Brain {
    says: Option<Finding>,
    heard: Mutex<Vec<Heard>>,
}

impl Hooks for Brain {
    fn on_call(&self, facts: &Facts<'_>, now: Moment) -> Call {
        let ticket = Ticket {
            refid: RefId(42),
            point: facts.point,
            source: facts.source,
            evidence: facts.evidence,
            lease: facts.lease,
            since: now,
        };
        Call { ticket, finding: self.says }
    }

    fn on_result(&self, ticket: &Ticket, outcome: &Outcome, now: Moment) {
        self.heard.lock().unwrap().push((ticket.refid, Ok(outcome.status.unwrap_or(0)), now));
    }

    fn on_fail(&self, ticket: &Ticket, failure: Reason, now: Moment) -> Option<u32> {
        self.heard.lock().unwrap().push((ticket.refid, Err(failure), now));
        Some(77)
    }
}

fn asked(verdict: Option<Verdict>) -> (Arc<Brain>, Asked) {
    let says = verdict.map(|v| Finding::new(v, Reason::RateLease, "test"));
    let brain = Arc::new(Brain { says, heard: Mutex::default() });
    let hooks: Arc<dyn Hooks> = brain.clone();
    let facts = Facts::new(HookPoint::Request, IpAddr::from([192, 0, 2, 1]), Evidence::Proven).lease(3);
    let asked = ask(&hooks, &facts, Moment::from_millis(5));
    (brain, asked)
}

#[test]
fn a_passed_call_reports_its_result_once() {
    let (brain, Asked::Passed(passed)) = asked(None) else { panic!("no objection must pass") };
    assert_eq!((passed.floor_ms(), passed.delayed(), passed.ticket().lease), (0, None, Some(3)));
    passed.result(&Outcome { status: Some(200), ..Outcome::default() }, Moment::from_millis(9));
    assert_eq!(*brain.heard.lock().unwrap(), [(RefId(42), Ok(200), Moment::from_millis(9))]);
}

#[test]
fn a_failed_call_reports_its_failure_once_and_learns_the_response_floor() {
    let (brain, Asked::Passed(passed)) = asked(None) else { panic!("no objection must pass") };
    assert_eq!(passed.fail(Reason::ServiceTimeout, Moment::from_millis(9)), Some(77));
    assert_eq!(
        *brain.heard.lock().unwrap(),
        [(RefId(42), Err(Reason::ServiceTimeout), Moment::from_millis(9))]
    );
}

#[test]
fn a_guard_that_is_dropped_reports_the_call_as_abandoned() {
    let (brain, asked) = asked(None);
    drop(asked);
    assert_eq!(*brain.heard.lock().unwrap(), [(RefId(42), Err(Reason::Abandoned), Moment::from_millis(5))]);
}

#[test]
fn a_guard_is_heard_even_when_its_task_panics() {
    let (brain, asked) = asked(None);
    let died = std::thread::spawn(move || {
        let _held = asked;
        panic!("on purpose");
    })
    .join();
    assert!(died.is_err());
    assert_eq!(brain.heard.lock().unwrap().len(), 1);
}

#[test]
fn a_delayed_call_passes_with_its_floor() {
    let (_brain, Asked::Passed(passed)) = asked(Some(Verdict::Delay { floor_ms: 250 })) else {
        panic!("a delay proceeds")
    };
    assert_eq!(passed.floor_ms(), 250);
    assert_eq!(passed.delayed().map(|f| f.by), Some("test"));
    passed.result(&Outcome::default(), Moment::default());
}

#[test]
fn a_refused_call_has_no_outcome_to_report() {
    for verdict in [Verdict::Reauth, Verdict::Reject, Verdict::Drop] {
        let (brain, asked) = asked(Some(verdict));
        let Asked::Refused(refused) = &asked else { panic!("{verdict:?} must not proceed") };
        assert_eq!((refused.finding.verdict, refused.ticket.refid), (verdict, RefId(42)));
        drop(asked);
        assert!(brain.heard.lock().unwrap().is_empty());
    }
}
