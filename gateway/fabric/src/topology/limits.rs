//! What a wiring does not survive, in plain words. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Plane, Topology};

impl Topology {
    /// What a plane does not survive, and what would help, one sentence each; nothing for a plane that is not there.
    pub fn limits_of(&self, plane: &str) -> Vec<String> {
        self.plane(plane).map(limits_of).unwrap_or_default()
    }

    /// What the whole does not survive: planes that fall together, services with one local hub.
    pub fn limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        if let [only] = self.planes.as_slice() {
            limits.push(format!(
                "plane {} is the only one: while it elects or is down, nothing passes; a second one, on other hosts, would carry on",
                only.name
            ));
        }
        limits.extend(self.shared_hosts());
        let services: BTreeSet<&str> =
            self.local_hubs.iter().flat_map(|local| &local.services).map(|one| one.name.as_str()).collect();
        for service in services {
            let hosts: BTreeSet<&str> = self.offerers(service).map(|local| local.host.as_str()).collect();
            if let [host] = hosts.iter().copied().collect::<Vec<_>>()[..] {
                limits.push(format!("service {service} is on host {host} alone, and stops with it"));
            }
        }
        limits
    }

    /// Hosts whose loss hurts both planes.
    fn shared_hosts(&self) -> Vec<String> {
        let mut on: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (plane, hub) in self.hubs() {
            on.entry(&hub.host).or_default().insert(&plane.name);
        }
        let shared = on.into_iter().filter(|(_, planes)| planes.len() > 1);
        let tell = |(host, planes): (&str, BTreeSet<&str>)| {
            let planes: Vec<&str> = planes.into_iter().collect();
            format!("planes {} share host {host}: its death hurts all of them at once", planes.join(" and "))
        };
        shared.map(tell).collect()
    }
}

fn limits_of(plane: &Plane) -> Vec<String> {
    let name = &plane.name;
    let count = plane.hubs.len();
    // Of `count` hubs a majority has to agree.
    let spare = count.saturating_sub(1) / 2;
    let mut limits = vec![match count {
        0 => format!("plane {name} has no hub: it carries nothing"),
        1 => format!("plane {name} has one hub: it stops when that one dies; three survive one"),
        2 => format!(
            "plane {name} has two hubs: it stops when either dies; one hub is as strong, three survive one"
        ),
        odd if odd % 2 == 1 => format!(
            "plane {name} has {} hubs: it survives the death of {}, and stops when {} die",
            number(odd),
            number(spare),
            number(spare + 1)
        ),
        even => format!(
            "plane {name} has {} hubs: it survives the death of {}, and stops when {} die; {} are as strong, {} survive {}",
            number(even),
            number(spare),
            number(spare + 1),
            number(even - 1),
            number(even + 1),
            number(spare + 1)
        ),
    }];
    let mut on: BTreeMap<&str, usize> = BTreeMap::new();
    for hub in &plane.hubs {
        *on.entry(&hub.host).or_default() += 1;
    }
    for (host, together) in on.into_iter().filter(|(_, together)| *together > 1) {
        limits.push(match together > spare {
            true => format!(
                "{} of the hubs of plane {name} are on host {host}: its death alone stops the plane",
                number(together)
            ),
            false => {
                format!(
                    "{} of the hubs of plane {name} are on host {host}, and die with it",
                    number(together)
                )
            }
        });
    }
    limits
}

fn number(count: usize) -> String {
    let words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    words.get(count).map_or_else(|| count.to_string(), |word| (*word).to_owned())
}
