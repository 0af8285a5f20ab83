//! A process of the fabric alone, from its start to its end: `wandergate run` with role `hub` or `local-hub`.
//!
//! What wakes it: SIGHUP (look at wiring and credentials again), SIGTERM and SIGINT (leave).

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use ops::eyes::FabricEyes;
use ops::http::{bind_unix, control};
use serde_json::json;
use state::Clock;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::hub::HubEnd;
use super::local_hub::LocalEnd;
use crate::config::{Member, MemberRole};
use crate::{secrets, whereabouts};

/// What runs here.
enum End {
    Hub(Arc<HubEnd>),
    LocalHub(Arc<LocalEnd>),
}

/// Runs until it is told to stop.
///
/// # Errors
/// It can't start; the text says what has to change.
pub async fn run(member: &Member, ready_file: Option<&Path>) -> Result<()> {
    let (mut term, mut int, mut hup) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
    if let Some(file) = ready_file {
        whereabouts::forget(file)?;
    }
    if let Some(folder) = member.socket.parent() {
        secrets::folder(folder)?;
    }
    // The socket outlives the links, so that a process that leaves can still be asked.
    let (stop, last) = (CancellationToken::new(), CancellationToken::new());
    let end = End::start(member, stop).await?;
    let socket = &member.socket;
    let unix = bind_unix(socket).await.with_context(|| format!("can't listen on {}", socket.display()))?;
    control::start(env!("CARGO_PKG_VERSION"), Clock::system(), end.eyes(), unix, &last)?;
    tracing::info!(event = "fabric.start", role = member.role.as_str(), name = end.name());
    if let Some(file) = ready_file {
        secrets::write(file, format!("{}\n", end.ready(member)).as_bytes())?;
    }
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = hup.recv() => match end.reload() {
                Ok(waits) => tracing::info!(event = "wiring.load", needs_restart = waits),
                Err(error) => tracing::error!(event = "wiring.reject", error = format!("{error:#}")),
            },
        }
    }
    tracing::info!(event = "fabric.drain.begin");
    end.leave().await;
    last.cancel();
    tracing::info!(event = "fabric.stop");
    Ok(())
}

impl End {
    async fn start(member: &Member, stop: CancellationToken) -> Result<Self> {
        Ok(match member.role {
            MemberRole::Hub => Self::Hub(Arc::new(HubEnd::start(member, stop).await?)),
            MemberRole::LocalHub => Self::LocalHub(Arc::new(LocalEnd::start(member, stop)?)),
        })
    }

    fn eyes(&self) -> Arc<dyn FabricEyes> {
        match self {
            Self::Hub(hub) => Arc::clone(hub) as Arc<dyn FabricEyes>,
            Self::LocalHub(local) => Arc::clone(local) as Arc<dyn FabricEyes>,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Hub(hub) => hub.name(),
            Self::LocalHub(local) => local.name(),
        }
    }

    fn reload(&self) -> Result<bool> {
        match self {
            Self::Hub(hub) => hub.reload(),
            Self::LocalHub(local) => local.reload(),
        }
    }

    async fn leave(&self) {
        match self {
            Self::Hub(hub) => hub.leave().await,
            Self::LocalHub(local) => local.leave().await,
        }
    }

    /// `wandergate.inside.ready/1`
    fn ready(&self, member: &Member) -> serde_json::Value {
        json!({
            "schema": "wandergate.inside.ready/1",
            "pid": std::process::id(),
            "role": member.role.as_str(),
            "name": self.name(),
            "ops": { "socket": member.socket },
            "address": match self {
                Self::Hub(hub) => Some(hub.address()),
                Self::LocalHub(_) => None,
            },
        })
    }
}
