//! The product from outside, as its users and its strangers meet it. One demo serves all tests that leave it whole.
#![allow(clippy::unwrap_used, reason = "in a test, an unwrap is an assertion")]
#![allow(clippy::disallowed_methods, reason = "a test waits by the real clock")]

mod bad_input;
mod fabric;
mod fabric_rules;
mod life;
mod main_job;
mod operators;
mod power_cuts;
mod promises;
mod quic;
mod soak;
mod users;

use std::sync::OnceLock;

use tests::product::Process;

/// The demo that tests share. Nobody revokes, rotates or restarts in it.
///
/// A static is never dropped: a guard process ends with the test's own, by the pipe's end, would be more than it is
/// worth; `--for` bounds its life.
fn demo() -> &'static Process {
    static DEMO: OnceLock<Process> = OnceLock::new();
    DEMO.get_or_init(|| Process::demo(&["--for", "300s"]))
}
