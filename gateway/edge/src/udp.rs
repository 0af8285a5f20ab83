//! What comes by UDP: one socket per address family, port and core, and where each of its datagrams goes.

pub mod filter;
pub mod flows;
pub mod listen;
pub mod port;
pub mod segments;
pub mod socket;
pub mod table;

pub use listen::Listening;
