//! Places for connections: so many in all, so many of them for one network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use defense::prefix::{Level, network_of};
use ipnet::IpNet;

use crate::bounds::{CONNECTIONS_MAX, CONNECTIONS_PER_NETWORK_MAX};

/// Shared by all listeners. At most [`CONNECTIONS_MAX`] entries.
#[derive(Clone)]
pub(super) struct Places {
    taken: Arc<Mutex<Taken>>,
    most: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_network: HashMap<Option<IpNet>, usize>,
}

/// One place; given back when dropped.
pub(super) struct Place {
    places: Places,
    network: Option<IpNet>,
}

impl Places {
    /// At most [`CONNECTIONS_MAX`], each of which takes a descriptor.
    pub(super) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most: most.min(CONNECTIONS_MAX) }
    }

    pub(super) fn take(&self, source: IpAddr) -> Option<Place> {
        let network = network_of(source, Level::Host);
        let mut taken = self.lock();
        let of_network = taken.by_network.get(&network).copied().unwrap_or(0);
        if taken.all >= self.most || of_network >= CONNECTIONS_PER_NETWORK_MAX {
            return None;
        }
        taken.all += 1;
        taken.by_network.insert(network, of_network + 1);
        drop(taken);
        Some(Place { places: self.clone(), network })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all = taken.all.saturating_sub(1);
        let left = taken.by_network.get(&self.network).map_or(0, |n| n.saturating_sub(1));
        if left == 0 {
            taken.by_network.remove(&self.network);
        } else {
            taken.by_network.insert(self.network, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_gets_its_share_and_all_together_no_more_than_there_is() {
        let places = Places::new(usize::MAX);
        let from = |net: u8, host: u8| IpAddr::from([10, net, 0, host]);
        let mut held: Vec<_> = (0..CONNECTIONS_PER_NETWORK_MAX).map(|_| places.take(from(0, 1))).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(places.take(from(0, 1)).is_none(), "beyond the network's share");
        let rest = CONNECTIONS_MAX - CONNECTIONS_PER_NETWORK_MAX;
        held.extend((0..rest).map(|n| places.take(from(1 + (n / 200) as u8, (n % 200) as u8))));
        assert!(held.iter().all(Option::is_some));
        assert!(places.take(from(99, 9)).is_none(), "beyond all places");
        held.pop();
        assert!(places.take(from(99, 9)).is_some(), "a place that was given back");
        held.clear();
        assert!(places.lock().by_network.is_empty());
    }
}
