//! The table's rules one by one, then all of them at once against chance.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const CAPS: Caps = Caps { all: 12, grant: 6, network: 3 };
const NEW: u64 = FLOW_NEW_IDLE.as_millis() as u64;
const LONG: u64 = FLOW_IDLE.as_millis() as u64;

fn ends(host: u32, port: u16) -> Ends {
    let source = SocketAddr::new(Ipv4Addr::from(0x0a00_0000 + host).into(), port);
    Ends { source, destination: "192.0.2.7:53".parse().unwrap() }
}

fn table() -> Table<u32> {
    Table::new(CAPS)
}

/// Enters, and has a conversation that goes on.
fn talk(table: &mut Table<u32>, ends: Ends, grant: GrantNo, value: u32, now: u64) -> FlowId {
    let (id, evicted) = table.enter(ends, grant, 10, value, now).unwrap();
    assert_eq!(evicted, None);
    assert!(table.answers(id, 10, now));
    assert_eq!(table.came(&ends, 10, now), Some(&value));
    id
}

#[test]
fn a_flow_lasts_fifteen_seconds_unless_it_goes_on_and_two_minutes_then() {
    let mut table = table();
    table.enter(ends(1, 1), 1, 10, 1, 0).unwrap();
    talk(&mut table, ends(2, 1), 1, 2, 0);
    assert!(table.expire(NEW - 1, u64::MAX).is_empty());
    assert_eq!(table.expire(NEW, u64::MAX), [1]);
    assert!(table.expire(LONG - 1, u64::MAX).is_empty());
    assert_eq!(table.expire(LONG, u64::MAX), [2]);
    assert!(table.is_empty() && table.looks.is_empty() && table.shares.is_empty());
}

#[test]
fn every_datagram_either_way_keeps_a_flow_alive() {
    let mut table = table();
    let (id, _) = table.enter(ends(1, 1), 1, 10, 1, 0).unwrap();
    assert!(table.came(&ends(1, 1), 10, NEW - 1).is_some());
    assert!(table.expire(NEW, u64::MAX).is_empty());
    assert!(table.answers(id, 10, 2 * NEW - 2));
    assert!(table.expire(3 * NEW - 3, u64::MAX).is_empty());
    assert_eq!(table.expire(3 * NEW - 2, u64::MAX), [1]);
}

#[test]
fn in_a_hurry_quiet_flows_are_over_sooner_and_busy_ones_are_not() {
    let mut table = table();
    talk(&mut table, ends(1, 1), 1, 1, 0);
    table.enter(ends(2, 1), 1, 10, 2, 0).unwrap();
    talk(&mut table, ends(3, 1), 1, 3, 2000);
    assert!(table.expire(2999, 3000).is_empty());
    let mut gone = table.expire(3000, 3000);
    gone.sort_unstable();
    assert_eq!(gone, [1, 2]);
    assert_eq!(table.expire(5000, 3000), [3]);
}

#[test]
fn a_network_a_grant_and_the_core_each_have_their_places_and_newcomers_take_those_of_the_quiet() {
    let mut table = table();
    for port in 1..=3 {
        assert_eq!(table.enter(ends(1, port), 1, 1, port.into(), port.into()).unwrap().1, None);
    }
    table.came(&ends(1, 1), 1, 10);
    assert_eq!(table.enter(ends(1, 4), 1, 1, 4, 11).unwrap().1, Some(2), "its network's quietest");
    for host in 2..=4 {
        assert_eq!(table.enter(ends(host, 1), 1, 1, 10 + host, 12).unwrap().1, None);
    }
    assert_eq!(table.enter(ends(9, 1), 1, 1, 19, 13).unwrap().1, Some(3), "its grant's quietest");
    for host in 20..26 {
        assert_eq!(table.enter(ends(host, 1), 2, 1, host, 14).unwrap().1, None);
    }
    assert_eq!(table.len(), CAPS.all);
    let evicted = table.enter(ends(30, 1), 3, 1, 30, 15).unwrap().1;
    assert!(evicted.is_some_and(|v| v != 30), "of a grant that has most");
    assert_eq!(table.len(), CAPS.all);
}

#[test]
fn conversations_that_go_on_never_give_way() {
    let mut table = table();
    for host in 0..2 {
        for port in 0..3 {
            talk(&mut table, ends(host, port), 1, 1, 0);
        }
    }
    assert_eq!(table.enter(ends(0, 9), 1, 1, 9, 1), Err(Reason::RatePrefix));
    assert_eq!(table.enter(ends(9, 9), 1, 1, 9, 1), Err(Reason::LeaseConcurrency));
    for host in 10..16 {
        talk(&mut table, ends(host, 0), 2, 2, 0);
    }
    assert_eq!(table.enter(ends(99, 0), 3, 1, 9, 1), Err(Reason::Overload));
    assert_eq!(table.len(), 12);
}

