//! Every bound of this crate, by name.

use std::time::Duration;

/// TCP connections of one link; a constant of the protocol (requirements 0.01 and 0.03).
pub const LANES: usize = 6;

/// Planes that a member follows.
pub const PLANES_MAX: usize = 2;
/// Main hubs of one plane, of which one is active.
pub const INSTANCES_MAX: usize = 9;

/// Hosts of one wiring.
pub const HOSTS_MAX: usize = 1024;

/// Largest payload of a data frame that is accepted, bytes.
pub const DATA_FRAME_MAX: usize = 64 * 1024;
/// Largest payload of a data frame that is sent, bytes: with its header it fills one TLS record exactly.
pub const DATA_FRAME_SENT: usize = 16 * 1024 - crate::wire::HEADER;
/// Longest name in any frame, bytes.
pub const NAME_MAX: usize = 255;
/// Largest payload before the Welcome, bytes; a stranger of our own authority gets no more buffer than this.
pub const HELLO_MAX: usize = 1024;
/// Services that one local hub may offer.
pub const SERVICES_MAX: usize = 250;

/// Longest mandate in a Welcome, bytes.
pub const MANDATE_MAX: usize = 16 * 1024;
/// Longest origin in an Open, bytes.
pub const ORIGIN_MAX: usize = 512;
/// Longest certificate in a Proof, bytes of DER; our own are under 700.
pub const PROOF_CERTIFICATE_MAX: usize = 4 * 1024;
/// Longest signature in a Proof, bytes; ECDSA P-256 needs 72.
pub const PROOF_SIGNATURE_MAX: usize = 512;

/// Bytes that a new stream may send before its first credit.
pub const WINDOW_INITIAL: u32 = 64 * 1024;
/// Largest window that a stream grows to when its reader keeps up, bytes.
pub const WINDOW_MAX: u32 = 1024 * 1024;
/// Round trips within which two windows have to be read before the window doubles.
pub const WINDOW_ROUND_TRIPS: u32 = 4;
/// Sum of what windows may grow beyond the initial size on one lane, bytes.
pub const WINDOW_GROWTH_LANE: u64 = 64 * 1024 * 1024;
/// Credit that may be outstanding towards us on one stream before the far side is in violation, bytes.
pub const CREDIT_MAX: u64 = 16 * 1024 * 1024;
/// Bytes that a stream may have queued for a busy lane.
pub const SEND_QUEUE: usize = 128 * 1024;
/// Payloads smaller than this are copied together, so that no small slice pins a whole read buffer, bytes.
pub const COPY_BELOW: usize = 8 * 1024;

/// Streams of one lane, both directions together.
pub const STREAMS_LANE: usize = 8192;
/// Control frames waiting on one lane before it is called a flood.
pub const CONTROL_QUEUE: usize = 4 * STREAMS_LANE;
/// Streams and offers that arrived on a link and were not yet picked up.
pub const LINK_EVENTS: usize = 4096;
/// Interactive streams that share one lane before the second is used (fewer lanes batch better).
pub const SPREAD_STREAMS: usize = 64;

/// Bytes gathered into one write.
pub const WRITE_BATCH: usize = 64 * 1024;
/// Slices handed to one vectored write.
pub const WRITE_SLICES: usize = 32;
/// Room kept free in a lane's read buffer, bytes.
pub const READ_ROOM: usize = 64 * 1024;
/// Reads of one lane in a row before other tasks get their turn.
pub const READS_IN_A_ROW: usize = 4;
/// Bytes moved per turn of a splice.
pub const SPLICE_BATCH: usize = 64 * 1024;
/// First size of the buffer that reads from a service, bytes; it doubles up to [`SPLICE_BATCH`] while reads fill it.
pub const SERVICE_READ: usize = 4 * 1024;
/// Turns of a splice in a row before other tasks get theirs.
pub const SPLICE_TURNS: usize = 4;

