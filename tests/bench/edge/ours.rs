//! Ours: the product's own binary as edge, hub and local hub, a process each; users with leases, budgets and names.

use tests::clients::address;
use tests::fabric::{Fabric, Plan};
use tests::measure::processes::pin;
use tests::product::Process;

use crate::proxies::{Door, Own, Proxy, Site};

/// Budgets stay in force, but are not what is measured here.
const BUDGETS: &str = "\n[defense]\nlease_connections = \"1000000/s\"\nlease_requests = \"1000000/s\"\n";
/// A lease takes a bounded number of connections at a time; so many together take all that are measured.
const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

pub(crate) fn start(site: &Site) -> Result<Proxy, String> {
    // The product's processes inherit this one's core, so that each of them makes one worker; then they move.
    let plan = Plan { planes: vec![("A", 1)], more: BUDGETS, ..Plan::whole(site.service) };
    let fabric = Fabric::start(&plan);
    if let Some(core) = site.cores.chain {
        members(&fabric).for_each(|member| pin(member.pid(), core));
    }
    let further = USERS[1..].iter().map(|user| fabric.enroll(user));
    let leases: Vec<_> = [fabric.lease.clone()].into_iter().chain(further).collect();
    let doors = leases.iter().map(|lease| Door {
        at: (address(&fabric.edge, lease), u16::try_from(lease["port"].as_u64().unwrap()).unwrap()).into(),
        name: lease["name"].as_str().unwrap().to_owned(),
        authority: fabric.edge.text("/ca_file").into(),
    });
    let doors = doors.collect();
    Ok(Proxy { name: "wandergate", doors, own: Own::Product(Box::new(fabric)) })
}

/// The edge, and everything behind it.
pub(crate) fn members(fabric: &Fabric) -> impl Iterator<Item = &Process> {
    [&fabric.edge].into_iter().chain(fabric.hubs.values()).chain(&fabric.local_hubs)
}
