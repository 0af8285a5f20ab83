//! The streams of one lane: ids, credit, half-close, reset. Pure: frames in, frames out, no clock, no socket.
//!
//! Feed it with [`Mux::handle_frame`]; after that, and after any command, drain [`Mux::poll_frame`] while the socket takes
//! bytes. Control frames leave before credits and acks, these before bytes, and streams with bytes take turns of one frame.
//!
//! Invariants, each with a property test: bytes arrive in order and whole or the reader learns of a reset; nobody sends
//! beyond credit; what is held for one stream never exceeds its window and its send queue; every table is bounded.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::{BufMut, Bytes};

use crate::bounds::{CONTROL_QUEUE, DATA_FRAME_SENT, STREAMS_LANE, WINDOW_GROWTH_LANE};
use crate::refusal::Refusal;
use crate::session::Position;
use crate::session::acks::Acks;
use crate::wire::{Frame, Offering, Open, Opened, Proof};

use state::{Pace, Sending, Streaming};

mod ids;
mod incoming;
mod state;
#[cfg(test)]
mod tests;

pub use ids::Side;

/// What a frame meant to the owner of the mux.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing to do.
    Quiet,
    /// The far side asks for a stream; answer with [`Mux::accept`] or [`Mux::reset`].
    Incoming {
        /// Its id.
        stream: u32,
        /// What it asks for.
        open: Box<Open>,
    },
    /// A reader of this stream has something to see: bytes or the end.
    Readable(u32),
    /// A writer of this stream may go on: opened, or credited.
    Writable(u32),
    /// The far side reset this stream: both may look.
    Reset(u32),
    /// The answer to a Ping of ours, or to none.
    Pong(u64),
    /// The far end has more of this stream's session than it last said.
    Acked(u32),
    /// The services of the local hub at the far side.
    Offer(Offering),
    /// Those of our services that the hub permits.
    Accepted(Vec<String>),
    /// What the local hub of that name offers.
    Notice(String, Offering),
    /// The far side renewed its certificate.
    Proof(Box<Proof>),
    /// The far side ends the lane.
    Refused(Refusal),
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// So many bytes were moved.
    Moved(usize),
    /// Nothing yet.
    Empty,
    /// The far side's last byte was read before.
    End,
    /// The stream was reset.
    Reset(Refusal),
}

/// All streams of one lane, as one side sees them. `T` is the owner's tag on each stream.
#[derive(Debug)]
pub struct Mux<T> {
    ids: ids::Ids,
    accepts: bool,
    streams: HashMap<u32, Streaming<T>, ids::SpreadIds>,
    control: VecDeque<Frame>,
    ping: Option<u64>,
    pong: Option<u64>,
    credits: VecDeque<u32>,
    acks: VecDeque<u32>,
    sendable: VecDeque<u32>,
    growth_left: u64,
    pace: Pace,
}

impl<T: Default> Mux<T> {
    /// An empty lane. One that does not accept streams (the control lane) treats Open as a violation.
    pub fn new(side: Side, accepts: bool) -> Self {
        Self {
            ids: ids::Ids::new(side),
            accepts,
            streams: HashMap::default(),
            control: VecDeque::new(),
            ping: None,
            pong: None,
            credits: VecDeque::new(),
            acks: VecDeque::new(),
            sendable: VecDeque::new(),
            growth_left: WINDOW_GROWTH_LANE,
            pace: Pace::default(),
        }
    }

    /// Streams in the table.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// No stream at all?
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The owner's tag on a stream.
    pub fn tag(&mut self, stream: u32) -> Option<&mut T> {
        self.streams.get_mut(&stream).map(|streaming| &mut streaming.tag)
    }

    /// Every tag; for when the lane is lost.
    pub fn tags(&mut self) -> impl Iterator<Item = &mut T> {
        self.streams.values_mut().map(|streaming| &mut streaming.tag)
    }

    /// The streams whose tag `wanted` picks.
    pub fn ids_where(&self, wanted: impl Fn(&T) -> bool) -> Vec<u32> {
        self.streams.iter().filter(|(_, streaming)| wanted(&streaming.tag)).map(|(id, _)| *id).collect()
    }

