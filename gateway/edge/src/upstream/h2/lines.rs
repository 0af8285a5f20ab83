//! Which connection carries a request: bounded per holder and per service. Pure.

use std::collections::HashMap;

use state::Name;
use tokio::time::Instant;

use super::super::caller::Holder;
use crate::bounds::{UPSTREAM_H2_IDLE_MAX, UPSTREAM_H2_PER_HOLDER_MAX, UPSTREAM_H2_PER_SERVICE_MAX};

/// A connection as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It takes no request any more.
    Over,
    /// It carries nothing, since then.
    Idle(Instant),
    /// It carries so many requests, of so many that it may.
    Busy { requests: usize, max: usize },
    /// What carries it fell silent. It may still live.
    Suspect { requests: usize },
}

/// A connection that can say how it stands.
pub(super) trait Line: Clone {
    fn standing(&self) -> Standing;
}

/// The connections of one worker: at most [`UPSTREAM_H2_PER_HOLDER_MAX`] of each holder, and
/// [`UPSTREAM_H2_PER_SERVICE_MAX`] of each service.
pub(super) struct Lines<L> {
    services: HashMap<Name, HashMap<Holder, Vec<L>>>,
}

impl<L> Default for Lines<L> {
    fn default() -> Self {
        Self { services: HashMap::new() }
    }
}

impl<L: Line> Lines<L> {
    /// The connection for a holder's next request: one with room, else a new one, else the one where the wait is shortest.
    /// `None`: the service has all that it may, and none is idle.
    pub(super) fn choose(
        &mut self,
        service: &Name,
        holder: Holder,
        now: Instant,
        new: impl FnOnce() -> L,
    ) -> Option<L> {
        if !self.services.contains_key(service) {
            self.services.insert(service.clone(), HashMap::new());
        }
        let holders = self.services.get_mut(service)?;
        let of = holders.entry(holder).or_default();
        of.retain(|line| line.standing() != Standing::Over);
        if let Some(line) = of.iter().find(|line| has_room(line.standing(), now)) {
            return Some(line.clone());
        }
        let least = of.iter().min_by_key(|line| load(line.standing())).cloned();
        if of.len() >= UPSTREAM_H2_PER_HOLDER_MAX {
            return least;
        }
        let count: usize = holders.values().map(Vec::len).sum();
        if count >= UPSTREAM_H2_PER_SERVICE_MAX && !give_way(holders) {
            holders.retain(|_, lines| !lines.is_empty());
            return least;
        }
        let line = new();
        holders.entry(holder).or_default().push(line.clone());
        Some(line)
    }

    /// Forgets what is over, and what was idle for too long.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.services.retain(|_, holders| {
            holders.retain(|_, lines| {
                lines.retain(|line| match line.standing() {
                    Standing::Over => false,
                    Standing::Idle(since) => is_fresh(since, now),
                    Standing::Busy { .. } | Standing::Suspect { .. } => true,
                });
                !lines.is_empty()
            });
            !holders.is_empty()
        });
    }
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < UPSTREAM_H2_IDLE_MAX
}

fn has_room(standing: Standing, now: Instant) -> bool {
    match standing {
        Standing::Idle(since) => is_fresh(since, now),
        Standing::Busy { requests, max } => requests < max,
        Standing::Over | Standing::Suspect { .. } => false,
    }
}

/// Who waits behind fewer requests waits shorter; what may be dead comes last.
fn load(standing: Standing) -> (bool, usize) {
    match standing {
        Standing::Idle(_) => (false, 0),
        Standing::Busy { requests, .. } => (false, requests),
        Standing::Suspect { requests } => (true, requests),
        Standing::Over => (true, usize::MAX),
    }
}

/// Makes room: what is over, or was idle for longest, goes. False: all are in use.
fn give_way<L: Line>(holders: &mut HashMap<Holder, Vec<L>>) -> bool {
    let idle = |line: &L| match line.standing() {
        Standing::Over => Some(None),
        Standing::Idle(since) => Some(Some(since)),
        Standing::Busy { .. } | Standing::Suspect { .. } => None,
    };
    let each = holders.iter().flat_map(|(holder, lines)| {
        lines.iter().enumerate().filter_map(|(at, line)| Some((idle(line)?, *holder, at)))
    });
    let Some((_, holder, at)) = each.min_by_key(|(since, _, _)| *since) else { return false };
    if let Some(lines) = holders.get_mut(&holder) {
        lines.remove(at);
        if lines.is_empty() {
            holders.remove(&holder);
        }
    }
    true
}

#[cfg(test)]
mod tests;
