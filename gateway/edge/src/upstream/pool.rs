//! Connections that wait for their next request: found by service and holder at once, however many others wait.

use std::collections::HashMap;

use state::Name;
use tokio::time::Instant;

use super::caller::Holder;
use crate::bounds::{UPSTREAM_IDLE_MAX, UPSTREAM_IDLE_PER_SERVICE_MAX};

/// Idle connections, at most [`UPSTREAM_IDLE_PER_SERVICE_MAX`] a service, none for longer than [`UPSTREAM_IDLE_MAX`].
pub(super) struct Pool<T> {
    services: HashMap<Name, Service<T>>,
}

struct Service<T> {
    count: usize,
    /// Of each holder, the longest idle first. None is empty.
    holders: HashMap<Holder, Vec<Idle<T>>>,
}

struct Idle<T> {
    connection: T,
    since: Instant,
}

/// What can be done with an idle connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    Usable,
    /// Perhaps later.
    Waits,
    Gone,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { services: HashMap::new() }
    }
}

impl<T> Pool<T> {
    /// The holder's youngest connection that is usable. Those that are gone, or too old, are dropped.
    pub(super) fn take(
        &mut self,
        service: &Name,
        holder: &Holder,
        now: Instant,
        mut worth: impl FnMut(&mut T) -> Worth,
    ) -> Option<T> {
        let of = self.services.get_mut(service)?;
        let idle = of.holders.get_mut(holder)?;
        let mut found = None;
        for at in (0..idle.len()).rev() {
            match worth(&mut idle[at].connection) {
                Worth::Usable if idle[at].is_fresh(now) => {
                    found = Some(idle.remove(at).connection);
                    of.count -= 1;
                    break;
                }
                Worth::Waits if idle[at].is_fresh(now) => {}
                Worth::Usable | Worth::Waits | Worth::Gone => {
                    idle.remove(at);
                    of.count -= 1;
                }
            }
        }
        if idle.is_empty() {
            of.holders.remove(holder);
        }
        found
    }

    /// Keeps a connection. Of a service that has its share, the one that is idle for longest gives way and is returned: it
    /// may be of somebody who left.
    pub(super) fn put(&mut self, service: &Name, holder: Holder, now: Instant, connection: T) -> Option<T> {
        if !self.services.contains_key(service) {
            self.services.insert(service.clone(), Service { count: 0, holders: HashMap::new() });
        }
        let of = self.services.get_mut(service)?;
        let gave_way = (of.count >= UPSTREAM_IDLE_PER_SERVICE_MAX).then(|| of.give_way()).flatten();
        of.holders.entry(holder).or_default().push(Idle { connection, since: now });
        of.count += 1;
        gave_way
    }

    /// Gives up what has been idle for too long.
    pub(super) fn sweep(&mut self, now: Instant) -> Vec<T> {
        let mut swept = Vec::new();
        self.services.retain(|_, of| {
            of.holders.retain(|_, idle| {
                let before = swept.len();
                let old = idle.extract_if(.., |idle| !idle.is_fresh(now));
                swept.extend(old.map(|idle| idle.connection));
                of.count -= swept.len() - before;
                !idle.is_empty()
            });
            of.count > 0
        });
        swept
    }
}

impl<T> Service<T> {
    fn give_way(&mut self) -> Option<T> {
        let oldest = self.holders.iter().min_by_key(|(_, idle)| idle.first().map(|idle| idle.since));
        let holder = oldest.map(|(holder, _)| *holder)?;
        let idle = self.holders.get_mut(&holder)?;
        let oldest = (!idle.is_empty()).then(|| idle.remove(0))?;
        if idle.is_empty() {
            self.holders.remove(&holder);
        }
        self.count -= 1;
        Some(oldest.connection)
    }
}

impl<T> Idle<T> {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < UPSTREAM_IDLE_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const WEB: &str = "web";

    fn web() -> Name {
        WEB.parse().unwrap()
    }

    fn holder(number: u32) -> Holder {
        Holder { user: (number, IpAddr::V4(Ipv4Addr::LOCALHOST)), target: None }
    }

    fn filled(count: usize, of: impl Fn(usize) -> Holder) -> (Pool<usize>, Instant) {
        let (mut pool, now) = (Pool::default(), Instant::now());
        for number in 0..count {
            let since = now + std::time::Duration::from_nanos(number as u64);
            let gave_way = pool.put(&WEB.parse().unwrap(), of(number), since, number);
            assert_eq!(gave_way, number.checked_sub(UPSTREAM_IDLE_PER_SERVICE_MAX));
        }
        (pool, now)
    }

    #[test]
    fn a_holder_gets_its_own_youngest_usable_connection_and_nobody_elses() {
        let (mut pool, now) = filled(4, |number| holder(number as u32 % 2));
        let usable = |_: &mut usize| Worth::Usable;
        assert_eq!(pool.take(&web(), &holder(2), now, usable), None);
        assert_eq!(pool.take(&web(), &holder(1), now, usable), Some(3));
        assert_eq!(pool.take(&web(), &holder(1), now, usable), Some(1));
        assert_eq!(pool.take(&web(), &holder(1), now, usable), None);
        assert_eq!(pool.take(&web(), &holder(0), now, usable), Some(2));
    }

    #[test]
    fn one_that_waits_stays_and_one_that_is_gone_or_old_does_not() {
        let (mut pool, now) = filled(3, |_| holder(1));
        let worth = |number: &mut usize| [Worth::Usable, Worth::Waits, Worth::Gone][*number];
        assert_eq!(pool.take(&web(), &holder(1), now, worth), Some(0));
        assert_eq!(pool.take(&web(), &holder(1), now, worth), None);
        assert_eq!(pool.take(&web(), &holder(1), now, |_| Worth::Usable), Some(1));
        let (mut pool, now) = filled(1, |_| holder(1));
        assert_eq!(pool.take(&web(), &holder(1), now + UPSTREAM_IDLE_MAX, |_| Worth::Usable), None);
        assert_eq!(pool.take(&web(), &holder(1), now, |_| Worth::Usable), None);
    }

    #[test]
    fn a_service_keeps_its_bound_and_the_longest_idle_gives_way() {
        let (mut pool, now) = filled(UPSTREAM_IDLE_PER_SERVICE_MAX + 2, |number| holder(number as u32));
        let mut kept = 0;
        for number in 0..UPSTREAM_IDLE_PER_SERVICE_MAX + 2 {
            let found = pool.take(&web(), &holder(number as u32), now, |_| Worth::Usable);
            assert_eq!(found.is_some(), number >= 2, "{number}");
            kept += usize::from(found.is_some());
        }
        assert_eq!(kept, UPSTREAM_IDLE_PER_SERVICE_MAX);
    }

    #[test]
    fn a_sweep_leaves_nothing_of_what_is_too_old() {
        let (mut pool, now) = filled(5, |number| holder(number as u32));
        assert!(pool.sweep(now + std::time::Duration::from_secs(1)).is_empty());
        assert_eq!(pool.take(&web(), &holder(3), now, |_| Worth::Usable), Some(3));
        assert_eq!(pool.sweep(now + UPSTREAM_IDLE_MAX + std::time::Duration::from_secs(1)).len(), 4);
        assert!(pool.services.is_empty());
    }
}
