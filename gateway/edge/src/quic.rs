//! HTTP/3: who may reach quinn, one QUIC connection's way, and its requests.

pub mod cid;
pub mod doorman;
pub mod endpoint;
pub mod h3;
pub mod initial;
pub mod session;
pub mod socket;
