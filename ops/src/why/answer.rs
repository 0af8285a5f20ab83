//! The answer: a verdict with its reason, in the words of the closed vocabulary.

use std::net::IpAddr;

use defense::{Reason, Sample, VerdictKind};
use rotator::pool::Range;
use rotator::{GrantNo, Lease, Life, Newcomer, UnixTime};
use state::records::{Auth, Revoked};
use state::{Name, Records, Refusal};

use super::owners::{device_named, ended, owner};
use super::{Seen, Target, unknown};
use crate::bounds::WHY_SEEN_MAX;
use crate::describe;
use crate::views::{Owner, Refused, Why, WhyLease, rfc3339};

/// What is found out before it is told.
struct Found {
    kind: &'static str,
    verdict: VerdictKind,
    reason: Option<Reason>,
    what: String,
    /// In place of the reason's own.
    why: Option<String>,
    since: Option<UnixTime>,
    expires: Option<UnixTime>,
    owner: Option<Owner>,
}

/// Tells about `target`; `asked` is what was typed.
///
/// # Errors
/// `unknown_target` for a user, device, service, label or request that nobody knows.
pub fn answer(
    records: &Records,
    now: UnixTime,
    asked: &str,
    target: &Target,
    seen: &Seen,
) -> Result<Why, Refusal> {
    let found = match target {
        Target::Address(address) => of_address(records, now, *address, seen),
        Target::Network(_) => of_source("network", "this network", seen),
        Target::Label(label) => {
            let bearer = seen.bearer.or_else(|| records.grant_labeled(*label));
            bearer.map_or_else(decoy, |no| of_grant(records, no))
        }
        Target::Number(id) if records.device(*id).is_some() => of_device(records, *id),
        Target::Number(_) => of_request(seen).ok_or_else(|| unknown(asked))?,
        Target::Reason(reason) => of_reason(*reason, seen),
        Target::Device(user, device) => {
            let found = device_named(records, user, device).ok_or_else(|| unknown(asked))?;
            of_device(records, found.id)
        }
        Target::Named(name) => of_name(records, name).ok_or_else(|| unknown(asked))?,
    };
    Ok(told(records, now, asked, found, seen))
}

fn of_address(records: &Records, now: UnixTime, address: IpAddr, seen: &Seen) -> Found {
    let ours = |range: &str| range.parse::<Range>().is_ok_and(|r| r.contains(address));
    let pool = records.pools().find(|p| ours(&p.range));
    match (seen.leases.as_slice(), pool) {
        ([], None) => of_source("source", "this source", seen),
        ([], Some(pool)) => Found {
            why: Some(format!("It lies in the pool \"{}\". {}", pool.name, Reason::NoWindow.why())),
            ..refused("address", Reason::NoWindow, VerdictKind::Drop)
        },
        ([(_, lease)], _) => of_lease(records, now, lease),
        (several, _) => of_shared(records, now, several),
    }
}

fn of_lease(records: &Records, now: UnixTime, lease: &Lease) -> Found {
    let owner = owner(records, lease.grant);
    if let Some(revoked) = ended(records, lease.grant) {
        return Found { kind: "address", owner, ..by_revocation(Reason::Revoked, &revoked) };
    }
    let whose =
        owner.as_ref().map_or_else(String::new, |o| format!(" for {}/{} to {}", o.user, o.device, o.service));
    let found = match lease.life(now) {
        Life::Early | Life::Live | Life::Grace => {
            let what = format!(
                "This address is leased{whose}: window {}, {}.",
                lease.window,
                lease.life(now).name()
            );
            Found { since: Some(lease.opens()), expires: Some(lease.closes()), ..passed("address", what) }
        }
        Life::Tombstone => {
            let verdict = match lease.newcomer(now) {
                Newcomer::Reset => VerdictKind::Reject,
                Newcomer::Accept | Newcomer::Silence => VerdictKind::Drop,
            };
            let found = refused("address", Reason::Tombstone, verdict);
            Found { since: Some(lease.closes()), expires: Some(lease.silent()), ..found }
        }
        Life::Draining | Life::Silence => {
            let found = refused("address", Reason::LeaseExpired, VerdictKind::Drop);
            Found { since: Some(lease.closes()), ..found }
        }
        Life::Future => {
            let found = refused("address", Reason::NoWindow, VerdictKind::Drop);
            Found { why: Some("Its lease has not opened yet.".into()), expires: Some(lease.opens()), ..found }
        }
    };
    Found { owner, ..found }
}

fn of_shared(records: &Records, now: UnixTime, leases: &[(IpAddr, Lease)]) -> Found {
    let accepted: Vec<&Lease> =
        leases.iter().map(|(_, l)| l).filter(|l| l.newcomer(now) == Newcomer::Accept).collect();
    let nameless = |lease: &&&Lease| {
        let service = records.grant(lease.grant).and_then(|g| records.service(&g.service));
        service.is_some_and(|s| s.auth == Auth::Address)
    };
    match accepted.as_slice() {
        [] => of_lease(records, now, &leases[0].1),
        [one] => of_lease(records, now, one),
        several if several.iter().any(|l| nameless(&l)) => {
            refused("address", Reason::AmbiguousAddress, VerdictKind::Reject)
        }
        several => {
            let count = several.len();
            passed(
                "address",
                format!("{count} grants share this address; the private name tells them apart."),
            )
        }
    }
}

fn of_source(kind: &'static str, word: &str, seen: &Seen) -> Found {
    match seen.samples.first() {
        None => passed(kind, format!("Nothing from {word} was refused lately.")),
        Some(last) => of_sample(kind, last),
    }
}

