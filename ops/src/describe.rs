//! Records as people are shown them. Pure; what only the running gateway knows (connections) is filled in after.

mod fabric;

use data_encoding::HEXLOWER;
use defense::Reason;
use rotator::exposure::weak;
use rotator::{Class, GrantNo, Label, Schedule, Stale, UnixTime};
use state::grants::GrantView;
use state::records::{
    Auth, BEHIND_FABRIC, Device, Grant, Invite, InviteHash, Revoked, ScheduleRecord, ScheduleVersion,
    Service, User,
};
use state::{Records, Refusal};

use crate::acts::invite;
use crate::acts::schedule::class_word;
use crate::exposure::PoolExposure;
use crate::eyes::ProcessSection;
use crate::views::{
    DeviceView, InviteView, NewName, PoolView, RevokedView, ScheduleView, ServiceView, Times, UserView,
    VersionView, origin_word, rfc3339,
};

pub use fabric::{fabric_notices, hub_links, hubs};

/// Whether the limit of descriptors keeps places from being used.
pub fn descriptor_notice(process: &ProcessSection) -> Option<String> {
    let ProcessSection { descriptors_max: most, descriptors_wanted: wanted, .. } = process;
    (most < wanted).then(|| {
        format!(
            "The process may have {most} descriptors, and wants {wanted}: fewer connections are let in. Raise its hard limit \
             (systemd: LimitNOFILE={}).",
            wanted.next_power_of_two()
        )
    })
}

/// A user, and the grants whose connections count for it.
pub fn user(records: &Records, user: &User) -> (UserView, Vec<GrantNo>) {
    let devices: Vec<&Device> = records.devices_of(user.id).collect();
    let grants: Vec<(GrantNo, &Grant)> = devices.iter().flat_map(|d| records.grants_of(d.id)).collect();
    let mut classes: Vec<_> = devices.iter().map(|d| class_word(d.class)).collect();
    classes.sort_unstable();
    classes.dedup();
    let mut services: Vec<_> = grants.iter().map(|(_, g)| g.service.to_string()).collect();
    services.sort_unstable();
    services.dedup();
    let view = UserView {
        id: user.id.to_string(),
        name: user.name.to_string(),
        created_at: rfc3339(user.created),
        state: state_word(user.revoked.is_some()),
        revoked: user.revoked.as_ref().map(revoked),
        devices_count: devices.len(),
        classes,
        services,
        posture: posture(records, &devices, &grants),
        connections: 0,
    };
    (view, grants.into_iter().map(|(no, _)| no).collect())
}

/// A device, and its grants.
pub fn device(records: &Records, device: &Device) -> (DeviceView, Vec<GrantNo>) {
    let user = records.user(device.user);
    let ended = device.revoked.as_ref().or_else(|| user.and_then(|u| u.revoked.as_ref()));
    let grants: Vec<(GrantNo, &Grant)> = records.grants_of(device.id).collect();
    let view = DeviceView {
        id: device.id.to_string(),
        user: user.map_or_else(String::new, |u| u.name.to_string()),
        name: device.name.to_string(),
        class: class_word(device.class),
        enrolled_at: rfc3339(device.enrolled),
        state: state_word(ended.is_some()),
        revoked: ended.map(revoked),
        key: device.public_key.map(|key| HEXLOWER.encode(&key.0[..8])),
        services: grants.iter().map(|(_, g)| g.service.to_string()).collect(),
        connections: 0,
    };
    (view, grants.into_iter().map(|(no, _)| no).collect())
}

pub fn invite(records: &Records, now: UnixTime, hash: &InviteHash, invite: &Invite) -> InviteView {
    let state = match &invite.used {
        Some(_) => "used",
        None if invite.expires <= now => "expired",
        None => "pending",
    };
    let device = invite.used.as_ref().map(|used| match records.device(used.device) {
        Some(device) => format!("{}/{}", invite.user, device.name),
        None => used.device_name.to_string(),
    });
    InviteView {
        id: invite::id(hash),
        user: invite.user.to_string(),
        services: invite.services.iter().map(ToString::to_string).collect(),
        created_at: rfc3339(invite.created),
        expires_at: rfc3339(invite.expires),
        expires_in_s: invite.expires.since(now),
        state,
        device,
    }
}

