//! The house rules, as tests: what may import what, where things stand, how long they are, and what is never written.
//!
//! The rules are data in `rules.rs`; each other module checks one kind. A finding names the file, the line, what, why
//! and the fix.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the tree has to stop")]

mod dependencies;
mod layout;
mod lengths;
mod machine;
mod purity;
mod readme;
mod rooms;
mod rules;
mod scan;
mod tree;
mod words;
