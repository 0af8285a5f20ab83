//! Who may use it: invites, challenges, enrollment, renewal; and the one public door, `join.<zone>`.
//!
//! # Map, in reading order
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`invite`] | what is an invite's code, who gets one, who takes it back |
//! | [`challenge`] | has this source done its work, lately, for this purpose |
//! | [`spent`] | was this challenge answered before |
//! | [`keys`] | does the device hold the private half of its key |
//! | [`examine`] | are all proofs of a request in order |
//! | [`enrol`] | what becomes of the records when a device comes |
//! | [`renew`] | which device renews, and what a re-issue changes |
//! | [`answer`] | what an enrolled device is told |
//! | [`client`] | the other end: signed requests, and an agent's address computed offline |
//! | [`problem`], `page` | a refusal, and the pages for people, as they are sent |
//! | `desk` | the order of work on one request: judge, examine, commit, settle, answer |
//! | `http` | routes, bodies, headers |
//! | [`serve`] | listeners, TLS, limits on connections |
//! | [`counts`], [`bounds`] | what happened so far; every limit |
//!
//! # Invariants
//!
//! * A private key is never seen here, nor kept anywhere on a server.
//! * An invite enrolls one device, whoever races for it; a GET redeems nothing.
//! * A challenge is good once, for one purpose, one network and five minutes, and costs no memory until it is answered.
//! * An answer is sent after the commit is on disk and the followers serve it, or had [`bounds::SETTLE_MAX`] to.
//! * A stranger gets no memory beyond a bounded number of connections.
//!
//! # What it must never know
//!
//! The root key, the fabric, DNS messages, leases of others. Routing keys and passwords exist nowhere.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod answer;
pub mod bounds;
pub mod challenge;
pub mod client;
pub mod counts;
mod desk;
pub mod enrol;
pub mod examine;
#[cfg(test)]
mod fixture;
mod http;
pub mod invite;
pub mod keys;
mod page;
pub mod problem;
pub mod renew;
pub mod serve;
pub mod spent;

pub use answer::Enrolled;
pub use counts::Status;
pub use invite::{Code, Created, Wanted};
pub use serve::{Parts, Registration, RegistrationConfig};
