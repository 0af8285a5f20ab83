//! The fabric as people are shown it.

use crate::eyes::{FabricSection, HubSection, LinkSection, PlaneSection};
use crate::views::HubView;

/// Every hub instance, plane by plane.
pub fn hubs(section: &FabricSection) -> Vec<HubView> {
    let of_plane = |plane: &PlaneSection| plane.hubs.iter().map(|h| hub(plane, h)).collect::<Vec<_>>();
    section.planes.iter().flat_map(of_plane).collect()
}

fn hub(plane: &PlaneSection, hub: &HubSection) -> HubView {
    let links = links_of(plane, &hub.name, hub.here);
    let lanes = links.iter().flat_map(|link| &link.lanes);
    HubView {
        name: hub.name.clone(),
        plane: plane.plane.clone(),
        state: hub.state.clone(),
        term: hub.term,
        address: hub.address.clone(),
        here: hub.here,
        lanes_up: lanes.clone().filter(|lane| lane.up).count() as u64,
        lanes: lanes.clone().count() as u64,
        streams: lanes.map(|lane| lane.streams).sum(),
    }
}

/// Its links, where they are known here.
pub fn hub_links(plane: &PlaneSection, hub: &HubView) -> Vec<LinkSection> {
    links_of(plane, &hub.name, hub.here).into_iter().cloned().collect()
}

/// A hub that runs here has all links of this process; of another one, there is ours to it.
fn links_of<'p>(plane: &'p PlaneSection, hub: &str, here: bool) -> Vec<&'p LinkSection> {
    let far = format!("hub/{hub}");
    plane.links.iter().filter(|link| here || link.far == far).collect()
}

/// What still works, and would not after one more failure.
pub fn fabric_notices(section: &FabricSection) -> Vec<String> {
    let mut notices = Vec::new();
    let works = |plane: &&PlaneSection| matches!(plane.state.as_str(), "active" | "standby");
    if section.planes.len() > 1 && section.planes.iter().any(|plane| works(&plane)) {
        let down = section.planes.iter().filter(|plane| !works(plane));
        notices.extend(down.map(|plane| {
            format!("Plane {} is {}: nothing takes over if the other plane fails.", plane.plane, plane.state)
        }));
    }
    for plane in section.planes.iter().filter(|plane| plane.hubs.len() > 1 && works(plane)) {
        let ready = |hub: &&HubSection| matches!(hub.state.as_str(), "active" | "standby");
        let known = plane.hubs.iter().filter(|hub| hub.state != "unknown").count();
        let up = plane.hubs.iter().filter(ready).count();
        if known == plane.hubs.len() && up < plane.hubs.len() {
            notices.push(format!(
                "{up} of {} hub instances of plane {} are up; it needs {}.",
                plane.hubs.len(),
                plane.plane,
                plane.hubs.len() / 2 + 1
            ));
        }
    }
    notices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(name: &str, state: &str, hubs: &[(&str, &str)]) -> PlaneSection {
        let hub = |(name, state): &(&str, &str)| HubSection {
            name: (*name).into(),
            state: (*state).into(),
            ..HubSection::default()
        };
        PlaneSection {
            plane: name.into(),
            state: state.into(),
            hubs: hubs.iter().map(hub).collect(),
            ..PlaneSection::default()
        }
    }

    fn notices(planes: Vec<PlaneSection>) -> Vec<String> {
        fabric_notices(&FabricSection { planes, ..FabricSection::default() })
    }

    #[test]
    fn a_plane_that_is_down_beside_one_that_works_is_told() {
        assert_eq!(notices(vec![plane("A", "active", &[])]), Vec::<String>::new());
        assert_eq!(notices(vec![plane("A", "active", &[]), plane("B", "active", &[])]), Vec::<String>::new());
        let told = notices(vec![plane("A", "active", &[]), plane("B", "down", &[])]);
        assert!(told.len() == 1 && told[0].contains("Plane B is down"), "{told:?}");
        assert_eq!(notices(vec![plane("A", "down", &[]), plane("B", "down", &[])]), Vec::<String>::new());
    }

    #[test]
    fn a_hub_instance_that_is_away_is_told_only_by_whom_it_is_known() {
        let (up, away) = (("a1", "active"), ("a2", "unreachable"));
        let told = notices(vec![plane("A", "active", &[up, away, ("a3", "standby")])]);
        assert!(
            told.len() == 1 && told[0].starts_with("2 of 3") && told[0].ends_with("it needs 2."),
            "{told:?}"
        );
        let unknown = ("a3", "unknown");
        assert_eq!(notices(vec![plane("A", "active", &[up, away, unknown])]), Vec::<String>::new());
    }
}
