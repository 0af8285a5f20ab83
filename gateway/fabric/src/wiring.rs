//! Who may offer and who may open which service; by default nobody anything. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::{Identity, Role};
use crate::refusal::is_name;

/// The permissions of a fabric. No wildcard exists: every pair of member and service is written out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wiring {
    offers: BTreeMap<Identity, BTreeSet<Box<str>>>,
    opens: BTreeMap<Identity, BTreeSet<Box<str>>>,
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

    /// Is any member wired to offer this service?
    pub fn knows(&self, service: &str) -> bool {
        self.offers.values().any(|services| services.contains(service))
    }
}

fn permit(
    table: &mut BTreeMap<Identity, BTreeSet<Box<str>>>,
    who: &Identity,
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
}
