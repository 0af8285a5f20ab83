//! The rotator under a virtual clock: promises, the planner, labels, secrecy, exposure and preview.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test is a crate of its own, and an unwrap is its assertion"
)]

mod exposure;
mod labels;
mod life;
mod planner;
mod preview;
mod promises;
mod secrecy;
mod stage;
mod terms;
