//! Every bound of this room, by name. Ours, unless a source is named.

/// Cells of one sketch (two rows of half as many), 8 bytes each.
pub const SKETCH_CELLS: usize = 1 << 15;

/// Prefix levels watched at once: host, site, network.
pub const PREFIX_LEVELS: usize = 3;

/// Lease numbers below this have budgets of their own; numbers beyond share with `number % LEASES_EXACT_MAX`.
pub const LEASES_EXACT_MAX: u32 = 1 << 20;

/// Leases of one page of budgets; pages are made on first use and stay.
pub const LEASES_PAGE: u32 = 1 << 12;

/// Networks in an allow list: it is walked on each call.
pub const ALLOW_MAX: usize = 256;

/// Greatest burst of a rate.
pub const BURST_MAX: u32 = 1_000_000;

/// Slowest rate: one in this many nanoseconds (an hour). With `BURST_MAX` and `MOMENT_MAX_NANOS` no sum overflows.
pub const INTERVAL_MAX_NANOS: u64 = 3_600_000_000_000;

/// Moments beyond are taken as this one (146 years of running).
pub const MOMENT_MAX_NANOS: u64 = 1 << 62;

/// Failed calls whose answer is held back at any one time. Beyond, failures are answered at once: the floor must
/// not become the denial of service (`futoin.md` §6.3).
pub const DELAYED_MAX: u32 = 4_096;

/// Greatest floor under an answer, in milliseconds.
pub const FLOOR_MS_MAX: u32 = 10_000;

/// Refusals kept for `why`, oldest forgotten first.
pub const SAMPLES_MAX: usize = 8_192;

/// Refusals of one reason, per second, that may touch the ring: once for those with a request id and once for those
/// without. All others only count.
pub const SAMPLES_PER_REASON_S: u32 = 256;

/// Slots that gather what belongs together (reason, network, lease) within one second.
pub const GATHER_SLOTS: usize = 4_096;
