//! What local hubs offer, as every plane tells it: each piece of news counts once, however often and over however many
//! planes it comes. Pure.
//!
//! A local hub numbers its offers within its incarnation and sends each over all planes; hubs hand them on as notices. Here
//! a notice is news, or the copy of what is known, or stale: an older number of the same incarnation, or an incarnation
//! that was replaced. Stale ones are ignored. For each plane it is kept what its hub said last, since a stream is opened
//! over a plane; that is a hint for the choice, never a permission, and a plane whose link is new has said nothing yet.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::bounds::{INCARNATIONS_KEPT, NOTICE_NAMES_MAX, ORIGINS_MAX, PLANES_MAX};
use crate::status::NoticesStatus;
use crate::wire::Offering;

#[cfg(test)]
mod tests;

/// What a notice was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// Not known before, from any plane.
    News,
    /// Known from another plane, or said again.
    Copy,
    /// Older than what is known.
    Stale,
    /// No room for another local hub, or for so many services.
    Full,
}

/// Does a plane lead to a service?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// A local hub offers it there.
    Offered,
    /// Local hubs offer there, but not this.
    NotOffered,
    /// The plane has not said anything yet.
    Nothing,
}

/// What was heard. Bounded by [`ORIGINS_MAX`] and [`NOTICE_NAMES_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Notices {
    origins: BTreeMap<String, Origin>,
    names: usize,
    counts: NoticesStatus,
}

#[derive(Debug)]
struct Origin {
    incarnation: [u8; 16],
    sequence: u64,
    /// Incarnations before this one, youngest last.
    replaced: VecDeque<[u8; 16]>,
    at: [Option<BTreeSet<String>>; PLANES_MAX],
}

impl Notices {
    /// This plane's hub says what the local hub `origin` offers there.
    pub(crate) fn handle_notice(&mut self, plane: usize, origin: &str, offering: Offering) -> Worth {
        let worth = self.judge(plane, origin, offering);
        *match worth {
            Worth::News => &mut self.counts.news,
            Worth::Copy => &mut self.counts.copies,
            Worth::Stale => &mut self.counts.stale,
            Worth::Full => &mut self.counts.dropped,
        } += 1;
        worth
    }

    /// What was heard so far.
    pub(crate) fn status(&self) -> NoticesStatus {
        self.counts
    }

    /// The link to this plane's hub is over: what it said no longer counts.
    pub(crate) fn forget_plane(&mut self, plane: usize) {
        for origin in self.origins.values_mut() {
            let said = origin.at.get_mut(plane).and_then(Option::take);
            self.names -= said.map_or(0, |services| services.len());
        }
    }

    /// Does this plane lead to the service?
    pub(crate) fn says(&self, plane: usize, service: &str) -> Says {
        let mut says = Says::Nothing;
        for services in self.origins.values().filter_map(|origin| origin.at.get(plane)?.as_ref()) {
            if services.contains(service) {
                return Says::Offered;
            }
            says = Says::NotOffered;
        }
        says
    }

    fn judge(&mut self, plane: usize, origin: &str, offering: Offering) -> Worth {
        let services: BTreeSet<_> = offering.services.into_iter().collect();
        if plane >= PLANES_MAX || !self.make_room(plane, origin, services.len()) {
            return Worth::Full;
        }
        let known = self.origins.entry(origin.to_owned());
        let (known, worth) = match known {
            Entry::Vacant(vacant) => {
                (vacant.insert(Origin::new(offering.incarnation, offering.sequence)), Worth::News)
            }
            Entry::Occupied(known) => {
                let known = known.into_mut();
                let worth = known.judge(offering.incarnation, offering.sequence, &mut self.names);
                (known, worth)
            }
        };
        if worth != Worth::Stale {
            self.names += services.len();
            self.names -= known.at[plane].replace(services).map_or(0, |old| old.len());
        }
        worth
    }

    /// Room for these names; local hubs of which no plane speaks any more are forgotten first.
    fn make_room(&mut self, plane: usize, origin: &str, names: usize) -> bool {
        let said = self.origins.get(origin).and_then(|known| known.at.get(plane)?.as_ref());
        if self.names - said.map_or(0, BTreeSet::len) + names > NOTICE_NAMES_MAX {
            return false;
        }
        if self.origins.len() >= ORIGINS_MAX && !self.origins.contains_key(origin) {
            self.origins.retain(|_, known| known.at.iter().flatten().any(|services| !services.is_empty()));
        }
        self.origins.len() < ORIGINS_MAX || self.origins.contains_key(origin)
    }
}

impl Origin {
    fn new(incarnation: [u8; 16], sequence: u64) -> Self {
        Self { incarnation, sequence, replaced: VecDeque::new(), at: Default::default() }
    }

    /// Takes a newer number or incarnation; `names` is the sum over all local hubs.
    fn judge(&mut self, incarnation: [u8; 16], sequence: u64, names: &mut usize) -> Worth {
        if self.replaced.contains(&incarnation) {
            return Worth::Stale;
        }
        if incarnation == self.incarnation {
            let worth = match sequence.cmp(&self.sequence) {
                std::cmp::Ordering::Less => Worth::Stale,
                std::cmp::Ordering::Equal => Worth::Copy,
                std::cmp::Ordering::Greater => Worth::News,
            };
            self.sequence = self.sequence.max(sequence);
            return worth;
        }
        self.replaced.push_back(std::mem::replace(&mut self.incarnation, incarnation));
        if self.replaced.len() > INCARNATIONS_KEPT {
            self.replaced.pop_front();
        }
        self.sequence = sequence;
        // What was said of the incarnation before is void on every plane.
        for services in self.at.iter_mut().filter_map(Option::take) {
            *names -= services.len();
        }
        Worth::News
    }
}
