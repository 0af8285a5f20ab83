//! What comes by UDP: one socket per address family, port and core, and where each of its datagrams goes.

pub mod filter;
pub mod port;
pub mod segments;
pub mod socket;
pub mod table;