    /// Asks the far side for a stream.
    ///
    /// # Errors
    /// [`Refusal::HubBusy`] when the table or the queue of the lane is full.
    pub fn open(&mut self, open: Open) -> Result<u32, Refusal> {
        if !self.accepts {
            return Err(Refusal::NotPermitted);
        }
        if self.streams.len() >= STREAMS_LANE || self.control.len() >= CONTROL_QUEUE {
            return Err(Refusal::HubBusy);
        }
        let stream = self.ids.next(|id| self.streams.contains_key(&id));
        self.streams.insert(stream, Streaming::new(Sending::Asked, self.pace.now));
        self.control.push_back(Frame::Open { stream, open: Box::new(open) });
        Ok(stream)
    }

    /// Says that an incoming stream reaches its service.
    pub fn accept(&mut self, stream: u32, opened: Opened) {
        if let Some(streaming) = self.streams.get_mut(&stream)
            && streaming.sending == Sending::Offered
        {
            streaming.sending = Sending::Open;
            self.control.push_back(Frame::Opened { stream, opened });
        }
    }

    /// Where and how the far side opened it; told once. `Ok(None)`: not yet.
    ///
    /// # Errors
    /// The reason of the reset.
    pub fn take_opened(&mut self, stream: u32) -> Result<Option<Opened>, Refusal> {
        let streaming = self.streams.get_mut(&stream).ok_or(Refusal::Cancelled)?;
        match (streaming.reset, streaming.answered) {
            (Some(reason), _) => Err(reason),
            (None, false) => Ok(None),
            (None, true) => Ok(Some(streaming.opened.take().map_or_else(Opened::default, |opened| *opened))),
        }
    }

    /// What the far end has of our direction, as far as it said so.
    pub fn acked(&self, stream: u32) -> Position {
        self.streams.get(&stream).map_or(Position::default(), |streaming| streaming.acked)
    }

    /// Here is an end of the session that the stream carries, which has `received`: the far end is told of what is taken
    /// from here on.
    pub fn begin_acks(&mut self, stream: u32, received: Position) {
        if let Some(streaming) = self.streams.get_mut(&stream) {
            streaming.acks = Some(Acks::from(received));
        }
    }

    /// A tick of the lane's clock: ends tell what rests untold.
    pub fn handle_tick(&mut self) {
        let due = self.streams.iter_mut().filter_map(|(id, streaming)| {
            let acks = streaming.acks.as_mut().filter(|_| streaming.reset.is_none())?;
            acks.handle_tick().then_some(*id)
        });
        self.acks.extend(due);
    }

    /// Hands on what the far end behind us has of the far side's direction; of several, the newest is sent.
    pub fn ack(&mut self, stream: u32, received: Position) {
        if let Some(streaming) = self.streams.get_mut(&stream)
            && streaming.reset.is_none()
            && streaming.ack_due.replace(received).is_none()
        {
            self.acks.push_back(stream);
        }
    }

    /// Why the far side reset it, if it did.
    pub fn reset_reason(&self, stream: u32) -> Option<Refusal> {
        self.streams.get(&stream).map_or(Some(Refusal::Cancelled), |streaming| streaming.reset)
    }

    /// How many bytes a write would take now.
    pub fn room(&self, stream: u32) -> usize {
        self.streams.get(&stream).map_or(0, Streaming::room)
    }

    /// Queues as many of these bytes as credit and queue allow, perhaps none; what was taken is gone from `bytes`.
    ///
    /// # Errors
    /// The reason of the reset, [`Refusal::Cancelled`] after [`Mux::finish`], [`Refusal::NotPermitted`] on an incoming
    /// stream before [`Mux::accept`].
    pub fn write(&mut self, stream: u32, bytes: &mut Bytes) -> Result<usize, Refusal> {
        let streaming = self.writable(stream)?;
        let count = streaming.room().min(bytes.len());
        if count > 0 {
            streaming.queue(|queue| queue.push(bytes.split_to(count)), count);
            self.schedule(stream);
        }
        Ok(count)
    }

    /// As [`Mux::write`], from a slice.
    ///
    /// # Errors
    /// As [`Mux::write`].
    pub fn write_copy(&mut self, stream: u32, bytes: &[u8]) -> Result<usize, Refusal> {
        let streaming = self.writable(stream)?;
        let count = streaming.room().min(bytes.len());
        if count > 0 {
            streaming.queue(|queue| queue.push_copy(&bytes[..count]), count);
            self.schedule(stream);
        }
        Ok(count)
    }

