//! Calls that a verdict holds back: counted in all, per lease and per source, so that a tarpit is never our own outage.
//! Pure: who waits, and how long, is the gate's business.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use dashmap::DashMap;
use defense::Reason;

use crate::bounds::DELAYED_PER_SOURCE_MAX;
use crate::budgets::{Purse, Taken};

/// Who waits now. At most one entry for each call that is held, and those are bounded.
#[derive(Debug, Default)]
pub struct Delays {
    by_source: DashMap<IpAddr, u32>,
}

/// A place to wait; dropping it gives it back.
#[derive(Debug)]
pub struct Waiting {
    delays: Arc<Delays>,
    source: IpAddr,
    _taken: Taken,
}

impl Delays {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A place to wait for a call of this lease from this source.
    ///
    /// # Errors
    /// `overload_delay`: the call is to be refused instead.
    pub fn wait(self: &Arc<Self>, purse: &Arc<Purse>, source: IpAddr) -> Result<Waiting, Reason> {
        // The lease first: it bounds what sources can make here.
        let taken = purse.delay().map_err(|over| over.reason)?;
        let source = host(source);
        let mut held = self.by_source.entry(source).or_default();
        if *held >= DELAYED_PER_SOURCE_MAX {
            return Err(Reason::OverloadDelay);
        }
        *held += 1;
        Ok(Waiting { delays: Arc::clone(self), source, _taken: taken })
    }

    /// Sources that wait now.
    pub fn sources(&self) -> usize {
        self.by_source.len()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.delays.by_source.remove_if_mut(&self.source, |_, held| {
            *held = held.saturating_sub(1);
            *held == 0
        });
    }
}

/// An IPv6 host has a whole /64 to call from.
fn host(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use crate::bounds::{DELAYED_MAX, DELAYED_PER_GRANT_MAX};
    use crate::budgets::{Allowance, Budgets, Kind};

    use super::*;

    fn purse(budgets: &Budgets, grant: u32) -> Arc<Purse> {
        budgets.purse(grant, Allowance::default())
    }

    #[test]
    fn one_lease_holds_so_many_calls_back_and_the_next_is_refused() {
        let (budgets, delays) = (Budgets::new(), Delays::new());
        let own = purse(&budgets, 1);
        let wait = |i: u32| delays.wait(&own, IpAddr::from(std::net::Ipv4Addr::from(i)));
        let mut held: Vec<Waiting> = (0..DELAYED_PER_GRANT_MAX).map(|i| wait(i).unwrap()).collect();
        assert_eq!(wait(u32::MAX).unwrap_err(), Reason::OverloadDelay);
        assert!(delays.wait(&purse(&budgets, 2), "10.0.0.1".parse().unwrap()).is_ok());
        held.pop();
        assert!(wait(u32::MAX).is_ok());
        drop(held);
        assert_eq!(
            (delays.sources(), budgets.pot(Kind::Delay).used()),
            (0, 0),
            "nobody waits, nothing is kept"
        );
    }

    #[test]
    fn one_source_holds_so_many_whatever_leases_it_has_and_changes_nothing_by_moving_within_its_network() {
        let (budgets, delays) = (Budgets::new(), Delays::new());
        let from = |i: u32| IpAddr::from(Ipv6Addr::from((0x2001_0db8_u128 << 96) + u128::from(i)));
        let held: Vec<Waiting> = (0..DELAYED_PER_SOURCE_MAX)
            .map(|i| delays.wait(&purse(&budgets, i / 4), from(i)).unwrap())
            .collect();
        let fresh = purse(&budgets, 9999);
        assert_eq!(delays.wait(&fresh, from(77_777)).unwrap_err(), Reason::OverloadDelay);
        assert_eq!(fresh.holds(Kind::Delay), 0, "what was refused holds nothing");
        assert!(delays.wait(&fresh, "2001:db9::1".parse().unwrap()).is_ok());
        assert_eq!(delays.sources(), 1);
        drop(held);
    }

    #[test]
    fn however_many_leases_and_sources_are_delayed_the_sum_is_bounded_and_none_is_left() {
        let (budgets, delays) = (Budgets::new(), Delays::new());
        let mut held = Vec::new();
        for i in 0..DELAYED_MAX as u32 * 2 {
            let source = std::net::Ipv4Addr::from(i).into();
            held.extend(delays.wait(&purse(&budgets, i), source));
        }
        assert!(held.len() <= DELAYED_MAX && held.len() >= DELAYED_MAX / 2);
        drop(held);
        assert_eq!((delays.sources(), budgets.pot(Kind::Delay).used()), (0, 0));
    }
}
