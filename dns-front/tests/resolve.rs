//! The front from outside: real `dig` and `kdig`, a real store, sockets on loopback.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "resolve/abuse.rs"]
mod abuse;
#[path = "resolve/clients.rs"]
mod clients;
#[path = "resolve/fixture.rs"]
mod fixture;
#[path = "resolve/follow.rs"]
mod follow;
#[path = "resolve/names.rs"]
mod names;
