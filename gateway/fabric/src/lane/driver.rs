//! Moves one lane's bytes: reads and handles all that is there, then sends all that waits, in one task per lane.
//!
//! Answers, credits and the bytes of all streams that became ready since the last wake-up leave in one batch. What can
//! wake the driver: the socket, a stream with something to send, its alarm. It never waits for a stream.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::io::poll_read_buf;

use super::liveness::Liveness;
use super::outgoing::Outgoing;
use super::pace::Pace;
use super::papers::Papers;
use super::stream::LaneStream;
use super::{Class, Lane, Siblings, register};
use crate::bounds;
use crate::fence::Fence;
use crate::mux::Event;
use crate::refusal::{LaneEnd, Refusal, Violation};
use crate::wire::{Decoder, Frame, Offering, Open, Proof};

/// What a lane hands to the owner of its link.
pub(crate) enum LinkEvent {
    /// The far side asks for a stream.
    Incoming { stream: LaneStream, open: Box<Open> },
    /// The services that the far side has, replacing the last offer.
    Offer(Offering),
    /// Those of ours that the far side permits.
    Accepted(Vec<String>),
    /// What the local hub of that name offers.
    Notice(String, Offering),
}

/// A lane whose greeting is over: what was read behind it, and what was proved.
pub(crate) struct Greeted {
    pub(crate) decoder: Decoder,
    pub(crate) papers: Papers,
}

pub(crate) struct Driver<S> {
    io: S,
    lane: Arc<Lane>,
    events: mpsc::Sender<LinkEvent>,
    decoder: Decoder,
    out: Outgoing,
    unflushed: bool,
    started: Instant,
    liveness: Liveness,
    alarm: Pin<Box<Sleep>>,
    siblings: Siblings,
    papers: Papers,
    /// When the far side's certificate is looked at next.
    papers_due: Duration,
    offers: Pace,
    /// When the ends of sessions last looked what they owe.
    ticked: Duration,
    farewell: Option<(LaneEnd, Duration)>,
    fence: Fence,
    /// The fence was found closed, and all that waits to be sent is the word that says so.
    fenced: bool,
    wakers: Vec<Waker>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(crate) fn new(
        io: S,
        lane: Arc<Lane>,
        siblings: Siblings,
        events: mpsc::Sender<LinkEvent>,
        greeted: Greeted,
        fence: Fence,
    ) -> Self {
        let Greeted { decoder, papers } = greeted;
        let started = lane.started;
        Self {
            io,
            events,
            decoder,
            out: Outgoing::default(),
            unflushed: false,
            started,
            liveness: Liveness::new(lane.pace),
            alarm: Box::pin(sleep_until(started)),
            siblings,
            papers,
            papers_due: Duration::ZERO,
            offers: Pace::new(bounds::OFFERS_EVERY, bounds::OFFERS_AT_ONCE),
            lane,
            ticked: Duration::ZERO,
            farewell: None,
            fence,
            fenced: false,
            wakers: Vec::new(),
        }
    }

