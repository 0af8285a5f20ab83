//! The fabric over real TCP and real TLS on loopback.

mod hostile;
mod lanes;
mod paths;
mod raw;
mod recovery;
mod wires;
mod world;
