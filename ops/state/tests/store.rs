//! The store from outside: what is acknowledged is kept, what is damaged is refused, whoever follows is told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "store/damage.rs"]
mod damage;
#[path = "store/fixture.rs"]
mod fixture;
#[path = "store/follow.rs"]
mod follow;
#[path = "store/full.rs"]
mod full;
#[path = "store/keep.rs"]
mod keep;
#[path = "store/kill.rs"]
mod kill;
#[path = "store/random.rs"]
mod random;
#[path = "store/views.rs"]
mod views;
