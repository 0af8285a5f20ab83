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
            let met = join_adjacent(&met);
            let next = met.iter().flat_map(changes).filter(|t| *t > now).min();
            change = change.into_iter().chain(next).min();
            (several[0].0, at(&met, now))
        }
    });
    *leases = merged.collect();
    change
}

/// Windows without a gap between them at one address are one longer window.
fn join_adjacent(leases: &[Lease]) -> Vec<Lease> {
    let mut joined: Vec<Lease> = Vec::with_capacity(leases.len());
    for lease in leases {
        match joined.last_mut() {
            Some(last) if last.ends() == lease.start => {
                let (opens, start) = (last.opens().min(lease.opens()), last.start);
                *last = Lease {
                    window: lease.window,
                    stale: lease.stale,
                    ..stretch(&[*last, *lease], start, opens)
                };
            }
            Some(_) | None => joined.push(*lease),
        }
    }
    joined
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
        Some(chosen) => {
            let opens = accepted.iter().map(Lease::opens).min().unwrap_or(chosen.opens());
            Lease { live_s: chosen.live_s, ..lengthen(chosen, &accepted, chosen.ends(), opens) }
        }
        None => met.iter().max_by_key(|lease| lease.silent()).copied().unwrap_or(met[0]),
    }
}

fn stretch(pair: &[Lease; 2], start: UnixTime, opens: UnixTime) -> Lease {
    let ends = pair[1].ends();
    let live_s = seconds(ends.since(start));
    lengthen(&Lease { start, live_s, ..pair[1] }, pair, ends, opens)
}

/// `lease` with the earliest opening and the latest ends of all that stand at its address.
fn lengthen(lease: &Lease, all: &[Lease], ends: UnixTime, opens: UnixTime) -> Lease {
    let latest = |end: fn(&Lease) -> UnixTime| all.iter().map(end).max().unwrap_or(ends);
    let closes = latest(Lease::closes);
    Lease {
        lead_s: seconds(lease.start.since(opens)),
        grace_s: seconds(closes.since(ends)),
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
