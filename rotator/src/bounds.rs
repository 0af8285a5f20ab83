//! Every limit of this room, by name.

/// Longest window, label window, grace, tombstone or session: 30 days, in seconds.
pub const SPAN_MAX_S: u32 = 30 * 24 * 3600;
/// Longest lead: clocks that differ by more than an hour are broken, and keys are handed out one epoch ahead only.
pub const LEAD_MAX_S: u32 = 3600;
/// Shortest window, in seconds: below it, a client cannot follow through DNS or a clock.
pub const PERIOD_MIN_S: u32 = 5;
/// A fresh answer must be a small part of its window: window ≥ this × TTL.
pub const PERIODS_PER_TTL_MIN: u32 = 4;
/// Terms that one grant's tenure keeps: older ones have fallen silent.
pub const TERMS_MAX: usize = 16;
/// Address derivations tried before a reserved identifier is taken after all (chance 2^-48 each, or less).
pub const DERIVE_TRIES_MAX: u32 = 16;
/// Host numbers of an IPv6 pool that stay free for the operator's fixed addresses (name servers, join).
pub const V6_HOSTS_RESERVED: u128 = 1 << 16;
/// Smallest pools: fewer addresses would not be a choice.
pub const V4_POOL_MIN: u64 = 16;
pub const V6_POOL_BITS_MIN: u8 = 32;
/// Leases of one grant and pool that stand at once, tombstones included; a schedule that needs more is refused.
pub const LEASES_PER_TURN_MAX: usize = 4096;
/// Epoch keys that one keyring holds; [`crate::KeyEpochs::least_s`] keeps a schedule's need below it.
pub const EPOCHS_HELD_MAX: usize = 4096;
/// Windows that one preview lists.
pub const PREVIEW_WINDOWS_MAX: usize = 10_000;
