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
    index: Index,
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

/// The same by plane and service, for the look-up that every new stream makes.
#[derive(Debug, Default)]
struct Index {
    names: usize,
    planes: [Said; PLANES_MAX],
}

/// What one plane's hub says.
#[derive(Debug, Default)]
struct Said {
    /// Of so many local hubs.
    origins: usize,
    /// Services, and how many local hubs offer each.
    offers: BTreeMap<String, usize>,
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
            if let Some(said) = origin.at.get_mut(plane).and_then(Option::take) {
                self.index.remove(plane, &said);
            }
        }
    }

    /// Does this plane lead to the service?
    pub(crate) fn says(&self, plane: usize, service: &str) -> Says {
        match self.index.planes.get(plane) {
            Some(said) if said.offers.contains_key(service) => Says::Offered,
            Some(said) if said.origins > 0 => Says::NotOffered,
            Some(_) | None => Says::Nothing,
        }
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
                let worth = known.judge(offering.incarnation, offering.sequence, &mut self.index);
                (known, worth)
            }
        };
        if worth != Worth::Stale {
            self.index.add(plane, &services);
            if let Some(said) = known.at[plane].replace(services) {
                self.index.remove(plane, &said);
            }
        }
        worth
    }

    /// Room for these names; local hubs of which no plane speaks any more are forgotten first.
    fn make_room(&mut self, plane: usize, origin: &str, names: usize) -> bool {
        let said = self.origins.get(origin).and_then(|known| known.at.get(plane)?.as_ref());
        if self.index.names - said.map_or(0, BTreeSet::len) + names > NOTICE_NAMES_MAX {
            return false;
        }
        if self.origins.len() >= ORIGINS_MAX && !self.origins.contains_key(origin) {
            let index = &mut self.index;
            self.origins.retain(|_, known| {
                let is_offering = known.at.iter().flatten().any(|services| !services.is_empty());
                if !is_offering {
                    known.forget(index);
                }
                is_offering
            });
        }
        self.origins.len() < ORIGINS_MAX || self.origins.contains_key(origin)
    }
}

impl Origin {
    fn new(incarnation: [u8; 16], sequence: u64) -> Self {
        Self { incarnation, sequence, replaced: VecDeque::new(), at: Default::default() }
    }

    /// Takes a newer number or incarnation.
    fn judge(&mut self, incarnation: [u8; 16], sequence: u64, index: &mut Index) -> Worth {
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
        self.forget(index);
        Worth::News
    }

    fn forget(&mut self, index: &mut Index) {
        for (plane, said) in self.at.iter_mut().enumerate() {
            if let Some(said) = said.take() {
                index.remove(plane, &said);
            }
        }
    }
}

impl Index {
    fn add(&mut self, plane: usize, services: &BTreeSet<String>) {
        self.names += services.len();
        let said = &mut self.planes[plane];
        said.origins += 1;
        for service in services {
            *said.offers.entry(service.clone()).or_default() += 1;
        }
    }

    fn remove(&mut self, plane: usize, services: &BTreeSet<String>) {
        self.names -= services.len();
        let said = &mut self.planes[plane];
        said.origins -= 1;
        for service in services {
            if let Entry::Occupied(mut count) = said.offers.entry(service.clone()) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }
}
