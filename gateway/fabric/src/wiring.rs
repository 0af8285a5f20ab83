//! Who may offer, open and serve which service, and who has a way out; by default nobody anything. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::{Identity, Role};
use crate::refusal::is_name;

/// The permissions of a fabric. No wildcard exists: every pair of member and service is written out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wiring {
    offers: BTreeMap<Identity, BTreeSet<Box<str>>>,
    opens: BTreeMap<Identity, BTreeSet<Box<str>>>,
    /// By server and its local hub.
    serves: BTreeMap<(Identity, Identity), BTreeSet<Box<str>>>,
    /// Names of ways out, by inside identity.
    egress: BTreeMap<Identity, BTreeSet<Box<str>>>,
    /// Names of ways out, by edge.
    exits: BTreeMap<Identity, BTreeSet<Box<str>>>,
}

/// A line of wiring that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WiringError {
    /// The service's name breaks the rules of names.
    #[error("a service name is 1 to 255 ASCII letters, digits, and . _ - :")]
    NotAName,
    /// Only a local hub offers.
    #[error("only a local hub may offer a service")]
    OffererNotLocalHub,
    /// Only an edge opens.
    #[error("only an edge may open a service")]
    OpenerNotEdge,
    /// Only a server serves, and at a local hub.
    #[error("only a server may serve, and at a local hub")]
    ServerNotServer,
    /// Only the inside needs a way out.
    #[error("only a local hub or a server may be given a way out")]
    EgressNotInside,
    /// Only an edge is one.
    #[error("only an edge may be a way out")]
    ExitNotEdge,
}

impl Wiring {
    /// Lets a local hub offer a service.
    pub fn permit_offer(&mut self, who: &Identity, service: &str) -> Result<(), WiringError> {
        if who.role() != Role::LocalHub {
            return Err(WiringError::OffererNotLocalHub);
        }
        permit(&mut self.offers, who, service)
    }

    /// Lets an edge open a service.
    pub fn permit_open(&mut self, who: &Identity, service: &str) -> Result<(), WiringError> {
        if who.role() != Role::Edge {
            return Err(WiringError::OpenerNotEdge);
        }
        permit(&mut self.opens, who, service)
    }

    /// Lets a native server serve a service at a local hub; offering it to the hubs is for the local hub to be permitted.
    pub fn permit_serve(
        &mut self,
        server: &Identity,
        local_hub: &Identity,
        service: &str,
    ) -> Result<(), WiringError> {
        if (server.role(), local_hub.role()) != (Role::Server, Role::LocalHub) {
            return Err(WiringError::ServerNotServer);
        }
        permit(&mut self.serves, &(server.clone(), local_hub.clone()), service)
    }

    /// Lets a native server join a local hub, even if it serves nothing there.
    pub fn permit_join(&mut self, server: &Identity, local_hub: &Identity) -> Result<(), WiringError> {
        if (server.role(), local_hub.role()) != (Role::Server, Role::LocalHub) {
            return Err(WiringError::ServerNotServer);
        }
        self.serves.entry((server.clone(), local_hub.clone())).or_default();
        Ok(())
    }

    /// Gives a member of the inside a way out, by name.
    pub fn permit_egress(&mut self, who: &Identity, name: &str) -> Result<(), WiringError> {
        match who.role() {
            Role::LocalHub | Role::Server => permit(&mut self.egress, who, name),
            Role::Hub | Role::Edge => Err(WiringError::EgressNotInside),
        }
    }

    /// Lets an edge be the way out of that name.
    pub fn permit_exit(&mut self, edge: &Identity, name: &str) -> Result<(), WiringError> {
        if edge.role() != Role::Edge {
            return Err(WiringError::ExitNotEdge);
        }
        permit(&mut self.exits, edge, name)
    }

    /// May this member offer this service?
    pub fn may_offer(&self, who: &Identity, service: &str) -> bool {
        self.offers.get(who).is_some_and(|services| services.contains(service))
    }

    /// May this member open this service?
    pub fn may_open(&self, who: &Identity, service: &str) -> bool {
        self.opens.get(who).is_some_and(|services| services.contains(service))
    }

