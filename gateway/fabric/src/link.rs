//! Six lanes to one member, and the choice of a lane for each stream.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bounds::{LANES, LINK_EVENTS, SPREAD_STREAMS};
use crate::fence::Fence;
use crate::identity::Identity;
use crate::lane::driver::{Driver, Greeted, LinkEvent};
use crate::lane::stream::LaneStream;
use crate::lane::{Class, Lane, Siblings};
use crate::mux::Side;
use crate::refusal::{LaneEnd, Refusal};
use crate::status::{LaneStatus, LinkStatus};
use crate::wire::{Frame, Open};

pub(crate) mod dialer;
pub(crate) mod follower;
mod following;
pub(crate) mod proof;

const CONTROL: usize = 0;

/// A link, at either side.
pub(crate) struct Link {
    far: Identity,
    id: [u8; 16],
    /// The proven term of the hub at the far side; 0 at the side that accepts.
    term: AtomicU64,
    since: Instant,
    lanes: Siblings,
    /// Lanes that are connected or about to be: who holds a seat may greet.
    seats: Mutex<[bool; LANES]>,
    up: watch::Sender<usize>,
    /// All six were up, and since then at least one.
    established: AtomicBool,
    events: mpsc::Sender<LinkEvent>,
    services: ArcSwap<BTreeSet<String>>,
    /// Incarnation and sequence of the far side's last offer.
    offered: Mutex<Option<([u8; 16], u64)>>,
    last_end: Mutex<Option<LaneEnd>>,
    /// At a hub: past it no lane moves a byte.
    fence: Fence,
    /// Cancelled when the link is over for good.
    over: CancellationToken,
}

/// The right to be one lane of a link; given back when dropped.
pub(crate) struct Seat {
    link: Arc<Link>,
    index: usize,
}

impl Link {
    pub(crate) fn new(
        far: Identity,
        id: [u8; 16],
        over: CancellationToken,
    ) -> (Arc<Self>, mpsc::Receiver<LinkEvent>) {
        Self::fenced(far, id, Fence::none(), over)
    }

    /// A link at a hub, which moves bytes only while the fence is open.
    pub(crate) fn fenced(
        far: Identity,
        id: [u8; 16],
        fence: Fence,
        over: CancellationToken,
    ) -> (Arc<Self>, mpsc::Receiver<LinkEvent>) {
        let (events, receiver) = mpsc::channel(LINK_EVENTS);
        let link = Self {
            far,
            id,
            term: AtomicU64::new(0),
            since: Instant::now(),
            lanes: Siblings::default(),
            seats: Mutex::default(),
            up: watch::Sender::new(0),
            established: AtomicBool::new(false),
            events,
            services: ArcSwap::default(),
            offered: Mutex::default(),
            last_end: Mutex::default(),
            fence,
            over,
        };
        (Arc::new(link), receiver)
    }

    pub(crate) fn far(&self) -> &Identity {
        &self.far
    }

    pub(crate) fn id(&self) -> &[u8; 16] {
        &self.id
    }

    pub(crate) fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// The term that the hub at the far side proved.
    pub(crate) fn term(&self) -> u64 {
        self.term.load(Ordering::Relaxed)
    }

    pub(crate) fn set_term(&self, term: u64) {
        self.term.store(term, Ordering::Relaxed);
    }

    /// How long ago it began.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Is no lane up?
    pub(crate) fn is_bare(&self) -> bool {
        *self.up.borrow() == 0
    }

    /// All six lanes are up.
    pub(crate) fn is_ready(&self) -> bool {
        *self.up.borrow() == LANES
    }

    /// Does it carry streams? It begins with six lanes, and goes on with what is left of them until the last is lost.
    pub(crate) fn is_established(&self) -> bool {
        self.established.load(Ordering::Acquire)
    }

    /// The right to lane `index`, if nobody has it. A holder that may be dead is asked for a sign of life.
    pub(crate) fn seat(self: &Arc<Self>, index: usize) -> Result<Seat, Refusal> {
        let taken = match self.seats().get_mut(index) {
            Some(seat) => std::mem::replace(seat, true),
            None => return Err(Refusal::Violation),
        };
        if taken {
            self.lanes[index].load().iter().for_each(|lane| lane.probe());
            return Err(Refusal::LaneTaken);
        }
        Ok(Seat { link: self.clone(), index })
    }

    /// Asks every lane for a sign of life.
    pub(crate) fn probe(&self) {
        self.each_lane(Lane::probe);
    }

    /// Ends every lane, saying why.
    pub(crate) fn close(&self, reason: Refusal) {
        self.each_lane(|lane| lane.close(reason));
    }

    /// Resets the streams that `is_cut` picks by service and by whom the far side asked for them (empty: for itself).
    pub(crate) fn cut(&self, reason: Refusal, is_cut: impl Fn(&str, &str) -> bool) {
        self.each_lane(|lane| lane.cut(reason, &is_cut));
    }

    /// Sends a frame on the control lane, if it is up.
    pub(crate) fn announce(&self, frame: Frame) {
        if let Some(lane) = self.lanes[CONTROL].load().as_ref() {
            lane.announce(frame);
        }
    }

    /// Is the control lane up?
    pub(crate) fn has_control(&self) -> bool {
        self.lanes[CONTROL].load().is_some()
    }

