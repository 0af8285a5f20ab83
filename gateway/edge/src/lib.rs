//! Ends outside traffic: admits connections by the address they came to, and proxies their requests over the fabric.
//!
//! # Map, in the order a connection meets it
//!
//! | module | what happens there |
//! | --- | --- |
//! | [`tcp`]`::listen` | wildcard sockets, one set per core; the destination address is read |
//! | [`tcp::proxied`] | a trusted balancer's word about who connects, and to which address (`header`, pure) |
//! | [`roster`] | whose address, whose label, whose card: what the edge knows of grants |
//! | [`auth`] | who a connection is by its device's key |
//! | [`pressure`] | how hard pressed the edge is, and what is shed then (pure; `pressure/sampler.rs` looks) |
//! | [`budgets`] | what one lease may take, and how the rest is divided (pure) |
//! | [`delays`] | calls that a verdict holds back, counted (pure) |
//! | [`admission`] | may it come in? (pure: leases and names in, a door or a reason out) |
//! | [`gate`] | what connections share: roster, hooks, clock, places |
//! | [`tcp`]`::session` | one connection: door, hook, ClientHello, name, handshake (`session/serving.rs`: HTTP until its end) |
//! | [`tcp`]`::hello` | the ClientHello, read without sending a byte |
//! | [`udp`] | wildcard UDP sockets; each datagram goes to QUIC, to a flow, or nowhere (`udp/filter.rs`, pure) |
//! | [`quic`] | HTTP/3: `doorman` hears the name in the first packets, before quinn may answer; `session` as for TCP; `h3` is the protocol |
//! | [`udp::flows`] | UDP services: flows over the fabric (`udp/table.rs`, pure: whose, how many, how long) |
//! | [`certificates`] | the certificate now, swapped without a restart |
//! | [`http`] | one request: hook, host, forwarding, response |
//! | [`h1`] | HTTP/1.1 of our own, toward clients and services |
//! | [`http`]`::headers` | which header fields pass (pure) |
//! | [`http`]`::upgrade` | WebSocket: a request that becomes bytes both ways |
//! | [`raw`] | bytes of `tls` and `tcp` services, both ways |
//! | [`upstream`] | connections to services: pooled HTTP/1.1, or HTTP/2 (`upstream/h2`), over fabric streams |
//! | [`pulse`] | a connection's pulse: idle, slow, stalled, or asked to end (`tcp/metered.rs` feeds it) |
//! | [`tcp`]`::guarded` | HTTP/2 frames are paid for ([`http`]`::frames`, pure) |
//! | [`tcp`]`::linger` | a close that does not overtake the last answer |
//! | [`connections`] | every live connection, so that it can be counted, closed and explained |
//! | [`drain`] | how an edge begins and ends: open, draining, cut |
//! | [`ports`] | the ports that services listen on (pure) |
//! | [`follow`] | the one loop: state changes, keys and seconds become leases |
//! | [`edge`] | start, status, stop |
//! | [`opener`] | binds what services listen on, for all cores at once |
//! | [`worker`] | one core: its sockets and all that comes through them |
//! | [`access_log`] | a line for each request and session, written aside |
//! | [`sockets`] | listening sockets as things that are handed on to a successor |
//! | [`bounds`] | every limit |
//!
//! # Invariants
//!
//! * Admission in this order, cheapest first: lease of the destination → hook (`Connection`: blocks, budgets) → server
//!   name → handshake → hook (`Request`) → host → route. A stranger gets no byte before its name is known.
//! * A connection to a dark address, and one to a live address that can't name itself, end alike: the first bytes are
//!   read under the same deadline, none is sent, and the socket is reset. **What user space can't hide:** the kernel
//!   completes the TCP handshake on a wildcard socket before we are asked, so a port scan sees *a* listener on every
//!   address of the pool, live or not; the bouncer's kernel engines close that.
//! * What a hook says of a connection is felt only by who can name the address: refused and delayed strangers see what
//!   a dark address shows.
//! * What reaches a service is one unambiguous message about a host of the connection's own grant; it is sent again only if
//!   the service surely did not process it.
//! * Over QUIC who can't name the address gets no byte at all, and who has not proved its own gets three for one.
//! * Who connects, and to which address, is what the kernel says, but for connections out of the configured balancers'
//!   networks: there it is what their PROXY header says, and without one they end.
//! * A tombstone is reset at once: only its own user knows that address.
//! * Established connections outlive their lease until `max_session`; a revocation closes them within a second.
//! * Each passed call is followed by exactly one result or failure ([`defense::Passed`]).
//!
//! # What it must never know
//!
//! The root key, invites, how DNS answers, where a service is: it asks the fabric for a stream by the service's name.

pub mod access_log;
pub mod admission;
pub mod auth;
pub mod bounds;
pub mod budgets;
pub mod certificates;
pub mod connections;
pub mod delays;
pub mod drain;
pub mod edge;
#[cfg(test)]
mod fixture;
pub mod follow;
pub mod gate;
pub mod h1;
pub mod http;
pub mod opener;
pub mod ports;
pub mod pressure;
pub mod pulse;
pub mod quic;
pub mod raw;
pub mod roster;
pub mod sockets;
pub mod tcp;
pub mod udp;
pub mod upstream;
pub mod worker;

pub use access_log::LogConfig;
pub use certificates::Certificates;
pub use connections::{Connections, Seen};
pub use edge::{Edge, EdgeConfig, EdgeError, EdgeStatus};
pub use opener::Unbound;
pub use roster::Roster;
pub use tcp::proxied::Balancers;
