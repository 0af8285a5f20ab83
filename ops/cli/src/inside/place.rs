//! A member's place in the wiring: whom it dials, what it may, what it offers. Read anew when the operator says so.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use fabric::topology::{HubSite, LocalHubSite, Plane, Topology};

use crate::wiring_file;

/// The wiring, if nothing refuses it.
///
/// # Errors
/// Every mistake in the file.
pub(super) fn wiring(file: &Path) -> Result<Topology> {
    wiring_file::load(file).map_err(|errors| anyhow!("{errors}"))
}

/// The plane and the listeners of a hub.
///
/// # Errors
/// The wiring has no hub of that name.
pub(super) fn of_hub<'t>(wiring: &'t Topology, name: &str) -> Result<(&'t Plane, &'t HubSite)> {
    wiring.hub(name).with_context(|| stranger("hub", name))
}

/// What a local hub offers, and where native servers join it.
///
/// # Errors
/// The wiring has no local hub of that name.
pub(super) fn of_local_hub<'t>(wiring: &'t Topology, name: &str) -> Result<&'t LocalHubSite> {
    wiring.local_hub(name).with_context(|| stranger("local hub", name))
}

/// # Errors
/// The wiring has no edge of that name.
pub(super) fn of_edge(wiring: &Topology, name: &str) -> Result<()> {
    wiring.edge(name).map(|_| ()).with_context(|| stranger("edge", name))
}

fn stranger(kind: &str, name: &str) -> String {
    format!("the wiring has no {kind} {name}: add it there, or name the credentials of one that it has")
}