/// Connections that have not yet said a valid Hello.
pub const HALF_OPEN: usize = 128;
/// Of them from one host: five links may begin there at once.
pub const HALF_OPEN_SOURCE: usize = 5 * LANES;
/// TLS handshake and Hello together.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// TCP connect to a hub.
pub const DIAL_DEADLINE: Duration = Duration::from_secs(5);
/// From asking for a stream until the service is connected.
pub const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// TCP connect to a service on loopback.
pub const SERVICE_DEADLINE: Duration = Duration::from_secs(3);
/// Local hubs that one open may try in turn.
pub const OPEN_ATTEMPTS: usize = 3;
/// Last words of a lane that is being closed.
pub const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// Between two pings of a dialer's control lane.
pub const PING_FAST: Duration = Duration::from_millis(100);
/// Silence on a control lane before its link is suspect and all lanes of it are probed.
pub const SUSPECT_AFTER: Duration = Duration::from_millis(250);
/// Silence after a probe before a lane is lost.
pub const PROBE_MAX: Duration = Duration::from_millis(500);
/// What two smoothed round trips may add to these two at most: a far side that answers slowly earns no more.
pub const PATIENCE_MAX: Duration = Duration::from_millis(500);
/// Silence on any other lane before it is pinged.
pub const PING_SLOW: Duration = Duration::from_secs(5);
/// Silence on any lane before it is lost.
pub const SILENT_MAX: Duration = Duration::from_secs(15);
/// How long the far side may take nothing of what is waiting before a lane is lost.
pub const STALLED_MAX: Duration = Duration::from_secs(15);
/// How soon a certificate near its end is looked at again.
pub const EXPIRY_CHECK_MIN: Duration = Duration::from_millis(100);
/// How soon any certificate is looked at again: the wall clock may be set.
pub const EXPIRY_CHECK_MAX: Duration = Duration::from_secs(60);
/// A local hub may change its offer so often, on the average.
pub const OFFERS_EVERY: Duration = Duration::from_millis(100);
/// And so many times in a row.
pub const OFFERS_AT_ONCE: u32 = 64;
/// A lane's far side may prove a renewed certificate so often, on the average.
pub const PROOFS_EVERY: Duration = Duration::from_secs(1);
/// And so many in a row.
pub const PROOFS_AT_ONCE: u32 = 8;
/// Pings under way on one lane; older ones are forgotten.
pub const PINGS_UNANSWERED: usize = 64;
/// First and longest wait before a lane is dialed again.
pub const REDIAL_FIRST: Duration = Duration::from_millis(50);
/// Longest wait before a lane is dialed again.
pub const REDIAL_MAX: Duration = Duration::from_secs(2);
/// First wait before a hub of a plane without a known active is dialed again.
pub const SEARCH_FIRST: Duration = Duration::from_millis(25);
/// Longest wait while the search is young: an election takes less than a second, and nobody is to wait for us then.
pub const SEARCH_MAX: Duration = Duration::from_millis(250);
/// A search older than this slows down to [`REDIAL_MAX`]: a plane that is down for hours is not to be stormed.
pub const SEARCH_YOUNG: Duration = Duration::from_secs(10);
/// How often a plane's task looks whether its link fell silent.
pub const GLANCE: Duration = Duration::from_millis(50);
/// TCP, TLS and Hello to one hub of a plane whose active is sought.
pub const SEARCH_DEADLINE: Duration = Duration::from_secs(2);
/// Local hubs whose offers a gateway remembers.
pub const ORIGINS_MAX: usize = MEMBERS_MAX;
/// Names of services in all offers that a gateway remembers, over all planes.
pub const NOTICE_NAMES_MAX: usize = 32 * 1024;
/// Past incarnations of one local hub that a gateway remembers, to know a replay.
pub const INCARNATIONS_KEPT: usize = 8;
/// An unanswered request for a stream is repeated over the other plane after 4 round trips, but not before this.
pub const HEDGE_LEAST: Duration = Duration::from_millis(20);
/// And not after this.
pub const HEDGE_MOST: Duration = Duration::from_secs(1);
/// How long a request for a stream waits for a plane while none can carry it: longer than a plane takes to agree on
/// another active.
pub const OPEN_PATIENCE: Duration = Duration::from_secs(3);
/// Between two tries of a request that waits.
pub const OPEN_AGAIN: Duration = Duration::from_millis(50);
/// A plane whose link is younger than this may not know all local hubs yet.
pub const LINK_YOUNG: Duration = Duration::from_secs(2);
/// How long a failure counts against a plane.
pub const FAILURE_COUNTS: Duration = Duration::from_secs(2);
/// Pause after a failed accept (file descriptors exhausted).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Members whose links one hub keeps.
pub const MEMBERS_MAX: usize = 1024;

