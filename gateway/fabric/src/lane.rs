//! One TCP connection of a link, shared by its streams and the driver that moves its bytes.
//!
//! All state stands behind one short lock; whoever changes it wakes whom it concerns after letting go, so streams may be
//! used from any runtime while the driver runs on its own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::{BufMut, Bytes};

use tokio::time::Instant;

use crate::bounds::LANES;
use crate::gathering;
use crate::mux::{Mux, Reading, Side};
use crate::refusal::{LaneEnd, Refusal};
use crate::session::Position;
use crate::wire::{Frame, Open, Opened};

use liveness::Pace;
use pulse::Pulse;

pub(crate) mod driver;
pub(crate) mod greeting;
mod liveness;
mod outgoing;
pub(crate) mod pace;
pub(crate) mod papers;
mod pulse;
pub(crate) mod stream;

/// What a lane carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Offers and their answers; no streams.
    Control,
    /// Streams that must be heard above all others.
    Alert,
    /// Requests.
    Interactive,
    /// Long transfers.
    Bulk,
}

impl Class {
    /// The class of each lane of a link, by index.
    pub const OF_LANES: [Self; LANES] =
        [Self::Control, Self::Alert, Self::Interactive, Self::Interactive, Self::Bulk, Self::Bulk];

    /// The lanes of this class.
    pub(crate) fn lanes(self) -> std::ops::Range<usize> {
        match self {
            Self::Control => 0..1,
            Self::Alert => 1..2,
            Self::Interactive => 2..4,
            Self::Bulk => 4..6,
        }
    }

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Alert => "alert",
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}

/// The lanes of one link, by index.
pub(crate) type Siblings = Arc<[ArcSwapOption<Lane>; LANES]>;

/// The lane as its streams know it.
pub(crate) struct Lane {
    index: u8,
    pace: Pace,
    pulse: Pulse,
    started: Instant,
    core: Mutex<Core>,
    streams: AtomicUsize,
    backlogged: AtomicBool,
}

struct Core {
    mux: Mux<Tag>,
    driver: Option<Waker>,
    closing: Option<Refusal>,
    probed: bool,
    end: Option<LaneEnd>,
}

/// What the shell keeps with each stream.
#[derive(Default)]
struct Tag {
    service: Box<str>,
    /// For whom the far side asked, as it says; empty for itself, and on streams that we asked for.
    claimed: Box<str>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Woken by an Ack, and when the stream is gone.
    watcher: Option<Waker>,
}

/// What an end of a session looks for on its carrier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// What the far end has of our direction.
    pub(crate) acked: Position,
    /// Why the carrier is gone, if it is.
    pub(crate) gone: Option<Refusal>,
}

impl Lane {
    pub(crate) fn new(index: u8, side: Side) -> Self {
        let accepts = Class::OF_LANES[usize::from(index) % LANES] != Class::Control;
        let pace = match (accepts, side) {
            (true, _) => Pace::Slow,
            (false, Side::Dialer) => Pace::Fast,
            (false, Side::Listener) => Pace::Attentive,
        };
        let mux = Mux::new(side, accepts);
        let core = Core { mux, driver: None, closing: None, probed: false, end: None };
        Self {
            index,
            pace,
            pulse: Pulse::default(),
            started: Instant::now(),
            core: Mutex::new(core),
            streams: AtomicUsize::new(0),
            backlogged: AtomicBool::new(false),
        }
    }

    pub(crate) fn index(&self) -> usize {
        usize::from(self.index)
    }

    pub(crate) fn class(&self) -> Class {
        Class::OF_LANES[self.index() % LANES]
    }