#[test]
fn sources_of_one_64_count_as_one_and_neighbors_do_not() {
    let mut table = table();
    let of = |net: u16, host: u16| {
        let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, net, 1, 2, 3, host);
        Ends { source: SocketAddr::new(ip.into(), 1), destination: "[2001:db8::1]:53".parse().unwrap() }
    };
    for host in 0..3 {
        assert_eq!(table.enter(of(1, host), 1, 1, host.into(), host.into()).unwrap().1, None);
    }
    assert_eq!(table.enter(of(1, 7), 1, 1, 7, 9).unwrap().1, Some(0));
    assert_eq!(table.enter(of(2, 7), 1, 1, 8, 9).unwrap().1, None);
}

#[test]
fn an_id_is_never_that_of_the_flow_that_took_the_place() {
    let mut table = table();
    let (old, _) = table.enter(ends(1, 1), 1, 100, 1, 0).unwrap();
    assert_eq!(table.leave(old), Some(1));
    let (new, _) = table.enter(ends(2, 1), 1, 100, 2, 0).unwrap();
    assert_eq!((old.slot, table.leave(old), table.answers(old, 1, 0)), (new.slot, None, false));
    assert!(table.answers(new, 1, 0));
}

#[test]
fn a_source_that_may_be_forged_gets_three_times_its_bytes_and_then_the_grants_small_allowance() {
    let mut table = table();
    let (id, _) = table.enter(ends(1, 1), 1, 100, 1, 0).unwrap();
    assert!(table.answers(id, 300, 0));
    assert!(table.answers(id, ANSWER_ALLOWANCE as usize, 0));
    assert!(!table.answers(id, 1, 0), "not one byte more");
    let (other, _) = table.enter(ends(2, 1), 1, 100, 2, 0).unwrap();
    assert!(table.answers(other, 300, 0));
    assert!(!table.answers(other, 1, 0), "the allowance is the grant's, not the source's");
    assert!(table.answers(other, ANSWER_ALLOWANCE_PER_S as usize, 1000));
    assert!(!table.answers(other, 1, 1000));
    let (bob, _) = table.enter(ends(3, 1), 2, 1, 3, 1000).unwrap();
    assert!(table.answers(bob, ANSWER_ALLOWANCE as usize, 1000), "another grant has its own");
}

#[test]
fn a_source_that_goes_on_is_answered_in_full() {
    let mut table = table();
    let id = talk(&mut table, ends(1, 1), 1, 1, 0);
    assert!(table.answers(id, 100 * ANSWER_ALLOWANCE as usize, 0));
}

#[test]
fn a_million_forged_sources_at_one_lease_take_no_memory_and_no_place_of_anybody_else() {
    let mut table = Table::new(Caps::of_one_core(2));
    let bob = talk(&mut table, ends(0xff_ffff, 9), 2, 0, 0);
    let mut entered = 0;
    for i in 0..1_000_000u32 {
        let forged = SocketAddr::new(Ipv4Addr::from(i.wrapping_mul(2_654_435_761)).into(), i as u16);
        let flood = Ends { source: forged, destination: "192.0.2.8:53".parse().unwrap() };
        entered += u32::from(table.enter(flood, 1, 40, i, u64::from(i / 1000)).is_ok());
    }
    assert_eq!(entered, 1_000_000, "each takes the place of one before it");
    assert_eq!(table.len(), 1 + Caps::of_one_core(2).grant);
    assert!(table.slots.len() <= 2 + Caps::of_one_core(2).grant && table.slots.capacity() < 1024);
    assert_eq!((table.by_ends.len(), table.looks.len(), table.shares.len()), (table.len(), table.len(), 2));
    assert!(table.by_ends.capacity() < 1024);
    assert!(table.answers(bob, 1, 1000), "nobody else's flow was cut");
}

#[derive(Clone, Debug)]
enum Step {
    Datagram { host: u32, port: u16, grant: GrantNo },
    Answer { nth: usize, bytes: usize },
    Leave { nth: usize },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5u32, 0..4u16, 1..5u32).prop_map(|(host, port, grant)| Step::Datagram { host, port, grant }),
        4 => (any::<usize>(), 0..40_000usize).prop_map(|(nth, bytes)| Step::Answer { nth, bytes }),
        1 => any::<usize>().prop_map(|nth| Step::Leave { nth }),
        1 => (0..40_000u64).prop_map(Step::Wait),
    ]
}

/// What the table must agree with, kept the slow way.
struct Known {
    id: FlowId,
    ends: Ends,
    grant: GrantNo,
    last: u64,
    answered: bool,
    goes_on: bool,
}

/// The table beside a list that knows better and is slow.
struct Model {
    table: Table<u32>,
    known: Vec<Known>,
    /// By grant: bytes that answers may have, and had.
    owed: HashMap<GrantNo, (u64, u64)>,
    /// How often a grant without a flow got one: its allowance is full then.
    fresh: HashMap<GrantNo, u64>,
    now: u64,
}

