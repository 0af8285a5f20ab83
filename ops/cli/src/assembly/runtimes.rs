//! A runtime for each role that strangers can load, so that none takes from another.

use std::ops::Deref;

use anyhow::Result;
use tokio::runtime::{Builder, Handle, Runtime};

/// The edge's data path has threads of its own, made by the edge.
pub(super) struct Runtimes {
    pub(super) fabric: Role,
    pub(super) dns: Role,
    pub(super) join: Role,
    pub(super) ops: Role,
}

impl Runtimes {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            fabric: Role::new("fabric")?,
            dns: Role::new("dns")?,
            join: Role::new("join")?,
            ops: Role::new("ops")?,
        })
    }

    /// All of them, and the one that asks.
    pub(super) fn handles(&self) -> Vec<Handle> {
        let roles = [&self.fabric, &self.dns, &self.join, &self.ops];
        roles.into_iter().map(|role| role.handle().clone()).chain(Handle::try_current()).collect()
    }
}

/// One role's runtime. Dropping it ends it without waiting, since its tasks have been told to stop; so it may be dropped
/// within another runtime, as after a start that failed half-way.
pub(super) struct Role(Option<Runtime>);

impl Role {
    fn new(name: &str) -> Result<Self> {
        let mut builder = Builder::new_multi_thread();
        Ok(Self(Some(builder.worker_threads(1).thread_name(name).enable_all().build()?)))
    }
}

impl Deref for Role {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        // It is taken by the drop alone, after which nobody can ask.
        #[expect(clippy::expect_used, reason = "present until the drop")]
        self.0.as_ref().expect("a runtime until the drop")
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
