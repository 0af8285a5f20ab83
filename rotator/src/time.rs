//! Wall-clock time as whole seconds since 1970: the only unit that schedules are written in.

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z. Arithmetic saturates at both ends: no date is a panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(u64);

impl UnixTime {
    pub const ZERO: Self = Self(0);
    pub const END: Self = Self(u64::MAX);

    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    pub const fn secs(self) -> u64 {
        self.0
    }

    pub const fn plus(self, secs: u64) -> Self {
        Self(self.0.saturating_add(secs))
    }

    pub const fn minus(self, secs: u64) -> Self {
        Self(self.0.saturating_sub(secs))
    }

    /// Seconds from `earlier` to `self`; zero when `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
