//! What members of the fabric tell about themselves, in the words of the ops API. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use fabric::PlaneAddress;
use fabric::bounds::LANES;
use fabric::status::{LinkStatus, PlaneStatus, RefusedStream, ServerState, ServiceStatus};
use ops::eyes::{
    HubSection, LaneSection, LinkSection, OfferSection, PlaneSection, ReasonCount, StreamRefusal,
};

/// A plane as a member follows it; `known` is where the wiring has its instances.
pub(super) fn followed(plane: &PlaneStatus, known: &PlaneAddress) -> PlaneSection {
    let active = plane.link.as_ref().map(|link| link.far.name().to_owned());
    let state = match plane.lanes_up() {
        LANES => "active",
        0 => "down",
        _ => "partial",
    };
    let hub = |hub: &fabric::HubAddress| HubSection {
        name: hub.name.clone(),
        address: Some(hub.address.to_string()),
        state: match active.as_deref() == Some(hub.name.as_str()) && plane.lanes_up() > 0 {
            true => "active",
            false => "unknown",
        }
        .to_owned(),
        ..HubSection::default()
    };
    PlaneSection {
        plane: plane.name.clone(),
        state: state.to_owned(),
        active: active.clone().filter(|_| plane.lanes_up() > 0),
        lanes_up: plane.lanes_up() as u64,
        lanes: LANES as u64,
        streams: plane.streams() as u64,
        term: (plane.term > 0).then_some(plane.term),
        chosen_total: plane.chosen,
        hedges_won_total: plane.hedges_won,
        hedges_lost_total: plane.hedges_lost,
        rtt_us: plane.srtt.map(micros),
        suspect: plane.is_suspect,
        last_end: plane.last_end.map(str::to_owned),
        hubs: known.hubs.iter().map(hub).collect(),
        links: plane.link.iter().map(link).collect(),
        ..PlaneSection::default()
    }
}

pub(super) fn link(status: &LinkStatus) -> LinkSection {
    LinkSection {
        far: status.far.to_string(),
        ready: status.is_ready,
        suspect: status.lanes.iter().any(|lane| lane.is_up && lane.is_suspect),
        rtt_us: status.lanes.first().and_then(|control| control.srtt).map(micros),
        lanes: status
            .lanes
            .iter()
            .map(|lane| LaneSection {
                class: lane.class.as_str().to_owned(),
                up: lane.is_up,
                suspect: lane.is_suspect,
                rtt_us: lane.srtt.map(micros),
                streams: lane.streams as u64,
            })
            .collect(),
        services: status.services.clone(),
        last_end: status.last_end.map(str::to_owned),
    }
}

pub(super) fn reasons(counts: &BTreeMap<&'static str, u64>) -> Vec<ReasonCount> {
    counts.iter().map(|(reason, count)| ReasonCount { reason: (*reason).to_owned(), count: *count }).collect()
}

pub(super) fn refusals(streams: &[RefusedStream], own: &str) -> Vec<StreamRefusal> {
    let told = |one: &RefusedStream| StreamRefusal {
        ago_s: one.ago.as_secs(),
        service: one.service.clone(),
        caller: if one.caller.is_empty() { own.to_owned() } else { one.caller.clone() },
        reason: one.reason.to_owned(),
        count: one.count,
    };
    streams.iter().map(told).collect()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn offer(status: &ServiceStatus) -> OfferSection {
    OfferSection {
        service: status.name.clone(),
        servers: status.servers.iter().map(|server| server.place.to_string()).collect(),
        permitted: status.is_permitted,
        healthy: status.servers.iter().filter(|server| server.state == ServerState::Well).count() as u64,
    }
}
