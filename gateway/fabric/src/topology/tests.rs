//! The wiring of a deployment: rule by rule, both places named; the matrix; and the rules that come back as they went.

mod breaches;
mod rules;

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::matrix::Purpose;
use super::*;
use crate::identity::Role;

/// Two planes, three hubs and one; two computers of services; one edge.
fn whole() -> Topology {
    Topology {
        hosts: vec![
            host("h1", &["10.0.0.11"], HostRole::Hub),
            host("h2", &["10.0.0.12"], HostRole::Hub),
            host("h3", &["10.0.0.13", "2001:db8::13"], HostRole::Hub),
            host("h4", &["10.0.1.11"], HostRole::Hub),
            host("app1", &["10.0.0.31", "2001:db8::31"], HostRole::LocalHub),
            host("app2", &["10.0.0.32"], HostRole::LocalHub),
            host("fra1", &["10.0.0.51", "2001:db8::51"], HostRole::Edge),
        ],
        planes: vec![
            Plane {
                name: "A".into(),
                hubs: vec![
                    hub("a1", "h1", "10.0.0.11"),
                    hub("a2", "h2", "10.0.0.12"),
                    hub("a3", "h3", "10.0.0.13"),
                ],
            },
            Plane { name: "B".into(), hubs: vec![hub("b1", "h4", "10.0.1.11")] },
        ],
        local_hubs: vec![
            LocalHubSite {
                name: "app1".into(),
                host: "app1".into(),
                door: Some(Door::Loopback("127.0.0.1:7002".parse().unwrap())),
                services: vec![service("web", &["127.0.0.1:3000"]), service("jobs", &[])],
            },
            LocalHubSite {
                name: "app2".into(),
                host: "app2".into(),
                door: None,
                services: vec![service("web", &["127.0.0.1:3000"])],
            },
        ],
        servers: vec![NativeServer {
            name: "worker1".into(),
            local_hub: "app1".into(),
            serves: vec!["jobs".into()],
        }],
        edges: vec![EdgeSite {
            name: "fra1".into(),
            host: "fra1".into(),
            opens: vec!["web".into(), "jobs".into()],
            outside: vec![
                function("web", 443, &[Protocol::Tcp]),
                function("dns", 53, &[Protocol::Tcp, Protocol::Udp]),
            ],
        }],
        egresses: vec![Egress {
            name: "mail".into(),
            edge: "fra1".into(),
            to: "192.0.2.25:587".parse().unwrap(),
            protocol: Protocol::Tcp,
            openers: vec![Identity::new(Role::LocalHub, "app1").unwrap()],
        }],
    }
}

fn host(name: &str, addresses: &[&str], role: HostRole) -> Host {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Host { name: name.into(), addresses, roles: [role].into() }
}

fn hub(name: &str, host: &str, address: &str) -> HubSite {
    let address: IpAddr = address.parse().unwrap();
    HubSite {
        name: name.into(),
        host: host.into(),
        members: (address, 7000).into(),
        between: (address, 7001).into(),
    }
}

fn service(name: &str, servers: &[&str]) -> ServiceSite {
    ServiceSite {
        name: name.into(),
        servers: servers.iter().map(|socket| socket.parse().unwrap()).collect(),
        protocol: Protocol::Tcp,
        health: Health::Connect,
        ports: Vec::new(),
        proxy: false,
    }
}

fn function(name: &str, port: u16, protocols: &[Protocol]) -> OutsideFunction {
    OutsideFunction { name: name.into(), port, protocols: protocols.iter().copied().collect() }
}

/// A plane of so many hubs, each on a host of its own.
fn plane_of(count: usize) -> Topology {
    let mut topology = Topology::default();
    let mut plane = Plane { name: "A".into(), hubs: Vec::new() };
    for i in 1..=count {
        let (name, address) = (format!("h{i}"), format!("10.0.0.{i}"));
        topology.hosts.push(host(&name, &[&address], HostRole::Hub));
        plane.hubs.push(hub(&format!("a{i}"), &name, &address));
    }
    topology.planes.push(plane);
    topology
}

