//! What the wiring permits to whom, and where the hubs are, in the fabric's own types. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Door, LocalHubSite, ServiceSite, Topology};
use crate::identity::{Identity, Role};
use crate::wiring::Wiring;
use crate::{
    DoorAddress, Health, HubAddress, PlaneAddress, Ports, Protocol, ProxyProtocol, Service, Services,
    Thresholds,
};

impl Topology {
    /// The fabric's permissions: what is written below a local hub it may offer, what an edge's `opens` names it may open,
    /// what a server's `serves` names it may serve, and by which names openers may leave through which edge.
    /// A name that could not be one, which [`Topology::check`] tells, permits nothing.
    pub fn wiring(&self) -> Wiring {
        let mut wiring = Wiring::default();
        for local in &self.local_hubs {
            let Some(who) = Identity::new(Role::LocalHub, &local.name) else { continue };
            for service in &local.services {
                let _ = wiring.permit_offer(&who, &service.name);
            }
        }
        for edge in &self.edges {
            let Some(who) = Identity::new(Role::Edge, &edge.name) else { continue };
            for service in edge.opens.iter().filter(|service| *service != super::OPS_SERVICE) {
                let _ = wiring.permit_open(&who, service);
            }
        }
        for server in &self.servers {
            let joins = Identity::new(Role::Server, &server.name)
                .zip(Identity::new(Role::LocalHub, &server.local_hub));
            let Some((who, local)) = joins else { continue };
            let _ = wiring.permit_join(&who, &local);
            for service in &server.serves {
                let _ = wiring.permit_serve(&who, &local, service);
            }
        }
        for egress in &self.egresses {
            for opener in &egress.openers {
                let _ = wiring.permit_egress(opener, &egress.name);
            }
            if let Some(edge) = Identity::new(Role::Edge, &egress.edge) {
                let _ = wiring.permit_exit(&edge, &egress.name);
            }
        }
        wiring
    }

    /// The planes as their members dial them.
    pub fn plane_addresses(&self) -> Vec<PlaneAddress> {
        let plane = |plane: &super::Plane| PlaneAddress {
            name: plane.name.clone(),
            hubs: plane
                .hubs
                .iter()
                .map(|hub| HubAddress { address: hub.members, name: hub.name.clone() })
                .collect(),
        };
        self.planes.iter().map(plane).collect()
    }
}

impl Topology {
    /// The ways out that an edge is, and where each leads; over TCP, for no other is carried.
    pub fn ways_out(&self, edge: &str) -> BTreeMap<String, SocketAddr> {
        let own = self.egresses.iter().filter(|egress| egress.edge == edge);
        let tcp = own.filter(|egress| egress.protocol == super::Protocol::Tcp);
        tcp.map(|egress| (egress.name.clone(), egress.to)).collect()
    }
}

impl LocalHubSite {
    /// Its services, as [`crate::LocalHub`] takes them.
    pub fn to_services(&self) -> Services {
        self.services.iter().map(|service| (service.name.clone(), service.to_service())).collect()
    }
}

impl ServiceSite {
    fn to_service(&self) -> Service {
        let thresholds = Thresholds::default();
        let protocol = |said| match said {
            super::Protocol::Tcp => Protocol::Tcp,
            super::Protocol::Udp => Protocol::Udp,
        };
        let ports = |range: &super::PortRange| Ports {
            protocol: protocol(range.protocol),
            first: range.first,
            last: range.last,
        };
        Service {
            protocol: protocol(self.protocol),
            ports: self.ports.iter().map(ports).collect(),
            servers: self.servers.iter().map(|server| (*server).into()).collect(),
            health: match (self.protocol, &self.health) {
                // There is no connection to a UDP service that could be asked for.
                (super::Protocol::Udp, _) | (_, super::Health::None) => Health::Unasked,
                (super::Protocol::Tcp, super::Health::Connect) => Health::Connect(thresholds),
                (super::Protocol::Tcp, super::Health::Http(path)) => {
                    Health::Http { path: path.clone(), thresholds }
                }
            },
            proxy: if self.proxy { ProxyProtocol::V2 } else { ProxyProtocol::Off },
        }
    }
}

impl From<&Door> for DoorAddress {
    fn from(door: &Door) -> Self {
        match door {
            Door::Loopback(address) => Self::Tcp(*address),
            Door::Unix(path) => Self::Unix(path.clone()),
        }
    }
}
