//! The door over real TLS: the race, the proofs, the pages, and whatever strangers send.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "door/api.rs"]
mod api;
#[path = "door/fixture.rs"]
mod fixture;
#[path = "door/pages.rs"]
mod pages;
#[path = "door/race.rs"]
mod race;
#[path = "door/siege.rs"]
mod siege;
