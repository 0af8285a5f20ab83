//! Each rule broken in each way, one at a time: told once, at its place, with the other place.

use super::*;
use crate::topology::{Rule, Weight};

type Breach = (&'static str, Rule, &'static str, Option<&'static str>, fn(&mut Topology));

const BREACHES: &[Breach] = &[
    ("a name in upper case", Rule::NameInvalid, "local_hub.App", None, |t| {
        t.local_hubs[1].name = "App".into();
    }),
    ("a plane's name with a dot", Rule::NameInvalid, "plane.B.1", None, |t| t.planes[1].name = "B.1".into()),
    ("two hubs of one name", Rule::NameTwice, "plane.B.hub.a1", Some("plane.A.hub.a1"), |t| {
        t.planes[1].hubs[0].name = "a1".into();
    }),
    ("two local hubs of one name", Rule::NameTwice, "local_hub.app1", Some("local_hub.app1"), |t| {
        t.local_hubs[1].name = "app1".into();
    }),
    ("three planes", Rule::TooMany, "plane.C", None, |t| {
        let mut plane = t.planes[1].clone();
        plane.name = "C".into();
        plane.hubs[0] = hub("c1", "h5", "10.0.2.11");
        t.hosts.push(host("h5", &["10.0.2.11"], HostRole::Hub));
        t.planes.push(plane);
    }),
    ("a hub on no host", Rule::Unknown, "plane.B.hub.b1.host", None, |t| {
        t.planes[1].hubs[0].host = "h9".into();
        t.hosts.remove(3);
    }),
    ("a server at no local hub", Rule::Unknown, "server.worker1.local_hub", None, |t| {
        t.servers[0].local_hub = "app9".into();
        t.local_hubs[0].services[1].servers.push("127.0.0.1:1".parse().unwrap());
    }),
    ("a server of no service", Rule::Unknown, "server.worker1.serves[1]", None, |t| {
        t.servers[0].serves.push("job".into());
    }),
    ("an egress of no edge", Rule::Unknown, "egress.mail.edge", None, |t| t.egresses[0].edge = "fra2".into()),
    ("an egress for nobody known", Rule::Unknown, "egress.mail.openers[0]", None, |t| {
        t.egresses[0].openers[0] = Identity::new(Role::Server, "worker2").unwrap();
    }),
    ("a hub where none may be", Rule::RoleMissing, "plane.A.hub.a4.host", Some("host.h5.roles"), |t| {
        let mut computer = host("h5", &["10.0.0.15"], HostRole::LocalHub);
        computer.roles = BTreeSet::new();
        t.hosts.push(computer);
        t.planes[0].hubs.push(hub("a4", "h5", "10.0.0.15"));
    }),
    ("a role that nothing has", Rule::RoleIdle, "host.app2.roles", None, |t| {
        t.hosts[5].roles.insert(HostRole::Hub);
    }),
    (
        "a hub off its host's addresses",
        Rule::AddressForeign,
        "plane.B.hub.b1.members",
        Some("host.h4.addresses"),
        |t| {
            t.planes[1].hubs[0].members = "10.0.9.9:7000".parse().unwrap();
        },
    ),
    (
        "a hub that hears the others elsewhere",
        Rule::AddressForeign,
        "plane.A.hub.a3.between",
        Some("host.h3.addresses"),
        |t| {
            t.planes[0].hubs[2].between = "10.0.9.9:7001".parse().unwrap();
        },
    ),
    (
        "an address of two hosts",
        Rule::AddressTwice,
        "host.app2.addresses",
        Some("host.app1.addresses"),
        |t| {
            t.hosts[5].addresses.push("2001:db8::31".parse().unwrap());
        },
    ),
    (
        "a member without the hub's family",
        Rule::FamilyApart,
        "host.app2.addresses",
        Some("plane.A.hub.a3.members"),
        |t| {
            t.planes[0].hubs[2].members = "[2001:db8::13]:7000".parse().unwrap();
        },
    ),
    ("a plane without a hub", Rule::PlaneEmpty, "plane.B", None, |t| {
        t.planes[1].hubs.clear();
        t.hosts.remove(3);
    }),
    (
        "two hubs of a plane on one host",
        Rule::HubsTogether,
        "plane.A.hub.a4.host",
        Some("plane.A.hub.a3.host"),
        |t| {
            t.planes[0].hubs.push(HubSite {
                members: "10.0.0.13:7003".parse().unwrap(),
                between: "10.0.0.13:7004".parse().unwrap(),
                ..hub("a4", "h3", "10.0.0.13")
            });
        },
    ),
    (
        "two planes on one host",
        Rule::PlanesTogether,
        "plane.B.hub.b2.host",
        Some("plane.A.hub.a3.host"),
        |t| {
            t.planes[1].hubs.push(HubSite {
                members: "10.0.0.13:7003".parse().unwrap(),
                between: "10.0.0.13:7004".parse().unwrap(),
                ..hub("b2", "h3", "10.0.0.13")
            });
        },
    ),
    ("a service without servers", Rule::Serverless, "local_hub.app1.service.jobs", None, |t| {
        t.servers.clear();
    }),
    ("a server on the network", Rule::OffLoopback, "local_hub.app2.service.web.servers[0]", None, |t| {
        t.local_hubs[1].services[0].servers[0] = "10.0.0.32:3000".parse().unwrap();
    }),
    ("a door on the network", Rule::OffLoopback, "local_hub.app1.door", None, |t| {
        t.local_hubs[0].door = Some(Door::Loopback("10.0.0.31:7002".parse().unwrap()));
    }),
    (
        "a probe by HTTP over UDP",
        Rule::ProtocolUnfit,
        "local_hub.app2.service.voice.health",
        Some("local_hub.app2.service.voice.protocol"),
        |t| {
            let voice = ServiceSite {
                protocol: Protocol::Udp,
                health: Health::Http("/".into()),
                ..service("voice", &["127.0.0.1:5060"])
            };
            t.local_hubs[1].services.push(voice);
            t.edges[0].opens.push("voice".into());
        },
    ),
    (
        "a server named twice",
        Rule::ServerTwice,
        "local_hub.app2.service.web.servers[1]",
        Some("local_hub.app2.service.web.servers[0]"),
        |t| t.local_hubs[1].services[0].servers.push("127.0.0.1:3000".parse().unwrap()),
    ),
    ("too many servers", Rule::TooMany, "local_hub.app2.service.web.servers", None, |t| {
        let many = 1..=u16::try_from(crate::bounds::SERVERS_MAX).unwrap() + 1;
        t.local_hubs[1].services[0].servers = many.map(|port| ([127, 0, 0, 1], port).into()).collect();
    }),
    (
        "a probe by a connection over UDP",
        Rule::ProtocolUnfit,
        "local_hub.app2.service.voice.health",
        Some("local_hub.app2.service.voice.protocol"),
        |t| {
            let voice = ServiceSite { protocol: Protocol::Udp, ..service("voice", &["127.0.0.1:5060"]) };
            t.local_hubs[1].services.push(voice);
            t.edges[0].opens.push("voice".into());
        },
    ),
    ("an edge opens what nobody offers", Rule::NotOffered, "edge.fra1.opens[2]", None, |t| {
        t.edges[0].opens.push("webb".into());
    }),
    ("nobody opens a service", Rule::NotOpened, "local_hub.app1.service.jobs", None, |t| {
        t.edges[0].opens.truncate(1);
    }),
    (
        "a server at a local hub without a door",
        Rule::NoDoor,
        "server.worker1.local_hub",
        Some("local_hub.app1"),
        |t| {
            t.local_hubs[0].door = None;
        },
    ),
    (
        "an egress to a host of the inside",
        Rule::EgressInside,
        "egress.mail.to",
        Some("host.app2.addresses"),
        |t| {
            t.egresses[0].to = "10.0.0.32:22".parse().unwrap();
        },
    ),
    ("an egress to loopback", Rule::EgressInside, "egress.mail.to", None, |t| {
        t.egresses[0].to = "127.0.0.1:25".parse().unwrap();
    }),
    (
        "an egress called as a service",
        Rule::EgressName,
        "egress.web",
        Some("local_hub.app1.service.web"),
        |t| {
            t.egresses[0].name = "web".into();
        },
    ),
    ("an egress for an edge", Rule::EgressOpener, "egress.mail.openers[0]", None, |t| {
        t.egresses[0].openers[0] = Identity::new(Role::Edge, "fra1").unwrap();
    }),
];

/// Those of requirements, whose tests carry the number.
const EDGE_INSIDE: &[Breach] = &[
    (
        "an edge's host that is a hub's too",
        Rule::EdgeInside,
        "host.h4.roles",
        Some("plane.B.hub.b1.host"),
        |t| {
            t.hosts[3].roles.insert(HostRole::Edge);
            t.edges.push(EdgeSite {
                name: "ams1".into(),
                host: "h4".into(),
                opens: vec!["web".into()],
                outside: Vec::new(),
            });
        },
    ),
    (
        "an edge's host that is a local hub's too",
        Rule::EdgeInside,
        "host.app2.roles",
        Some("local_hub.app2.host"),
        |t| {
            t.hosts[5].roles.insert(HostRole::Edge);
            t.edges.push(EdgeSite {
                name: "ams1".into(),
                host: "app2".into(),
                opens: vec!["web".into()],
                outside: Vec::new(),
            });
        },
    ),
];
const OPS: &[Breach] = &[
    (
        "an edge that opens ops",
        Rule::OpsReserved,
        "edge.fra1.opens[2]",
        Some("local_hub.app2.service.ops"),
        |t| {
            t.edges[0].opens.push("ops".into());
            t.local_hubs[1].services.push(service("ops", &["127.0.0.1:7780"]));
        },
    ),
    ("an edge that shows ops outside", Rule::OpsReserved, "edge.fra1.outside.ops", None, |t| {
        t.edges[0].outside.push(function("ops", 7780, &[Protocol::Tcp]));
    }),
    ("an egress called ops", Rule::OpsReserved, "egress.ops", None, |t| t.egresses[0].name = "ops".into()),
];
const MEMBERS_PORT: &[Breach] = &[
    (
        "members and hubs at one port",
        Rule::PortTaken,
        "plane.B.hub.b1.between",
        Some("plane.B.hub.b1.members"),
        |t| {
            t.planes[1].hubs[0].members.set_port(7001);
        },
    ),
    (
        "members where hubs meet elsewhere",
        Rule::PortKind,
        "plane.B.hub.b1.members",
        Some("plane.A.hub.a1.between"),
        |t| {
            t.planes[1].hubs[0].members.set_port(7001);
            t.planes[1].hubs[0].between.set_port(7005);
        },
    ),
    (
        "members where a service listens",
        Rule::PortTaken,
        "local_hub.app2.service.web.servers[0]",
        Some("plane.B.hub.b1.members"),
        |t| {
            t.hosts[3].addresses = vec!["127.0.0.1".parse().unwrap()];
            t.hosts[3].roles.insert(HostRole::LocalHub);
            t.planes[1].hubs[0].members = "127.0.0.1:3000".parse().unwrap();
            t.planes[1].hubs[0].between = "127.0.0.1:7001".parse().unwrap();
            t.local_hubs[1].host = "h4".into();
            t.hosts.remove(5);
        },
    ),
];
const BETWEEN_PORT: &[Breach] = &[
    (
        "hubs where members arrive elsewhere",
        Rule::PortKind,
        "plane.B.hub.b1.between",
        Some("plane.A.hub.a1.members"),
        |t| {
            t.planes[1].hubs[0].members.set_port(7005);
            t.planes[1].hubs[0].between.set_port(7000);
        },
    ),
    (
        "two planes' hubs of one host at one port",
        Rule::PortTaken,
        "plane.B.hub.b2.between",
        Some("plane.A.hub.a3.between"),
        |t| {
            t.planes[1]
                .hubs
                .push(HubSite { members: "10.0.0.13:7003".parse().unwrap(), ..hub("b2", "h3", "10.0.0.13") });
        },
    ),
];
const OUTSIDE_PORT: &[Breach] = &[
    (
        "two functions at one port",
        Rule::PortTaken,
        "edge.fra1.outside.join",
        Some("edge.fra1.outside.web"),
        |t| {
            t.edges[0].outside.push(function("join", 443, &[Protocol::Udp]));
        },
    ),
    (
        "two edges of one host at one port",
        Rule::PortTaken,
        "edge.fra2.outside.web",
        Some("edge.fra1.outside.web"),
        |t| {
            let mut second = t.edges[0].clone();
            second.name = "fra2".into();
            second.outside.truncate(1);
            t.edges.push(second);
        },
    ),
    (
        "a function where members arrive",
        Rule::PortKind,
        "edge.fra1.outside.join",
        Some("plane.A.hub.a1.members"),
        |t| {
            t.edges[0].outside.push(function("join", 7000, &[Protocol::Tcp]));
        },
    ),
    (
        "a function where hubs meet",
        Rule::PortKind,
        "edge.fra1.outside.join",
        Some("plane.A.hub.a1.between"),
        |t| {
            t.edges[0].outside.push(function("join", 7001, &[Protocol::Tcp]));
        },
    ),
];

/// The breach is told at its places, and all else that is told goes with it.
fn proved(breaches: &[Breach]) {
    assert!(whole().check().is_empty(), "{:?}", whole().check());
    for (name, rule, at, other, break_it) in breaches {
        let mut topology = whole();
        break_it(&mut topology);
        let faults = topology.check();
        let found = faults.iter().find(|fault| {
            fault.rule == *rule
                && fault.at.as_str() == *at
                && fault.other.as_ref().map(Place::as_str) == *other
        });
        let found = found.unwrap_or_else(|| panic!("{name}: {faults:#?}"));
        assert_eq!(topology.is_possible(), rule.weight() == Weight::Warning, "{name}: {faults:#?}");
        for place in [Some(*at), *other].into_iter().flatten().filter(|_| *rule != Rule::TooMany) {
            let named = found.what.contains(place) || *rule == Rule::NameInvalid;
            assert!(named, "{name}: {:?} does not name {place}", found.what);
        }
        assert!(found.fix.ends_with('.') && !found.what.ends_with('.'), "{name}: {found:?}");
    }
}

#[test]
fn every_breach_of_every_rule_is_told_with_both_places() {
    proved(BREACHES);
}

#[test]
fn r0_09_an_edge_never_shares_its_host_with_the_inside() {
    proved(EDGE_INSIDE);
}

#[test]
fn r0_10_no_edge_may_be_wired_to_the_operators_service() {
    proved(OPS);
}

#[test]
fn r0_12_the_port_for_members_is_unique() {
    proved(MEMBERS_PORT);
}

#[test]
fn r0_13_the_port_between_hubs_is_unique() {
    proved(BETWEEN_PORT);
}

#[test]
fn r0_15_each_outside_function_has_a_port_of_its_own() {
    proved(OUTSIDE_PORT);
}

#[test]
fn each_rule_has_a_breach() {
    let all = [BREACHES, EDGE_INSIDE, OPS, MEMBERS_PORT, BETWEEN_PORT, OUTSIDE_PORT].concat();
    let met: BTreeSet<Rule> = all.iter().map(|(_, rule, ..)| *rule).collect();
    assert_eq!(met, Rule::ALL.into());
}

#[test]
fn what_refers_to_nothing_is_told_with_what_there_is() {
    let mut topology = whole();
    topology.servers[0].local_hub = "apq1".into();
    let faults = topology.check();
    let fault = faults.iter().find(|fault| fault.rule == Rule::Unknown).unwrap();
    assert_eq!(fault.known, ["app1", "app2"]);
    assert_eq!(fault.fix, "Name one of: app1, app2.");
}
