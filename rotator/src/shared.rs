//! One lease per grant and address: what a grant's leases at the same address say together.
//!
//! A change of schedule in the middle of a window leaves the address as it was, under two leases; and in a small IPv4
//! pool two windows of one grant meet by chance. Either way an edge asks one question and needs one answer.

use std::net::IpAddr;

use crate::lease::{Lease, Life};
use crate::time::UnixTime;

/// Sorts by address and leaves one lease for each. Answers the next second at which that may change, if leases met.
/// `leases` come in order of time.
pub(crate) fn one_per_address(leases: &mut Vec<(IpAddr, Lease)>, now: UnixTime) -> Option<UnixTime> {
    leases.sort_by_key(|(address, _)| *address);
    if leases.windows(2).all(|pair| pair[0].0 != pair[1].0) {
        return None;
    }
    let mut change = None;
    let groups = leases.chunk_by(|a, b| a.0 == b.0);
    let merged = groups.map(|group| match group {
        [one] => *one,
        several => {
            let met: Vec<Lease> = several.iter().map(|(_, lease)| *lease).collect();
            let next = met.iter().flat_map(changes).filter(|t| *t > now).min();
            change = change.into_iter().chain(next).min();
            (several[0].0, at(&met, now))
        }
    });
    *leases = merged.collect();
    change
}

/// What the address is at `now`: the live lease if one is live, else the newest accepted, else the last to fall silent;
/// accepted for as long as any of those accepted now is.
fn at(met: &[Lease], now: UnixTime) -> Lease {
    let accepted: Vec<Lease> = met
        .iter()
        .filter(|l| matches!(l.life(now), Life::Early | Life::Live | Life::Grace))
        .copied()
        .collect();
    let live = accepted.iter().find(|lease| lease.life(now) == Life::Live);
    match live.or(accepted.last()) {
        Some(chosen) => lengthen(chosen, &accepted),
        None => met.iter().filter(|l| l.opens() <= now).max_by_key(|l| l.silent()).copied().unwrap_or(met[0]),
    }
}

/// `lease` with the earliest opening and the latest ends of all that are accepted, so that a loop which comes late to
/// the next change refuses nobody meanwhile.
fn lengthen(lease: &Lease, accepted: &[Lease]) -> Lease {
    let latest = |end: fn(&Lease) -> UnixTime| accepted.iter().map(end).max().unwrap_or(end(lease));
    let opens = accepted.iter().map(Lease::opens).min().unwrap_or(lease.opens());
    let closes = latest(Lease::closes);
    Lease {
        lead_s: seconds(lease.start.since(opens)),
        grace_s: seconds(closes.since(lease.ends())),
        tombstone_s: seconds(latest(Lease::silent).since(closes)),
        max_session_s: seconds(latest(Lease::drained).since(closes)),
        ..*lease
    }
}

fn changes(lease: &Lease) -> [UnixTime; 5] {
    [lease.opens(), lease.start, lease.ends(), lease.closes(), lease.silent()]
}

fn seconds(span: u64) -> u32 {
    u32::try_from(span).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Stale;

    fn lease(start: u64, live_s: u32, grace_s: u32) -> Lease {
        Lease {
            grant: 1,
            window: start,
            start: UnixTime::from_secs(start),
            lead_s: 5,
            live_s,
            grace_s,
            tombstone_s: 7,
            max_session_s: 50,
            stale: Stale::Reset,
        }
    }

    fn merged(now: u64) -> (Lease, Option<UnixTime>) {
        let address = IpAddr::from([192, 0, 2, 1]);
        // Adjacent windows, the first with the longer grace; and a third that meets them by chance, later.
        let mut leases: Vec<_> =
            [lease(100, 20, 100), lease(120, 10, 10), lease(300, 10, 10)].map(|l| (address, l)).into();
        let change = one_per_address(&mut leases, UnixTime::from_secs(now));
        assert_eq!(leases.len(), 1);
        (leases[0].1, change)
    }

    #[test]
    fn leases_that_meet_are_accepted_while_any_of_them_is_even_if_the_next_look_comes_late() {
        for (now, life, closes, change) in [
            (114, Life::Live, 220, 115),
            (115, Life::Live, 220, 120),
            (120, Life::Live, 220, 130),
            (130, Life::Grace, 220, 140),
            (140, Life::Grace, 220, 147),
            (219, Life::Grace, 220, 220),
            (220, Life::Tombstone, 220, 227),
            (295, Life::Early, 320, 300),
        ] {
            let (lease, next) = merged(now);
            assert_eq!(lease.life(UnixTime::from_secs(now)), life, "at {now}");
            assert_eq!(lease.closes(), UnixTime::from_secs(closes), "at {now}");
            assert_eq!(next, Some(UnixTime::from_secs(change)), "at {now}");
        }
        assert_eq!(merged(125).0.opens(), UnixTime::from_secs(95));
    }

    #[test]
    fn leases_at_addresses_of_their_own_are_left_as_they_are() {
        let own = [1, 2].map(|n| (IpAddr::from([192, 0, 2, n]), lease(100, 20, 10)));
        let mut leases = own.to_vec();
        assert_eq!(one_per_address(&mut leases, UnixTime::from_secs(105)), None);
        assert_eq!(leases, own);
    }
}
