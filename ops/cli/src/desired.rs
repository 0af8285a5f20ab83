//! From the configuration file to what the state should declare.

use anyhow::{Context, Result};
use ops::acts::reconcile::{Desired, DesiredSchedule, DesiredService};
use state::Name;
use state::records::Auth;

use crate::config::{self, Config, SchedulePair};

/// The schedule that exists without being written.
const STANDARD: &str = "standard";

/// What the file declares, in the state's words.
///
/// # Errors
/// A name that the file allows and the state does not.
pub fn desired(config: &Config) -> Result<Desired> {
    let pools = config.pools.iter().map(|pool| Ok((name(&pool.id)?, pool.range)));
    let schedules = config.schedules.iter().map(|(key, pair)| schedule(key, pair));
    let (default_schedules, schedules) = schedules
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .partition(|s: &DesiredSchedule| is_default(config, s));
    let services = config.services.values().map(service);
    Ok(Desired {
        pools: pools.collect::<Result<_>>()?,
        schedules,
        default_schedules,
        services: services.collect::<Result<_>>()?,
    })
}

/// Whether the file leaves `standard` as it is built in.
fn is_default(_: &Config, schedule: &DesiredSchedule) -> bool {
    schedule.name.as_str() == STANDARD
        && schedule.for_names == rotator::Schedule::NAME
        && schedule.for_agents == rotator::Schedule::AGENT
}

fn schedule(key: &str, pair: &SchedulePair) -> Result<DesiredSchedule> {
    Ok(DesiredSchedule { name: name(key)?, for_names: pair.name, for_agents: pair.agent })
}

fn service(service: &config::Service) -> Result<DesiredService> {
    let pools = service.pools.iter().map(|pool| name(pool));
    Ok(DesiredService {
        name: name(&service.name)?,
        to: service.to,
        listen: service.listen.clone(),
        auth: match service.auth {
            config::Auth::Address => Auth::Address,
            config::Auth::Name => Auth::Name,
            config::Auth::Key => Auth::Key,
        },
        schedule: name(&service.schedule)?,
        pools: pools.collect::<Result<_>>()?,
        max_session_s: service.max_session_s,
        handling: service.handling.clone(),
    })
}

fn name(text: &str) -> Result<Name> {
    text.parse().with_context(|| format!("{text:?} is no name"))
}