    /// Ends our direction after what is queued.
    pub fn finish(&mut self, stream: u32) {
        if let Some(streaming) = self.streams.get_mut(&stream)
            && streaming.reset.is_none()
            && matches!(streaming.sending, Sending::Open | Sending::Asked)
        {
            streaming.sending = Sending::Finishing;
            self.schedule(stream);
        }
    }

    /// Has the Fin been handed to the lane? The error is that of the reset.
    pub fn is_finished(&self, stream: u32) -> Result<bool, Refusal> {
        let streaming = self.streams.get(&stream).ok_or(Refusal::Cancelled)?;
        match streaming.reset {
            Some(reason) if streaming.sending != Sending::Finished => Err(reason),
            Some(_) | None => Ok(streaming.sending == Sending::Finished),
        }
    }

    /// Copies received bytes out.
    pub fn read_into(&mut self, stream: u32, room: &mut impl BufMut) -> Reading {
        let Some(streaming) = self.streams.get_mut(&stream) else {
            return Reading::Reset(Refusal::Cancelled);
        };
        let count = streaming.received.copy_into(room);
        self.consumed(stream, count)
    }

    /// Moves whole slices of received bytes out, until `most` bytes or nothing is left.
    pub fn take(&mut self, stream: u32, most: usize, into: &mut VecDeque<Bytes>) -> Reading {
        let Some(streaming) = self.streams.get_mut(&stream) else {
            return Reading::Reset(Refusal::Cancelled);
        };
        let mut count = 0;
        while count < most && !streaming.received.is_empty() {
            let slice = streaming.received.pop(most - count);
            count += slice.len();
            into.push_back(slice);
        }
        self.consumed(stream, count)
    }

    /// Ends a stream at once, both directions, and tells the far side why.
    pub fn reset(&mut self, stream: u32, reason: Refusal) {
        if let Some(streaming) = self.remove(stream)
            && streaming.reset.is_none()
        {
            self.control.push_back(Frame::Reset { stream, reason });
        }
    }

    /// The owner lets go. What was finished properly is still delivered; anything else is [`Refusal::Cancelled`].
    pub fn release(&mut self, stream: u32) {
        let Some(streaming) = self.streams.get_mut(&stream) else { return };
        if streaming.sending == Sending::Finishing && streaming.reset.is_none() {
            streaming.released = true;
            streaming.received.clear();
        } else {
            self.let_go(stream);
        }
    }

    /// As a reset, unless both directions have ended and the far end knows it: it may wait to hear that its own end was
    /// taken, and nobody is left here who will take it.
    fn let_go(&mut self, stream: u32) {
        if let Some(streaming) = self.remove(stream)
            && streaming.reset.is_none()
            && !(streaming.is_over() && streaming.is_end_told())
        {
            self.control.push_back(Frame::Reset { stream, reason: Refusal::Cancelled });
        }
    }

    /// Queues a Ping, in place of one that still waits.
    pub fn ping(&mut self, nonce: u64) {
        self.ping = Some(nonce);
    }

    /// Queues a frame of the lane itself (Offer, Accepted, Notice, Proof) in place of one of the same that still waits. The
    /// origins of notices are bounded by whoever sends them.
    pub fn announce(&mut self, frame: Frame) {
        self.control.retain(|queued| !is_outdated(queued, &frame));
        self.control.push_back(frame);
    }

    /// Drops all that waits and says only why the lane ends.
    pub fn farewell(&mut self, reason: Refusal) {
        self.control.clear();
        self.credits.clear();
        self.acks.clear();
        self.sendable.clear();
        (self.ping, self.pong) = (None, None);
        self.control.push_back(Frame::Refuse(reason));
    }

    /// Would [`Mux::poll_frame`] return something?
    pub fn has_output(&self) -> bool {
        !(self.control.is_empty()
            && self.credits.is_empty()
            && self.acks.is_empty()
            && self.sendable.is_empty()
            && self.ping.is_none()
            && self.pong.is_none())
    }

    /// Time since the lane began, and its round trip as far as it is known: by these, windows grow.
    pub fn handle_time(&mut self, now: Duration, round_trip: Option<Duration>) {
        self.pace = Pace { now, round_trip };
    }

