//! What requests about schedules say.

use rotator::{Schedule, Stale};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::acts::schedule::{Delta, Deltas};

/// What changes of a schedule; what is not said stays.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PatchBody {
    /// For ordinary clients, by DNS name.
    #[serde(default)]
    name: PatchTimes,
    /// For agents.
    #[serde(default)]
    agent: PatchTimes,
}

/// All in seconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PatchTimes {
    window_s: Option<u32>,
    lead_s: Option<u32>,
    grace_s: Option<u32>,
    tombstone_s: Option<u32>,
    ttl_s: Option<u32>,
    label_s: Option<u32>,
    max_session_s: Option<u32>,
    stale: Option<StaleWord>,
}

/// A whole schedule.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutBody {
    name: PutTimes,
    agent: PutTimes,
}

/// All in seconds.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutTimes {
    window_s: u32,
    lead_s: u32,
    grace_s: u32,
    tombstone_s: u32,
    ttl_s: u32,
    label_s: u32,
    max_session_s: u32,
    stale: StaleWord,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StaleWord {
    Reset,
    Drop,
}

/// A change to be tried, and for how long ahead.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewBody {
    #[serde(default)]
    pub(super) change: PatchBody,
    /// Seconds, up to a day; an hour if not said.
    pub(super) for_s: Option<u64>,
}

impl PatchBody {
    pub(super) fn deltas(self) -> Deltas {
        Deltas { name: self.name.delta(), agent: self.agent.delta() }
    }
}

impl PatchTimes {
    fn delta(self) -> Delta {
        Delta {
            window_s: self.window_s,
            lead_s: self.lead_s,
            grace_s: self.grace_s,
            tombstone_s: self.tombstone_s,
            ttl_s: self.ttl_s,
            label_s: self.label_s,
            max_session_s: self.max_session_s,
            stale: self.stale.map(StaleWord::stale),
        }
    }
}

impl PutBody {
    pub(super) fn pair(self) -> (Schedule, Schedule) {
        (self.name.schedule(), self.agent.schedule())
    }
}

impl PutTimes {
    fn schedule(self) -> Schedule {
        Schedule {
            period_s: self.window_s,
            lead_s: self.lead_s,
            grace_s: self.grace_s,
            tombstone_s: self.tombstone_s,
            ttl_s: self.ttl_s,
            label_period_s: self.label_s,
            max_session_s: self.max_session_s,
            stale: self.stale.stale(),
        }
    }
}

impl StaleWord {
    const fn stale(self) -> Stale {
        match self {
            Self::Reset => Stale::Reset,
            Self::Drop => Stale::Drop,
        }
    }
}
