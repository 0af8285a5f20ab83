//! Schedules: how often an address moves, how early it opens, how long it lingers.

use serde::{Deserialize, Serialize};

use crate::bounds::{LEAD_MAX_S, LEASES_PER_TURN_MAX, PERIOD_MIN_S, PERIODS_PER_TTL_MIN, SPAN_MAX_S};

/// Who follows the schedule: an ordinary client by DNS name, or our agent by derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A stable, unguessable DNS label; the address behind it moves.
    Name,
    /// Epoch keys on the device; label and address both move.
    Agent,
}

/// What a newcomer on a recently closed lease meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stale {
    /// A TCP reset, so that a stale client resolves again in 0.2 s rather than 21 s.
    Reset,
    /// Silence, at the price of a slow recovery.
    Drop,
}

/// All times in seconds. Make one with [`Schedule::checked`]; the fields are public for reading and building.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schedule {
    /// Length of a window.
    pub period_s: u32,
    /// How long before its start a lease is already accepted; also the largest clock difference tolerated.
    pub lead_s: u32,
    /// How long after its end a lease is still accepted, though no longer announced.
    pub grace_s: u32,
    /// How long after grace a newcomer is answered as `stale` says; then silence.
    pub tombstone_s: u32,
    /// Ceiling of DNS TTLs.
    pub ttl_s: u32,
    /// Length of a label window (agents).
    pub label_period_s: u32,
    /// How long after grace an established session may go on.
    pub max_session_s: u32,
    pub stale: Stale,
}

impl Schedule {
    /// The default of ordinary clients: resolvers overrun TTLs, so window and grace are long.
    pub const NAME: Self = Self {
        period_s: 1800,
        lead_s: 30,
        grace_s: 1800,
        tombstone_s: 3600,
        ttl_s: 30,
        label_period_s: 3600,
        max_session_s: 12 * 3600,
        stale: Stale::Reset,
    };

    /// The default of agents: they derive their address offline, so it may move every minute.
    pub const AGENT: Self =
        Self { period_s: 60, lead_s: 10, grace_s: 15, tombstone_s: 60, ttl_s: 5, ..Self::NAME };

    /// The same schedule if it keeps every rule, else the first rule that it breaks.
    pub fn checked(self) -> Result<Self, ScheduleError> {
        use ScheduleError as E;
        self.spans_checked()?;
        if self.period_s < PERIOD_MIN_S {
            return Err(E::WindowTooShort { least_s: PERIOD_MIN_S });
        }
        if self.label_period_s < self.period_s {
            return Err(E::LabelShorterThanWindow { least_s: self.period_s });
        }
        if self.ttl_s == 0 {
            return Err(E::TtlZero);
        }
        let least_s = self.ttl_s.saturating_mul(PERIODS_PER_TTL_MIN);
        if self.period_s < least_s {
            return Err(E::WindowTooShortForTtl { ttl_s: self.ttl_s, least_s });
        }
        if self.lead_s == 0 || self.lead_s > self.period_s.min(LEAD_MAX_S) {
            return Err(E::LeadOutOfWindow { most_s: self.period_s.min(LEAD_MAX_S) });
        }
        if self.grace_s <= self.lead_s {
            return Err(E::GraceNotBeyondLead { lead_s: self.lead_s });
        }
        let least_s =
            self.life_s().saturating_add(u64::from(self.lead_s)).div_ceil(LEASES_PER_TURN_MAX as u64);
        if u64::from(self.period_s) < least_s {
            return Err(E::WindowTooShortForGrace { least_s: u32::try_from(least_s).unwrap_or(u32::MAX) });
        }
        Ok(self)
    }

    fn spans_checked(&self) -> Result<(), ScheduleError> {
        let spans = [
            ("window", self.period_s),
            ("label", self.label_period_s),
            ("grace", self.grace_s),
            ("tombstone", self.tombstone_s),
            ("max_session", self.max_session_s),
        ];
        if let Some((field, _)) = spans.into_iter().find(|(_, s)| *s > SPAN_MAX_S) {
            return Err(ScheduleError::TooLong { field, most_s: SPAN_MAX_S });
        }
        Ok(())
    }

    /// Longest life of a lease after its first second, in seconds: when its address falls silent.
    pub fn life_s(&self) -> u64 {
        u64::from(self.period_s) + u64::from(self.grace_s) + u64::from(self.tombstone_s)
    }

