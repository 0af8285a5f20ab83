//! Who asks: h2load for many small requests, clients of our own where it does not fit.

pub(crate) mod h2load;
pub(crate) mod tls;
pub(crate) mod udp;

use std::time::Duration;

/// What a piece of work came to.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Of each request that was answered.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) bytes: u64,
    pub(crate) errors: u64,
    pub(crate) elapsed: Duration,
}
