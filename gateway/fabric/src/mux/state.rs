//! One stream, as one side sees it. Pure.

use std::time::Duration;

use bytes::Bytes;

use crate::bounds::{SEND_QUEUE, WINDOW_INITIAL, WINDOW_MAX, WINDOW_ROUND_TRIPS};
use crate::byte_queue::ByteQueue;
use crate::refusal::{Refusal, Violation};
use crate::session::Position;
use crate::session::acks::Acks;
use crate::wire::Opened;

/// Where our direction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// We asked; the far side has not answered.
    Asked,
    /// The far side asked; we have not answered.
    Offered,
    /// Bytes may go.
    Open,
    /// Fin follows what is queued.
    Finishing,
    /// Fin is out.
    Finished,
}

/// How long things take on a lane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Since the lane began.
    pub(super) now: Duration,
    /// There and back, when nothing else is under way; unknown at first.
    pub(super) round_trip: Option<Duration>,
}

/// The state of a stream.
#[derive(Debug)]
pub(super) struct Streaming<T> {
    pub(super) tag: T,
    pub(super) sending: Sending,
    /// The far side said Opened (only for streams that we asked for).
    pub(super) answered: bool,
    /// What it said with it, until the owner looks.
    pub(super) opened: Option<Box<Opened>>,
    /// What we may still queue, bytes.
    pub(super) credit: u64,
    pub(super) unsent: ByteQueue,
    /// Our direction of the session, up to what this lane was given last.
    pub(super) sent: Position,
    /// Of that, what the far end has.
    pub(super) acked: Position,
    /// An Ack from behind us that waits to be sent.
    pub(super) ack_due: Option<Position>,
    /// Our own, if here is an end of the session.
    pub(super) acks: Option<Acks>,
    /// In the list of streams with something to send?
    pub(super) scheduled: bool,
    pub(super) received: ByteQueue,
    /// The far side said Fin.
    pub(super) ended: bool,
    pub(super) reset: Option<Refusal>,
    /// The owner is gone; only what is queued still matters.
    pub(super) released: bool,
    /// What the far side may still send, bytes.
    allowed: u32,
    window: u32,
    /// Read by the owner and not yet credited.
    uncredited: u32,
    /// Read by the owner since the window was last judged, and when that was.
    since_judged: u64,
    judged: Duration,
    credit_due: bool,
}

impl<T: Default> Streaming<T> {
    pub(super) fn new(sending: Sending, now: Duration) -> Self {
        Self {
            tag: T::default(),
            sending,
            answered: false,
            opened: None,
            credit: u64::from(WINDOW_INITIAL),
            unsent: ByteQueue::default(),
            sent: Position::default(),
            acked: Position::default(),
            ack_due: None,
            acks: None,
            scheduled: false,
            received: ByteQueue::default(),
            ended: false,
            reset: None,
            released: false,
            allowed: WINDOW_INITIAL,
            window: WINDOW_INITIAL,
            uncredited: 0,
            since_judged: 0,
            judged: now,
            credit_due: false,
        }
    }
}

impl<T> Streaming<T> {
    /// Both directions ended in order.
    pub(super) fn is_over(&self) -> bool {
        self.sending == Sending::Finished && self.ended
    }

    /// Where here is an end of the session: the far end was told that its own end was taken.
    pub(super) fn is_end_told(&self) -> bool {
        self.acks.as_ref().is_none_or(Acks::is_end_told)
    }

    /// How much may be queued now, bytes.
    pub(super) fn room(&self) -> usize {
        let free = SEND_QUEUE.saturating_sub(self.unsent.len());
        usize::try_from(self.credit).map_or(free, |credit| credit.min(free))
    }

    pub(super) fn queue(&mut self, push: impl FnOnce(&mut ByteQueue), count: usize) {
        debug_assert!(count as u64 <= self.credit);
        self.credit -= count as u64;
        push(&mut self.unsent);
    }

    pub(super) fn receive(&mut self, payload: Bytes) -> Result<(), Violation> {
        if self.ended || self.reset.is_some() {
            return Err(Violation::AfterFin);
        }
        let length = u32::try_from(payload.len()).map_err(|_| Violation::CreditOverrun)?;
        self.allowed = self.allowed.checked_sub(length).ok_or(Violation::CreditOverrun)?;
        if !self.released {
            self.received.push(payload);
        }
        Ok(())
    }

    /// The owner read so much. True when a Credit frame is newly due: half the window was consumed.
    pub(super) fn consume(&mut self, count: usize) -> bool {
        self.uncredited += count as u32;
        self.since_judged += count as u64;
        let due = self.uncredited >= self.window / 2 && !self.ended && self.reset.is_none();
        due && !std::mem::replace(&mut self.credit_due, true)
    }

    /// Turns what was consumed into credit. Each time that two windows were read, doubles the window, while the lane's
    /// budget lasts, if it is what held the stream back: if both were read within [`WINDOW_ROUND_TRIPS`]. A larger one
    /// would bring no byte sooner, and would only be a longer queue, in which the streams of other lanes wait, too.
    pub(super) fn grant(&mut self, growth_left: &mut u64, pace: Pace) -> Option<u32> {
        self.credit_due = false;
        if self.ended || self.reset.is_some() {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.uncredited);
        if self.since_judged >= 2 * u64::from(self.window) {
            let took = pace.now.saturating_sub(self.judged);
            let held_back = pace.round_trip.is_none_or(|round_trip| took <= round_trip * WINDOW_ROUND_TRIPS);
            if held_back && self.window < WINDOW_MAX && *growth_left >= u64::from(self.window) {
                *growth_left -= u64::from(self.window);
                bytes += self.window;
                self.window *= 2;
            }
            (self.since_judged, self.judged) = (0, pace.now);
        }
        self.allowed += bytes;
        (bytes > 0).then_some(bytes)
    }

    /// The Ack that is due, if one is.
    pub(super) fn take_ack(&mut self) -> Option<Position> {
        self.ack_due.take().or_else(|| self.acks.as_mut().and_then(Acks::poll))
    }

    /// What the window took of the lane's budget.
    pub(super) fn growth(&self) -> u64 {
        u64::from(self.window - WINDOW_INITIAL)
    }

    /// The far side is gone. If its Fin came before, what it sent is whole and stays readable.
    pub(super) fn handle_reset(&mut self, reason: Refusal) {
        self.reset = Some(reason);
        self.unsent.clear();
        if !self.ended {
            self.received.clear();
        }
    }
}