    /// The next frame for the far side.
    pub fn poll_frame(&mut self) -> Option<Frame> {
        if let Some(nonce) = self.pong.take() {
            return Some(Frame::Pong { nonce });
        }
        if let Some(nonce) = self.ping.take() {
            return Some(Frame::Ping { nonce });
        }
        if let Some(frame) = self.control.pop_front() {
            return Some(frame);
        }
        while let Some(stream) = self.credits.pop_front() {
            if let Some(bytes) =
                self.streams.get_mut(&stream).and_then(|s| s.grant(&mut self.growth_left, self.pace))
            {
                return Some(Frame::Credit { stream, bytes });
            }
        }
        while let Some(stream) = self.acks.pop_front() {
            if let Some(received) = self.streams.get_mut(&stream).and_then(Streaming::take_ack) {
                return Some(Frame::Ack { stream, received });
            }
        }
        while let Some(stream) = self.sendable.pop_front() {
            if let Some(frame) = self.poll_stream(stream) {
                return Some(frame);
            }
        }
        None
    }

    fn writable(&mut self, stream: u32) -> Result<&mut Streaming<T>, Refusal> {
        let streaming = self.streams.get_mut(&stream).ok_or(Refusal::Cancelled)?;
        match (streaming.reset, streaming.sending) {
            (Some(reason), _) => Err(reason),
            (None, Sending::Finishing | Sending::Finished) => Err(Refusal::Cancelled),
            (None, Sending::Offered) => Err(Refusal::NotPermitted),
            (None, Sending::Asked | Sending::Open) => Ok(streaming),
        }
    }

    fn schedule(&mut self, stream: u32) {
        if let Some(streaming) = self.streams.get_mut(&stream)
            && !std::mem::replace(&mut streaming.scheduled, true)
        {
            self.sendable.push_back(stream);
        }
    }

    fn consumed(&mut self, stream: u32, count: usize) -> Reading {
        let Some(streaming) = self.streams.get_mut(&stream) else {
            return Reading::Reset(Refusal::Cancelled);
        };
        if count > 0 {
            if streaming.consume(count) {
                self.credits.push_back(stream);
            }
            if streaming.acks.as_mut().is_some_and(|acks| acks.handle_bytes(count)) {
                self.acks.push_back(stream);
            }
            return Reading::Moved(count);
        }
        match (streaming.received.is_empty(), streaming.ended, streaming.reset) {
            (true, true, _) => {
                if streaming.acks.as_mut().is_some_and(Acks::handle_end) {
                    self.acks.push_back(stream);
                }
                Reading::End
            }
            (true, false, Some(reason)) => Reading::Reset(reason),
            (true, false, None) | (false, _, _) => Reading::Empty,
        }
    }

    fn poll_stream(&mut self, stream: u32) -> Option<Frame> {
        let streaming = self.streams.get_mut(&stream)?;
        streaming.scheduled = false;
        if !streaming.unsent.is_empty() {
            let payload = streaming.unsent.pop(DATA_FRAME_SENT);
            streaming.sent = streaming.sent.after(payload.len());
            if !streaming.unsent.is_empty() || streaming.sending == Sending::Finishing {
                self.schedule(stream);
            }
            return Some(Frame::Data { stream, payload });
        }
        if streaming.sending != Sending::Finishing {
            return None;
        }
        streaming.sending = Sending::Finished;
        streaming.sent = streaming.sent.ended();
        if streaming.released {
            self.let_go(stream);
        }
        Some(Frame::Fin { stream })
    }

    fn remove(&mut self, stream: u32) -> Option<Streaming<T>> {
        let mut streaming = self.streams.remove(&stream)?;
        self.growth_left += streaming.growth();
        // The last word on what is here outlives the stream.
        if streaming.reset.is_none()
            && let Some(received) = streaming.take_ack()
        {
            self.control.push_back(Frame::Ack { stream, received });
        }
        Some(streaming)
    }
}

/// Does the new frame say all that the queued one would?
fn is_outdated(queued: &Frame, new: &Frame) -> bool {
    match (queued, new) {
        (Frame::Notice { origin: one, .. }, Frame::Notice { origin: other, .. }) => one == other,
        (queued, new) => std::mem::discriminant(queued) == std::mem::discriminant(new),
    }
}
