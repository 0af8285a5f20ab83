//! `[pool.NAME]` and `[service.NAME]`: where users arrive, and what they reach.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ops::acts::service::usual_auth as usual_of;
use rotator::Pool;
use rotator::pool::RangeError;
use state::Listen;
use state::bounds::{BUDGET_BYTES_MIN, BUDGET_COUNT_MAX, REQUEST_TIME_S_MAX, TEXT_CHARS_MAX};
use state::listen::{Entry, Kind, ListenError};
use state::records::{BEHIND_FABRIC, Budget, Handling, Speaks};

use super::super::reader::{Field, Section};
use super::super::words::{self, Bad};
use super::super::{Auth, Edge, Roles, SchedulePair, Service, names};
use super::{STANDARD, named, or, schedules};

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
        let listen = listen(&section, default_port, to);
        let usual = listen.as_ref().map_or(Auth::Name, usual_auth);
        let auth = or(section.field("auth"), usual, |f| {
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
        let handling = handling(&section);
        Some(Service {
            name: name.to_owned(),
            to: to?,
            listen: listen?,
            auth: auth?,
            schedule: schedule?,
            pools: pools?,
            max_session_s: max_session_s?,
            handling: handling?,
        })
    })
}

/// What is asked of clients where nobody says it.
fn usual_auth(listen: &Listen) -> Auth {
    match usual_of(listen) {
        state::records::Auth::Address => Auth::Address,
        state::records::Auth::Name => Auth::Name,
        state::records::Auth::Key => Auth::Key,
    }
}

/// `listen`, or `proto` for what is usual; HTTPS at the edge's own port without either.
fn listen(section: &Section<'_>, default_port: u16, to: Option<SocketAddr>) -> Option<Listen> {
    let (listen, proto) = (section.field("listen"), section.field("proto"));
    if let (Some(listen), Some(proto)) = (&listen, &proto) {
        let line = section.report().line_of(&listen.path);
        let why = format!("says again what {} ({line}) says", listen.path);
        proto.bad(&Bad { why, fix: "Remove one of the two lines.".to_owned() });
        return None;
    }
    if let Some(field) = listen {
        let bad = |error: ListenError| Bad { why: error.to_string(), fix: error.fix() };
        let entries = field.each(|item| item.parsed(|text| text.parse::<Entry>().map_err(bad)))?;
        return Listen::new(&entries).map_err(|error| field.bad(&bad(error))).ok();
    }
    let Some(field) = proto else { return Kind::Http.listen(Some(default_port), 0).ok() };
    let kind = field.choice(&Kind::ALL.map(|kind| (kind.as_str(), kind)))?;
    let port = (kind == Kind::Http).then_some(default_port);
    let listen = kind.listen(port, to?.port());
    let unsaid = |_| {
        let fix = "Write listen = [\"tcp/5432\"] instead, with the port at which users reach it.".to_owned();
        field.bad(&Bad { why: "has no usual port".to_owned(), fix });
    };
    listen.map_err(unsaid).ok()
}

/// How requests and connections are treated; all of it has a usual way.
fn handling(section: &Section<'_>) -> Option<Handling> {
    let proxy = or(section.field("proxy"), false, |f| f.flag());
    let words = Speaks::ALL.map(|speaks| (speaks.as_str(), speaks));
    let speaks = or(section.field("speaks"), Speaks::Http1, |f| f.choice(&words));
    let maintenance = or(section.field("maintenance"), None, |f| f.parsed(maintenance).map(Some));
    let max_body = or(section.field("max_body"), None, |f| match f.is_whole() {
        true => f.whole(0..=u32::MAX).map(|bytes| Some(bytes.into())),
        false => f.parsed(words::size).map(Some),
    });
    let max_time_s = or(section.field("max_time"), None, |f| {
        let seconds = f.duration()?;
        if (1..=REQUEST_TIME_S_MAX).contains(&seconds) {
            return Some(Some(seconds));
        }
        f.bad(&Bad::new("is not 1s to 7d", "Write a time within these bounds."));
        None
    });
    let budget = budget(section);
    Some(Handling {
        proxy: proxy?,
        speaks: speaks?,
        maintenance: maintenance?,
        max_body: max_body?,
        max_time_s: max_time_s?,
        budget: budget?,
    })
}

/// What each lease may take.
fn budget(section: &Section<'_>) -> Option<Budget> {
    let count = |key| or(section.field(key), None, |f: Field<'_>| f.whole(1..=BUDGET_COUNT_MAX).map(Some));
    let bytes = |key| {
        or(section.field(key), None, |f: Field<'_>| match f.is_whole() {
            true => f.whole(BUDGET_BYTES_MIN as u32..=u32::MAX).map(|bytes| Some(bytes.into())),
            false => f.parsed(words::flow).map(Some),
        })
    };
    let (connections, connections_per_s) = (count("connections"), count("connections_per_s"));
    let (requests, requests_per_s) = (count("requests"), count("requests_per_s"));
    let (bytes_in_per_s, bytes_out_per_s) = (bytes("bytes_in_per_s"), bytes("bytes_out_per_s"));
    Some(Budget {
        connections: connections?,
        connections_per_s: connections_per_s?,
        requests: requests?,
        requests_per_s: requests_per_s?,
        bytes_in_per_s: bytes_in_per_s?,
        bytes_out_per_s: bytes_out_per_s?,
    })
}

fn maintenance(text: &str) -> Result<String, Bad> {
    let fine = (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fine {
        return Ok(text.to_owned());
    }
    let why = format!("is not 1 to {TEXT_CHARS_MAX} characters on one line");
    Err(Bad { why, fix: "Write what users are to read, or remove the line.".to_owned() })
}
