//! The inside: streams to services by name, gateway → main hub → local hub → service.
//!
//! The map, in reading order:
//!
//! * [`bounds`]: every limit. [`refusal`]: every reason. [`identity`]: who a certificate speaks for. [`wiring`]: who may offer, open
//!   and serve what, and who has a way out. [`topology`]: the whole deployment, from which the wiring, the planes and the firewalls follow.
//! * [`wire`]: frames and their bytes. `byte_queue`, [`mux`]: the streams of one lane. [`session`]: a stream end to end, over
//!   one lane after the other. [`datagrams`]: datagrams in a stream.
//! * [`origin`]: who is at a stream's outer end. [`proxy`]: how a service is told.
//! * [`authority`], [`tls`]: certificates, and mutual TLS 1.3 by exact identity. [`mandate`]: how an active hub proves that it
//!   is one. [`election`]: how a plane's hubs agree on one; `fence`: until when that one may move bytes; `clock`: what time
//!   it is.
//! * `socket`: TCP or Unix, as one type. `lane`: one such connection, its driver and its greeting; its `liveness` doubts
//!   and gives up a silent far side, its `papers` hold what was proved and renew it. `door`: the listening side of links.
//!   `splice`: two streams joined. [`FabricStream`]: the gateway's end of a session; which protocols it saves, and from what,
//!   is said there. [`flow`]: datagrams.
//!   `gathering`: how a thread with many streams wakes a driver once for all.
//! * `link`: six lanes to one member, and the dialer that keeps them up; its `follower` keeps a link to whichever hub of a
//!   plane is active, as `following` decides and `proof` believes.
//! * [`hub`], [`local_hub`], [`gateway`], [`server`]: the four members. The local hub's `shelf` knows the servers of each service,
//!   its `health` which are well, its `balance` who is next, its `natives` who joined by themselves. The gateway's `choice` orders the planes for each stream, its
//!   `race` says whom to ask when, its `notices` know what every plane offers. [`status`]: what members tell about themselves.
//!
//! Pure, without socket, clock or runtime: `bounds`, `refusal`, `identity`, `wiring`, `topology`, `wire`, `byte_queue`,
//! `mux`, `session`, `mandate`, `election`, `link::following`, `lane::liveness`, `gateway::choice`, `gateway::race`, `gateway::notices`, `datagrams`,
//! `origin`, `proxy`, `local_hub::{services, health, balance}`.
//!
//! Invariants:
//!
//! * Everyone dials the hub; native servers dial the local hub of their computer, whose door is on loopback or a Unix socket;
//!   nobody else accepts. A link is six connections, each lane by its index; a seventh is refused.
//! * Planes share nothing. A member is linked with one hub of each plane, which has proved its term, and never follows a
//!   lower term than the highest that was proved on that plane.
//! * An identity is a role and a name, read from a verified certificate; being of our authority permits nothing by itself.
//! * What the wiring does not say is refused, at the hub for opening and for offering, and at the local hub for what it
//!   does not have. A wiring that is replaced ends the streams that it no longer permits.
//! * A stream ends with the far side's Fin or with a named reason; a cut never looks like an end. Bytes are delivered in
//!   order, once, or not at all. A byte stream outlives whatever carries it between gateway and local hub.
//! * A stalled stream stalls nobody and holds no more than its window; control frames wait for one batch of bytes at most.
//! * Every connection has proved its identity within [`bounds::HANDSHAKE_DEADLINE`] or is closed, and their number is bounded.
//! * A lane lives as long as the certificate that was last proved in it; a renewed one is proved in the lane, by exact
//!   identity as at its beginning.
//! * A silent far side is doubted in a quarter of a second and lost in less than one; a stop of our own process counts for
//!   nothing.
//!
//! It must never know: leases, verdicts, HTTP beyond the question whether a server is well, or the store; and between its ends
//! neither users, devices, nor addresses of the outside: an [`Origin`] is written by the gateway and read by whoever serves.
//! The edge asks for a stream to a service by name, and nothing else.

pub mod authority;
pub mod bounds;
mod byte_queue;
mod clock;
pub mod datagrams;
mod door;
pub mod election;
mod fence;
pub mod flow;
pub mod gateway;
mod gathering;
pub mod hub;
pub mod identity;
mod lane;
mod link;
pub mod local_hub;
pub mod mandate;
pub mod mux;
pub mod origin;
pub mod proxy;
pub mod refusal;
pub mod server;
pub mod session;
mod socket;
mod splice;
pub mod status;
mod stream;
pub mod tls;
pub mod topology;
pub mod wire;
pub mod wiring;

pub use authority::{Authority, Credentials, Validity};
pub use flow::Flow;
pub use gateway::{Gateway, OpenError, OpenRequest};
pub use gathering::{Gather, gather_here};
pub use hub::{Hub, HubConfig, HubInstance};
pub use identity::{Identity, Role};
pub use lane::Class;
pub use link::dialer::DialerError;
pub use link::follower::{HubAddress, PlaneAddress};
pub use local_hub::{
    DoorError, Health, LocalHub, Ports, Protocol, ProxyProtocol, ServerAddress, Service, Services, Thresholds,
};
pub use mandate::{Mandate, MandateError, PlaneRoster, Proven};
pub use origin::Origin;
pub use refusal::{Fault, LaneEnd, Refusal, Violation};
pub use server::{Call, CallStream, LocalHubAddress, Server};
pub use socket::DoorAddress;
pub use stream::{FabricStream, Suspicion};
pub use tls::Keyring;
pub use topology::Topology;
pub use wiring::Wiring;
