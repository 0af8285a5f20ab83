//! The fabric over real TCP and real TLS on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]

mod attacks;
mod crowd;
mod egress;
mod elections;
mod fake_hub;
mod flows;
mod following;
mod hostile;
mod lanes;
mod liveness;
mod native;
mod notices;
mod paths;
mod plane;
mod planes;
mod proxied;
mod proxy;
mod raw;
mod recovery;
mod renewal;
mod resume;
mod road;
mod servers;
mod wires;
mod withdrawn;
mod world;
