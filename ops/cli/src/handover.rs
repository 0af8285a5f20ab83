//! One process takes over from another without a moment in which nobody listens: an upgrade, or any change that a reload
//! cannot make.
//!
//! The old process (`giver`) starts the new one (`heir`) with a pair of sockets as its standard input, over which they say,
//! in this order:
//!
//! ```text
//! old → new   all listening sockets          the new reads its configuration, and binds only what is new in it
//! new → old   store                          the old closes the store: changes wait in its queue, all else goes on
//! old → new   yours                          the new opens it and starts everything
//! new → old   ready                          or `failed: WHY`, or its end: the old takes the store back, and stays
//! old → new   datagrams                      the old reads none any more: two that read one queue would lose them
//! new → old   gone 7 12                      grants that were revoked since: the old closes their connections
//! old → new   done
//! ```
//!
//! Both accept from the same queues for a moment; then the old one drains. Nobody is refused or reset meanwhile.

mod giver;
mod heir;
mod wire;

use std::time::Duration;

pub use giver::{Given, give};
pub use heir::Heir;

/// Until a new process has to have said that all works, or why not.
const READY_MAX: Duration = Duration::from_secs(60);
/// For the old process to part from who is on HTTP/3.
const LEAVE_MAX: Duration = Duration::from_secs(10);
/// For the answers between two processes that are both well.
const ANSWER_MAX: Duration = Duration::from_secs(10);