fn of_request(seen: &Seen) -> Option<Found> {
    seen.samples.first().map(|last| of_sample("request", last))
}

fn of_sample(kind: &'static str, sample: &Sample) -> Found {
    let at = UnixTime::from_secs(sample.first.at_unix_s);
    Found { since: Some(at), ..refused(kind, sample.first.reason, sample.first.verdict) }
}

fn of_name(records: &Records, name: &Name) -> Option<Found> {
    if let Some(user) = records.user_named(name) {
        return Some(match &user.revoked {
            Some(revoked) => Found { kind: "user", ..by_revocation(Reason::UserRevoked, revoked) },
            None => passed("user", format!("The user \"{name}\" has access.")),
        });
    }
    let service = records.service(name)?;
    let what = format!(
        "The service \"{name}\" is offered on {}, from {}.",
        service.listen,
        describe::place(service.to)
    );
    Some(passed("service", what))
}

fn of_device(records: &Records, id: uuid::Uuid) -> Found {
    let device = records.device(id);
    let user = device.and_then(|d| records.user(d.user));
    let by_user = user.and_then(|u| u.revoked.as_ref()).map(|r| by_revocation(Reason::UserRevoked, r));
    let by_device = device.and_then(|d| d.revoked.as_ref()).map(|r| by_revocation(Reason::DeviceRevoked, r));
    let found = by_user.or(by_device).unwrap_or_else(|| passed("device", "This device has access.".into()));
    Found { kind: "device", ..found }
}

fn of_grant(records: &Records, no: GrantNo) -> Found {
    let owner = owner(records, no);
    let served = records.grant(no).is_some_and(|g| records.service(&g.service).is_some());
    let found = match (ended(records, no), &owner) {
        (Some(revoked), _) => by_revocation(Reason::Revoked, &revoked),
        (None, Some(o)) if served => {
            passed("name", format!("This name leads {}/{} to {}.", o.user, o.device, o.service))
        }
        (None, _) => refused("name", Reason::ServiceUnknown, VerdictKind::Drop),
    };
    Found { kind: "name", owner, ..found }
}

fn decoy() -> Found {
    refused("name", Reason::Decoy, VerdictKind::Drop)
}

fn of_reason(reason: Reason, seen: &Seen) -> Found {
    let count = seen.total.unwrap_or(0);
    let why = format!("{} It was given {count} times since the start.", reason.why());
    // A code alone is no verdict upon anybody; the last one given stands for it.
    let verdict = seen.samples.first().map_or(VerdictKind::Reject, |s| s.first.verdict);
    Found { why: Some(why), ..refused("reason", reason, verdict) }
}

fn passed(kind: &'static str, what: String) -> Found {
    let verdict = VerdictKind::Pass;
    Found { kind, verdict, reason: None, what, why: None, since: None, expires: None, owner: None }
}

fn refused(kind: &'static str, reason: Reason, verdict: VerdictKind) -> Found {
    Found { verdict, reason: Some(reason), ..passed(kind, reason.what().to_owned()) }
}

fn by_revocation(reason: Reason, revoked: &Revoked) -> Found {
    let found = refused("user", reason, VerdictKind::Drop);
    let why = match revoked.why.as_str() {
        "" => reason.why().to_owned(),
        said => format!("The operator said: {said}"),
    };
    Found { why: Some(why), since: Some(revoked.at), ..found }
}

fn told(records: &Records, now: UnixTime, asked: &str, found: Found, seen: &Seen) -> Why {
    let reason = found.reason;
    Why {
        schema: "wandergate.why/1",
        target: asked.trim().to_owned(),
        kind: found.kind,
        verdict: found.verdict.name(),
        reason: reason.map(Reason::name),
        code: reason.map(Reason::code),
        layer: reason.map(|r| crate::views::layer_word(r.layer())),
        what: found.what,
        why: found.why.or_else(|| reason.map(|r| r.why().to_owned())),
        fix: reason.map(|r| r.fix().to_owned()),
        since: found.since.and_then(rfc3339),
        expires_at: found.expires.and_then(rfc3339),
        expires_in_s: found.expires.filter(|t| *t != UnixTime::END).map(|t| t.since(now)),
        owner: found.owner,
        connections: seen.connections,
        leases: seen.leases.iter().map(|(_, lease)| lease_view(records, now, lease)).collect(),
        seen: seen.samples.iter().take(WHY_SEEN_MAX).map(|s| refusal_view(records, s)).collect(),
        fabric: seen.refused_streams.clone(),
    }
}

fn lease_view(records: &Records, now: UnixTime, lease: &Lease) -> WhyLease {
    WhyLease {
        owner: owner(records, lease.grant),
        window: lease.window,
        state: lease.life(now).name(),
        opens_at: rfc3339(lease.opens()),
        closes_at: rfc3339(lease.closes()),
        closes_in_s: lease.closes().since(now),
    }
}

fn refusal_view(records: &Records, sample: &Sample) -> Refused {
    let event = &sample.first;
    Refused {
        at: rfc3339(UnixTime::from_secs(event.at_unix_s)),
        point: event.point.name(),
        verdict: event.verdict.name(),
        reason: event.reason.name(),
        code: event.reason.code(),
        source: event.source.to_string(),
        count: sample.at_least,
        owner: event.lease.and_then(|no| owner(records, no)),
        request: event.request.map(|id| format!("{id:032x}")),
    }
}
