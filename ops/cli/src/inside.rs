//! The fabric in this process: all of a plane for a single box, or one member of planes that run elsewhere.

mod credentials;
pub mod edge_end;
mod hub;
mod local_hub;
mod place;
pub mod process;
pub mod single;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use defense::Reason;
use fabric::Gateway;
use ops::eyes::FabricSection;

use edge_end::EdgeEnd;
use single::Single;

/// What a gateway process has of the fabric.
pub enum Inside {
    /// One plane with one hub, everything in this process.
    Single(Single),
    /// The edge's end of planes that run elsewhere.
    Joined(EdgeEnd),
}

impl Inside {
    /// Until every lane is up; of planes that run elsewhere, those of one of them.
    pub async fn ready(&self) {
        match self {
            Self::Single(single) => single.ready().await,
            Self::Joined(end) => end.some_plane().await,
        }
    }

    /// The end that the edge opens streams with.
    pub fn gateway(&self) -> &Arc<Gateway> {
        match self {
            Self::Single(single) => single.gateway(),
            Self::Joined(end) => end.gateway(),
        }
    }

    /// Where its own hub listens, if it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Single(single) => Some(single.address()),
            Self::Joined(_) => None,
        }
    }

    /// Whether a reload would find mistakes in its files.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Single(_) => Ok(()),
            Self::Joined(end) => end.check(),
        }
    }

    /// Looks at its files again. Answers whether something has to wait for a restart.
    ///
    /// # Errors
    /// The wiring has mistakes; all stays as it was.
    pub fn reload(&self) -> Result<bool> {
        match self {
            Self::Single(_) => Ok(false),
            Self::Joined(end) => end.reload(),
        }
    }

    pub fn section(&self) -> FabricSection {
        match self {
            Self::Single(single) => single.section(),
            Self::Joined(end) => end.section(),
        }
    }

    /// # Errors
    /// As [`ops::eyes::FabricEyes::step_down`].
    pub fn step_down(&self, hub: &str) -> std::result::Result<(), Reason> {
        match self {
            // There is nobody who could take over.
            Self::Single(_) if hub == single::HUB => Err(Reason::StepDownRefused),
            Self::Joined(end) if end.knows(hub) => Err(Reason::StepDownElsewhere),
            Self::Single(_) | Self::Joined(_) => Err(Reason::UnknownHub),
        }
    }
}
