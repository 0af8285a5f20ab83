//! What the benchmarks share: pinned processes, rounds, figures, tables.
//!
//! | module | what it has |
//! | --- | --- |
//! | [`processes`] | child processes: pinned, measured, ended with the bench |
//! | [`certificates`] | one authority and one leaf, as each program wants to read them |
//! | [`service`] | the service behind everything that is measured |
//! | [`client`] | one connection of a client that speaks HTTP/1.1 |
//! | [`figures`] | what was measured, gathered over the rounds |
//! | [`rounds`] | every chain does every kind of work in every round |
//! | [`options`] | what a bench can be asked for |
//! | [`report`] | tables, goals, JSON |
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "programs that print figures")]

pub mod certificates;
pub mod client;
pub mod figures;
pub mod options;
pub mod processes;
pub mod report;
pub mod rounds;
pub mod service;
