//! Renewal: who holds an enrolled key gets the next epoch's keys and the time, or, if its address leaked, a new one.

use std::fmt::Write as _;

use defense::Reason;
use rotator::UnixTime;
use state::bounds::GENERATIONS_MAX;
use state::records::{Device, GenerationRecord, Grant, PublicKey, Records};
use state::txn::Record;
use state::{Refusal, Txn};

use crate::bounds::REISSUE_PAUSE_S;
use crate::enrol::{Fresh, act, date, key_mark};

/// The device that renews, if it may.
///
/// # Errors
/// `device_unknown`, `device_revoked`, `user_unknown`, `user_revoked`.
pub fn renewing<'a>(records: &'a Records, key: &PublicKey) -> Result<&'a Device, Refusal> {
    let device = records.device_with_key(key).ok_or(Refusal::from(Reason::DeviceUnknown))?;
    if let Some(revoked) = &device.revoked {
        let detail = format!("the device {:?} was revoked on {}", device.name.as_str(), date(revoked.at));
        return Err(Refusal::new(Reason::DeviceRevoked, detail));
    }
    let user = records.user(device.user).ok_or(Refusal::from(Reason::UserUnknown))?;
    if let Some(revoked) = &user.revoked {
        let detail = format!("access of {} ended on {}", user.name, date(revoked.at));
        return Err(Refusal::new(Reason::UserRevoked, detail));
    }
    Ok(device)
}

/// Decides on a re-issue: every grant of the device gets a new generation, which ends the old addresses at once, and
/// an ordinary client's name is replaced.
///
/// # Errors
/// As [`renewing`], and `rate_lease` within [`REISSUE_PAUSE_S`] of the one before.
pub fn reissue(records: &Records, now: UnixTime, key: &PublicKey, fresh: &Fresh) -> Result<Txn, Refusal> {
    let device = renewing(records, key)?;
    let user = records.user(device.user).ok_or(Refusal::from(Reason::UserUnknown))?;
    let mut why = "asked for by the device, key ".to_owned();
    let _ = write!(why, "{}", key_mark(key));
    let mut txn = Txn::new(act(now, "device.reissue", format!("{}/{}", user.name, device.name), why));
    for (no, grant) in records.grants_of(device.id) {
        let newest = grant.generations.last();
        if newest.is_some_and(|g| g.number > 1 && now < g.from.plus(REISSUE_PAUSE_S)) {
            let detail = format!("new addresses are given at most every {REISSUE_PAUSE_S} s");
            return Err(Refusal::new(Reason::RateLease, detail));
        }
        txn = txn.put(Record::Grant(no, moved(grant, now, fresh)));
    }
    Ok(txn)
}

fn moved(grant: &Grant, now: UnixTime, fresh: &Fresh) -> Grant {
    let mut grant = grant.clone();
    let number = grant.generations.last().map_or(1, |g| g.number.saturating_add(1));
    // A generation of this very second was never served: the new one takes its place.
    grant.generations.retain(|g| g.from < now);
    grant.generations.push(GenerationRecord { number, from: now, leaked: true });
    let surplus = grant.generations.len().saturating_sub(GENERATIONS_MAX);
    grant.generations.drain(..surplus);
    grant.label = grant.label.map(|_| fresh.label(&grant.service));
    grant
}

#[cfg(test)]
#[path = "renew/tests.rs"]
mod tests;