    /// The services that `local` may offer and `edge` may open, sorted.
    pub fn between<'a>(&'a self, edge: &Identity, local: &Identity) -> impl Iterator<Item = &'a str> {
        let (opens, offers) = (self.opens.get(edge), self.offers.get(local));
        opens
            .zip(offers)
            .into_iter()
            .flat_map(|(opens, offers)| opens.intersection(offers))
            .map(|name| &**name)
    }

    /// May this server serve this service at this local hub?
    pub fn may_serve(&self, server: &Identity, local_hub: &Identity, service: &str) -> bool {
        let key = (server.clone(), local_hub.clone());
        self.serves.get(&key).is_some_and(|services| services.contains(service))
    }

    /// May this server join this local hub: has it anything to do there?
    pub fn knows_server(&self, server: &Identity, local_hub: &Identity) -> bool {
        self.serves.contains_key(&(server.clone(), local_hub.clone()))
    }

    /// Has this member of the inside the way out of that name, through this local hub: itself, or a server that joins it?
    pub fn may_leave(&self, who: &Identity, local_hub: &Identity, name: &str) -> bool {
        (who == local_hub || self.knows_server(who, local_hub))
            && self.egress.get(who).is_some_and(|names| names.contains(name))
    }

    /// May this edge be the way out of that name?
    pub fn may_be_exit(&self, edge: &Identity, name: &str) -> bool {
        self.exits.get(edge).is_some_and(|names| names.contains(name))
    }

    /// Is any member wired to offer this service?
    pub fn knows(&self, service: &str) -> bool {
        self.offers.values().any(|services| services.contains(service))
    }
}

fn permit<K: Ord + Clone>(
    table: &mut BTreeMap<K, BTreeSet<Box<str>>>,
    who: &K,
    service: &str,
) -> Result<(), WiringError> {
    if !is_name(service) {
        return Err(WiringError::NotAName);
    }
    table.entry(who.clone()).or_default().insert(service.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_permitted_until_it_is_written_and_then_only_that() {
        let edge = Identity::new(Role::Edge, "e").unwrap();
        let local = Identity::new(Role::LocalHub, "l").unwrap();
        let mut wiring = Wiring::default();
        assert!(!wiring.may_open(&edge, "web") && !wiring.may_offer(&local, "web") && !wiring.knows("web"));

        wiring.permit_open(&edge, "web").unwrap();
        wiring.permit_offer(&local, "web").unwrap();
        assert!(wiring.may_open(&edge, "web") && wiring.may_offer(&local, "web") && wiring.knows("web"));
        assert!(
            !wiring.may_open(&edge, "web2")
                && !wiring.may_open(&local, "web")
                && !wiring.may_offer(&edge, "web")
        );
        assert_eq!(wiring.between(&edge, &local).collect::<Vec<_>>(), ["web"]);
        assert_eq!(wiring.between(&local, &edge).next(), None);
        let same_name_other_role = Identity::new(Role::LocalHub, "e").unwrap();
        assert!(!wiring.may_open(&same_name_other_role, "web"));
    }

    #[test]
    fn only_edges_open_and_only_local_hubs_offer() {
        let mut wiring = Wiring::default();
        for role in [Role::Hub, Role::LocalHub] {
            let who = Identity::new(role, "x").unwrap();
            assert_eq!(wiring.permit_open(&who, "web"), Err(WiringError::OpenerNotEdge));
        }
        for role in [Role::Hub, Role::Edge] {
            let who = Identity::new(role, "x").unwrap();
            assert_eq!(wiring.permit_offer(&who, "web"), Err(WiringError::OffererNotLocalHub));
        }
        let edge = Identity::new(Role::Edge, "x").unwrap();
        assert_eq!(wiring.permit_open(&edge, "*\n"), Err(WiringError::NotAName));
    }
    #[test]
    fn a_server_serves_where_it_is_written_and_the_inside_leaves_by_the_written_way() {
        let server = Identity::new(Role::Server, "s").unwrap();
        let [here, there] = ["here", "there"].map(|name| Identity::new(Role::LocalHub, name).unwrap());
        let edge = Identity::new(Role::Edge, "e").unwrap();
        let mut wiring = Wiring::default();
        assert!(!wiring.knows_server(&server, &here) && !wiring.may_leave(&server, &here, "out"));

        wiring.permit_serve(&server, &here, "web").unwrap();
        wiring.permit_egress(&server, "out").unwrap();
        wiring.permit_exit(&edge, "out").unwrap();
        assert!(wiring.may_serve(&server, &here, "web") && wiring.knows_server(&server, &here));
        assert!(!wiring.may_serve(&server, &there, "web") && !wiring.knows_server(&server, &there));
        assert!(!wiring.may_serve(&server, &here, "web2") && !wiring.may_offer(&here, "web"));
        assert!(wiring.may_leave(&server, &here, "out") && wiring.may_be_exit(&edge, "out"));
        assert!(!wiring.may_leave(&server, &there, "out"), "it joins another");
        assert!(!wiring.may_leave(&here, &here, "out") && !wiring.may_leave(&server, &here, "out2"));
        assert!(!wiring.may_open(&server, "out"));

        assert_eq!(wiring.permit_serve(&here, &here, "web"), Err(WiringError::ServerNotServer));
        assert_eq!(wiring.permit_egress(&edge, "out"), Err(WiringError::EgressNotInside));
        assert_eq!(wiring.permit_exit(&here, "out"), Err(WiringError::ExitNotEdge));
    }
}
