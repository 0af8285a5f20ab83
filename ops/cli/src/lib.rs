//! What the binary `wandergate` is made of, as a library so that tests can reach it.
//!
//! # Map
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`config`] | what did the operator ask for, and is it possible |
//!
//! # Invariants
//!
//! * Nothing below `main` reads the environment; what the file does not say has a default that is written down here.
//! * A configuration is taken whole or not at all.
//!
//! # What it must never know
//!
//! Keys and other secrets: the configuration names files, never their content.

pub mod assembly;
pub mod check;
pub mod client;
pub mod command;
pub mod config;
pub mod demo;
pub mod desired;
pub mod drill;
pub mod eyes;
pub mod key_service;
pub mod output;
pub mod plane;
pub mod rehearsal;
pub mod run;
pub mod secrets;
pub mod terminal;
pub mod verbs;
pub mod whereabouts;
pub mod zone_certificate;

pub use command::main;