    /// Longest life of a rotating label after its first second, in seconds.
    pub fn label_life_s(&self) -> u64 {
        u64::from(self.label_period_s) + u64::from(self.grace_s)
    }

    /// How far back a keyring must reach so that whatever is still alive can be derived anew, by a clock `lead` behind.
    pub fn key_life_s(&self) -> u64 {
        self.life_s().max(self.label_life_s()) + u64::from(self.lead_s)
    }
}

/// Why a schedule is refused; each names the field and the value that would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("window is too short: at least {least_s}s")]
    WindowTooShort { least_s: u32 },
    #[error(
        "window is too short for ttl={ttl_s}s: a fresh answer would outlive its address; at least {least_s}s (4 x ttl)"
    )]
    WindowTooShortForTtl { ttl_s: u32, least_s: u32 },
    #[error(
        "window is too short for its grace and tombstone: thousands of addresses would stand; at least {least_s}s"
    )]
    WindowTooShortForGrace { least_s: u32 },
    #[error("label window is shorter than the address window: at least {least_s}s")]
    LabelShorterThanWindow { least_s: u32 },
    #[error("ttl is 0: at least 1s")]
    TtlZero,
    #[error("lead must be 1s to the window's length or an hour: at most {most_s}s")]
    LeadOutOfWindow { most_s: u32 },
    #[error("grace must be longer than lead={lead_s}s, or clocks that differ would cut users off")]
    GraceNotBeyondLead { lead_s: u32 },
    #[error("{field} is too long: at most {most_s}s")]
    TooLong { field: &'static str, most_s: u32 },
}

impl ScheduleError {
    /// The field at fault, as the configuration spells it.
    pub fn field(&self) -> &'static str {
        match self {
            Self::WindowTooShort { .. }
            | Self::WindowTooShortForTtl { .. }
            | Self::WindowTooShortForGrace { .. } => "window",
            Self::LabelShorterThanWindow { .. } => "label",
            Self::TtlZero => "ttl",
            Self::LeadOutOfWindow { .. } => "lead",
            Self::GraceNotBeyondLead { .. } => "grace",
            Self::TooLong { field, .. } => field,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_keep_their_own_rules() {
        assert_eq!(Schedule::NAME.checked(), Ok(Schedule::NAME));
        assert_eq!(Schedule::AGENT.checked(), Ok(Schedule::AGENT));
    }

    #[test]
    fn each_threshold_is_refused_just_below_and_taken_at_it() {
        let base = Schedule { period_s: 20, ttl_s: 5, lead_s: 4, grace_s: 5, ..Schedule::AGENT };
        assert!(base.checked().is_ok());
        assert_eq!(Schedule { period_s: 19, ..base }.checked().unwrap_err().field(), "window");
        assert_eq!(Schedule { grace_s: 4, ..base }.checked().unwrap_err().field(), "grace");
        assert!(Schedule { lead_s: 20, grace_s: 21, ..base }.checked().is_ok());
        assert_eq!(Schedule { lead_s: 21, grace_s: 30, ..base }.checked().unwrap_err().field(), "lead");
        assert_eq!(Schedule { ttl_s: 0, ..base }.checked().unwrap_err().field(), "ttl");
        assert_eq!(Schedule { label_period_s: 19, ..base }.checked().unwrap_err().field(), "label");
        let long = Schedule { max_session_s: SPAN_MAX_S + 1, ..base };
        assert_eq!(long.checked().unwrap_err().field(), "max_session");
        let crowd = Schedule { period_s: 20, lead_s: 4, grace_s: 40_000, tombstone_s: 41_896, ..base };
        assert_eq!(crowd.life_s() + 4, 20 * LEASES_PER_TURN_MAX as u64);
        assert!(crowd.checked().is_ok());
        let crowd = Schedule { tombstone_s: 41_897, ..crowd };
        assert_eq!(crowd.checked(), Err(ScheduleError::WindowTooShortForGrace { least_s: 21 }));
        let short = Schedule { period_s: 4, ttl_s: 1, lead_s: 1, ..base };
        assert_eq!(short.checked(), Err(ScheduleError::WindowTooShort { least_s: 5 }));
    }
}
