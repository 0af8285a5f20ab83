//! `[pool.NAME]` and `[service.NAME]`: where users arrive, and what they reach.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rotator::Pool;
use rotator::pool::RangeError;
use state::records::BEHIND_FABRIC;

use super::super::reader::Section;
use super::super::words::{self, Bad};
use super::super::{Auth, Edge, Roles, SchedulePair, Service, names};
use super::{STANDARD, named, or, port, schedules};

pub(super) fn pools(root: &Section<'_>) -> Option<Vec<Pool>> {
    let example = "Add a section [pool.v6] with range = \"2001:db8:42::/64\", or whichever prefix is routed to this machine.";
    let pools = named(root, "pool", names::POOL, |name, section| {
        let field = section.required("range", "Name the prefix: range = \"2001:db8:42::/64\".")?;
        let range = field.parsed(|text| text.parse().map_err(range_error))?;
        Some(Pool { id: name.into(), range })
    })?;
    if pools.is_empty() {
        root.missing("pool.NAME", example);
        return None;
    }
    Some(pools.into_values().collect())
}

/// Where a service is. Local hubs that run elsewhere have it from the wiring, and nobody else does.
fn place(section: &Section<'_>, roles: Roles) -> Option<SocketAddr> {
    if roles == Roles::EdgeSide {
        return or(section.field("to"), BEHIND_FABRIC, |f| f.choice(&[("fabric", BEHIND_FABRIC)]));
    }
    let to = section.required("to", "Name where the service listens: to = \"127.0.0.1:3000\".")?;
    to.parsed(words::target)
}

fn range_error(error: RangeError) -> Bad {
    let fix = match error {
        RangeError::Syntax => "Write one of these forms.".to_owned(),
        RangeError::HostBits(net) => format!("Write \"{net}\"."),
        RangeError::Backwards => "Write the lower address first.".to_owned(),
        RangeError::TooSmall => {
            "Name a larger one; the size of the pool is what an attacker has to search.".to_owned()
        }
    };
    Bad { why: format!("will not do: {error}"), fix }
}

pub(super) fn services(
    root: &Section<'_>,
    edge: Option<&Edge>,
    pools: Option<&[Pool]>,
    schedules: Option<&BTreeMap<String, SchedulePair>>,
    roles: Roles,
) -> Option<BTreeMap<String, Service>> {
    let default_port = edge.map_or(443, |edge| edge.listen_port);
    let every_pool: Vec<&str> = pools.unwrap_or_default().iter().map(|pool| &*pool.id).collect();
    let every_schedule: Vec<&str> = schedules.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    named(root, "service", names::SERVICE, |name, section| {
        let to = place(&section, roles);
        let port = or(section.field("port"), default_port, port);
        let auth = or(section.field("auth"), Auth::Name, |f| {
            f.choice(&[("address", Auth::Address), ("name", Auth::Name), ("key", Auth::Key)])
        });
        // What is checked against a list that could not be read itself would blame the wrong line.
        let schedule = or(section.field("schedule"), STANDARD.to_owned(), |f| match schedules {
            Some(_) => f.one_of("schedule", &every_schedule),
            None => f.text().map(str::to_owned),
        });
        let all = every_pool.iter().map(|pool| (*pool).to_owned()).collect();
        let pools = or(section.field("pool"), all, |f| {
            f.each(|item| match pools {
                Some(_) => item.one_of("pool", &every_pool),
                None => item.text().map(str::to_owned),
            })
        });
        let max_session_s = or(section.field("max_session"), None, |f| schedules::span(&f).map(Some));
        Some(Service {
            name: name.to_owned(),
            to: to?,
            port: port?,
            auth: auth?,
            schedule: schedule?,
            pools: pools?,
            max_session_s: max_session_s?,
        })
    })
}
