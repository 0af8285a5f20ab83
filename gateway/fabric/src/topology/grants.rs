//! What the wiring permits to whom, and where the hubs are, in the fabric's own types. Pure.

use super::Topology;
use crate::identity::{Identity, Role};
use crate::wiring::Wiring;
use crate::{HubAddress, PlaneAddress};

impl Topology {
    /// The fabric's permissions: what is written below a local hub it may offer, what an edge's `opens` names it may open.
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
