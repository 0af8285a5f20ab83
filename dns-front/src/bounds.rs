//! Every limit of this room, by name.

use std::time::Duration;

// From specifications.

/// Bytes of a DNS header (RFC 1035 §4.1.1).
pub const HEADER_BYTES: usize = 12;
/// Largest UDP answer to a client that does not speak EDNS, in bytes (RFC 1035 §4.2.1).
pub const PLAIN_UDP_BYTES_MAX: u16 = 512;
/// Time to live of a minimal answer to ANY, in seconds (RFC 8482 §4.2 leaves it to the server).
pub const ANY_TTL_S: u32 = 3600;

// Ours.

/// Largest UDP answer, whatever the client offers, in bytes: it passes every path unfragmented (DNS flag day 2020).
pub const UDP_BYTES_MAX: u16 = 1232;
/// Largest UDP query that is read, in bytes; what is longer arrives cut off and is malformed.
pub const UDP_QUERY_BYTES_MAX: usize = 4096;
/// Records in a query's additional section: an OPT and a signature.
pub const QUERY_ADDITIONALS_MAX: u16 = 2;
/// Time to live of negative answers, in seconds: a name that begins to exist is found soon.
pub const NEGATIVE_TTL_S: u32 = 5;
/// Time to live of SOA, NS and the name servers' addresses, in seconds.
pub const APEX_TTL_S: u32 = 3600;
/// Time to live of `join`'s addresses, in seconds: it is the one that may have to move under attack.
pub const JOIN_TTL_S: u32 = 60;
/// SOA timers, in seconds. Nothing is transferred, so no secondary uses them.
pub const SOA_REFRESH_S: i32 = 3600;
pub const SOA_RETRY_S: i32 = 600;
pub const SOA_EXPIRE_S: i32 = 86_400;
/// Name servers of the zone, and addresses of one fixed name.
pub const NAME_SERVERS_MAX: usize = 13;
pub const FIXED_ADDRESSES_MAX: usize = 16;
/// Shapes that decoys copy: distinct pairs of schedule and pools.
pub const SHAPES_MAX: usize = 1024;
/// Derivations of a decoy's address before it goes without one in that pool: only a crowded IPv4 pool needs a second.
pub const DECOY_TRIES_MAX: u32 = 32;
/// Grants that are brought up to date under one lock: readers wait for no more than these (some milliseconds).
pub const GRANTS_PER_TURN_MAX: usize = 256;
/// TCP connections at once, over all listeners, and of them from one IPv4 address or IPv6 /64.
pub const TCP_CONNECTIONS_MAX: usize = 512;
pub const TCP_PER_SOURCE_MAX: u32 = 32;
/// A TCP connection without a whole query for this long is closed; and any connection after its life.
pub const TCP_IDLE_MAX: Duration = Duration::from_secs(10);
pub const TCP_LIFE_MAX: Duration = Duration::from_secs(120);
/// Of the queries over UDP beyond a network's budget, one in so many is told to come by TCP; the others meet silence.
pub const SLIP_EVERY: u64 = 2;
/// Answers that wait for one TCP client to read; queries are not read meanwhile.
pub const TCP_ANSWERS_MAX: usize = 4;
/// Longest time for which an answer over TCP is held back on a verdict.
pub const DELAY_MAX: Duration = Duration::from_secs(5);
/// Pause after a socket's error, so that running out of descriptors or memory costs no processor.
pub const ERROR_PAUSE: Duration = Duration::from_millis(50);
