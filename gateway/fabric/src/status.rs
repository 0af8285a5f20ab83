//! What hubs, local hubs and gateways tell about themselves: plain values, taken at one moment.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::bounds::{REFUSALS_TOLD, REFUSALS_TOLD_EVERY, REFUSED_STREAMS};
use crate::election::Standing;
use crate::identity::Identity;
use crate::lane::Class;
use crate::lane::pace::Pace;

/// One lane of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneStatus {
    /// What it carries.
    pub class: Class,
    /// Is it connected?
    pub is_up: bool,
    /// Streams on it.
    pub streams: usize,
    /// Smoothed round trip of its pings; on lanes other than the control lane that of the last time they were needed.
    pub srtt: Option<Duration>,
    /// For how long no byte has come.
    pub silent: Duration,
    /// Its far side is in doubt: silent for too long, or asked for a sign of life and still without one.
    pub is_suspect: bool,
}

/// One link: the six lanes to one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// Who is at the far side.
    pub far: Identity,
    /// All six lanes are up.
    pub is_ready: bool,
    /// Its lanes, by index.
    pub lanes: Vec<LaneStatus>,
    /// What the far side offers (at a hub), or what the hub permits of ours (at a local hub); sorted.
    pub services: Vec<String>,
    /// Why its last lane ended, or the last attempt to make one failed.
    pub last_end: Option<&'static str>,
}

impl LinkStatus {
    /// Lanes that are connected.
    pub fn lanes_up(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.is_up).count()
    }

    /// Streams of all lanes.
    pub fn streams(&self) -> usize {
        self.lanes.iter().map(|lane| lane.streams).sum()
    }
}

/// One plane, as a member that follows it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaneStatus {
    /// Its name.
    pub name: String,
    /// The highest term that a hub of it has proved to us.
    pub term: u64,
    /// The link to its active hub; none while no active is known.
    pub link: Option<LinkStatus>,
    /// Round trip to its active hub, smoothed; none before it was measured.
    pub srtt: Option<Duration>,
    /// Its active hub fell silent.
    pub is_suspect: bool,
    /// Why the last lane to any of its hubs ended, or the last attempt to make one failed.
    pub last_end: Option<&'static str>,
    /// Streams that a gateway opened over it, since the start; 0 at a local hub.
    pub chosen: u64,
    /// Of these, requests that the other plane was too slow to answer, so that they were asked over this one, too.
    pub hedges_won: u64,
    /// The same for requests that the other plane answered first after all.
    pub hedges_lost: u64,
}

impl PlaneStatus {
    /// All six lanes to the active hub are up.
    pub fn is_ready(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_ready)
    }

    /// Lanes to the active hub that are connected.
    pub fn lanes_up(&self) -> usize {
        self.link.as_ref().map_or(0, LinkStatus::lanes_up)
    }

    /// Streams on the link to the active hub.
    pub fn streams(&self) -> usize {
        self.link.as_ref().map_or(0, LinkStatus::streams)
    }
}

/// The connection between this hub and another of its plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BetweenStatus {
    /// The other hub.
    pub name: String,
    /// 1, or 0 when it is down; 2 for the moment in which a new one replaces the old.
    pub connections: usize,
    /// Why the last one ended, or could not be made.
    pub last_end: Option<&'static str>,
}

/// A main hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubStatus {
    /// The hub.
    pub identity: Identity,
    /// Its plane.
    pub plane: String,
    /// Active, standby or candidate.
    pub standing: Standing,
    /// The newest term it knows.
    pub term: u64,
    /// The plane's active hub, if it knows one.
    pub active: Option<String>,
    /// For how long it may serve if no other hub answers it any more: at an active of a plane of several hubs.
    pub lease_left: Option<Duration>,
    /// Connections to the other hubs of the plane, by name.
    pub between: Vec<BetweenStatus>,
    /// Times since the start that a hub became active or got a new term, as far as this one saw.
    pub elections: u64,
    /// Why it was last active no more, if it ever was.
    pub last_reason: Option<&'static str>,
    /// Its links, by identity.
    pub links: Vec<LinkStatus>,
    /// Each service that can be opened now, and how many local hubs offer it.
    pub services: BTreeMap<String, usize>,
    /// Streams being spliced.
    pub streams: usize,
    /// Streams that reached their service, since the start.
    pub opened: u64,
    /// Connections that have not yet said a valid Hello.
    pub half_open: usize,
    /// Refusals and ends since the start, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Streams that were refused lately, the newest first; bounded.
    pub refused_streams: Vec<RefusedStream>,
}

