//! What DNS may say of a grant now, and for how long.

use std::net::IpAddr;

use crate::keys::{EpochMissing, GrantId, Keyring};
use crate::pool::Pool;
use crate::tenure::{Rhythm, Tenure, Window};
use crate::time::UnixTime;

/// One grant's answer: an address of each of its pools, all of the same window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    pub addresses: Vec<IpAddr>,
    pub ttl_s: u32,
    pub window: Window,
}

/// The live window's addresses. `None` before the grant's first term.
///
/// # Errors
/// [`EpochMissing`] when the window's epoch key is not held.
pub fn announce(
    grant: &GrantId,
    tenure: &Tenure,
    pools: &[Pool],
    keys: &Keyring,
    now: UnixTime,
) -> Result<Option<Announcement>, EpochMissing> {
    let Some(window) = tenure.window_at(now, Rhythm::Address) else { return Ok(None) };
    let key = keys.grant_key(window.origin, grant, window.term.generation)?;
    let addresses = pools.iter().map(|pool| pool.address(&key, window.number)).collect();
    Ok(Some(Announcement { addresses, ttl_s: ttl(&window, now), window }))
}

/// The schedule's TTL, or less when the lease closes sooner: the last second of a cached answer must still be accepted
/// by an edge whose clock is `lead` ahead of the name server's.
///
/// It is at least 1 for a checked schedule, except in the last `lead` seconds before a [`crate::Cut::Now`]: then it is 0.
pub fn ttl(window: &Window, now: UnixTime) -> u32 {
    let schedule = &window.term.schedule;
    let last = window.lease(0).closes().minus(u64::from(schedule.lead_s) + 1);
    u32::try_from(last.since(now)).unwrap_or(u32::MAX).min(schedule.ttl_s)
}
