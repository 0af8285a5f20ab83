//! Which address a name has now: the authoritative name server of the delegated zone.
//!
//! # Map, in reading order
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`front`] | the way in: start it, ask it (shell) |
//! | [`zone`] | what is fixed: SOA, name servers, `join` |
//! | [`view`] | who bears which label, with which keys |
//! | [`decoy`] | what a label that nobody bears answers |
//! | [`answer`] | what is said to this question now |
//! | [`wire`] | bytes to questions, answers to bytes |
//! | [`respond`] | a query's bytes and a ruling to at most one answer's |
//! | [`tally`] | counts |
//! | `desk` | every transport's queries: defense, view, report (shell) |
//! | `follow` | keeps the view up to date with state, keys and time (shell) |
//! | `udp`, `tcp` | sockets (shells) |
//! | [`bounds`] | every limit |
//!
//! # Invariants
//!
//! * One pure function answers, whatever the transport: `respond` of bytes, view and second.
//! * Make before break, and no answer outlives its address: addresses and TTLs come from `rotator::announce`, those of
//!   decoys from the same law.
//! * A label that was revoked, a wrong one and one that never was are answered alike; no decoy is an address leased now.
//! * Nothing here names a user: no PTR, no transfer, no list, minimal ANY.
//! * A stranger gets no memory over UDP, and a bounded place over TCP. An answer never exceeds what the client can take.
//! * Whatever arrives, the loops go on: no byte and no socket error ends one.
//!
//! # What it must never know
//!
//! Users' and services' meaning, the root key, HTTP, what lies behind an address. It resolves for nobody.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod answer;
pub mod bounds;
pub mod decoy;
mod desk;
#[cfg(test)]
mod fixture;
mod follow;
pub mod front;
pub mod respond;
pub mod tally;
mod tcp;
mod udp;
pub mod view;
pub mod wire;
pub mod zone;

pub use decoy::DecoySecret;
pub use front::{Front, FrontConfig, Sockets, StartError, Status, Supplies};
pub use tally::Counts;
pub use view::Unknown;
pub use zone::{NameServer, ZoneError};