    /// Runs until the lane ends; its streams know why by then.
    pub(crate) async fn run(mut self) -> LaneEnd {
        let end = poll_fn(|cx| self.poll(cx)).await;
        self.lane.lose(end);
        end
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<LaneEnd> {
        let now = self.started.elapsed();
        if let Err(end) = self.heed_fence(now) {
            return Poll::Ready(end);
        }
        let rang = self.alarm.as_mut().poll(cx).is_ready();
        if rang {
            self.liveness.handle_alarm(now);
        }
        if self.farewell.is_none() && self.papers.is_renewed() {
            self.prove();
        }
        if self.farewell.is_none()
            && let Err(end) = self.poll_input(cx, now)
        {
            match end {
                LaneEnd::Violation(_) => self.say_farewell(end, Refusal::Violation, now),
                other => return Poll::Ready(other),
            }
        }
        if rang && let Err(end) = self.judge(now) {
            return Poll::Ready(end);
        }
        let sent = match self.poll_output(cx, now) {
            Ok(sent) => sent,
            Err(error) => {
                return Poll::Ready(self.farewell.map_or(LaneEnd::Broken(error.kind()), |(end, _)| end));
            }
        };
        self.set_alarm(cx);
        match self.farewell {
            Some((end, _)) if sent => self.poll_goodbye(cx).map(|()| end),
            Some(_) | None => Poll::Pending,
        }
    }

    fn is_past_fence(&self) -> bool {
        !self.fenced && !self.fence.is_open()
    }

    /// Past the fence no byte moves: between two frames it can be said, in the middle of one the lane just ends.
    fn heed_fence(&mut self, now: Duration) -> Result<(), LaneEnd> {
        if !self.is_past_fence() {
            return Ok(());
        }
        let end = LaneEnd::Refused(Refusal::NotActive);
        if !self.out.is_empty() || self.unflushed {
            return Err(end);
        }
        self.fenced = true;
        if self.farewell.is_none() {
            self.say_farewell(end, Refusal::NotActive, now);
        }
        Ok(())
    }

    /// The alarm went, and all that had arrived is read.
    fn judge(&mut self, now: Duration) -> Result<(), LaneEnd> {
        if let Some((end, over)) = self.farewell {
            return if now >= over { Err(end) } else { Ok(()) };
        }
        match self.papers.next_check(UnixTime::now()) {
            Some(wait) => self.papers_due = now + wait,
            None => {
                let expired = Refusal::CertificateExpired;
                self.say_farewell(LaneEnd::Refused(expired), expired, now);
                return Ok(());
            }
        }
        let judgement = self.liveness.judge(now);
        if let Some(nonce) = judgement.ping {
            self.lane.lock().mux.ping(nonce);
        }
        if judgement.is_newly_suspect {
            self.siblings.iter().for_each(|slot| slot.load().iter().for_each(|lane| lane.probe()));
        }
        if now >= self.ticked + bounds::ACK_TICK {
            self.ticked = now;
            self.lane.lock().mux.handle_tick();
        }
        self.tell_pulse();
        judgement.end.map_or(Ok(()), Err)
    }

    fn set_alarm(&mut self, cx: &mut Context<'_>) {
        let due = match self.farewell {
            Some((_, over)) => over,
            None => self.liveness.alarm().min(self.papers_due),
        };
        let due = self.started + due;
        if self.alarm.deadline() != due {
            self.alarm.as_mut().reset(due);
            if self.alarm.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Shows the far side our new certificate. The control lane is awake most often, so it wakes the others.
    fn prove(&mut self) {
        match self.papers.prove() {
            Some(proof) => self.lane.lock().mux.announce(Frame::Proof(Box::new(proof))),
            None => {
                tracing::warn!("the renewed certificate cannot be proved in a lane: its key does not sign");
            }
        }
        if self.lane.class() == Class::Control {
            self.siblings.iter().for_each(|slot| slot.load().iter().for_each(|lane| lane.wake_driver()));
        }
    }

    fn tell_pulse(&self) {
        self.lane.pulse.tell(&self.liveness);
    }

    /// Ok: nothing more to read now.
    fn poll_input(&mut self, cx: &mut Context<'_>, now: Duration) -> Result<(), LaneEnd> {
        self.handle_frames(now)?;
        for _ in 0..bounds::READS_IN_A_ROW {
            let buffer = self.decoder.buffer();
            if buffer.capacity() - buffer.len() < bounds::READ_ROOM / 4 {
                buffer.reserve(bounds::READ_ROOM);
            }
            match poll_read_buf(Pin::new(&mut self.io), cx, buffer) {
                Poll::Ready(Ok(0)) => return Err(LaneEnd::Closed),
                Poll::Ready(Ok(_)) => {
                    self.liveness.handle_bytes(now);
                    self.tell_pulse();
                    self.handle_frames(now)?;
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(LaneEnd::Closed);
                }
                Poll::Ready(Err(error)) => return Err(LaneEnd::Broken(error.kind())),
                Poll::Pending => return Ok(()),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Handles every whole frame in the buffer; signatures are verified without the lock.
    fn handle_frames(&mut self, now: Duration) -> Result<(), LaneEnd> {
        while let Some(proof) = self.handle_batch(now)? {
            self.papers.handle_proof(&proof, now, UnixTime::now()).map_err(LaneEnd::Violation)?;
        }
        Ok(())
    }

    /// Handles frames under one lock, to the last whole one in the buffer or to a proof.
    fn handle_batch(&mut self, now: Duration) -> Result<Option<Box<Proof>>, LaneEnd> {
        let lane = self.lane.clone();
        let mut core = lane.lock();
        let outcome = loop {
            let event = match self.decoder.next_frame() {
                Ok(Some(frame)) => core.mux.handle_frame(frame),
                Ok(None) => break Ok(None),
                Err(violation) => Err(violation),
            };
            match event {
                Ok(Event::Quiet) => {}
                Ok(Event::Pong(nonce)) => self.liveness.handle_pong(nonce, now),
                Ok(Event::Readable(stream)) => {
                    self.wakers.extend(core.mux.tag(stream).and_then(|tag| tag.reader.take()));
                }
                Ok(Event::Writable(stream)) => {
                    self.wakers.extend(core.mux.tag(stream).and_then(|tag| tag.writer.take()));
                }
                Ok(Event::Acked(stream)) => {
                    self.wakers.extend(core.mux.tag(stream).and_then(|tag| tag.watcher.take()));
                }
                Ok(Event::Reset(stream)) => {
                    core.mux.tag(stream).into_iter().for_each(|tag| tag.take_all(&mut self.wakers));
                }
                Ok(Event::Incoming { stream, open }) => {
                    if let Some(tag) = core.mux.tag(stream) {
                        tag.service = open.service.as_str().into();
                        tag.claimed = open.caller.as_str().into();
                    }
                    if !self.hand_over_stream(stream, open) {
                        core.mux.reset(stream, Refusal::HubBusy);
                    }
                }
                // An offer is long, and each has the hub rebuild its routes.
                Ok(Event::Offer(_)) if !self.offers.admit(now) => {
                    break Err(LaneEnd::Violation(Violation::Flood));
                }
                Ok(Event::Offer(offering)) => self.hand_over(LinkEvent::Offer(offering))?,
                Ok(Event::Accepted(services)) => self.hand_over(LinkEvent::Accepted(services))?,
                Ok(Event::Notice(origin, offering)) => {
                    self.hand_over(LinkEvent::Notice(origin, offering))?;
                }
                Ok(Event::Proof(proof)) => break Ok(Some(proof)),
                Ok(Event::Refused(reason)) => break Err(LaneEnd::RefusedByFar(reason)),
                Err(violation) => break Err(LaneEnd::Violation(violation)),
            }
        };
        lane.streams.store(core.mux.len(), Ordering::Relaxed);
        drop(core);
        self.wakers.drain(..).for_each(Waker::wake);
        outcome
    }

    /// The permit comes before the stream, whose drop would want the lock that is held here.
    fn hand_over_stream(&self, stream: u32, open: Box<Open>) -> bool {
        let Ok(permit) = self.events.try_reserve() else { return false };
        permit.send(LinkEvent::Incoming { stream: LaneStream::new(self.lane.clone(), stream), open });
        true
    }

    fn hand_over(&self, event: LinkEvent) -> Result<(), LaneEnd> {
        self.events.try_send(event).map_err(|_| LaneEnd::Violation(Violation::Flood))
    }

    /// Ok(true): all that waited is with the kernel.
    fn poll_output(&mut self, cx: &mut Context<'_>, now: Duration) -> io::Result<bool> {
        loop {
            if self.is_past_fence() {
                cx.waker().wake_by_ref();
                // What was written before goes on its way; of a batch that is not yet, nothing does.
                if self.out.is_empty() {
                    break;
                }
                return Ok(false);
            }
            if self.out.is_empty() && !self.gather(cx, now) {
                break;
            }
            let mut room = [IoSlice::new(&[]); bounds::WRITE_SLICES];
            let count = self.out.slices(&mut room);
            match Pin::new(&mut self.io).poll_write_vectored(cx, &room[..count]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    self.unflushed = true;
                    self.liveness.handle_backlog(false, now);
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.lane.backlogged.store(true, Ordering::Relaxed);
                    self.liveness.handle_backlog(true, now);
                    return Ok(false);
                }
            }
        }
        self.lane.backlogged.store(false, Ordering::Relaxed);
        if self.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(flushed) => flushed?,
                Poll::Pending => {
                    self.liveness.handle_backlog(true, now);
                    return Ok(false);
                }
            }
            self.unflushed = false;
            self.liveness.handle_backlog(false, now);
        }
        Ok(true)
    }

    /// Collects the next batch; false, and the driver's waker left behind, when there is none.
    fn gather(&mut self, cx: &mut Context<'_>, now: Duration) -> bool {
        let lane = self.lane.clone();
        let mut core = lane.lock();
        if std::mem::take(&mut core.probed) {
            self.liveness.handle_probe(now);
        }
        if let (Some(reason), None) = (core.closing, self.farewell) {
            core.mux.farewell(reason);
            // A far side that is stuck may hold up the goodbye; the streams go on elsewhere meanwhile.
            core.part(LaneEnd::Stopped, &mut self.wakers);
            self.farewell = Some((LaneEnd::Stopped, now + bounds::FAREWELL_MAX));
        }
        let control = self.siblings[0].load();
        core.mux.handle_time(now, control.as_ref().and_then(|control| control.least()));
        while !self.out.is_full() {
            let Some(frame) = core.mux.poll_frame() else { break };
            if let Frame::Data { stream, .. } | Frame::Fin { stream } = &frame {
                self.wakers.extend(core.mux.tag(*stream).and_then(|tag| tag.writer.take()));
            }
            self.out.push(frame);
        }
        self.out.seal();
        if self.out.is_empty() {
            register(&mut core.driver, cx);
        }
        lane.streams.store(core.mux.len(), Ordering::Relaxed);
        drop(core);
        self.wakers.drain(..).for_each(Waker::wake);
        !self.out.is_empty()
    }

    fn say_farewell(&mut self, end: LaneEnd, reason: Refusal, now: Duration) {
        self.out.clear();
        self.farewell = Some((end, now + bounds::FAREWELL_MAX));
        self.lane.lock().mux.farewell(reason);
        self.lane.lose(end);
    }

    /// Closes our direction, then reads to the end: closing over unread bytes would make the kernel reset the connection
    /// and take our last words with it.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(Pin::new(&mut self.io).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        loop {
            self.decoder.buffer().clear();
            self.decoder.buffer().reserve(1024);
            match ready!(poll_read_buf(Pin::new(&mut self.io), cx, self.decoder.buffer())) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }
}

impl Lane {
    /// The connection is gone, or carries nothing but its goodbye: every stream learns why.
    fn lose(&self, end: LaneEnd) {
        let mut wakers = Vec::new();
        self.lock().part(end, &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<S> Drop for Driver<S> {
    /// A driver that is dropped instead of run to its end leaves no stream waiting.
    fn drop(&mut self) {
        if self.lane.lock().end.is_none() {
            self.lane.lose(LaneEnd::Stopped);
        }
    }
}
