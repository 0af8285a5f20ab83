//! Which plane a new stream goes over: facts in, an order out. Pure.
//!
//! A plane that does not say that it has the service comes behind one that does, one that fell silent behind one that
//! is heard, one that failed lately behind one that did not; among equals the shorter round trip counts, with what is
//! waiting and how many streams there are. The plane of the last choice stays first until another is clearly better, so
//! that noise moves nobody.

use std::cmp::Reverse;
use std::time::Duration;

use super::notices::Says;
use crate::bounds::FAILURE_COUNTS;

#[cfg(test)]
mod tests;

/// What is known of a plane at the moment of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// There is a link, and it carries streams.
    pub(crate) is_usable: bool,
    /// Its smoothed round trip, when it was measured.
    pub(crate) srtt: Option<Duration>,
    /// It fell silent.
    pub(crate) is_suspect: bool,
    /// Its sockets are behind with what they were given.
    pub(crate) is_backlogged: bool,
    /// Streams on it.
    pub(crate) streams: usize,
    /// How long ago the last request for a stream failed there by the fault of the fabric, or was answered too late.
    pub(crate) failed_ago: Option<Duration>,
    /// What it says about the service.
    pub(crate) says: Says,
}

/// Round trip of a plane that has not measured it.
const RTT_UNKNOWN_US: u64 = 10_000;
/// What waiting bytes count.
const BACKLOG_US: u64 = 5_000;
/// Streams that count as much as one microsecond.
const STREAMS_A_US: u64 = 16;
/// How much better another plane has to be, beyond a quarter.
const MARGIN_US: u64 = 500;

/// The usable planes, best first; `last` is the first of the choice before.
pub(crate) fn order(facts: &[Facts], last: Option<usize>) -> Vec<usize> {
    let mut order: Vec<_> = (0..facts.len()).filter(|index| facts[*index].is_usable).collect();
    order.sort_by_key(|index| (rank(&facts[*index]), cost_us(&facts[*index]), *index));
    let stays = last.filter(|last| {
        order
            .first()
            .is_some_and(|best| order.contains(last) && !is_clearly_better(&facts[*best], &facts[*last]))
    });
    // The sort is stable: only the one that stays moves.
    order.sort_by_key(|index| Reverse(Some(*index) == stays));
    order
}

/// What no round trip can make good: the lower, the better.
fn rank(facts: &Facts) -> (bool, bool, bool) {
    let has_failed = facts.failed_ago.is_some_and(|ago| ago < FAILURE_COUNTS);
    (facts.says == Says::NotOffered, facts.is_suspect, has_failed)
}

fn cost_us(facts: &Facts) -> u64 {
    let rtt = facts.srtt.map_or(RTT_UNKNOWN_US, |srtt| srtt.as_micros() as u64);
    let backlog = if facts.is_backlogged { BACKLOG_US } else { 0 };
    rtt.saturating_add(backlog).saturating_add(facts.streams as u64 / STREAMS_A_US)
}

fn is_clearly_better(best: &Facts, than: &Facts) -> bool {
    let (cost, of_other) = (cost_us(best), cost_us(than));
    rank(best) < rank(than) || cost.saturating_add(cost / 4).saturating_add(MARGIN_US) < of_other
}
