//! Running it: acts that operators may do, answers to what they ask, and the HTTP API over both.
//!
//! # Map, in reading order
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`eyes`] | what must the running process tell and do (a trait: the binary joins the parts) |
//! | [`acts`] | what may an operator change, one pure decision each |
//! | [`exposure`] | how likely does a stranger's guess hit |
//! | [`foresight`] | what will a schedule do, or a change of it |
//! | [`why`] | what about this address, source, name, user, device, request, code |
//! | [`describe`] | how are records shown |
//! | [`metrics`] | what Prometheus reads |
//! | [`views`] | what do answers look like, as documented JSON |
//! | [`http`] | which path asks for which of these, and who may |
//! | [`bounds`] | every limit |
//!
//! # Invariants
//!
//! * Every change is one decision, `(&Records, &Order, …) -> Result<(Txn, Outcome), Refusal>`: pure, and audited with who,
//!   when and why. A dry run takes the same decision and commits nothing.
//! * An answer to a change is given after it is durable, and says who serves it already.
//! * Nobody who is not on this machine reaches the API: a Unix socket of our own user, or loopback with a token.
//! * Addresses and private names are shown only when a reveal was asked for, which is audited.
//!
//! # What it must never know
//!
//! The concrete edge, name server and fabric; keys; how configuration is written.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod acts;
pub mod bounds;
pub mod describe;
pub mod exposure;
pub mod eyes;
pub mod foresight;
pub mod http;
pub mod metrics;
pub mod views;
pub mod why;

pub use eyes::Eyes;
