//! Every limit of this room, by name.

use std::time::Duration;

/// Bytes of an invite's code: 160 random bits, 32 characters.
pub const CODE_BYTES: usize = 20;
/// Characters that a code may have as typed: 32, and as many separators.
pub const CODE_CHARS_MAX: usize = 64;
/// Shortest and longest life of an invite, in seconds.
pub const INVITE_TTL_MIN_S: u64 = 10;
pub const INVITE_TTL_MAX_S: u64 = 30 * 24 * 3600;
/// Services that one invite may open.
pub const SERVICES_PER_INVITE_MAX: usize = 64;

/// Life of a challenge, in seconds: long enough for the slowest phone.
pub const CHALLENGE_TTL_S: u64 = 300;
/// Hardest challenge, in leading zero bits: 2^28 hashes are minutes.
pub const POW_BITS_MAX: u8 = 28;
/// Answered challenges that are remembered until they expire, per purpose: 32 bytes each.
pub const SPENT_SLOTS: usize = SPENT_BUCKETS * SPENT_PER_BUCKET;
pub const SPENT_BUCKETS: usize = 4096;
pub const SPENT_PER_BUCKET: usize = 16;

/// A device may ask for new addresses at once only so often, in seconds.
pub const REISSUE_PAUSE_S: u64 = 10;

/// Bytes of a request's body.
pub const BODY_MAX: usize = 16 * 1024;
/// Bytes of a path and query.
pub const URI_MAX: usize = 512;
/// Characters of a detail in a refusal.
pub const DETAIL_CHARS_MAX: usize = 240;
/// How long the body may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer waits until edges and DNS serve what it promises.
pub const SETTLE_MAX: Duration = Duration::from_secs(2);

/// Connections at once, and of them from one network (IPv4 /32, IPv6 /64).
pub const CONNECTIONS_MAX: usize = 1024;
pub const CONNECTIONS_PER_NETWORK_MAX: usize = 256;
/// How long a handshake, the head of a request, and a whole connection may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(120);
/// How long connections may finish what is under way when the listener ends.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Requests on one connection.
pub const REQUESTS_PER_CONNECTION_MAX: u32 = 100;
/// Bytes of a request's head, and fields in it.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
pub const HEADERS_MAX: usize = 64;
/// HTTP/2 streams at once on one connection, and resets a client may leave pending.
pub const H2_STREAMS_MAX: u32 = 16;
pub const H2_RESETS_MAX: usize = 16;
/// Pause after an accept that failed for want of file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
