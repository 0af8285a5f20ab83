//! A grant's lease and card, as unit tests need them.

use std::sync::Arc;

use rotator::{Class, GrantNo, Lease, Schedule, Stale, UnixTime};
use state::records::Auth;
use state::{Card, Listen};
use uuid::Uuid;

/// Of Alice's laptop, for a service on `https/443`.
pub(crate) fn card(grant: GrantNo, auth: Auth) -> Card {
    let name = |text: &str| text.parse().unwrap();
    Card {
        grant,
        user: name("alice"),
        user_id: Uuid::nil(),
        device: name("laptop"),
        device_id: Uuid::nil(),
        class: Class::Name,
        service: name("web"),
        listen: Listen::https(443).unwrap(),
        auth,
        key: None,
        handling: Arc::default(),
    }
}

/// One window of an agent's schedule.
pub(crate) fn lease(grant: GrantNo, start_s: u64) -> Lease {
    let s = Schedule::AGENT;
    Lease {
        grant,
        window: 7,
        start: UnixTime::from_secs(start_s),
        lead_s: s.lead_s,
        live_s: s.period_s,
        grace_s: s.grace_s,
        tombstone_s: s.tombstone_s,
        max_session_s: s.max_session_s,
        stale: Stale::Reset,
    }
}
