//! Every limit of this room, by name (requirement sheet "secure defaults"; design §7).

use std::time::Duration;

/// Connections in all, dark ones and those without a name yet included; beyond it newcomers are reset.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Connections to dark addresses, and refused ones, that are kept waiting like real ones; beyond it they are reset at
/// once. Whoever holds that many open can tell a dark address from a live one by how soon it is reset: of worth in
/// small IPv4 pools only, where the address is no secret.
pub const DARK_MAX: usize = 1024;
/// Connections of one grant at a time.
pub const CONNECTIONS_PER_GRANT_MAX: usize = 512;
/// New connections of one grant per second, unless its service says otherwise.
pub const CONNECTIONS_PER_S: u32 = 100;
/// Those who have not named themselves yet, to live addresses in all, and to those of one grant. Whoever floods a leaked
/// address without its name keeps out its owner, for as long as the address lives, and nobody else.
pub const KNOCKS_MAX: usize = CONNECTIONS_MAX / 2;
pub const KNOCKS_PER_GRANT_MAX: u32 = 256;
/// Streams to services in all: requests under way, and raw connections.
pub const STREAMS_MAX: usize = 20_000;
/// Requests of one grant under way, and per second, unless its service says otherwise.
pub const REQUESTS_PER_GRANT_MAX: u32 = 1024;
pub const REQUESTS_PER_S: u32 = 4_000;
/// Connections and requests may come at once as many as are allowed in so many seconds.
pub const BURST_S: u64 = 4;
/// Bytes of one grant per second, each way, unless its service says otherwise: a gigabit.
pub const BYTES_PER_S: u64 = 125_000_000;
/// One connection takes a part of its grant's second of bytes at a time, within these bounds.
pub const QUANTUM_PART: u64 = 1024;
pub const QUANTUM_MIN: u64 = 1024;
pub const QUANTUM_MAX: u64 = 64 * 1024;
/// One grant may hold the free places shifted right by this (a sixteenth), and so many in any case until the last part
/// (an eighth) is reached, of which everybody may have one.
pub const SHARE_SHIFT: u32 = 4;
pub const SHARE_FLOOR: u32 = 8;
pub const SHARE_LAST_SHIFT: u32 = 3;
/// For so long after its last use a grant counts as one that is in use.
pub const RECENT: Duration = Duration::from_secs(120);
/// How often each core looks how late its timers are, and of how many looks the best one counts.
pub const SAMPLE_EVERY: Duration = Duration::from_millis(100);
pub const LAG_SAMPLES: usize = 5;
/// Memory is looked at each so many samples.
pub const MEMORY_EVERY: u32 = 10;
/// Pressure falls by one level after so long below its mark.
pub const CALM: Duration = Duration::from_secs(5);
/// Connections that an accept loop takes before it lets others have their turn.
pub const ACCEPTS_AT_ONCE: u32 = 64;
/// From accept to the end of the TLS handshake.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// A ClientHello larger than this is no client's (RFC 8446 allows 2^16; real ones stay under 4 KiB).
pub const HELLO_BYTES_MAX: usize = 16 * 1024;
/// A PROXY header with its fields: those of the great balancers stay under 600 bytes.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;
/// From a connection's first idle second to its end.
pub const IDLE_MAX: Duration = Duration::from_secs(60);
/// A request under way in which no byte moves either way.
pub const STALL_MAX: Duration = Duration::from_secs(300);
/// How often a connection's pulse is felt: limits are exceeded by this at most.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// From a connection's orderly end (idle, or a verdict to drop) to its reset.
pub const PARTING_MAX: Duration = Duration::from_secs(1);
/// An HTTP/1 request's head, from its first byte to its last.
pub const HEAD_MAX: Duration = Duration::from_secs(10);
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
pub const HEADERS_MAX: usize = 100;
pub const URI_BYTES_MAX: usize = 8 * 1024;
pub const H2_STREAMS_MAX: u32 = 100;
pub const H2_STREAM_WINDOW: u32 = 64 * 1024;
pub const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams that a client may reset before they are accepted (rapid reset, CVE-2023-44487).
pub const H2_PENDING_RESETS_MAX: usize = 20;
/// Streams that a client may make us reset (MadeYouReset, CVE-2025-8671).
pub const H2_LOCAL_RESETS_MAX: usize = 100;
/// An upgraded request (WebSocket) in which no byte moves either way. Endpoints that want to stay send pings sooner.
pub const UPGRADED_IDLE_MAX: Duration = STALL_MAX;
/// The same, once one side has closed.
pub const UPGRADED_PARTING_MAX: Duration = Duration::from_secs(5);
/// Bytes held for each direction of an upgraded request.
pub const UPGRADED_BUFFER: usize = 8 * 1024;
/// Response bytes held for one stream whose client does not read.
pub const H2_SEND_BUFFER: usize = 64 * 1024;
/// Requests that a connection may withdraw within [`WITHDRAWN_SPAN`] before it is ended (rapid reset, past the library).
pub const WITHDRAWN_MAX: u32 = 100;
pub const WITHDRAWN_SPAN: Duration = Duration::from_secs(10);
/// What a client may spend on HTTP/2 frames at once (most cost one), and what time gives back.
pub const FRAME_CREDIT_MAX: u32 = 2000;
pub const FRAME_CREDIT_PER_S: u32 = 50;
/// Until a service answers with a head, since the last piece of the request.
pub const RESPONSE_HEAD_MAX: Duration = Duration::from_secs(60);
/// The same for a call of gRPC that says how long its client waits: so much longer, so that the client knows first.
pub const GRPC_GRACE: Duration = Duration::from_secs(1);
/// Until the fabric gives a stream.
pub const OPEN_MAX: Duration = Duration::from_secs(5);
/// Idle upstream connections kept per worker and service: what a worker's users ask for at a time in a busy moment, so that
/// requests do not wait for new ones.
pub const UPSTREAM_IDLE_PER_SERVICE_MAX: usize = 256;
/// Shorter than the five seconds after which Node, Apache and uvicorn hang up: whoever closes first can't be raced.
pub const UPSTREAM_IDLE_MAX: Duration = Duration::from_secs(4);
/// Fabric connections that speak HTTP/2, per worker: of one holder (another is opened when all have as many requests as
/// their service takes), and of one service. Connections are not shared between holders: each says whose it is.
pub const UPSTREAM_H2_PER_HOLDER_MAX: usize = 4;
pub const UPSTREAM_H2_PER_SERVICE_MAX: usize = 2048;
/// Requests on one of them, if its service allows so many; what comes then waits for a place.
pub const UPSTREAM_H2_STREAMS_MAX: usize = 256;
/// HTTP/2 says goodbye before it closes, so that an idle connection can be used again without a race.
pub const UPSTREAM_H2_IDLE_MAX: Duration = Duration::from_secs(60);
/// Bytes that a service may send of one answer, and of all on a connection, before somebody reads them.
pub const UPSTREAM_H2_STREAM_WINDOW: u32 = 128 * 1024;
pub const UPSTREAM_H2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// How often a request is begun that the service surely did not process, and bytes of its body that are kept for that.
pub const UPSTREAM_H2_TRIES: u32 = 3;
pub const UPSTREAM_H2_REPLAY_MAX: usize = 64 * 1024;
/// A service that owes an answer and says nothing for so long is sent a PING, not more often than gRPC's servers bear
/// (five minutes), and has so long for the answer.
pub const UPSTREAM_H2_QUIET_MAX: Duration = Duration::from_secs(30);
pub const UPSTREAM_H2_PING_EVERY: Duration = Duration::from_secs(305);
pub const UPSTREAM_H2_PONG_MAX: Duration = Duration::from_secs(30);
pub const UPSTREAM_H2_LOOK_EVERY: Duration = Duration::from_secs(5);
/// Bytes read ahead of one service's response; also the bound of its head.
pub const UPSTREAM_BUFFER: usize = 64 * 1024;
/// Header fields of a response.
pub const RESPONSE_HEADERS_MAX: usize = 200;
/// Calls that a verdict holds back at a time; beyond it they are refused: a tarpit must not be our own outage.
pub const DELAYED_MAX: usize = 4096;
pub const DELAYED_PER_GRANT_MAX: u32 = 64;
/// Of one source (IPv4 /32, IPv6 /64), whatever grants it has.
pub const DELAYED_PER_SOURCE_MAX: u32 = 64;
pub const DELAY_MAX: Duration = Duration::from_secs(10);
/// A drain's end, if the configuration names no other: what is still open then is cut.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);
/// In a drain, a client between two requests has so long to begin its next one, which is answered and told to be the last:
/// a close without notice could cross it.
pub const DRAIN_IDLE_MAX: Duration = Duration::from_secs(5);
/// How often a drain looks whether all have left.
pub const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// What was cut has this long to give its places back.
pub const CUT_WAIT: Duration = Duration::from_millis(500);
/// Pause of an accept loop after an error that accepting again at once would repeat (EMFILE).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
pub const BACKLOG: i32 = 1024;
/// A close waits so long for what a client still sends, and throws away so much of it.
pub const LINGER_MAX: Duration = Duration::from_millis(500);
pub const LINGER_BYTES_MAX: usize = 256 * 1024;
/// Bytes that the kernel holds for a UDP socket, each way, as far as the system allows.
pub const UDP_BUFFER: usize = 2 * 1024 * 1024;
/// Batches of datagrams that are sorted in one go: a flood on one port leaves the core to others in between.
pub const UDP_TURNS: usize = 8;
/// A chunk's size with its extensions.
pub const CHUNK_LINE_MAX: usize = 256;
/// Extensions of all chunks of one body: nobody reads them.
pub const CHUNK_EXTENSIONS_MAX: usize = 4096;
pub const TRAILER_BYTES_MAX: usize = 4096;
pub const TRAILERS_MAX: usize = 32;
/// Bytes asked of a socket at a time: a TLS record's.
pub const READ_BYTES: usize = 16 * 1024;
/// Pieces up to this size are copied together before they are written.
pub const COPY_MAX: usize = 1024;
/// Pieces in one write.
pub const WRITE_PIECES: usize = 16;
/// A body waits so long for a service's go-ahead (100) before it goes without.
pub const EXPECT_MAX: Duration = Duration::from_secs(1);
/// Interim responses (1xx) to one request.
pub const INTERIMS_MAX: usize = 16;
/// Bytes of a message taken from its sender before its receiver took those before them.
pub const SEND_AHEAD: usize = 64 * 1024;
/// What is left of a request's body after its answer is read and thrown away up to this size; beyond it, the connection
/// ends.
pub const DISCARD_MAX: u64 = 64 * 1024;
/// Waiting for a client's body, or for a client to read, is for nothing if it brings fewer bytes a second after this
/// much of it: a link of the slowest kind carries more.
pub const PACE_MIN: u64 = 500;
pub const BODY_GRACE: Duration = Duration::from_secs(10);
pub const READER_GRACE: Duration = Duration::from_secs(30);
/// UDP flows of an edge, in equal parts for its cores. As many as one local hub carries.
pub const FLOWS_MAX: usize = 4096;
/// UDP flows of one grant, in equal parts for the cores: an eighth of what a local hub carries for one service.
pub const FLOWS_PER_GRANT_MAX: usize = 128;
/// But no core has fewer for a grant.
pub const FLOWS_PER_GRANT_MIN: usize = 16;
/// One source network has this part of a grant's places: one in so many.
pub const FLOWS_PER_NETWORK_PART: usize = 2;
/// A conversation that goes on lasts so long without a datagram (RFC 4787 §4.3: never less than two minutes).
pub const FLOW_IDLE: Duration = Duration::from_secs(120);
/// Any other flow.
pub const FLOW_NEW_IDLE: Duration = Duration::from_secs(15);
/// When the edge drains, quiet flows are over sooner.
pub const FLOW_DRAIN_IDLE: Duration = Duration::from_secs(3);
/// A source that has not gone on gets so many times the bytes that it sent (RFC 9000 §8.1).
pub const ANSWER_FACTOR: u64 = 3;
/// Bytes that a grant's new flows may be answered beyond that, at once and per second, on each core.
pub const ANSWER_ALLOWANCE: u64 = 64 * 1024;
pub const ANSWER_ALLOWANCE_PER_S: u64 = 16 * 1024;
/// Orders that wait for one core.
pub const ORDERS_MAX: usize = 64;
/// For what is under way over HTTP/3 when a successor takes over; longer than most requests, shorter than newcomers' patience.
pub const QUIC_LEAVE_MAX: Duration = Duration::from_secs(2);
/// Datagrams that wait until a flow's service has a socket, and their bytes.
pub const FLOW_WAITING_COUNT: usize = 16;
pub const FLOW_WAITING: usize = 16 * 1024;
/// Answers of one flow that are taken in one go.
pub const ANSWERS_TOGETHER: usize = 64;
/// Bytes for what one receive call puts into one buffer: the longest datagram, or many of one sender.
pub const DATAGRAMS_ROOM: usize = 64 * 1024;
/// Buffers of the access log: more cores than these share them.
pub const LOG_BUFFERS: usize = 16;
/// Bytes of one buffer that wait for the writer; what comes then is dropped and counted.
pub const LOG_BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// From a buffer's first line to its write.
pub const LOG_BATCH: Duration = Duration::from_millis(50);
/// Bytes of a path that a line repeats.
pub const LOG_PATH_BYTES_MAX: usize = 512;
/// QUIC: a datagram with an Initial packet has at least so many bytes (RFC 9000 §14.1).
pub const QUIC_INITIAL_BYTES_MIN: usize = 1200;
/// QUIC: a ClientHello larger than this is no client's; those with post-quantum keys stay under 3 KiB.
pub const QUIC_HELLO_BYTES_MAX: usize = 8 * 1024;
/// QUIC: disjoint pieces of a ClientHello. Browsers cut theirs into a few on purpose.
pub const QUIC_HELLO_PIECES_MAX: usize = 32;
/// HTTP/3: a frame of the control stream that has to be whole before it is read.
pub const H3_CONTROL_FRAME_MAX: usize = 4 * 1024;
/// HTTP/3: bytes of frames of unknown kinds on one stream.
pub const H3_SKIPPED_MAX: u64 = 16 * 1024;
/// QUIC: datagrams of one ClientHello that wait for the rest of it.
pub const QUIC_HELLO_DATAGRAMS_MAX: usize = 8;
/// QUIC: attempts of newcomers that are remembered, per port and core; the oldest gives way.
pub const QUIC_OPENINGS_MAX: usize = 1024;
/// QUIC: datagrams that wait for an endpoint beside the socket's own queue, per port and core.
pub const QUIC_QUEUE_MAX: usize = 1024;
/// QUIC: handshakes under way on one endpoint from which on a newcomer has to prove its address first.
pub const QUIC_RETRY_ABOVE: usize = 64;
/// QUIC: newcomers that wait to be accepted, per endpoint, and what each and all of them may send meanwhile.
pub const QUIC_INCOMING_MAX: usize = 1024;
pub const QUIC_INCOMING_BYTES_MAX: u64 = 64 * 1024;
pub const QUIC_INCOMING_TOTAL_MAX: u64 = 4 * 1024 * 1024;
/// QUIC: bytes of one stream, and of one connection, that are taken before somebody reads them.
pub const QUIC_STREAM_WINDOW: u32 = 256 * 1024;
pub const QUIC_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// QUIC: bytes of one connection that wait to be sent or acknowledged.
pub const QUIC_SEND_WINDOW: u64 = 1024 * 1024;
/// QUIC: handshake messages that came out of order.
pub const QUIC_CRYPTO_BUFFER: usize = 16 * 1024;
/// QUIC: from the last packet of a silent client to the end of its connection.
pub const QUIC_IDLE_MAX: Duration = IDLE_MAX;
/// QUIC: between two answers to packets of connections that were ours once.
pub const QUIC_RESET_EVERY: Duration = Duration::from_secs(3600);
/// QUIC: while a request is under way, a client is asked so often whether it is still there. Sooner than browsers give up
/// on a silent connection, and than routers forget it.
pub const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(20);
/// HTTP/3: from the word that a connection ends soon to its end, at least: what a client asks meanwhile is answered.
pub const H3_WARNING_MIN: Duration = Duration::from_millis(50);
/// HTTP/3: one-way streams of a client at a time; three have a use.
pub const H3_UNI_STREAMS_MAX: u32 = 8;
/// HTTP/3: bytes read of a stream at a time.
pub const H3_READ_MAX: usize = 64 * 1024;
/// HTTP/3: frames, and reads, of a connection that belong to no request; and as many more for each request.
pub const H3_NOISE_MAX: u64 = 512;
pub const H3_NOISE_PER_REQUEST: u64 = 8;
/// QUIC: at the end of a drain, so long for the last words of connections.
pub const QUIC_PARTING_MAX: Duration = Duration::from_millis(500);

/// A connection of a `tls` or `tcp` service on which no byte has moved for so long is ended.
pub const RAW_IDLE_MAX: Duration = Duration::from_secs(3600);
/// Bytes of such a connection that wait in each direction.
pub const RAW_BUFFER: usize = 16 << 10;
/// `Alt-Svc`: seconds for which a client may remember that there is HTTP/3, at most and at least; its lease ends it sooner.
pub const ALT_SVC_MAX_S: u64 = 24 * 3600;
pub const ALT_SVC_MIN_S: u64 = 5;
