//! What is valid now: keys, schedules, windows, leases, addresses and labels, as pure functions of time.
//!
//! # Map, in reading order
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`time`] | what is a second here |
//! | [`enc`] | how fields become the bytes that are hashed |
//! | [`keys`] | root, key epochs, grant keys, and who may hold which |
//! | [`schedule`] | how often, how early, how long after |
//! | [`tenure`] | which window is a grant in, across schedule changes and generations |
//! | [`lease`] | grant × window: an address's life from early to silence |
//! | [`pool`] | which address a lease has |
//! | [`label`] | which DNS label a grant has |
//! | [`announce`] | what DNS may say now, and for how long |
//! | `shared` | what a grant's leases at one address say together |
//! | `agenda` | when each grant must be looked at again |
//! | [`planner`] | which leases open and close as time passes |
//! | [`table`] | whose is this address (the edge's look-up) |
//! | [`label_book`] | whose is this label (the edge's and DNS's look-up) |
//! | [`preview`] | which windows a schedule will cut, and how they overlap |
//! | [`exposure`] | how likely a stranger's guess hits |
//! | [`bounds`] | every limit |
//!
//! # Invariants
//!
//! * Make before break: an edge accepts a lease `lead` before DNS announces it, and DNS stops announcing it `grace`
//!   before the edge stops accepting it. So clocks may differ by up to `lead` either way.
//! * No answer outlives its address: every TTL ends `lead` before the end of grace.
//! * One live address per grant and pool at any second, unpredictable without the grant's key.
//! * Windows are computed, never stored: the same inputs give the same leases on every machine.
//!
//! # What it must never know
//!
//! Clocks, sockets, files, threads, randomness, HTTP, DNS messages, users' names.
#![warn(clippy::wildcard_enum_match_arm)]

mod agenda;
pub mod announce;
pub mod bounds;
pub mod enc;
pub mod exposure;
pub mod keys;
pub mod label;
pub mod label_book;
pub mod lease;
pub mod planner;
pub mod pool;
pub mod preview;
pub mod schedule;
mod shared;
pub mod table;
pub mod tenure;
pub mod time;

pub use announce::{Announcement, announce};
pub use keys::{EpochKey, GrantId, GrantKey, KeyEpochs, Keyring, Root};
pub use label::Label;
pub use label_book::LabelBook;
pub use lease::{GrantNo, Lease, Life, Newcomer};
pub use planner::{Plan, Planner, Turn};
pub use pool::Pool;
pub use schedule::{Class, Schedule, ScheduleError, Stale};
pub use table::{Found, LeaseTable};
pub use tenure::{Cut, Tenure, Term, Window};
pub use time::UnixTime;
