//! HTTP/3 itself (RFC 9114), as a server speaks it: frames, fields, requests.
//!
//! Ours, because the library that there is keeps whatever a frame's length promises: a client could fill the memory.

pub mod body;
pub mod code;
pub mod connection;
pub mod control;
pub mod duplex;
pub mod exchange;
pub mod frame;
pub mod head;
pub mod huffman;
pub mod qpack;
mod table;
