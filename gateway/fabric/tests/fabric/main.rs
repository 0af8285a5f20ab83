//! The fabric over real TCP and real TLS on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod hostile;
mod lanes;
mod liveness;
mod paths;
mod raw;
mod recovery;
mod wires;
mod world;