/// A service at its local hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its servers: those of the configuration first, in its order.
    pub servers: Vec<ServerStatus>,
    /// One of them is usable, so it is offered.
    pub is_offered: bool,
    /// The hub of at least one plane permits the offer.
    pub is_permitted: bool,
}

/// One server of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStatus {
    /// Which one.
    pub place: ServerPlace,
    /// What is thought of it.
    pub state: ServerState,
    /// Streams that it runs.
    pub running: usize,
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerPlace {
    /// It listens there.
    Address(SocketAddr),
    /// It joined by itself.
    Native(Identity),
}

impl fmt::Display for ServerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Native(identity) => identity.fmt(f),
        }
    }
}

/// What a local hub thinks of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Not probed yet.
    Unproven,
    /// It gets streams.
    Well,
    /// It gets none until it is well again.
    Ill,
    /// It gets no new ones, and goes on with those that it has.
    Draining,
}

impl ServerState {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Well => "well",
            Self::Ill => "ill",
            Self::Draining => "draining",
        }
    }
}

/// A native server, as it sees itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeStatus {
    /// The server.
    pub identity: Identity,
    /// Its link to the local hub, if there is one.
    pub link: Option<LinkStatus>,
    /// Why its last link ended, or the last attempt to make one failed.
    pub last_end: Option<&'static str>,
    /// Calls accepted since the start.
    pub accepted: u64,
    /// It was told to drain.
    pub is_draining: bool,
}

/// Sessions: streams that outlive what carries them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionsStatus {
    /// Open now (at a local hub).
    pub open: usize,
    /// Of them without a carrier, waiting to be resumed (at a local hub).
    pub parked: usize,
    /// Bytes that those hold.
    pub parked_bytes: usize,
    /// How often one was resumed, since the start.
    pub resumed: u64,
    /// How many lost their carrier and found no other in time, since the start.
    pub given_up: u64,
}

/// A local hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalHubStatus {
    /// The local hub.
    pub identity: Identity,
    /// The planes that it follows, in the order it was given.
    pub planes: Vec<PlaneStatus>,
    /// Its services, by name.
    pub services: Vec<ServiceStatus>,
    /// The links of the native servers that joined it, by identity.
    pub natives: Vec<LinkStatus>,
    /// Flows being carried.
    pub flows: usize,
    /// Datagrams that found no room, since the start.
    pub datagrams_dropped: u64,
    /// Streams being spliced.
    pub streams: usize,
    /// Streams that reached their service, since the start.
    pub opened: u64,
    /// Those that can be resumed.
    pub sessions: SessionsStatus,
    /// Refusals since the start, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Streams that were refused lately, the newest first; bounded.
    pub refused_streams: Vec<RefusedStream>,
}

/// What a gateway heard of the offers of local hubs, over all planes, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoticesStatus {
    /// Not known before.
    pub news: u64,
    /// Known already, most of them from the other plane.
    pub copies: u64,
    /// Older than what was known: ignored.
    pub stale: u64,
    /// Ignored for want of room.
    pub dropped: u64,
}

/// A gateway's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayStatus {
    /// The gateway.
    pub identity: Identity,
    /// The planes that it follows, in the order it was given.
    pub planes: Vec<PlaneStatus>,
    /// News of offers.
    pub notices: NoticesStatus,
    /// Streams that were opened, since the start.
    pub opened: u64,
    /// How they fared when their way was lost.
    pub sessions: SessionsStatus,
    /// Streams that were refused, since the start, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Streams that were refused lately, the newest first; bounded.
    pub refused_streams: Vec<RefusedStream>,
}

/// Streams that were refused lately, alike ones as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedStream {
    /// What was asked for.
    pub service: String,
    /// Who asked: an identity, or empty at the gateway itself.
    pub caller: String,
    /// Why not.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
    /// Since the last of them.
    pub ago: Duration,
}

/// Counts by reason, and who met the last of them. Reasons are closed lists and the memory is a ring, so both are bounded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Mutex<Tallied>>);

