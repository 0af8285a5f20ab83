//! How likely strangers' guesses hit, for the pools, schedules and grants as they are (or would be).

use std::collections::BTreeMap;

use rotator::exposure::{Figures, Share, figures};
use rotator::{Class, Schedule, UnixTime};
use state::{Name, Records};

/// One pool's figures.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolExposure {
    pub pool: Name,
    pub figures: Figures,
}

/// The figures of every pool, for `rate` guesses a second.
pub fn report(records: &Records, now: UnixTime, rate: f64) -> Vec<PoolExposure> {
    report_with(records, now, rate, |_, _, schedule| schedule)
}

/// The same with some schedules replaced: `instead` is given a schedule's name, a class, and what holds now.
pub fn report_with(
    records: &Records,
    now: UnixTime,
    rate: f64,
    instead: impl Fn(&Name, Class, Schedule) -> Schedule,
) -> Vec<PoolExposure> {
    let counts = grants_by_service(records);
    let of_pool = |pool: &Name| {
        let range = records.pool(pool)?.range.parse().ok()?;
        // A share of nobody, so that a pool without grants has figures as well.
        let mut shares = vec![Share { range, grants: 0, schedule: Schedule::NAME }];
        for service in records.services().filter(|s| s.pools.contains(pool)) {
            let Some(version) = records.schedule(&service.schedule).and_then(|s| s.at(now)) else { continue };
            for class in [Class::Name, Class::Agent] {
                let grants = counts.get(&(&service.name, class)).copied().unwrap_or(0);
                let schedule = instead(&service.schedule, class, version.of(class));
                shares.push(Share { range, grants, schedule });
            }
        }
        // The share of nobody must not lengthen the window shown.
        if shares.iter().any(|share| share.grants > 0) {
            shares.retain(|share| share.grants > 0);
        }
        figures(&shares, rate).first().copied()
    };
    let pools = records.pools().map(|p| &p.name);
    pools.filter_map(|pool| Some(PoolExposure { pool: pool.clone(), figures: of_pool(pool)? })).collect()
}

/// Grants that are served now, by service and class.
pub fn grants_by_service(records: &Records) -> BTreeMap<(&Name, Class), u64> {
    let mut counts = BTreeMap::new();
    for (_, grant) in records.grants() {
        let device = records.device(grant.device).filter(|d| d.revoked.is_none());
        let user = device.and_then(|d| records.user(d.user)).filter(|u| u.revoked.is_none());
        if let (Some(device), Some(_)) = (device, user) {
            *counts.entry((&grant.service, device.class)).or_default() += 1;
        }
    }
    counts
}
