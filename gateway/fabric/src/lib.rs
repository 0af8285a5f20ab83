//! The inside of the gateway: streams to services by name, over links of six TCP connections to a hub.

pub mod bounds;
mod byte_queue;
pub mod identity;
pub mod mux;
pub mod refusal;
pub mod wire;
pub mod wiring;
