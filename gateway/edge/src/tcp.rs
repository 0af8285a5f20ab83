//! TCP: sockets, and one connection's way from its accept to its end.

pub mod guarded;
pub mod hello;
pub mod linger;
pub mod listen;
pub mod metered;
pub mod proxied;
pub mod session;