    /// Told whenever a lane comes or goes.
    pub(crate) fn changes(&self) -> watch::Receiver<usize> {
        self.up.subscribe()
    }

    /// What the far side offers, or permits of ours.
    pub(crate) fn services(&self) -> Arc<BTreeSet<String>> {
        self.services.load_full()
    }

    pub(crate) fn set_services(&self, services: BTreeSet<String>) {
        self.services.store(Arc::new(services));
    }

    /// The far side makes an offer of that number; false if a newer one of the same incarnation is known.
    pub(crate) fn note_offered(&self, incarnation: [u8; 16], sequence: u64) -> bool {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        let is_older = offered.is_some_and(|(known, newest)| known == incarnation && sequence < newest);
        if !is_older {
            *offered = Some((incarnation, sequence));
        }
        !is_older
    }

    /// Incarnation and sequence of the far side's last offer.
    pub(crate) fn offered(&self) -> Option<([u8; 16], u64)> {
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Streams of all lanes; may be a moment old.
    pub(crate) fn streams(&self) -> usize {
        self.lanes.iter().map(|lane| lane.load().as_ref().map_or(0, |lane| lane.streams())).sum()
    }

    /// Are all lanes of the class behind with what they were given?
    pub(crate) fn is_backlogged(&self, class: Class) -> bool {
        self.lanes[class.lanes()]
            .iter()
            .all(|lane| lane.load().as_ref().is_some_and(|lane| lane.is_backlogged()))
    }

    /// Asks for a stream; whether the far side opens it is told by [`LaneStream::opened`].
    pub(crate) fn open(&self, class: Class, open: Open) -> Result<LaneStream, Refusal> {
        let lane = self.is_established().then(|| self.lane_for(class)).flatten().ok_or(Refusal::LinkDown)?;
        let id = lane.open(open)?;
        Ok(LaneStream::new(lane, id))
    }

    /// The first lane of the class until it is busy (one lane batches better than two), then the least busy.
    fn lane_for(&self, class: Class) -> Option<Arc<Lane>> {
        let patience = if class == Class::Bulk { 1 } else { SPREAD_STREAMS };
        let up = || self.lanes[class.lanes()].iter().filter_map(|slot| slot.load_full());
        up().find(|lane| lane.streams() < patience && !lane.is_backlogged() && !lane.is_suspect())
            .or_else(|| up().min_by_key(|lane| (lane.is_suspect(), lane.streams(), lane.is_backlogged())))
    }

    pub(crate) fn note_end(&self, end: LaneEnd) {
        *self.last_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    pub(crate) fn last_end(&self) -> Option<LaneEnd> {
        *self.last_end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn status(&self) -> LinkStatus {
        let lanes = self.lanes.iter().zip(Class::OF_LANES).map(|(slot, class)| {
            let lane = slot.load();
            let lane = lane.as_ref();
            LaneStatus {
                class,
                is_up: lane.is_some(),
                streams: lane.map_or(0, |lane| lane.streams()),
                srtt: lane.and_then(|lane| lane.srtt()),
                silent: lane.map_or(Duration::ZERO, |lane| lane.silent()),
                is_suspect: lane.is_some_and(|lane| lane.is_suspect()),
            }
        });
        LinkStatus {
            far: self.far.clone(),
            is_ready: self.is_ready(),
            lanes: lanes.collect(),
            services: self.services.load().iter().cloned().collect(),
            last_end: self.last_end().map(LaneEnd::code),
        }
    }

    /// Smoothed round trip of the control lane's pings.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.lanes[CONTROL].load().as_ref().and_then(|lane| lane.srtt())
    }

    /// Is the far side in doubt? A link without its control lane is.
    pub(crate) fn is_suspect(&self) -> bool {
        self.lanes[CONTROL].load().as_ref().is_none_or(|lane| lane.is_suspect())
    }

    /// Has nobody a seat?
    pub(crate) fn is_deserted(&self) -> bool {
        !self.seats().contains(&true)
    }

    fn count_lane(&self, change: impl FnOnce(usize) -> usize) {
        self.up.send_modify(|up| {
            *up = change(*up);
            match *up {
                LANES => self.established.store(true, Ordering::Release),
                0 => self.established.store(false, Ordering::Release),
                _ => {}
            }
        });
    }

    fn seats(&self) -> MutexGuard<'_, [bool; LANES]> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each_lane(&self, act: impl Fn(&Lane)) {
        self.lanes.iter().for_each(|slot| slot.load().iter().for_each(|lane| act(lane)));
    }
}

impl Seat {
    /// Runs the lane to its end.
    pub(crate) async fn run<S>(self, io: S, side: Side, greeted: Greeted) -> LaneEnd
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let lane = Arc::new(Lane::new(self.index as u8, side));
        let driver = Driver::new(
            io,
            lane.clone(),
            self.link.lanes.clone(),
            self.link.events.clone(),
            greeted,
            self.link.fence.clone(),
        );
        self.link.lanes[self.index].store(Some(lane.clone()));
        self.link.count_lane(|up| up + 1);
        if self.link.over.is_cancelled() {
            lane.close(Refusal::ShuttingDown);
        }
        let end = driver.run().await;
        self.link.note_end(end);
        end
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.link.lanes[self.index].swap(None).is_some() {
            self.link.count_lane(|up| up - 1);
        }
        self.link.seats()[self.index] = false;
    }
}
