//! Every limit of the configuration, by name.

/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Errors reported at once; the rest is counted.
pub const ERRORS_MAX: usize = 50;
/// Sections of one kind (`[pool.*]`, `[service.*]`, `[schedule.*]`), and entries of one list.
pub const SECTIONS_MAX: usize = 1024;
pub const LIST_MAX: usize = 64;
/// Names of edges, pools, services and schedules, in bytes: one DNS label.
pub const NAME_BYTES_MAX: usize = 63;
/// The zone, in bytes: room stays for a private label in front (RFC 1035 §2.3.4 gives 253 in all).
pub const ZONE_BYTES_MAX: usize = 180;
/// Longest window and grace, in seconds: 7 days, one key epoch.
pub const WINDOW_MAX_S: u32 = 7 * 24 * 3600;
pub const GRACE_MAX_S: u32 = 7 * 24 * 3600;
/// Longest drain, and longest pause before it, in seconds.
pub const DRAIN_MAX_S: u32 = 3600;
pub const DRAIN_PAUSE_MAX_S: u32 = 300;
/// Least memory that an edge may be given, in bytes: an idle one takes half of it.
pub const MEMORY_MIN: u64 = 64 << 20;
/// Most bits of proof of work: 2^28 hashes take an ordinary laptop a minute.
pub const POW_BITS_MAX: u32 = 28;
/// Most registrations in one period of a rate.
pub const RATE_COUNT_MAX: u32 = 1_000_000;
/// One line of the access log for so many requests at most.
pub const SAMPLE_MAX: u32 = 1_000_000;
/// Path of a Unix socket, in bytes (`sun_path` less its zero).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Name of a network interface, in bytes (`IFNAMSIZ` less its zero).
pub const DEVICE_BYTES_MAX: usize = 15;
/// Characters of a value, and of a source line, that a message repeats.
pub const VALUE_SHOWN_CHARS_MAX: usize = 60;
pub const LINE_SHOWN_CHARS_MAX: usize = 100;