#[test]
fn what_is_written_is_permitted_and_nothing_else() {
    let wiring = whole().wiring();
    let app1 = Identity::new(Role::LocalHub, "app1").unwrap();
    let app2 = Identity::new(Role::LocalHub, "app2").unwrap();
    let edge = Identity::new(Role::Edge, "fra1").unwrap();
    assert!(
        wiring.may_offer(&app1, "web") && wiring.may_offer(&app1, "jobs") && wiring.may_offer(&app2, "web")
    );
    assert!(!wiring.may_offer(&app2, "jobs") && !wiring.may_offer(&edge, "web"));
    assert!(wiring.may_open(&edge, "web") && wiring.may_open(&edge, "jobs"));
    assert!(!wiring.may_open(&edge, "mail") && !wiring.may_open(&app1, "web"));
    assert_eq!(Topology::default().wiring(), crate::Wiring::default());
}

#[test]
fn r0_10_no_wiring_lets_an_edge_open_the_operators_service_even_unchecked() {
    let mut topology = whole();
    topology.edges[0].opens.push(OPS_SERVICE.into());
    topology.local_hubs[0].services.push(service(OPS_SERVICE, &["127.0.0.1:7780"]));
    let edge = Identity::new(Role::Edge, "fra1").unwrap();
    assert!(!topology.wiring().may_open(&edge, OPS_SERVICE));
    assert!(!topology.is_possible());
}

#[test]
fn servers_serve_and_the_inside_leaves_only_as_it_is_written() {
    let topology = whole();
    let (wiring, egress) = (topology.wiring(), &topology.egresses[0]);
    let native = &topology.servers[0];
    let server = Identity::new(Role::Server, &native.name).unwrap();
    let local = Identity::new(Role::LocalHub, &native.local_hub).unwrap();
    let edge = Identity::new(Role::Edge, &egress.edge).unwrap();
    assert!(wiring.may_serve(&server, &local, &native.serves[0]) && !wiring.may_serve(&server, &local, "x"));
    assert!(wiring.may_be_exit(&edge, &egress.name) && !wiring.may_be_exit(&edge, "x"));
    for opener in &egress.openers {
        let through = if opener.role() == Role::LocalHub { opener } else { &local };
        assert!(wiring.may_leave(opener, through, &egress.name) && !wiring.may_leave(opener, through, "x"));
    }
    assert_eq!(topology.ways_out(&egress.edge), [(egress.name.clone(), egress.to)].into());
    assert!(topology.ways_out("another").is_empty());
}

#[test]
fn members_dial_every_instance_of_every_plane() {
    let planes = whole().plane_addresses();
    let told: Vec<(&str, Vec<String>)> = planes
        .iter()
        .map(|plane| {
            (
                plane.name.as_str(),
                plane.hubs.iter().map(|hub| format!("{} {}", hub.name, hub.address)).collect(),
            )
        })
        .collect();
    let a = ["a1 10.0.0.11:7000", "a2 10.0.0.12:7000", "a3 10.0.0.13:7000"];
    assert_eq!(told, [("A", a.map(str::to_owned).to_vec()), ("B", vec!["b1 10.0.1.11:7000".to_owned()])]);
}

#[test]
fn the_words_say_what_a_plane_does_not_survive() {
    let first = |count: usize| plane_of(count).limits_of("A").first().cloned().unwrap_or_default();
    assert_eq!(first(1), "plane A has one hub: it stops when that one dies; three survive one");
    assert_eq!(
        first(2),
        "plane A has two hubs: it stops when either dies; one hub is as strong, three survive one"
    );
    assert_eq!(first(3), "plane A has three hubs: it survives the death of one, and stops when two die");
    assert_eq!(
        first(4),
        "plane A has four hubs: it survives the death of one, and stops when two die; three are as strong, five survive two"
    );
    assert_eq!(first(5), "plane A has five hubs: it survives the death of two, and stops when three die");
    assert!(plane_of(3).limits_of("B").is_empty());
}

#[test]
fn hubs_that_share_a_host_are_counted_together() {
    let mut topology = plane_of(3);
    topology.planes[0].hubs[1].host = "h1".into();
    let told = topology.limits_of("A");
    assert_eq!(told[1], "two of the hubs of plane A are on host h1: its death alone stops the plane");
    let mut topology = plane_of(5);
    topology.planes[0].hubs[1].host = "h1".into();
    assert_eq!(topology.limits_of("A")[1], "two of the hubs of plane A are on host h1, and die with it");
}