#[derive(Debug)]
struct Tallied {
    counts: BTreeMap<&'static str, u64>,
    /// The latest last.
    streams: VecDeque<(RefusedStream, Instant)>,
    begun: Instant,
    lines: Pace,
}

impl Default for Tallied {
    fn default() -> Self {
        Self {
            counts: BTreeMap::new(),
            streams: VecDeque::new(),
            begun: Instant::now(),
            lines: Pace::new(REFUSALS_TOLD_EVERY, REFUSALS_TOLD),
        }
    }
}

impl Tally {
    pub(crate) fn add(&self, code: &'static str) {
        *self.lock().counts.entry(code).or_default() += 1;
    }

    /// A stream that was refused; alike ones share a place.
    pub(crate) fn add_stream(&self, reason: &'static str, service: &str, caller: &str) {
        self.lock().add_stream(reason, service, caller);
    }

    /// The same; true if it is worth a line in the log: like none that is remembered, and there were not many such lines
    /// lately, so that nobody fills a disk by asking.
    pub(crate) fn tell_stream(&self, reason: &'static str, service: &str, caller: &str) -> bool {
        let mut tallied = self.lock();
        let now = tallied.begun.elapsed();
        tallied.tell_stream(now, reason, service, caller)
    }

    pub(crate) fn all(&self) -> BTreeMap<&'static str, u64> {
        self.lock().counts.clone()
    }

    /// The newest first.
    pub(crate) fn streams(&self) -> Vec<RefusedStream> {
        let told = |(one, at): &(RefusedStream, Instant)| RefusedStream { ago: at.elapsed(), ..one.clone() };
        self.lock().streams.iter().rev().map(told).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tallied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tallied {
    fn tell_stream(&mut self, now: Duration, reason: &'static str, service: &str, caller: &str) -> bool {
        self.add_stream(reason, service, caller) && self.lines.admit(now)
    }

    /// True if it is like none that is remembered.
    fn add_stream(&mut self, reason: &'static str, service: &str, caller: &str) -> bool {
        *self.counts.entry(reason).or_default() += 1;
        let streams = &mut self.streams;
        let alike =
            |one: &RefusedStream| (&*one.service, &*one.caller, one.reason) == (service, caller, reason);
        let known = streams.iter().position(|(one, _)| alike(one)).and_then(|at| streams.remove(at));
        let is_unlike = known.is_none();
        let (mut one, _) = known.unwrap_or_else(|| {
            let (service, caller) = (service.to_owned(), caller.to_owned());
            (RefusedStream { service, caller, reason, count: 0, ago: Duration::ZERO }, Instant::now())
        });
        one.count += 1;
        if streams.len() >= REFUSED_STREAMS {
            streams.pop_front();
        }
        streams.push_back((one, Instant::now()));
        is_unlike
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_refusals_are_one_and_the_oldest_are_forgotten_beyond_the_bound() {
        let tally = Tally::default();
        for _ in 0..3 {
            tally.add_stream("not_permitted", "web", "edge/e1");
        }
        tally.add_stream("not_permitted", "web", "edge/e2");
        let told: Vec<_> = tally.streams().iter().map(|one| (one.caller.clone(), one.count)).collect();
        assert_eq!(told, [("edge/e2".to_owned(), 1), ("edge/e1".to_owned(), 3)]);
        for number in 0..REFUSED_STREAMS {
            tally.add_stream("service_unknown", &format!("s{number}"), "edge/e1");
        }
        let told = tally.streams();
        assert_eq!(told.len(), REFUSED_STREAMS);
        assert!(told.iter().all(|one| one.reason == "service_unknown"));
        assert_eq!(tally.all()["not_permitted"], 4, "counts forget nothing");
    }

    #[test]
    fn a_refusal_is_worth_a_line_when_it_is_unlike_the_others_and_these_are_few() {
        let mut tally = Tallied::default();
        let mut lines = |now, asked: u32| {
            (0..asked).filter(|n| tally.tell_stream(now, "x", &format!("s{n}"), "e")).count()
        };
        assert_eq!(lines(Duration::ZERO, 1), 1);
        assert_eq!(lines(Duration::ZERO, 1), 0, "told already");
        assert_eq!(lines(Duration::ZERO, 1000), REFUSALS_TOLD as usize - 1);
        assert_eq!(lines(REFUSALS_TOLD_EVERY, 1000), 1);
        assert_eq!(tally.counts["x"], 2002);
    }
}