/// A leaf certificate of ours, DER bytes: a P-256 leaf with the longest name has less than 900.
pub const CERTIFICATE_MAX: usize = 1400;
/// An ASN.1 P-256 signature has 72 bytes at most.
pub const SIGNATURE_MAX: usize = 80;
/// Age at which a vote proves nothing any more, seconds. Votes are collected anew every hour.
pub const VOTE_AGE_MAX_S: u64 = 24 * 3600;
/// How far the clock of a voter may be ahead of a member's, seconds.
pub const VOTE_AHEAD_MAX_S: u64 = 300;

/// Between two beats of an active hub.
pub const BEAT: Duration = Duration::from_millis(100);
/// How long an active hub may serve from the sending of a beat that a majority answered.
pub const LEASE: Duration = Duration::from_millis(500);
/// How much faster or slower than true time the boot clock of a hub may run, millionths.
pub const DRIFT_PPM: u32 = 10_000;
/// From a lane's look at the fence until the kernel has the batch; a hub that is frozen in just this moment may be late with
/// one batch, and members that have seen a newer term take no more from it.
pub const BATCH_GRACE: Duration = Duration::from_millis(25);
/// Between two askings for the same vote.
pub const ASK_AGAIN: Duration = Duration::from_millis(40);
/// One attempt to become active.
pub const ATTEMPT: Duration = Duration::from_millis(400);
/// Between the attempts of two hubs.
pub const STAGGER: Duration = Duration::from_millis(60);
/// Age at which an active's votes are collected anew.
pub const RENEWAL: Duration = Duration::from_secs(3600);
/// How long that may take before the term is raised for it.
pub const RENEWAL_PATIENCE: Duration = Duration::from_secs(10);
/// A hub that stepped down leaves the office to others for so long.
pub const STEP_DOWN_REST: Duration = Duration::from_secs(5);
/// A message with a term so far ahead is a lie; believing it would use up the terms.
pub const TERM_LEAP_MAX: u64 = 1 << 32;
/// Refused streams that a member remembers, alike ones counted as one.
pub const REFUSED_STREAMS: usize = 64;
/// Of refusals that are unlike those remembered, so many in a row get a line in the log.
pub const REFUSALS_TOLD: u32 = 16;
/// And one per so much time on the average; the others are counted.
pub const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(1);

/// Longest name of a user or a device in an origin, bytes.
pub const ORIGIN_TEXT_MAX: usize = 200;

/// Servers of one service at one local hub, by address.
pub const SERVERS_MAX: usize = 64;
/// Ranges of ports that one service lists besides its servers' own.
pub const PORT_RANGES_MAX: usize = 64;
/// Good probes in a row until an ill server is well, unless configured.
pub const HEALTH_RISE: u32 = 2;
/// Bad probes in a row until a well server is ill, unless configured.
pub const HEALTH_FALL: u32 = 3;
/// Between two probes of one server, unless configured.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(2);
/// Shortest interval of probes that may be configured.
pub const HEALTH_INTERVAL_MIN: Duration = Duration::from_millis(50);
/// One probe, from connecting to its answer.
pub const HEALTH_DEADLINE: Duration = Duration::from_secs(2);
/// Probes of one local hub at once.
pub const HEALTH_AT_ONCE: usize = 16;
/// Bytes of an answer that are read to judge it.
pub const HEALTH_ANSWER: usize = 64;