    /// Streams on the lane, without the lock; may be a moment old.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Smoothed round trip of the lane's pings; on the control lane never older than a moment.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.pulse.srtt()
    }

    /// The shortest round trip of the lane's pings.
    pub(crate) fn least(&self) -> Option<Duration> {
        self.pulse.least()
    }

    /// Is the far side of the lane in doubt: silent for too long, or asked for a sign of life and still without one?
    pub(crate) fn is_suspect(&self) -> bool {
        self.pulse.is_suspect()
    }

    /// For how long no byte has come.
    pub(crate) fn silent(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.pulse.heard())
    }

    /// Is the socket behind with what it was given?
    pub(crate) fn is_backlogged(&self) -> bool {
        self.backlogged.load(Ordering::Relaxed)
    }

    pub(crate) fn open(&self, open: Open) -> Result<u32, Refusal> {
        self.change(|core| {
            if core.end.is_some() || core.closing.is_some() {
                return Err(Refusal::LinkDown);
            }
            let service = open.service.as_str().into();
            let stream = core.mux.open(open)?;
            if let Some(tag) = core.mux.tag(stream) {
                tag.service = service;
            }
            Ok(stream)
        })
    }

    pub(crate) fn accept(&self, stream: u32, opened: Opened) {
        self.change(|core| core.mux.accept(stream, opened));
    }

    pub(crate) fn ack(&self, stream: u32, received: Position) {
        self.change(|core| core.mux.ack(stream, received));
    }

    pub(crate) fn begin_acks(&self, stream: u32, received: Position) {
        self.change(|core| core.mux.begin_acks(stream, received));
    }

    pub(crate) fn reset(&self, stream: u32, reason: Refusal) {
        let tag = self.change(|core| {
            let tag = core.mux.tag(stream).map(std::mem::take);
            core.mux.reset(stream, reason);
            tag
        });
        // Not under the lock: a waker may hold the last of what will want it.
        drop(tag);
    }

    pub(crate) fn release(&self, stream: u32) {
        // What is still to be delivered keeps its name: a wiring that is replaced asks for it.
        let wakers = self.change(|core| {
            let wakers = core.mux.tag(stream).map(Tag::take_wakers);
            core.mux.release(stream);
            wakers
        });
        drop(wakers);
    }

    pub(crate) fn announce(&self, frame: Frame) {
        self.change(|core| core.mux.announce(frame));
    }

    /// Asks the driver to say why and end.
    pub(crate) fn close(&self, reason: Refusal) {
        self.change(|core| core.closing = core.closing.or(Some(reason)));
        self.wake_driver();
    }

    /// Demands a sign of life soon, else the lane is lost.
    pub(crate) fn probe(&self) {
        self.change(|core| core.probed = true);
        self.wake_driver();
    }

    /// Resets the streams that `is_cut` picks by service and by whom the far side asked for them.
    pub(crate) fn cut(&self, reason: Refusal, is_cut: impl Fn(&str, &str) -> bool) {
        let mut wakers = Vec::new();
        self.change(|core| {
            for stream in core.mux.ids_where(|tag| is_cut(&tag.service, &tag.claimed)) {
                core.mux.tag(stream).into_iter().for_each(|tag| tag.take_all(&mut wakers));
                core.mux.reset(stream, reason);
            }
        });
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn poll_opened(&self, stream: u32, cx: &Context<'_>) -> Poll<Result<Opened, Refusal>> {
        self.change(|core| match core.mux.take_opened(stream) {
            Ok(Some(opened)) => Poll::Ready(Ok(opened)),
            Ok(None) => core.wait_to_write(stream, cx),
            Err(reason) => Poll::Ready(Err(core.reason(reason))),
        })
    }

    /// What is there now; a later Ack and the loss of the stream wake `watcher`.
    pub(crate) fn watch(&self, stream: u32, watcher: &Waker) -> Sight {
        let mut core = self.lock();
        let sight = Sight { acked: core.mux.acked(stream), gone: core.gone(stream) };
        let slot = core.mux.tag(stream).map(|tag| &mut tag.watcher);
        let old = match slot {
            Some(slot) if !slot.as_ref().is_some_and(|old| old.will_wake(watcher)) => {
                slot.replace(watcher.clone())
            }
            Some(_) | None => None,
        };
        drop(core);
        drop(old);
        sight
    }

    /// Did the far side say that it shuts down?
    pub(crate) fn is_left(&self) -> bool {
        self.lock().end == Some(LaneEnd::RefusedByFar(Refusal::ShuttingDown))
    }

    /// How many bytes a write would take now.
    pub(crate) fn room(&self, stream: u32) -> usize {
        self.lock().mux.room(stream)
    }

    /// Ready when the far side is gone: reset, or the lane lost.
    pub(crate) fn poll_gone(&self, stream: u32, cx: &Context<'_>) -> Poll<Refusal> {
        self.change(|core| match core.mux.reset_reason(stream) {
            Some(reason) => Poll::Ready(core.reason(reason)),
            None => core
                .wait_to_read(stream, cx)
                .map(|lost: Result<(), _>| lost.err().unwrap_or(Refusal::LaneLost)),
        })
    }

    pub(crate) fn poll_read(
        &self,
        stream: u32,
        cx: &Context<'_>,
        room: &mut impl BufMut,
    ) -> Poll<Result<usize, Refusal>> {
        self.change(|core| {
            let reading = core.mux.read_into(stream, room);
            core.read(stream, cx, reading)
        })
    }

    pub(crate) fn poll_take(
        &self,
        stream: u32,
        cx: &Context<'_>,
        most: usize,
        into: &mut VecDeque<Bytes>,
    ) -> Poll<Result<usize, Refusal>> {
        self.change(|core| {
            let reading = core.mux.take(stream, most, into);
            core.read(stream, cx, reading)
        })
    }

    pub(crate) fn poll_write(
        &self,
        stream: u32,
        cx: &Context<'_>,
        bytes: &[&[u8]],
        most: usize,
    ) -> Poll<Result<usize, Refusal>> {
        self.change(|core| {
            if let Some(end) = core.end {
                return Poll::Ready(Err(end.for_streams()));
            }
            let mut written = 0;
            for slice in bytes {
                let slice = &slice[..slice.len().min(most - written)];
                let took = core.mux.write_copy(stream, slice);
                written += *took.as_ref().unwrap_or(&0);
                match took {
                    Err(reason) if written == 0 => return Poll::Ready(Err(core.reason(reason))),
                    Ok(count) if count == slice.len() => {}
                    Ok(_) | Err(_) => break,
                }
            }
            if written > 0 || bytes.iter().all(|slice| slice.is_empty()) {
                return Poll::Ready(Ok(written));
            }
            core.wait_to_write(stream, cx)
        })
    }

    /// Moves bytes in, as many as go; ready when at least one moved.
    pub(crate) fn poll_give_bytes(
        &self,
        stream: u32,
        cx: &Context<'_>,
        bytes: &mut Bytes,
    ) -> Poll<Result<usize, Refusal>> {
        self.change(|core| {
            if let Some(end) = core.end {
                return Poll::Ready(Err(end.for_streams()));
            }
            match core.mux.write(stream, bytes) {
                Ok(0) => core.wait_to_write(stream, cx),
                Ok(count) => Poll::Ready(Ok(count)),
                Err(reason) => Poll::Ready(Err(core.reason(reason))),
            }
        })
    }

    /// Moves slices in; ready when at least one byte moved.
    pub(crate) fn poll_give(
        &self,
        stream: u32,
        cx: &Context<'_>,
        slices: &mut VecDeque<Bytes>,
    ) -> Poll<Result<(), Refusal>> {
        self.change(|core| {
            if let Some(end) = core.end {
                return Poll::Ready(Err(end.for_streams()));
            }
            let mut moved = false;
            while let Some(front) = slices.front_mut() {
                match core.mux.write(stream, front) {
                    Ok(count) => moved |= count > 0,
                    Err(reason) => return Poll::Ready(Err(core.reason(reason))),
                }
                if !front.is_empty() {
                    break;
                }
                slices.pop_front();
            }
            if moved { Poll::Ready(Ok(())) } else { core.wait_to_write(stream, cx) }
        })
    }

    /// Ready when the Fin went out behind all bytes.
    pub(crate) fn poll_finish(&self, stream: u32, cx: &Context<'_>) -> Poll<Result<(), Refusal>> {
        self.change(|core| {
            core.mux.finish(stream);
            match core.mux.is_finished(stream) {
                Ok(true) => Poll::Ready(Ok(())),
                Ok(false) => core.wait_to_write(stream, cx),
                Err(reason) => Poll::Ready(Err(core.reason(reason))),
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        // No code that holds the lock can leave the table half changed: a poisoned lock is as good as a sound one.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then has the driver woken if there is something to send.
    fn change<R>(&self, change: impl FnOnce(&mut Core) -> R) -> R {
        let mut core = self.lock();
        let result = change(&mut core);
        self.streams.store(core.mux.len(), Ordering::Relaxed);
        let driver = if core.mux.has_output() { core.driver.take() } else { None };
        drop(core);
        driver.into_iter().for_each(gathering::wake);
        result
    }

    fn wake_driver(&self) {
        let driver = self.lock().driver.take();
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

impl Core {
    /// No stream goes on here; those who wait are to be woken.
    fn part(&mut self, end: LaneEnd, wakers: &mut Vec<Waker>) {
        self.end = Some(end);
        self.mux.tags().for_each(|tag| tag.take_all(wakers));
    }

    /// Why the stream is gone, if it is.
    fn gone(&self, stream: u32) -> Option<Refusal> {
        let reset = self.mux.reset_reason(stream).map(|reason| self.reason(reason));
        reset.or_else(|| self.end.map(LaneEnd::for_streams))
    }

    /// A stream that the mux forgot because the lane ended, or was cut, says so instead of "cancelled".
    fn reason(&self, reason: Refusal) -> Refusal {
        match (reason, self.end) {
            (Refusal::Cancelled, Some(end)) => end.for_streams(),
            (reason, _) => reason,
        }
    }

    fn read(&mut self, stream: u32, cx: &Context<'_>, reading: Reading) -> Poll<Result<usize, Refusal>> {
        match reading {
            Reading::Moved(count) => Poll::Ready(Ok(count)),
            Reading::End => Poll::Ready(Ok(0)),
            Reading::Reset(reason) => Poll::Ready(Err(self.reason(reason))),
            Reading::Empty => self.wait_to_read(stream, cx),
        }
    }

    fn wait_to_read<R>(&mut self, stream: u32, cx: &Context<'_>) -> Poll<Result<R, Refusal>> {
        self.wait(stream, cx, |tag| &mut tag.reader)
    }

    fn wait_to_write<R>(&mut self, stream: u32, cx: &Context<'_>) -> Poll<Result<R, Refusal>> {
        self.wait(stream, cx, |tag| &mut tag.writer)
    }

    fn wait<R>(
        &mut self,
        stream: u32,
        cx: &Context<'_>,
        slot: impl FnOnce(&mut Tag) -> &mut Option<Waker>,
    ) -> Poll<Result<R, Refusal>> {
        if let Some(end) = self.end {
            return Poll::Ready(Err(end.for_streams()));
        }
        if let Some(tag) = self.mux.tag(stream) {
            register(slot(tag), cx);
        }
        Poll::Pending
    }
}

impl Tag {
    fn take_wakers(&mut self) -> [Option<Waker>; 3] {
        [self.reader.take(), self.writer.take(), self.watcher.take()]
    }

    fn take_all(&mut self, into: &mut Vec<Waker>) {
        into.extend(self.take_wakers().into_iter().flatten());
    }
}

fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}
