//! Running it: acts that operators may do, answers to what they ask, and the HTTP API over both.
//!
//! # Map, in reading order
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`eyes`] | what must the running process tell and do (a trait: the binary joins the parts) |
//! | [`bounds`] | every limit |
//!
//! # Invariants
//!
//! * Every change is one decision, `(&Records, now, …) -> Result<(Txn, Outcome), Refusal>`: pure, and audited with who,
//!   when and why. A dry run takes the same decision and commits nothing.
//! * An answer to a change is given after it is durable, and says who serves it already.
//! * Nobody who is not on this machine reaches the API: a Unix socket of our own user, or loopback with a token.
//!
//! # What it must never know
//!
//! The concrete edge, name server and fabric; keys; how configuration is written.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod bounds;
pub mod eyes;

pub use eyes::Eyes;
