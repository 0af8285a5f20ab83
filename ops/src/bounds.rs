//! Every limit of this room, by name.

use std::time::Duration;

/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a request's head, its line included.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Fields of a request's head.
pub const HEAD_FIELDS_MAX: usize = 64;
/// Connections of one listener at once; those beyond wait to be accepted.
pub const CONNECTIONS_MAX: usize = 64;
/// How long a request's head may take, and how long a kept connection may be idle.
pub const HEAD_WAIT: Duration = Duration::from_secs(10);
/// How long a request's body may take.
pub const BODY_WAIT: Duration = Duration::from_secs(10);
/// How long one request may take in all.
pub const REQUEST_WAIT: Duration = Duration::from_secs(30);
/// Longest life of a connection.
pub const CONNECTION_LIFE: Duration = Duration::from_secs(600);
/// Requests under way when the end comes have this long.
pub const DRAIN_WAIT: Duration = Duration::from_secs(2);
/// How long an answer to a change waits for everybody who serves it.
pub const SETTLE_WAIT: Duration = Duration::from_secs(2);
/// Pause of a listener that could not accept (no descriptors).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Items of one page of a list.
pub const PAGE_MAX: usize = 1000;
/// Items of a page when the request names no number.
pub const PAGE_DEFAULT: usize = 200;
/// Characters of a request id that is taken over from the client.
pub const REQUEST_ID_CHARS_MAX: usize = 64;
/// Characters of what `why` may be asked about.
pub const TARGET_CHARS_MAX: usize = 256;
/// Refusals that one answer of `why` lists.
pub const WHY_SEEN_MAX: usize = 20;
/// Addresses or grants that one answer of `why` lists.
pub const WHY_LEASES_MAX: usize = 64;
/// Services that one invite may name.
pub const INVITE_SERVICES_MAX: usize = 64;
/// Pools that one service may draw on.
pub const SERVICE_POOLS_MAX: usize = 16;
/// How long an invite lives when the request names no time, in seconds.
pub const INVITE_TTL_DEFAULT_S: u64 = 24 * 3600;
/// Longest life of an invite, in seconds.
pub const INVITE_TTL_MAX_S: u64 = 30 * 24 * 3600;
/// Longest span of a schedule preview, in seconds.
pub const PREVIEW_SPAN_MAX_S: u64 = 24 * 3600;
/// Users that a schedule preview draws.
pub const PREVIEW_GRANTS_MAX: usize = 8;
/// Windows that a preview lists per row.
pub const PREVIEW_WINDOWS_MAX: usize = 2000;
/// Guesses a second that `exposure` reckons with when the request names no figure: ten million.
pub const EXPOSURE_RATE_DEFAULT: f64 = 10e6;
/// Bytes of a TCP token: 256 random bits.
pub const TOKEN_BYTES: usize = 32;
/// Links of one plane that are shown lane by lane in metrics; the others are in the sums alone.
pub const METRIC_LINKS_MAX: usize = 128;
