//! What a wiring may not be: a closed list of rules, and the places that break one. Pure.

use std::fmt;

use super::place::Place;

/// A rule of the wiring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A name breaks the rules of names.
    NameInvalid,
    /// Two members of one role have one name: they would have one identity.
    NameTwice,
    /// A list is longer than its bound.
    TooMany,
    /// A name refers to nothing.
    Unknown,
    /// Something stands on a host that is not for it.
    RoleMissing,
    /// A host is for something that does not stand on it.
    RoleIdle,
    /// An edge and an inside role on one host (requirement 0.09).
    EdgeInside,
    /// A hub listens on an address that its host does not have.
    AddressForeign,
    /// Two hosts have one address.
    AddressTwice,
    /// Two things of one host want one port (requirements 0.12, 0.13, 0.15).
    PortTaken,
    /// One port number means different things on different hosts (the same requirements).
    PortKind,
    /// Somebody who has to dial has no address of the hub's family.
    FamilyApart,
    /// A plane has no hub.
    PlaneEmpty,
    /// Two hubs of one plane on one host.
    HubsTogether,
    /// Two planes on one host.
    PlanesTogether,
    /// An edge would reach the operators' service (requirement 0.10).
    OpsReserved,
    /// A service that nobody serves.
    Serverless,
    /// A server that is not on loopback.
    OffLoopback,
    /// One server of a service, named twice.
    ServerTwice,
    /// A probe over UDP.
    ProtocolUnfit,
    /// An edge opens what nobody offers.
    NotOffered,
    /// A service is offered, but no edge opens it.
    NotOpened,
    /// A native server joins a local hub that has no door.
    NoDoor,
    /// A way out that leads inside.
    EgressInside,
    /// A way out with the name of a service.
    EgressName,
    /// A way out for somebody who is not inside.
    EgressOpener,
}

/// Whether a fault refuses the wiring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It does.
    Refused,
    /// It works, and not as well as one may think.
    Warning,
}

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyFault {
    /// Which.
    pub rule: Rule,
    /// The place that has to change, the later one of two.
    pub at: Place,
    /// The place that it does not go with. None where one is at fault alone: a name, an empty plane.
    pub other: Option<Place>,
    /// One clause that names both, the other place last.
    pub what: String,
    /// What to write instead.
    pub fix: String,
    /// The names that could stand there, where one that stands there is none.
    pub known: Vec<String>,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::NameInvalid,
        Self::NameTwice,
        Self::TooMany,
        Self::Unknown,
        Self::RoleMissing,
        Self::RoleIdle,
        Self::EdgeInside,
        Self::AddressForeign,
        Self::AddressTwice,
        Self::PortTaken,
        Self::PortKind,
        Self::FamilyApart,
        Self::PlaneEmpty,
        Self::HubsTogether,
        Self::PlanesTogether,
        Self::OpsReserved,
        Self::Serverless,
        Self::OffLoopback,
        Self::ServerTwice,
        Self::ProtocolUnfit,
        Self::NotOffered,
        Self::NotOpened,
        Self::NoDoor,
        Self::EgressInside,
        Self::EgressName,
        Self::EgressOpener,
    ];

    /// What a breach of it means.
    pub fn weight(self) -> Weight {
        match self {
            Self::RoleIdle
            | Self::HubsTogether
            | Self::PlanesTogether
            | Self::NotOffered
            | Self::NotOpened => Weight::Warning,
            Self::NameInvalid
            | Self::NameTwice
            | Self::TooMany
            | Self::Unknown
            | Self::RoleMissing
            | Self::EdgeInside
            | Self::AddressForeign
            | Self::AddressTwice
            | Self::PortTaken
            | Self::PortKind
            | Self::FamilyApart
            | Self::PlaneEmpty
            | Self::OpsReserved
            | Self::Serverless
            | Self::OffLoopback
            | Self::ServerTwice
            | Self::ProtocolUnfit
            | Self::NoDoor
            | Self::EgressInside
            | Self::EgressName
            | Self::EgressOpener => Weight::Refused,
        }
    }
}

impl TopologyFault {
    /// Whether it refuses the wiring.
    pub fn weight(&self) -> Weight {
        self.rule.weight()
    }
}

impl fmt::Display for TopologyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.what, self.fix)
    }
}
