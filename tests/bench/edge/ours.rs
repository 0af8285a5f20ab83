//! Ours: the product's own binary as edge, hub and local hub, a process each; users with leases, budgets and names.

use std::path::PathBuf;

use serde_json::Value;
use tests::clients::address;
use tests::deployment::free_port;
use tests::fabric::{Fabric, Plan};
use tests::measure::processes::pin;
use tests::product::Process;

use crate::proxies::{Door, Own, Proxy, Raw, Site};

/// The rates of the hooks stay in force, but are not what is measured here.
const RATES: &str = "\n[defense]\nlease_connections = \"1000000/s\"\nlease_requests = \"1000000/s\"\n";
/// Budgets of leases are as everybody's: it takes so many users together to ask for what is measured.
const USERS: usize = 16;
/// Where an earlier build is.
pub(crate) const BEFORE: &str = "BENCH_BEFORE";

/// What carries the service's own bytes.
const RAW: [&str; 3] = ["tcp", "tls", "udp"];
/// A line for each request.
const LOG: &str = "access_log = \"access.jsonl\"\n";

pub(crate) fn start(site: &Site) -> Result<Proxy, String> {
    Ok(product(site, "wandergate", None))
}

/// An earlier build of the product, for before and after in the same run.
pub(crate) fn before(site: &Site) -> Result<Proxy, String> {
    Ok(product(site, "before", Some(std::env::var_os(BEFORE).ok_or("no earlier build")?.into())))
}

fn product(site: &Site, name: &'static str, program: Option<PathBuf>) -> Proxy {
    // The product's processes inherit this one's core, so that each of them makes one worker; then they move.
    let ports = [free_port(), free_port(), free_port()];
    let entries = RAW
        .iter()
        .zip(ports)
        .filter(|_| site.v6.is_some())
        .map(|(protocol, port)| format!("{protocol}/{port}={}", site.service.port()))
        .collect();
    let planes = vec![("A", 1)];
    let plan =
        Plan { planes, v6: site.v6, entries, edge: LOG, more: RATES, program, ..Plan::whole(site.service) };
    let fabric = Fabric::start(&plan);
    if let Some(core) = site.cores.chain {
        members(&fabric).for_each(|member| pin(member.pid(), core));
    }
    let further = (1..USERS).map(|number| fabric.enroll(&format!("user{number}")));
    let leases: Vec<_> = [fabric.lease.clone()].into_iter().chain(further).collect();
    let doors = |port: Option<u16>| {
        let door = |lease: &Value| Door {
            at: (address(&fabric.edge, lease), port.unwrap_or_else(|| own_port(lease))).into(),
            name: lease["name"].as_str().unwrap().to_owned(),
            authority: fabric.edge.text("/ca_file").into(),
        };
        leases.iter().map(door).collect::<Vec<_>>()
    };
    let [tcp, tls, udp] = ports.map(|port| doors(Some(port)));
    let (doors, raw) = (doors(None), Raw { tcp, tls, udp });
    Proxy { name, doors, raw, own: Own::Product(Box::new(fabric)) }
}

/// For HTTP.
fn own_port(lease: &Value) -> u16 {
    lease["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap()
}

/// The edge, and everything behind it.
pub(crate) fn members(fabric: &Fabric) -> impl Iterator<Item = &Process> {
    [&fabric.edge].into_iter().chain(fabric.hubs.values()).chain(&fabric.local_hubs)
}