impl Model {
    fn new() -> Self {
        Self { table: table(), known: Vec::new(), owed: HashMap::new(), fresh: HashMap::new(), now: 0 }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Datagram { host, port, grant } => self.datagram(host, port, grant)?,
            Step::Answer { nth, bytes } if !self.known.is_empty() => self.answer(nth, bytes)?,
            Step::Leave { nth } if !self.known.is_empty() => {
                let flow = self.known.swap_remove(nth % self.known.len());
                prop_assert_eq!(self.table.leave(flow.id), Some(flow.grant));
            }
            Step::Answer { .. } | Step::Leave { .. } => {}
            Step::Wait(ms) => {
                self.now += ms;
                let is_over = |k: &Known| k.last + if k.goes_on { LONG } else { NEW } <= self.now;
                let over = self.known.iter().filter(|k| is_over(k)).count();
                prop_assert_eq!(self.table.expire(self.now, u64::MAX).len(), over);
                self.known.retain(|k| !is_over(k));
            }
        }
        self.check()
    }

    fn datagram(&mut self, host: u32, port: u16, grant: GrantNo) -> Result<(), TestCaseError> {
        let destination = SocketAddr::from(([192, 0, 2, grant as u8], 53));
        let ends = Ends { destination, ..ends(host, port) };
        let found = self.known.iter_mut().find(|k| k.ends == ends);
        prop_assert_eq!(self.table.came(&ends, 100, self.now).is_some(), found.is_some());
        if let Some(flow) = found {
            flow.last = self.now;
            flow.goes_on |= flow.answered;
            self.owed.entry(grant).or_default().0 += 300;
            return Ok(());
        }
        let before = self.table.len();
        let is_fresh = !self.known.iter().any(|k| k.grant == grant);
        let Ok((id, evicted)) = self.table.enter(ends, grant, 100, grant, self.now) else {
            prop_assert_eq!(self.table.len(), before);
            return Ok(());
        };
        prop_assert_eq!(self.table.len(), before + usize::from(evicted.is_none()));
        self.evicted(grant, evicted)?;
        *self.fresh.entry(grant).or_default() += u64::from(is_fresh);
        self.known.push(Known { id, ends, grant, last: self.now, answered: false, goes_on: false });
        self.owed.entry(grant).or_default().0 += 300;
        Ok(())
    }

    /// Whoever gave way to a newcomer of `grant` had more, and held no conversation.
    fn evicted(&mut self, grant: GrantNo, evicted: Option<GrantNo>) -> Result<(), TestCaseError> {
        let gone = self.known.iter().position(|k| held(&mut self.table.slots, k.id).is_none());
        prop_assert_eq!(gone.is_some(), evicted.is_some());
        if let Some(gone) = gone.map(|at| self.known.swap_remove(at)) {
            prop_assert!(!gone.goes_on);
            prop_assert_eq!(Some(gone.grant), evicted);
            let others = |g| self.known.iter().filter(|k| k.grant == g).count();
            let is_fair = gone.grant == grant || others(gone.grant) + 1 > others(grant);
            prop_assert!(is_fair, "taken from one that had no more");
        }
        Ok(())
    }

    fn answer(&mut self, nth: usize, bytes: usize) -> Result<(), TestCaseError> {
        let at = nth % self.known.len();
        let flow = &mut self.known[at];
        let before = flow.goes_on;
        if self.table.answers(flow.id, bytes, self.now) {
            (flow.last, flow.answered) = (self.now, true);
            if !before {
                self.owed.entry(flow.grant).or_default().1 += bytes as u64;
            }
        } else {
            prop_assert!(!before, "who goes on is answered");
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.table.len(), self.known.len());
        prop_assert!(self.table.len() <= CAPS.all);
        prop_assert_eq!(self.table.looks.len(), self.table.len());
        for grant in 1..5 {
            let of: Vec<_> = self.known.iter().filter(|k| k.grant == grant).collect();
            prop_assert!(of.len() <= CAPS.grant);
            for host in 0..5 {
                let near = of.iter().filter(|k| k.ends.source.ip() == ends(host, 0).source.ip()).count();
                prop_assert!(near <= CAPS.network);
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_comes_places_are_bounded_conversations_are_safe_and_nothing_is_forgotten(
        steps in vec(step(), 1..400)
    ) {
        let mut model = Model::new();
        for step in steps {
            model.step(step)?;
        }
        for (grant, (came, went)) in &model.owed {
            let refilled = ANSWER_ALLOWANCE * model.fresh[grant] + model.now * ANSWER_ALLOWANCE_PER_S / 1000;
            prop_assert!(*went <= came + refilled);
        }
    }
}
