//! Places for connections that have proved nothing yet: so many in all, and no more than a share of them for one host.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bounds::{HALF_OPEN, HALF_OPEN_SOURCE};

/// All places of one door. Its size is bounded by [`HALF_OPEN`].
#[derive(Clone, Default)]
pub(crate) struct HalfOpens(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    by_source: HashMap<Source, usize>,
}

/// Where a connection comes from. An address is given in its canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// Over TCP, from this host.
    Host(IpAddr),
    /// Over a Unix socket.
    ThisComputer,
}

/// One place, given back when dropped.
pub(crate) struct HalfOpen {
    places: HalfOpens,
    source: Source,
}

impl HalfOpens {
    /// A place for a connection from `source`. A host that holds its share gets no more: whoever connects and says
    /// nothing must not keep the hosts of others from dialing again.
    pub(crate) fn enter(&self, source: Source) -> Option<HalfOpen> {
        let mut taken = self.lock();
        let of_source = taken.by_source.get(&source).copied().unwrap_or(0);
        if taken.all >= HALF_OPEN || of_source >= HALF_OPEN_SOURCE {
            return None;
        }
        taken.all += 1;
        taken.by_source.insert(source, of_source + 1);
        drop(taken);
        Some(HalfOpen { places: self.clone(), source })
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all = taken.all.saturating_sub(1);
        match taken.by_source.get(&self.source).map_or(0, |n| n.saturating_sub(1)) {
            0 => taken.by_source.remove(&self.source),
            left => taken.by_source.insert(self.source, left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_gets_its_share_and_all_together_no_more_than_there_is() {
        let places = HalfOpens::default();
        let host = |n: usize| Source::Host(IpAddr::from([10, 0, 0, n as u8]));
        let mut held: Vec<_> = (0..HALF_OPEN_SOURCE).map(|_| places.enter(host(0)).unwrap()).collect();
        assert!(places.enter(host(0)).is_none(), "beyond its share");
        assert!(places.enter(Source::ThisComputer).is_some(), "another source");
        held.extend((held.len()..HALF_OPEN).map(|n| places.enter(host(1 + n)).unwrap()));
        assert!(places.enter(host(200)).is_none(), "beyond all places");
        held.swap_remove(0);
        assert!(places.enter(host(200)).is_some(), "a place that was given back");
        held.clear();
        assert_eq!((places.count(), places.lock().by_source.len()), (0, 0));
    }
}
