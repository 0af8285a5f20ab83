//! What the far side sent, as one side of the lane takes it in. Pure.

use bytes::Bytes;

use super::state::{Sending, Streaming};
use super::{Event, Mux};
use crate::bounds::{CONTROL_QUEUE, CREDIT_MAX, STREAMS_LANE};
use crate::refusal::{Refusal, Violation};
use crate::session::Position;
use crate::wire::{Frame, Open, Opened};

impl<T: Default> Mux<T> {
    /// Takes in what the far side sent.
    ///
    /// # Errors
    /// The violation for which the lane must be closed.
    pub fn handle_frame(&mut self, frame: Frame) -> Result<Event, Violation> {
        match frame {
            Frame::Data { stream, payload } => self.handle_data(stream, payload),
            Frame::Credit { stream, bytes } => self.handle_credit(stream, bytes),
            Frame::Open { stream, open } => self.handle_open(stream, open),
            Frame::Opened { stream, opened } => self.handle_opened(stream, opened),
            Frame::Fin { stream } => self.handle_fin(stream),
            Frame::Reset { stream, reason } => self.handle_reset(stream, reason),
            Frame::Ack { stream, received } => self.handle_ack(stream, received),
            Frame::Ping { nonce } => {
                self.pong = Some(nonce);
                Ok(Event::Quiet)
            }
            Frame::Pong { nonce } => Ok(Event::Pong(nonce)),
            Frame::Offer(offering) if !self.accepts => Ok(Event::Offer(offering)),
            Frame::Accepted { services } if !self.accepts => Ok(Event::Accepted(services)),
            Frame::Notice { origin, offering } if !self.accepts => Ok(Event::Notice(origin, offering)),
            Frame::Proof(proof) => Ok(Event::Proof(proof)),
            Frame::Refuse(reason) => Ok(Event::Refused(reason)),
            Frame::Hello(_)
            | Frame::Welcome { .. }
            | Frame::Standby { .. }
            | Frame::Offer(_)
            | Frame::Accepted { .. }
            | Frame::Notice { .. } => Err(Violation::Unexpected),
        }
    }

    fn handle_data(&mut self, stream: u32, payload: Bytes) -> Result<Event, Violation> {
        let ours = self.ids.is_ours(stream);
        let Some(streaming) = self.known(stream)? else { return Ok(Event::Quiet) };
        if ours && !streaming.answered {
            return Err(Violation::Unexpected);
        }
        streaming.receive(payload)?;
        Ok(Event::Readable(stream))
    }

    fn handle_credit(&mut self, stream: u32, bytes: u32) -> Result<Event, Violation> {
        let Some(streaming) = self.known(stream)? else { return Ok(Event::Quiet) };
        streaming.credit += u64::from(bytes);
        if streaming.credit > CREDIT_MAX {
            return Err(Violation::CreditOverflow);
        }
        Ok(Event::Writable(stream))
    }

    fn handle_open(&mut self, stream: u32, open: Box<Open>) -> Result<Event, Violation> {
        if !self.accepts {
            return Err(Violation::Unexpected);
        }
        if self.streams.contains_key(&stream) || !self.ids.admit(stream) {
            return Err(Violation::StreamIdMisused);
        }
        if self.control.len() >= CONTROL_QUEUE {
            return Err(Violation::Flood);
        }
        if self.streams.len() >= STREAMS_LANE {
            self.control.push_back(Frame::Reset { stream, reason: Refusal::HubBusy });
            return Ok(Event::Quiet);
        }
        let mut streaming = Streaming::new(Sending::Offered, self.pace.now);
        streaming.sent = open.resume.as_ref().map_or(Position::default(), |resume| resume.received);
        self.streams.insert(stream, streaming);
        Ok(Event::Incoming { stream, open })
    }

    fn handle_opened(&mut self, stream: u32, opened: Opened) -> Result<Event, Violation> {
        if !self.ids.is_ours(stream) {
            return Err(Violation::Unexpected);
        }
        let Some(streaming) = self.known(stream)? else { return Ok(Event::Quiet) };
        if std::mem::replace(&mut streaming.answered, true) {
            return Err(Violation::Unexpected);
        }
        if streaming.sending == Sending::Asked {
            streaming.sending = Sending::Open;
        }
        streaming.sent = opened.received.and_then(streaming.sent);
        streaming.opened = Some(Box::new(opened));
        Ok(Event::Writable(stream))
    }

    fn handle_fin(&mut self, stream: u32) -> Result<Event, Violation> {
        let Some(streaming) = self.known(stream)? else { return Ok(Event::Quiet) };
        if std::mem::replace(&mut streaming.ended, true) || streaming.reset.is_some() {
            return Err(Violation::AfterFin);
        }
        Ok(Event::Readable(stream))
    }

    fn handle_reset(&mut self, stream: u32, reason: Refusal) -> Result<Event, Violation> {
        let Some(streaming) = self.known(stream)? else { return Ok(Event::Quiet) };
        if streaming.reset.is_some() {
            return Err(Violation::AfterFin);
        }
        if streaming.released {
            self.remove(stream);
            return Ok(Event::Quiet);
        }
        streaming.handle_reset(reason);
        Ok(Event::Reset(stream))
    }

    fn handle_ack(&mut self, stream: u32, received: Position) -> Result<Event, Violation> {
        let ours = self.ids.is_ours(stream);
        let Some(streaming) = self.known(stream)? else { return Ok(Event::Quiet) };
        if ours && !streaming.answered {
            return Err(Violation::Unexpected);
        }
        if received > streaming.sent {
            return Err(Violation::AckBeyondSent);
        }
        if received <= streaming.acked {
            return Ok(Event::Quiet);
        }
        streaming.acked = received;
        Ok(Event::Acked(stream))
    }

    /// `None`: a late frame for a stream that is over here, which the far side could not know yet.
    fn known(&mut self, stream: u32) -> Result<Option<&mut Streaming<T>>, Violation> {
        if !self.ids.was_opened(stream) {
            return Err(Violation::StreamUnknown);
        }
        Ok(self.streams.get_mut(&stream))
    }
}
