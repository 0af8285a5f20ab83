//! Descriptors: as many as the kernel lets us have, and shared out, so that strangers cannot take those of operators.

use edge::bounds::CONNECTIONS_MAX as EDGE_MAX;
use registration::bounds::CONNECTIONS_MAX as JOIN_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most TCP connections of the name server.
const DNS_MAX: usize = dns_front::bounds::TCP_CONNECTIONS_MAX;
/// For what strangers have no part in: both sockets of operators with all their connections, the store, the lanes of both
/// planes, listeners, runtimes, a connection that is accepted to be turned away.
const RESERVE: usize = 2 * ops::bounds::CONNECTIONS_MAX + 128;

/// Who may have how many at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Outside connections of the edge, strangers' included.
    pub edge: usize,
    /// Connections to services, where the local hub is in this process.
    pub services: usize,
    pub join: usize,
    pub dns: usize,
}

/// Raises the soft limit to the hard one; tells how many there may be now.
pub fn raise() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: now.maximum, maximum: now.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit(),
        Err(error) => {
            tracing::warn!(event = "process.descriptors_kept", %error);
            limit()
        }
    }
}

/// How many there may be now. Without a limit, as many as nobody can have.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many it takes to give every place away.
pub const fn wanted(is_single: bool) -> u64 {
    let services = if is_single { EDGE_MAX } else { 0 };
    (RESERVE + EDGE_MAX + services + JOIN_MAX + DNS_MAX) as u64
}

/// Shares `limit` out. Operators and what keeps the process going come first; users' connections get what is left, a small
/// part for registration and the name server taken off.
pub fn shares(limit: u64, is_single: bool) -> Shares {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let free = limit.saturating_sub(RESERVE.min(limit / 2));
    let join = (free / 16).clamp(1, JOIN_MAX);
    let dns = (free / 32).clamp(1, DNS_MAX);
    let rest = free.saturating_sub(join + dns);
    let edge = if is_single { rest / 2 } else { rest };
    Shares { edge: edge.clamp(1, EDGE_MAX), services: (rest - edge).max(1), join, dns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_limit_the_shares_leave_room_for_operators() {
        for is_single in [true, false] {
            for limit in [64, 256, 512, 1024, 4096, 65_536, 1 << 20] {
                let of = shares(limit, is_single);
                let services = if is_single { of.services } else { 0 };
                let taken = (of.edge + services + of.join + of.dns) as u64;
                let reserve = (RESERVE as u64).min(limit / 2);
                assert!(taken + reserve <= limit, "{limit}: {of:?}");
                assert!(of.edge >= 1 && of.join >= 1 && of.dns >= 1);
            }
        }
    }

    #[test]
    fn with_what_is_wanted_every_place_can_be_used_and_with_half_of_it_not() {
        for is_single in [true, false] {
            let enough = shares(2 * wanted(is_single), is_single);
            assert_eq!((enough.edge, enough.join, enough.dns), (EDGE_MAX, JOIN_MAX, DNS_MAX));
            assert!(shares(wanted(is_single) / 2, is_single).edge < EDGE_MAX);
        }
        assert_eq!(shares(u64::MAX, false).edge, EDGE_MAX);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(raise(), hard);
        assert_eq!(limit(), hard);
    }
}
