//! Connections that stand as they are told: who is chosen, who is new, who gives way.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use super::*;

/// A connection that stands as it is told.
#[derive(Clone)]
struct Told(usize, Rc<Cell<Standing>>);

impl Line for Told {
    fn standing(&self) -> Standing {
        self.1.get()
    }
}

struct Play {
    lines: Lines<Told>,
    made: usize,
    now: Instant,
}

impl Play {
    fn new() -> Self {
        Self { lines: Lines::default(), made: 0, now: Instant::now() }
    }

    /// Who gets the next request of a holder; a new one begins idle.
    fn choose(&mut self, holder: u32) -> Option<Told> {
        let holder = Holder { user: (holder, IpAddr::V4(Ipv4Addr::LOCALHOST)), target: None };
        let (made, now) = (&mut self.made, self.now);
        self.lines.choose(&"web".parse().unwrap(), holder, now, || {
            *made += 1;
            Told(*made, Rc::new(Cell::new(Standing::Idle(now))))
        })
    }

    /// The same, and how it stands from then on.
    fn chosen(&mut self, holder: u32, standing: Standing) -> usize {
        let told = self.choose(holder).unwrap();
        told.1.set(standing);
        told.0
    }
}

const FULL: Standing = Standing::Busy { requests: 9, max: 9 };

#[test]
fn a_connection_is_shared_up_to_its_limit_and_never_with_another_holder() {
    let mut play = Play::new();
    assert_eq!(play.chosen(1, Standing::Busy { requests: 8, max: 9 }), 1);
    assert_eq!(play.chosen(2, FULL), 2, "another's");
    assert_eq!(play.chosen(1, FULL), 1);
    assert_eq!(play.chosen(1, FULL), 3, "the first is full");
}

#[test]
fn a_holder_beyond_its_bound_waits_where_least_wait_and_not_where_nobody_may_be() {
    let mut play = Play::new();
    for number in 1..=UPSTREAM_H2_PER_HOLDER_MAX {
        let standing = match number {
            1 => Standing::Suspect { requests: 1 },
            number => Standing::Busy { requests: 20 + number, max: 9 },
        };
        assert_eq!(play.chosen(1, standing), number);
    }
    assert_eq!(play.choose(1).unwrap().0, 2);
    assert_eq!(play.made, UPSTREAM_H2_PER_HOLDER_MAX);
}

#[test]
fn one_that_is_over_or_was_idle_for_too_long_carries_nothing_more() {
    let mut play = Play::new();
    assert_eq!(play.chosen(1, Standing::Over), 1);
    assert_eq!(play.choose(1).unwrap().0, 2);
    play.now += UPSTREAM_H2_IDLE_MAX - Duration::from_millis(1);
    assert_eq!(play.choose(1).unwrap().0, 2);
    play.now += Duration::from_millis(1);
    assert_eq!(play.choose(1).unwrap().0, 3, "the service may be about to close it");
    play.now += UPSTREAM_H2_IDLE_MAX;
    play.lines.sweep(play.now);
    assert!(play.lines.services.is_empty());
}

#[test]
fn a_service_keeps_its_bound_the_longest_idle_gives_way_and_who_finds_none_is_refused() {
    let mut play = Play::new();
    let max = UPSTREAM_H2_PER_SERVICE_MAX as u32;
    for holder in 0..max {
        let since = play.now + Duration::from_millis(u64::from(holder));
        let standing = if holder < 2 { Standing::Idle(since) } else { FULL };
        play.chosen(holder, standing);
    }
    assert_eq!(play.chosen(max, FULL), max as usize + 1);
    assert_eq!(play.choose(1).unwrap().0, 2, "the younger of the idle ones is still there");
    assert_eq!(play.chosen(max + 1, FULL), max as usize + 2);
    assert!(play.choose(max + 2).is_none());
    assert_eq!(play.choose(max).unwrap().0, max as usize + 1, "who has one waits for it");
    play.lines.sweep(play.now);
    assert_eq!(play.lines.services[&"web".parse().unwrap()].len(), max as usize);
}
