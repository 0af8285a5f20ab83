//! What the suites share: the real binary as a process, real clients (curl, dig, h2load, python) around it.
//!
//! | module | what it starts or asks |
//! | --- | --- |
//! | [`product`] | `wandergate demo` and `wandergate run`, ended with the test |
//! | [`bulk`] | a service with many bytes, and their hashes |
//! | [`clients`] | dig, curl, h2load, python: whoever outside would use the product |
//! | [`datagrams`] | numbered datagrams, and whether each comes back |
//! | [`deployment`] | a configuration for `wandergate run` |
//! | [`fabric`], [`namespace`] | hubs, local hubs and an edge as on several computers; a computer that can be cut off |
//! | [`island`] | a computer of its own with an IPv6 pool, where programs resolve private names as anywhere |
//! | [`measure`] | what the benchmarks share |
//! | [`over`] | a word to threads that go on until something is over |
//! | [`http`] | HTTP by hand, where the test must see every step |
//! | [`service`] | a service to reach |
//! | [`traffic`] | a user's requests, again and again, and what came of them |
//! | [`sockets`] | which sockets a process has, as ss tells |
//! | [`tcp`] | raw sockets, for those who do not keep to any protocol |
#![allow(clippy::unwrap_used, reason = "in a test, an unwrap is an assertion")]
#![allow(clippy::disallowed_methods, reason = "a test waits by the real clock")]

pub mod bulk;
pub mod clients;
pub mod datagrams;
pub mod deployment;
pub mod fabric;
pub mod http;
pub mod island;
pub mod measure;
pub mod namespace;
pub mod over;
pub mod product;
pub mod service;
pub mod sockets;
pub mod tcp;
pub mod traffic;
