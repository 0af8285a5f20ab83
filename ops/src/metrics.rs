//! Counters and gauges as Prometheus reads them (text format 0.0.4). Labels come from closed lists and from the wiring:
//! never a user, an address or anything that a stranger chooses.

use std::fmt::Write;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::bounds::METRIC_LINKS_MAX;
use crate::eyes::{FabricSection, LinkSection, PlaneSection, PressureSection, Sections};
use crate::views::VerdictCount;

/// A scrape's answer.
pub(crate) fn answer(text: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// What every process of the fabric tells.
pub fn fabric(section: &FabricSection) -> String {
    let mut page = Page::default();
    planes(&mut page, &section.planes);
    lanes(&mut page, &section.planes);
    hubs(&mut page, &section.planes);
    page.head("wandergate_fabric_refused_total", "counter", "Streams and lanes refused or ended, by reason.");
    for plane in &section.planes {
        for refused in &plane.refused {
            let labels = [("plane", plane.plane.as_str()), ("reason", refused.reason.as_str())];
            page.line("wandergate_fabric_refused_total", &labels, refused.count);
        }
    }
    page.head("wandergate_fabric_offer_servers", "gauge", "Servers of a service that take new streams.");
    for offer in &section.offers {
        page.line("wandergate_fabric_offer_servers", &[("service", &offer.service)], offer.healthy);
    }
    page.0
}

/// What a gateway tells besides: its doors, and every verdict.
pub fn gateway(sections: &Sections, verdicts: &[VerdictCount]) -> String {
    let mut page = Page(fabric(&sections.fabric));
    let edge = &sections.edge;
    page.head("wandergate_connections", "gauge", "Open connections of users.");
    let open = edge.connections.saturating_sub(edge.connections_draining);
    page.line("wandergate_connections", &[("state", "open")], open);
    page.line("wandergate_connections", &[("state", "draining")], edge.connections_draining);
    page.head("wandergate_windows", "gauge", "Leases in the edge's table, by stage.");
    let leases = edge.leases;
    for (state, count) in [
        ("next", leases.early),
        ("live", leases.live),
        ("grace", leases.grace),
        ("tombstone", leases.tombstone),
    ] {
        page.line("wandergate_windows", &[("state", state)], count);
    }
    pressure(&mut page, &edge.pressure);
    let totals = [
        ("wandergate_requests_total", "Requests that were let through.", edge.requests_total),
        ("wandergate_dns_queries_total", "DNS queries.", sections.dns.queries_total),
        ("wandergate_decoy_answers_total", "DNS answers with a decoy.", sections.dns.decoys_total),
        ("wandergate_enrolled_total", "Devices enrolled.", sections.registration.enrolled_total),
        ("wandergate_enroll_refused_total", "Registrations refused.", sections.registration.refused_total),
    ];
    for (name, help, value) in totals {
        page.head(name, "counter", help);
        page.line(name, &[], value);
    }
    process(&mut page, sections);
    page.head("wandergate_verdicts_total", "counter", "Refusals and delays, by reason.");
    for row in verdicts {
        let labels = [("point", row.point), ("verdict", row.verdict), ("reason", row.reason)];
        page.line("wandergate_verdicts_total", &labels, row.count);
    }
    page.0
}

/// Under the names that every exporter of a process uses, where there is one.
fn process(page: &mut Page, sections: &Sections) {
    let (edge, process) = (&sections.edge, &sections.process);
    let gauges = [
        ("process_open_fds", "Open descriptors.", process.descriptors),
        ("process_max_fds", "Descriptors that may be open.", process.descriptors_max),
        ("process_resident_memory_bytes", "Resident memory.", process.resident_bytes),
        ("process_threads", "Threads.", process.threads),
        ("wandergate_tasks", "Tasks of all runtimes.", process.tasks),
        ("wandergate_places", "Connections of every kind that may be open at a time.", edge.places),
        ("wandergate_places_free", "Of these, those that nobody has.", edge.places_free),
        ("wandergate_draining", "1 from the word to stop on.", u64::from(edge.draining)),
    ];
    for (name, help, value) in gauges {
        page.head(name, "gauge", help);
        page.line(name, &[], value);
    }
}

fn pressure(page: &mut Page, section: &PressureSection) {
    page.head("wandergate_pressure", "gauge", "1 for the level of pressure that the edge is under.");
    for level in ["calm", "raised", "high", "severe"] {
        page.line("wandergate_pressure", &[("level", level)], u64::from(section.level == level));
    }
    page.head("wandergate_pressure_raised_total", "counter", "Times that a higher level was reached.");
    page.line("wandergate_pressure_raised_total", &[], section.raised_total);
    page.head("wandergate_shed_total", "counter", "Work that was shed under pressure.");
    for shed in &section.shed {
        page.line("wandergate_shed_total", &[("what", &shed.what)], shed.count);
    }
}

fn planes(page: &mut Page, planes: &[PlaneSection]) {
    let gauges: [(&str, &str, Gauge); 5] = [
        ("wandergate_fabric_plane_active", "1 while the plane carries streams here.", |p| {
            u64::from(p.state == "active")
        }),
        ("wandergate_fabric_term", "Term of the plane's active hub instance.", |p| p.term.unwrap_or(0)),
        ("wandergate_fabric_lanes_up", "Lanes that are up.", |p| p.lanes_up),
        ("wandergate_fabric_lanes_wanted", "Lanes that there should be, six per link.", |p| p.lanes),
        ("wandergate_fabric_streams", "Streams under way.", |p| p.streams),
    ];
    for (name, help, value) in gauges {
        page.head(name, "gauge", help);
        for plane in planes {
            page.line(name, &[("plane", &plane.plane)], value(plane));
        }
    }
    let counters: [(&str, &str, Gauge); 4] = [
        ("wandergate_fabric_opened_total", "Streams that reached their service.", |p| p.opened_total),
        ("wandergate_fabric_chosen_total", "Streams for which this plane was chosen.", |p| p.chosen_total),
        ("wandergate_fabric_hedges_won_total", "Streams that it opened for a late plane.", |p| {
            p.hedges_won_total
        }),
        ("wandergate_fabric_hedges_lost_total", "Streams that another opened in its place.", |p| {
            p.hedges_lost_total
        }),
    ];
    for (name, help, value) in counters {
        page.head(name, "counter", help);
        for plane in planes {
            page.line(name, &[("plane", &plane.plane)], value(plane));
        }
    }
}

/// Lane by lane, for the first links of a plane; all of them are in the plane's sums.
fn lanes(page: &mut Page, planes: &[PlaneSection]) {
    let shown = |plane: &PlaneSection| plane.links.iter().take(METRIC_LINKS_MAX).cloned().collect::<Vec<_>>();
    let links: Vec<(&str, LinkSection)> = planes
        .iter()
        .flat_map(|plane| shown(plane).into_iter().map(|link| (plane.plane.as_str(), link)))
        .collect();
    page.head("wandergate_fabric_lane_up", "gauge", "1 while this lane of this link is up.");
    each_lane(page, "wandergate_fabric_lane_up", &links, |lane| u64::from(lane.up));
    page.head("wandergate_fabric_lane_streams", "gauge", "Streams on this lane.");
    each_lane(page, "wandergate_fabric_lane_streams", &links, |lane| lane.streams);
    page.head("wandergate_fabric_link_suspect", "gauge", "1 while new streams avoid this link.");
    for (plane, link) in &links {
        let labels = [("plane", *plane), ("far", link.far.as_str())];
        page.line("wandergate_fabric_link_suspect", &labels, u64::from(link.suspect));
    }
    page.head("wandergate_fabric_link_rtt_seconds", "gauge", "Round trip of the control lane.");
    for (plane, link) in &links {
        if let Some(rtt_us) = link.rtt_us {
            let labels = [("plane", *plane), ("far", link.far.as_str())];
            page.line("wandergate_fabric_link_rtt_seconds", &labels, seconds(rtt_us));
        }
    }
}

fn each_lane(
    page: &mut Page,
    name: &str,
    links: &[(&str, LinkSection)],
    value: impl Fn(&crate::eyes::LaneSection) -> u64,
) {
    for (plane, link) in links {
        for (index, lane) in link.lanes.iter().enumerate() {
            let index = index.to_string();
            let labels = [
                ("plane", *plane),
                ("far", link.far.as_str()),
                ("lane", index.as_str()),
                ("class", lane.class.as_str()),
            ];
            page.line(name, &labels, value(lane));
        }
    }
}

fn hubs(page: &mut Page, planes: &[PlaneSection]) {
    page.head("wandergate_hub_state", "gauge", "1 for the state that a hub instance is in, as seen here.");
    for plane in planes {
        for hub in &plane.hubs {
            let labels =
                [("plane", plane.plane.as_str()), ("hub", hub.name.as_str()), ("state", hub.state.as_str())];
            page.line("wandergate_hub_state", &labels, 1);
        }
    }
}

fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// What of a plane a gauge shows.
type Gauge = fn(&PlaneSection) -> u64;

#[derive(Default)]
struct Page(String);

impl Page {
    // Writing to a String cannot fail.
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let pairs: Vec<String> =
            labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escaped(text))).collect();
        let braced = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        let _ = writeln!(self.0, "{name}{braced} {value}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eyes::{HubSection, LaneSection, ReasonCount};

    fn section() -> FabricSection {
        let lane = |up| LaneSection { class: "bulk".into(), up, streams: 2, ..LaneSection::default() };
        let link = LinkSection {
            far: "hub/hub-a1".into(),
            rtt_us: Some(1_250),
            lanes: vec![lane(true), lane(false)],
            ..LinkSection::default()
        };
        let plane = PlaneSection {
            plane: "A".into(),
            state: "active".into(),
            term: Some(7),
            links: vec![link],
            hubs: vec![HubSection { name: "hub-a1".into(), state: "active".into(), ..Default::default() }],
            refused: vec![ReasonCount { reason: "link_down".into(), count: 3 }],
            ..PlaneSection::default()
        };
        FabricSection { planes: vec![plane], ..FabricSection::default() }
    }

    #[test]
    fn lanes_links_planes_and_reasons_have_their_lines() {
        let text = fabric(&section());
        for line in [
            "wandergate_fabric_term{plane=\"A\"} 7",
            "wandergate_fabric_lane_up{plane=\"A\",far=\"hub/hub-a1\",lane=\"1\",class=\"bulk\"} 0",
            "wandergate_fabric_link_rtt_seconds{plane=\"A\",far=\"hub/hub-a1\"} 0.001250",
            "wandergate_fabric_refused_total{plane=\"A\",reason=\"link_down\"} 3",
            "wandergate_hub_state{plane=\"A\",hub=\"hub-a1\",state=\"active\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample_whose_name_was_declared() {
        let text = gateway(&Sections { fabric: section(), ..Sections::default() }, &[]);
        let mut declared = std::collections::BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert!(declared.insert(rest.split(' ').next().unwrap().to_owned()), "twice: {line}");
            } else if !line.starts_with("# HELP ") {
                let name = line.split(['{', ' ']).next().unwrap();
                assert!(declared.contains(name), "{line}");
                assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn links_beyond_the_bound_are_in_the_sums_alone() {
        let mut section = section();
        let link = section.planes[0].links[0].clone();
        section.planes[0].links = vec![link; METRIC_LINKS_MAX + 1];
        let shown = fabric(&section).lines().filter(|l| l.starts_with("wandergate_fabric_lane_up{")).count();
        assert_eq!(shown, 2 * METRIC_LINKS_MAX);
    }

    #[test]
    fn a_label_never_ends_its_line_or_its_quotes() {
        let mut page = Page::default();
        page.line("x", &[("a", "b\"\n\\")], 1);
        assert_eq!(page.0, "x{a=\"b\\\"\\n\\\\\"} 1\n");
    }
}
