//! Every limit of this room, by name.

/// Records of all kinds together; beyond it a commit is refused with `store_full`.
pub const RECORDS_MAX: usize = 20_000_000;
/// Changes in one transaction.
pub const CHANGES_PER_TXN_MAX: usize = 100_000;
/// Decisions that wait for the writer; beyond it a commit is refused with `store_busy`.
pub const QUEUE_MAX: usize = 4096;
/// Transactions that share one sync of the file.
pub const BATCH_MAX: usize = 256;
/// Deltas a slow watcher may lag behind before it has to look at everything again.
pub const DELTAS_MAX: usize = 1024;
/// Characters of a name.
pub const NAME_CHARS_MAX: usize = 40;
/// Characters of a free text (a reason, a note).
pub const TEXT_CHARS_MAX: usize = 400;
/// Entries of what a service listens on.
pub const LISTEN_ENTRIES_MAX: usize = 16;
/// Ports of all of them.
pub const LISTEN_PORTS_MAX: usize = 1024;
/// Longest body that a service can be told to accept, in bytes.
pub const BODY_BYTES_MAX: u64 = 1 << 40;
/// Longest time for one request that a service can be told to accept, in seconds.
pub const REQUEST_TIME_S_MAX: u32 = 7 * 24 * 3600;
/// Greatest count that a service's budget may name.
pub const BUDGET_COUNT_MAX: u32 = 1_000_000;
/// Fewest bytes per second that a lease may be given: slower, and its clients would look as if they dripped on purpose.
pub const BUDGET_BYTES_MIN: u64 = 64 * 1024;
/// Devices of one user.
pub const DEVICES_PER_USER_MAX: usize = 64;
/// Versions that a schedule keeps: older ones have no lease alive.
pub const SCHEDULE_VERSIONS_MAX: usize = 8;
/// Generations that a grant keeps, for the same reason.
pub const GENERATIONS_MAX: usize = 8;
/// Pause between attempts to open the file again after an error of the disk.
pub const REOPEN_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
/// Pages of the file that are kept in memory. Records are served from memory of their own.
pub const CACHE_BYTES: usize = 16 << 20;
