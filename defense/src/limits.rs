//! The budgets of the built-in engine, and their defaults.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;

use crate::bounds::{BURST_MAX, FLOOR_MS_MAX, INTERVAL_MAX_NANOS};
use crate::facts::{Evidence, HookPoint};
use crate::prefix::Level;

/// So many calls at once, and one more in each interval. Impossible figures are moved to the nearest possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval_nanos: u64,
    burst: NonZeroU32,
}

impl Rate {
    /// `per_second` calls per second, never more (the interval is rounded up), after a burst of `burst`.
    pub fn per_second(per_second: u32, burst: u32) -> Self {
        Self::every_nanos(1_000_000_000_u64.div_ceil(u64::from(per_second.max(1))), burst)
    }

    /// One call every `ms` milliseconds, after a burst of `burst`.
    pub fn every_ms(ms: u64, burst: u32) -> Self {
        Self::every_nanos(ms.saturating_mul(1_000_000), burst)
    }

    pub(crate) fn every_nanos(nanos: u64, burst: u32) -> Self {
        let burst = NonZeroU32::new(burst.min(BURST_MAX)).unwrap_or(NonZeroU32::MIN);
        Self { interval_nanos: nanos.clamp(1, INTERVAL_MAX_NANOS), burst }
    }

    pub const fn burst(self) -> u32 {
        self.burst.get()
    }

    pub const fn interval_nanos(self) -> u64 {
        self.interval_nanos
    }

    pub(crate) fn quota(self) -> Quota {
        // The interval is at least 1 ns, for which governor always has a quota.
        Quota::with_period(Duration::from_nanos(self.interval_nanos))
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(self.burst)
    }
}

/// Budgets of a source's networks, all levels at once. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PrefixRates {
    /// Per IPv4 /32, IPv6 /64.
    pub host: Option<Rate>,
    /// Per IPv4 /24, IPv6 /56.
    pub site: Option<Rate>,
    /// Per IPv6 /48.
    pub network: Option<Rate>,
}

impl PrefixRates {
    pub const OFF: Self = Self { host: None, site: None, network: None };

    pub const fn level(&self, level: Level) -> Option<Rate> {
        match level {
            Level::Host => self.host,
            Level::Site => self.site,
            Level::Network => self.network,
        }
    }

    /// `rate` per host, four times that per site, sixteen times per network.
    fn widening(per_second: u32, burst: u32) -> Self {
        let at = |times: u32| Some(Rate::per_second(per_second * times, burst * times));
        Self { host: at(1), site: at(4), network: at(16) }
    }
}

/// Budgets at one hook point. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PointLimits {
    /// For sources that anybody may have forged. Spent by forged traffic only.
    pub claimed: PrefixRates,
    /// For sources that proved their address.
    pub proven: PrefixRates,
    /// Per lease, whoever uses it.
    pub lease: Option<Rate>,
    /// All together.
    pub global: Option<Rate>,
}

impl PointLimits {
    pub const fn prefixes(&self, evidence: Evidence) -> &PrefixRates {
        match evidence {
            Evidence::Claimed => &self.claimed,
            Evidence::Proven => &self.proven,
        }
    }
}

/// All budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub connection: PointLimits,
    pub request: PointLimits,
    pub query: PointLimits,
    pub enrolment: PointLimits,
    pub renewal: PointLimits,
    /// Failed enrolments and renewals are answered no sooner than this after their arrival, in milliseconds (at most
    /// `FLOOR_MS_MAX`; 0 is off), so that a wrong invite and an expired one take the same time.
    pub fail_floor_ms: u32,
}

impl Default for Limits {
    /// Registration and DNS as `reliability.md` §5.1 has them (1/s and burst 5 per /24 and /56, 50/s in all; 20/s per
    /// /24 and /56). Connections and requests leave room for a browser, a download tool and a load test of one user,
    /// and for an office behind one address; FutoIn's own 10/s is meant for calls between services.
    fn default() -> Self {
        let slow = |per_second, burst| Some(Rate::per_second(per_second, burst));
        Self {
            connection: PointLimits {
                claimed: PrefixRates::widening(50, 200),
                proven: PrefixRates::widening(100, 400),
                lease: slow(100, 400),
                global: None,
            },
            request: PointLimits {
                claimed: PrefixRates::widening(1_000, 5_000),
                proven: PrefixRates::widening(4_000, 20_000),
                lease: slow(4_000, 20_000),
                global: None,
            },
            query: PointLimits {
                claimed: PrefixRates { host: slow(20, 100), site: slow(20, 100), network: slow(80, 400) },
                proven: PrefixRates::widening(200, 1_000),
                lease: None,
                global: None,
            },
            enrolment: PointLimits {
                claimed: PrefixRates { host: slow(1, 5), site: slow(1, 5), network: slow(4, 20) },
                proven: PrefixRates { host: slow(1, 5), site: slow(1, 5), network: slow(4, 20) },
                lease: None,
                global: slow(50, 100),
            },
            renewal: PointLimits {
                claimed: PrefixRates::widening(1, 5),
                proven: PrefixRates::widening(10, 50),
                lease: slow(1, 10),
                global: slow(2_000, 4_000),
            },
            fail_floor_ms: 100,
        }
    }
}

impl Limits {
    pub const fn point(&self, point: HookPoint) -> &PointLimits {
        match point {
            HookPoint::Connection => &self.connection,
            HookPoint::Request => &self.request,
            HookPoint::Query => &self.query,
            HookPoint::Enrolment => &self.enrolment,
            HookPoint::Renewal => &self.renewal,
        }
    }

    /// Without budgets per network: for a deployment whose users all come from one address, as in a demo on loopback
    /// or behind a forwarder. Leases and the whole remain limited.
    #[must_use]
    pub fn without_prefixes(mut self) -> Self {
        let points = [
            &mut self.connection,
            &mut self.request,
            &mut self.query,
            &mut self.enrolment,
            &mut self.renewal,
        ];
        for point in points {
            point.claimed = PrefixRates::OFF;
            point.proven = PrefixRates::OFF;
        }
        self
    }

    pub(crate) fn floor_ms(&self) -> u32 {
        self.fail_floor_ms.min(FLOOR_MS_MAX)
    }
}