#[test]
fn the_whole_says_which_service_and_which_plane_stand_alone() {
    assert_eq!(whole().limits(), ["service jobs is on host app1 alone, and stops with it"]);
    let mut topology = whole();
    topology.planes[1].hubs[0].host = "h1".into();
    assert!(topology.limits().iter().any(|told| told.starts_with("planes A and B share host h1")));
    topology.planes.pop();
    assert!(topology.limits().iter().any(|told| told.starts_with("plane A is the only one")));
}

#[test]
fn r0_11_the_matrix_says_who_may_initiate_and_accept_what_by_port() {
    let topology = whole();
    let told = |host: &str| {
        let matrix = topology.matrix(host).unwrap();
        let accepts: Vec<(u16, usize)> =
            matrix.accepts.iter().map(|row| (row.port, row.from.len())).collect();
        let initiates: Vec<String> = matrix.initiates.iter().map(|row| row.to.to_string()).collect();
        (accepts, initiates)
    };
    // A hub: its members (two computers of services and an edge), each other hub of its plane, and those to dial.
    assert_eq!(
        told("h1"),
        (vec![(7000, 3), (7001, 1), (7001, 1)], vec!["10.0.0.12:7001".into(), "10.0.0.13:7001".into()])
    );
    // The other plane shares nothing with it.
    assert_eq!(told("h4"), (vec![(7000, 3)], Vec::new()));
    let links = ["10.0.0.11:7000", "10.0.0.12:7000", "10.0.0.13:7000", "10.0.1.11:7000"].map(str::to_owned);
    assert_eq!(told("app2"), (Vec::new(), links.to_vec()));
    let (accepts, initiates) = told("fra1");
    assert_eq!(accepts, [(53, 0), (53, 0), (443, 0)]);
    assert_eq!(initiates, [&links[..], &["192.0.2.25:587".to_owned()]].concat());
    assert_eq!(topology.matrix("nowhere"), None);
}

#[test]
fn r0_11_what_one_host_may_initiate_to_another_that_one_accepts_and_the_other_way_round() {
    let topology = whole();
    let owner = |address: IpAddr| topology.hosts.iter().find(|host| host.addresses.contains(&address));
    let mut met = 0;
    for host in &topology.hosts {
        for row in topology.matrix(&host.name).unwrap().initiates {
            let Some(far) = owner(row.to.ip()) else {
                assert!(matches!(row.purpose, Purpose::Egress { .. }), "{row:?} leads to nobody");
                continue;
            };
            let accepts = topology.matrix(&far.name).unwrap().accepts;
            let taken = accepts.iter().any(|accept| {
                accept.at == Some(row.to.ip())
                    && accept.port == row.to.port()
                    && accept.from.iter().any(|address| host.addresses.contains(address))
            });
            assert!(taken, "{} dials {}, which does not accept it", host.name, row.to);
            met += 1;
        }
    }
    assert_eq!(met, 3 * 4 + 3 * 2, "three members dial four hubs, three hubs dial each other");
}

#[test]
fn r0_13_hubs_of_one_plane_both_initiate_and_accept_on_the_port_between_them() {
    let topology = whole();
    for (name, others) in [("h1", 2), ("h2", 2), ("h3", 2), ("h4", 0)] {
        let matrix = topology.matrix(name).unwrap();
        let is_between = |purpose: &Purpose| matches!(purpose, Purpose::Between { .. });
        let accepts = matrix.accepts.iter().filter(|row| is_between(&row.purpose));
        assert_eq!(accepts.filter(|row| row.port == 7001).count(), others, "{name}");
        let initiates = matrix.initiates.iter().filter(|row| is_between(&row.purpose));
        assert_eq!(initiates.filter(|row| row.to.port() == 7001).count(), others, "{name}");
    }
}

#[test]
fn r0_14_computers_of_servers_accept_nothing_and_initiate_to_hubs_alone() {
    let topology = whole();
    let hubs: BTreeSet<_> = topology.hubs().map(|(_, hub)| hub.members).collect();
    for local in &topology.local_hubs {
        let matrix = topology.matrix(&local.host).unwrap();
        assert!(matrix.accepts.is_empty(), "{matrix:?}");
        let targets: BTreeSet<_> = matrix.initiates.iter().map(|row| row.to).collect();
        assert_eq!(targets, hubs);
        assert_eq!(matrix.initiates.len(), hubs.len(), "one rule for each hub");
    }
}
