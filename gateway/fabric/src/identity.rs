//! Who a certificate speaks for: a role and a name, as one URI. Pure.

use std::fmt;

use crate::refusal::is_name;

const PREFIX: &str = "spiffe://wandergate/";

/// What a member of the fabric may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A main hub: everybody dials it.
    Hub,
    /// The fabric's end on the computer of services: offers them.
    LocalHub,
    /// A gateway: opens streams to services.
    Edge,
    /// A service that joins the local hub of its computer by itself.
    Server,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hub, Self::LocalHub, Self::Edge, Self::Server];

    /// The role as written in certificates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::LocalHub => "local-hub",
            Self::Edge => "edge",
            Self::Server => "server",
        }
    }

    /// May a member of this role dial one of that? Hubs and local hubs listen, everybody else only dials; a server knows
    /// its local hub and nobody beyond.
    pub fn may_dial(self, listener: Self) -> bool {
        match self {
            Self::Hub | Self::LocalHub | Self::Edge => listener == Self::Hub,
            Self::Server => listener == Self::LocalHub,
        }
    }
}

/// A member of the fabric, as its certificate names it: `spiffe://wandergate/ROLE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    role: Role,
    name: Box<str>,
}

impl Identity {
    /// `None` when the name is none ([`is_name`]).
    pub fn new(role: Role, name: &str) -> Option<Self> {
        is_name(name).then(|| Self { role, name: name.into() })
    }

    /// Reads the URI form; anything else, however near, is no identity.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::from_text(uri.strip_prefix(PREFIX)?)
    }

    /// Reads `role/name`, the form of its Display.
    pub fn from_text(text: &str) -> Option<Self> {
        let (role, name) = text.split_once('/')?;
        let role = Role::ALL.into_iter().find(|known| known.as_str() == role)?;
        Self::new(role, name)
    }

    /// The URI form.
    pub fn to_uri(&self) -> String {
        format!("{PREFIX}{self}")
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.role.as_str(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_dials_hubs_but_servers_dial_their_local_hub_and_nobody_dials_an_edge_or_a_server() {
        let pairs: Vec<_> = Role::ALL
            .into_iter()
            .flat_map(|from| Role::ALL.map(|to| (from, to)))
            .filter(|(from, to)| from.may_dial(*to))
            .collect();
        assert_eq!(
            pairs,
            [
                (Role::Hub, Role::Hub),
                (Role::LocalHub, Role::Hub),
                (Role::Edge, Role::Hub),
                (Role::Server, Role::LocalHub)
            ]
        );
    }

    #[test]
    fn an_identity_reads_its_own_uri_and_nothing_near_it() {
        for role in Role::ALL {
            let identity = Identity::new(role, "frankfurt-1").unwrap();
            assert_eq!(Identity::from_uri(&identity.to_uri()), Some(identity));
        }
        for near in [
            "spiffe://wandergate/edge/",
            "spiffe://wandergate/edge",
            "spiffe://wandergate/Edge/a",
            "spiffe://wandergate/edge/a/b",
            "spiffe://wandergate/edge/a ",
            "spiffe://wandergate//a",
            "spiffe://wandergate.example/edge/a",
            "SPIFFE://wandergate/edge/a",
            "spiffe://wandergate/admin/a",
            "",
        ] {
            assert_eq!(Identity::from_uri(near), None, "{near}");
        }
    }
}