pub fn service(records: &Records, service: &Service) -> ServiceView {
    ServiceView {
        name: service.name.to_string(),
        to: place(service.to),
        listen: service.listen.texts(),
        port: service.listen.main_port(),
        auth: auth_word(service.auth),
        schedule: service.schedule.to_string(),
        pools: service.pools.iter().map(ToString::to_string).collect(),
        max_session_s: service.max_session_s,
        proxy: service.handling.proxy,
        speaks: service.handling.speaks.as_str(),
        maintenance: service.handling.maintenance.clone(),
        max_body: service.handling.max_body,
        max_time_s: service.handling.max_time_s,
        origin: origin_word(service.origin),
        grants: records.grants_for(&service.name).count(),
    }
}

/// # Errors
/// `internal_error` for a record without versions, which no writer makes.
pub fn schedule(
    records: &Records,
    now: UnixTime,
    schedule: &ScheduleRecord,
) -> Result<ScheduleView, Refusal> {
    let current = schedule.at(now).ok_or_else(|| Refusal::from(Reason::InternalError))?;
    let services = records.services().filter(|s| s.schedule == schedule.name);
    Ok(ScheduleView {
        name: schedule.name.to_string(),
        origin: origin_word(schedule.origin),
        services: services.map(|s| s.name.to_string()).collect(),
        current: version(current),
        pending: schedule.versions.iter().filter(|v| v.from > now && *v != current).map(version).collect(),
    })
}

pub fn version(version: &ScheduleVersion) -> VersionView {
    VersionView { from: rfc3339(version.from), name: times(version.name), agent: times(version.agent) }
}

pub fn pool(exposure: &PoolExposure) -> PoolView {
    let figures = &exposure.figures;
    PoolView {
        pool: exposure.pool.to_string(),
        range: figures.range.to_string(),
        family: if figures.range.is_v6() { "ipv6" } else { "ipv4" },
        posture: if figures.weak { "weak" } else { "strong" },
        grants: figures.grants,
        space: figures.exposure.space,
        accepted: figures.exposure.accepted,
        chance_per_guess: figures.per_guess,
        window_s: figures.window_s,
        chance_per_window: figures.per_window,
        guesses_until_hit: Some(figures.expected_guesses).filter(|n| n.is_finite()),
        seconds_until_hit: Some(figures.seconds_until_hit).filter(|s| s.is_finite()),
    }
}

/// A new private name with whose it is. `zone` makes it a host name.
pub fn new_name(view: &GrantView, label: Label, zone: &str) -> NewName {
    let card = &view.card;
    let host = if zone.is_empty() { label.to_string() } else { format!("{label}.{zone}") };
    let (user, device, service) = (card.user.to_string(), card.device.to_string(), card.service.to_string());
    NewName { user, device, service, host }
}

pub const fn auth_word(auth: Auth) -> &'static str {
    match auth {
        Auth::Address => "address",
        Auth::Name => "name",
        Auth::Key => "key",
    }
}

pub const fn state_word(revoked: bool) -> &'static str {
    if revoked { "revoked" } else { "active" }
}

/// Where a service is; one that only its local hub knows has no address here.
pub fn place(to: std::net::SocketAddr) -> String {
    if to == BEHIND_FABRIC { "fabric".to_owned() } else { to.to_string() }
}

fn revoked(revoked: &Revoked) -> RevokedView {
    RevokedView { at: rfc3339(revoked.at), why: revoked.why.clone() }
}

fn times(schedule: Schedule) -> Times {
    Times {
        window_s: schedule.period_s,
        lead_s: schedule.lead_s,
        grace_s: schedule.grace_s,
        tombstone_s: schedule.tombstone_s,
        ttl_s: schedule.ttl_s,
        label_s: schedule.label_period_s,
        max_session_s: schedule.max_session_s,
        stale: match schedule.stale {
            Stale::Reset => "reset",
            Stale::Drop => "drop",
        },
    }
}

/// The weakest of what a user has: an address out of a small space, a private name, a key.
fn posture(records: &Records, devices: &[&Device], grants: &[(GrantNo, &Grant)]) -> &'static str {
    let small = |grant: &Grant| {
        let service = records.service(&grant.service);
        let pools = service.into_iter().flat_map(|s| &s.pools).filter_map(|p| records.pool(p));
        let mut ranges = pools.filter_map(|p| p.range.parse().ok()).peekable();
        ranges.peek().is_some() && ranges.all(|range| weak(&range))
    };
    if devices.is_empty() {
        "-"
    } else if grants.iter().any(|(_, grant)| small(grant)) {
        "weak"
    } else if devices.iter().all(|d| d.class == Class::Agent) {
        "strong"
    } else {
        "good"
    }
}
