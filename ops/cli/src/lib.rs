//! What the binary `wandergate` is made of, as a library so that tests can reach it.
//!
//! # Map, from the outside in
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`command`] | which verb was typed |
//! | [`run`], [`check`] | the process itself; is its configuration possible |
//! | [`demo`], [`drill`] | the whole on loopback with users and strangers; strangers against one's own gateway |
//! | [`rehearsal`] | a sample service, ordinary users, strangers: outsiders all |
//! | [`verbs`], [`client`] | operators' verbs, and how they reach the API of a running process |
//! | [`terminal`], [`output`] | what is printed, and in what form |
//! | [`config`], [`desired`] | what did the operator ask for; what the state should declare |
//! | [`wiring_file`] | how are the machines wired: who stands where, who may do what |
//! | [`assembly`] | the one place where the parts meet: sockets, runtimes, order of starting |
//! | [`key_service`] | the rotator's role: holds the root, hands out epoch keys |
//! | [`inside`] | the fabric in this process: a whole plane for a single box, or one member of planes elsewhere |
//! | [`handover`], [`notify`] | one process takes over from another; what the service manager is told |
//! | [`descriptors`], [`vitals`] | how many descriptors there are, and whose; what the kernel says of the process |
//! | [`eyes`], [`whereabouts`] | the process as the API sees it; where it is to be found |
//! | [`secrets`], [`zone_certificate`] | files of mode 0600; the zone's certificate |
//!
//! # Invariants
//!
//! * Nothing below `main` reads the environment but the temporary folder of rehearsals and where the service manager listens; what the file does not say has a
//!   default that is written down here.
//! * A configuration is taken whole or not at all.
//! * Rehearsals meet the product from outside only: what they measure is what users and strangers meet.
//!
//! # What it must never know
//!
//! How anything is decided: addresses, admissions, verdicts, enrollments. Secrets never pass through the configuration,
//! which names files, nor through the command line.

pub mod assembly;
pub mod check;
pub mod client;
pub mod command;
pub mod config;
pub mod demo;
pub mod descriptors;
pub mod desired;
pub mod drill;
pub mod eyes;
pub mod handover;
pub mod inside;
pub mod key_service;
pub mod notify;
pub mod output;
pub mod rehearsal;
pub mod run;
pub mod secrets;
pub mod terminal;
pub mod verbs;
pub mod vitals;
pub mod whereabouts;
pub mod wiring_file;
pub mod zone_certificate;

pub use command::main;
