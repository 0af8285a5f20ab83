//! A runtime for each role that strangers can load, so that none takes from another.

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};

/// The edge's data path has threads of its own, made by the edge.
pub(super) struct Runtimes {
    pub(super) fabric: Runtime,
    pub(super) dns: Runtime,
    pub(super) join: Runtime,
    pub(super) ops: Runtime,
}

impl Runtimes {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { fabric: one("fabric")?, dns: one("dns")?, join: one("join")?, ops: one("ops")? })
    }

    /// Ends them without waiting: their tasks have been told to stop. Safe within another runtime.
    pub(super) fn end(self) {
        for runtime in [self.fabric, self.dns, self.join, self.ops] {
            runtime.shutdown_background();
        }
    }
}

fn one(name: &str) -> Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build()?)
}
