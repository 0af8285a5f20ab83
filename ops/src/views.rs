//! What answers look like: documented JSON. Times are RFC 3339, lists are never null, addresses are redacted unless asked.

mod change;
mod fabric;
mod lists;
mod sight;

use defense::Layer;
use jiff::Timestamp;
use rotator::UnixTime;
use serde::Serialize;
use state::records::Origin;
use utoipa::ToSchema;

pub use change::*;
pub use fabric::*;
pub use lists::*;
pub use sight::*;

/// `2026-11-21T12:00:00Z`; `None` beyond the calendar.
pub fn rfc3339(t: UnixTime) -> Option<String> {
    let secs = i64::try_from(t.secs()).ok()?;
    Timestamp::from_second(secs).ok().map(|stamp| stamp.to_string())
}

/// Whose a grant is, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Owner {
    pub user: String,
    pub device: String,
    pub service: String,
}

pub(crate) const fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Config => "config",
        Origin::Api => "api",
    }
}

pub(crate) const fn layer_word(layer: Layer) -> &'static str {
    match layer {
        Layer::Edge => "edge",
        Layer::Request => "request",
        Layer::Upstream => "upstream",
        Layer::Registration => "registration",
        Layer::Renewal => "renewal",
        Layer::Dns => "dns",
        Layer::Ops => "ops",
        Layer::State => "state",
        Layer::Config => "config",
        Layer::Process => "process",
    }
}
