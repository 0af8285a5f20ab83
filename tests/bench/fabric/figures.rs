//! What is measured of a chain.

use tests::measure::figures::Kind;

/// A figure of a chain; all are better when lower, but those of throughput.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// µs of CPU for a request, 32 connections that press.
    SmallCpu,
    /// Requests a second, the same.
    SmallRate,
    /// µs.
    SmallP50,
    /// µs.
    SmallP99,
    /// µs of CPU for a request, 256 connections that press.
    ManyCpu,
    /// Requests a second, the same.
    ManyRate,
    /// µs of CPU for a connection with one request.
    FreshCpu,
    /// µs.
    FreshP50,
    /// µs.
    FreshP99,
    /// Seconds of CPU for 10^9 bytes.
    BulkCpu,
    /// 10^6 bytes a second.
    BulkRate,
    /// µs, of rare requests on a chain that is otherwise idle.
    IdleP50,
    /// µs.
    IdleP99,
    /// µs, with one long transfer at full speed beside.
    BesideP50,
    /// µs.
    BesideP99,
    /// µs, with five stalled transfers and one at full speed beside.
    StalledP50,
    /// µs.
    StalledP99,
    /// 10^6 bytes a second, of that transfer.
    StalledRate,
    /// µs, with five stalled transfers and one at 1 Gbit/s beside.
    GigabitP50,
    /// µs.
    GigabitP99,
    /// KiB of all processes, after the first round's work.
    Memory,
}

impl Kind for Figure {
    fn name(self) -> &'static str {
        match self {
            Self::SmallCpu => "small_cpu_us",
            Self::SmallRate => "small_per_s",
            Self::SmallP50 => "small_p50_us",
            Self::SmallP99 => "small_p99_us",
            Self::ManyCpu => "small_256_cpu_us",
            Self::ManyRate => "small_256_per_s",
            Self::FreshCpu => "new_stream_cpu_us",
            Self::FreshP50 => "new_stream_p50_us",
            Self::FreshP99 => "new_stream_p99_us",
            Self::BulkCpu => "bulk_cpu_s_per_gb",
            Self::BulkRate => "bulk_mb_per_s",
            Self::IdleP50 => "idle_p50_us",
            Self::IdleP99 => "idle_p99_us",
            Self::BesideP50 => "beside_bulk_p50_us",
            Self::BesideP99 => "beside_bulk_p99_us",
            Self::StalledP50 => "beside_5_stalled_and_bulk_p50_us",
            Self::StalledP99 => "beside_5_stalled_and_bulk_p99_us",
            Self::StalledRate => "beside_5_stalled_mb_per_s",
            Self::GigabitP50 => "beside_5_stalled_and_gigabit_p50_us",
            Self::GigabitP99 => "beside_5_stalled_and_gigabit_p99_us",
            Self::Memory => "rss_kib",
        }
    }
}
