//! Every limit of rehearsals and drills, by name.

use std::time::Duration;

/// Connections that the sample service serves at once.
pub const SAMPLE_CONNECTIONS_MAX: usize = 256;
/// Longest stream that `/bytes/N` gives.
pub const SAMPLE_BYTES_MAX: u64 = 1 << 30;
/// Longest stream whose digest is computed: in a header of `/bytes/N`, and by `/sha256/N`.
pub const SAMPLE_DIGEST_BYTES_MAX: u64 = 256 << 20;
/// Digests that are remembered.
pub const SAMPLE_DIGESTS_KEPT: usize = 16;
/// Largest body that `/echo` sends back.
pub const SAMPLE_ECHO_BYTES_MAX: usize = 256 << 20;
/// Longest `/drip`, in seconds.
pub const DRIP_SECONDS_MAX: u32 = 3600;
/// Pause between two chunks of `/drip`, and the bytes of each.
pub const DRIP_PAUSE: Duration = Duration::from_millis(250);
pub const DRIP_CHUNK_BYTES: usize = 1024;
/// How long a request's head may take at the sample service.
pub const SAMPLE_HEAD_WAIT: Duration = Duration::from_secs(10);

/// A DNS question is asked so often, so long apart, as stub resolvers do.
pub const DNS_TRIES: u32 = 2;
pub const DNS_WAIT: Duration = Duration::from_secs(1);
/// Bytes of a DNS answer over UDP that are read.
pub const DNS_BYTES_MAX: usize = 1232;
/// From the first byte of a connection attempt to the end of its TLS handshake.
pub const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// One request of an ordinary user, name resolution and connection included.
pub const REQUEST_WAIT: Duration = Duration::from_secs(10);
/// A download in which nothing arrives for so long is cut.
pub const DOWNLOAD_STALL: Duration = Duration::from_secs(5);
/// Bytes of a page that a user reads.
pub const PAGE_BYTES_MAX: usize = 1 << 20;
/// An ordinary user's pause between two requests.
pub const THINK_MS_MIN: u64 = 50;
pub const THINK_MS_MAX: u64 = 100;
/// Pause of a user who was revoked, or whose request has just failed.
pub const RUEFUL_PAUSE: Duration = Duration::from_millis(500);
/// Requests on one kept connection before a user opens another.
pub const KEPT_USES_MAX: u32 = 64;
/// How long after a revocation an answer still counts as under way.
pub const REVOKED_SLACK: Duration = Duration::from_secs(1);
/// How much later than its schedule says an old address is looked at: whole seconds of wall clock decide there.
pub const OLD_ADDRESS_SLACK: Duration = Duration::from_millis(1500);
/// Old addresses of one user that wait to be looked at.
pub const OLD_ADDRESSES_MAX: usize = 64;
/// Addresses found dead that each user remembers.
pub const CLOSED_KEPT: usize = 4;
/// Different causes of errors that are told apart; further ones are counted together.
pub const CAUSES_MAX: usize = 16;
/// Happenings that wait to be shown; beyond it they are dropped, never waited for.
pub const HAPPENINGS_MAX: usize = 256;

/// Bytes of an answer of the ops API or of registration that are read.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// One call of the ops API or of registration.
pub const CALL_WAIT: Duration = Duration::from_secs(10);

/// How long somebody who knocks waits for a sign of life.
pub const KNOCK_WAIT: Duration = Duration::from_secs(2);
/// Attempts a second, and at once, that a drill may make.
pub const DRILL_RATE_MAX: u32 = 5_000;
pub const DRILL_CONCURRENCY_MAX: usize = 512;
/// Longest drill, in seconds.
pub const DRILL_SECONDS_MAX: u64 = 3600;
/// Requests of a registration flood on one connection.
pub const FLOOD_REQUESTS_PER_CONNECTION: u32 = 64;
/// Closed addresses that a drill knocks at in turn.
pub const STALE_TARGETS_MAX: usize = 64;

/// The demo's strangers: so many attempts a second that two cores still have room for users.
pub const DEMO_SCAN_RATE: u32 = 400;
pub const DEMO_SCAN_CONCURRENCY: usize = 64;
pub const DEMO_FLOOD_RATE: u32 = 250;
pub const DEMO_FLOOD_CONCURRENCY: usize = 32;
pub const DEMO_STALE_RATE: u32 = 10;
pub const DEMO_STALE_CONCURRENCY: usize = 8;
/// Until both users have had their first page.
pub const DEMO_START_WAIT: Duration = Duration::from_secs(30);
/// How long the demo's own edge may drain at the end.
pub const DEMO_STOP_WAIT: Duration = Duration::from_secs(5);
/// Longest `--for`, in seconds.
pub const DEMO_SECONDS_MAX: u64 = 7 * 24 * 3600;
/// Free ports are looked for so often.
pub const PORT_TRIES: u32 = 8;
