//! Places for connections that have proved nothing yet: so many in all, and no more than a share of them for one host.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bounds::{HALF_OPEN, HALF_OPEN_SOURCE};

/// All places of one hub. Its size is bounded by [`HALF_OPEN`].
#[derive(Clone, Default)]
pub(super) struct HalfOpens(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// One place, given back when dropped.
pub(super) struct HalfOpen {
    places: HalfOpens,
    source: IpAddr,
}

impl HalfOpens {
    /// A place for a connection from `source`. A host that holds its share gets no more: whoever connects and says
    /// nothing must not keep the hosts of others from dialing again.
    pub(super) fn enter(&self, source: IpAddr) -> Option<HalfOpen> {
        let source = source.to_canonical();
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

    pub(super) fn count(&self) -> usize {
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
        let host = |n: usize| IpAddr::from([10, 0, 0, n as u8]);
        let mut held: Vec<_> = (0..HALF_OPEN_SOURCE).map(|_| places.enter(host(0)).unwrap()).collect();
        assert!(places.enter(host(0)).is_none(), "beyond its share");
        assert!(places.enter("::ffff:10.0.0.0".parse().unwrap()).is_none(), "the same host in other clothes");
        held.extend((held.len()..HALF_OPEN).map(|n| places.enter(host(1 + n)).unwrap()));
        assert!(places.enter(host(200)).is_none(), "beyond all places");
        held.swap_remove(0);
        assert!(places.enter(host(200)).is_some(), "a place that was given back");
        held.clear();
        assert_eq!((places.count(), places.lock().by_source.len()), (0, 0));
    }
}