/// Flows of one service at one local hub.
pub const FLOWS_SERVICE_MAX: usize = 1024;
/// Flows of one local hub.
pub const FLOWS_MAX: usize = 4096;
/// Without a datagram for so long a flow is over.
pub const FLOW_IDLE: Duration = Duration::from_secs(120);
/// From the loss of a flow's carrier until it has another, or is over.
pub const FLOW_REOPEN: Duration = Duration::from_secs(5);
/// Bytes of datagrams that may wait for a flow's carrier, before one more.
pub const FLOW_LEAVING: usize = 64 * 1024;
/// Bytes of datagrams that may wait for the reader, and for the sender, of a flow at the gateway.
pub const FLOW_QUEUE: usize = 256 * 1024;
/// Datagrams that may wait there, however small.
pub const FLOW_QUEUE_COUNT: usize = 1024;
/// Datagrams taken from a socket in a row before other tasks get their turn.
pub const FLOW_TURNS: usize = 64;

/// Native servers of one local hub.
pub const NATIVES_MAX: usize = 128;
/// Calls that wait at a native server until it accepts them.
pub const CALLS_WAITING: usize = 1024;
/// How often a draining server looks whether its calls are over.
pub const DRAIN_LOOK: Duration = Duration::from_millis(50);

/// A frame between two hubs, bytes: a signed vote is the longest.
pub const BETWEEN_FRAME_MAX: usize = 2048;
/// Messages waiting for a busy connection between two hubs; more are dropped, as the network may.
pub const BETWEEN_QUEUE: usize = 64;
/// Messages of all other hubs waiting for the election.
pub const BETWEEN_EVENTS: usize = 1024;
/// A connection between hubs says something at least so often.
pub const BETWEEN_PAUSE: Duration = Duration::from_millis(250);
/// A connection between hubs on which nothing was heard for so long is made anew.
pub const BETWEEN_SILENT: Duration = Duration::from_millis(1000);
/// TCP, TLS and Hello of a connection between hubs.
pub const BETWEEN_HANDSHAKE: Duration = Duration::from_millis(1500);
/// First and longest wait before a connection between hubs is dialed again.
pub const BETWEEN_REDIAL_FIRST: Duration = Duration::from_millis(20);
/// Longest wait before a connection between hubs is dialed again.
pub const BETWEEN_REDIAL_MAX: Duration = Duration::from_millis(500);
/// Last words between hubs.
pub const FAREWELL_BETWEEN: Duration = Duration::from_millis(200);
/// Votes whose certificates end are collected anew at half of what is left, but not more often than this.
pub const VOTES_FADE_MIN: Duration = Duration::from_millis(500);

/// Bytes that a session holds for its far end at first, until they are acknowledged.
pub const SESSION_WINDOW_FIRST: usize = 64 * 1024;
/// The most that a session holds for its far end, bytes.
pub const SESSION_WINDOW_MAX: usize = 1024 * 1024;
/// Sum of what the windows of all sessions of a member may grow beyond their first size, bytes.
pub const SESSION_GROWTH: usize = 256 * 1024 * 1024;
/// Bytes for which the far end of a session is told at once that they came; must be under [`SESSION_WINDOW_FIRST`].
pub const ACK_EVERY: u64 = 32 * 1024;
/// Least time between two looks at what ends of sessions have and have not told.
pub const ACK_TICK: Duration = Duration::from_secs(1);
/// From the loss of a session's carrier until it has another, or is over.
pub const RESUME_DEADLINE: Duration = Duration::from_secs(5);
/// One attempt of that.
pub const RESUME_ATTEMPT: Duration = Duration::from_secs(1);
/// First wait before the next attempt; it doubles.
pub const RESUME_PAUSE_FIRST: Duration = Duration::from_millis(10);
/// Longest wait before the next attempt.
pub const RESUME_PAUSE_MAX: Duration = Duration::from_millis(160);
/// Sessions of one local hub.
pub const SESSIONS_MAX: usize = 65_536;
/// Of them without a carrier.
pub const PARKED_MAX: usize = 16_384;
/// Bytes that sessions without a carrier hold together.
pub const PARKED_BYTES: usize = 256 * 1024 * 1024;
